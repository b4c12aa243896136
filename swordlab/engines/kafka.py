"""Kafka: one broker that is its own controller (KRaft), configured by KAFKA_… variables as in Kafka's own image."""

import struct
from pathlib import Path

from swordlab import artifacts, endpoints
from swordlab.engines.base import Engine, NotReady, properties

API_VERSIONS = 18  # the request that every client sends first; Kafka protocol guide, "Api Versions"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"


class Kafka(Engine):
    """The broker. Clients connect to KAFKA_PORT and are sent on to the advertised listener."""

    name = "kafka"
    main = "kafka.Kafka"
    heap = 256
    ports = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT")

    def classpath(self) -> list[Path]:
        """Everything of the section kafka."""
        return artifacts.jars("kafka")

    def options(self) -> list[str]:
        """Its log goes to standard error, warnings and worse."""
        return ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]

    def configure(self) -> list[str]:
        """server.properties: the lab's defaults, then each KAFKA_SOME_NAME of the service as some.name."""
        return [str(properties(self.state.conf / "kafka.properties", self._defaults() | self._from_service()))]

    def _defaults(self) -> dict[str, object]:
        controller, broker = self.port("KAFKA_CONTROLLER_PORT"), self.port("KAFKA_PORT")
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@localhost:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bind}:{broker}",
            "advertised.listeners": f"PLAINTEXT://kafka:{broker}",
            "log.dirs": self.state.data / "kafka",
            "num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 4 * 2**20,  # resident from the start; the default is 128 MiB
        }

    def _from_service(self) -> dict[str, object]:
        ours = {*endpoints.PORTS, "KAFKA_BOOTSTRAP_SERVERS"}
        given: dict[str, object] = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in self.environ.items()
            if name.startswith("KAFKA_") and name not in ours
        }
        listeners = str(given.get("listeners") or self._defaults()["listeners"])
        controller = self.port("KAFKA_CONTROLLER_PORT")
        given["listeners"] = f"{listeners},CONTROLLER://127.0.0.1:{controller}"
        return given

    def prepare(self) -> tuple[str, list[str]] | None:
        """Format the log folder once."""
        if (self.state.data / "kafka" / "meta.properties").exists():
            return None
        return "kafka.tools.StorageTool", ["format", "-t", CLUSTER_ID, "-c", *self.configure()]

    def probe(self) -> None:
        """Ask which requests it understands."""
        request = struct.pack(">hhih", API_VERSIONS, 0, 1, -1)
        with self.connection(self.port("KAFKA_PORT")) as broker:
            broker.sendall(struct.pack(">i", len(request)) + request)
            answer = broker.recv(10)
        if len(answer) < 10 or struct.unpack(">iih", answer)[1:] != (1, 0):
            raise NotReady("the listener does not speak Kafka's protocol")
