"""The engines as a check sees them: through their own protocols, never through the student's files."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import prestodb
import requests
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from pyhive import hive

from swordlab import endpoints
from swordlab.grading.verdict import NotChecked

TIMEOUT = 10.0  # seconds for one answer of an engine
Position = Mapping[int, int]
"""Partition -> offset of the next message."""


@contextmanager
def administration() -> Iterator[KafkaAdminClient]:
    """The broker's side for topics and groups, closed at the end."""
    admin = KafkaAdminClient(bootstrap_servers=endpoints.url("KAFKA_BOOTSTRAP_SERVERS"))
    try:
        yield admin
    finally:
        admin.close()


@dataclass(frozen=True)
class Message:
    """One message of a topic."""

    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch, as the broker keeps it."""
    value: bytes | None

    @property
    def event(self) -> dict[str, Any]:
        """The message as an event; an empty one where it is no JSON object."""
        try:
            event = json.loads(self.value or b"")
        except ValueError:
            return {}
        return event if isinstance(event, dict) else {}


@dataclass(frozen=True)
class Topic:
    """One topic, read and written by the check itself."""

    name: str

    @property
    def _server(self) -> str:
        return endpoints.url("KAFKA_BOOTSTRAP_SERVERS")

    @cached_property
    def _consumer(self) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self._server,
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )

    @cached_property
    def _producer(self) -> KafkaProducer:
        return KafkaProducer(bootstrap_servers=self._server, acks="all", enable_idempotence=False, retries=3)

    @cached_property
    def _admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self._server)

    def close(self) -> None:
        """End the connections that were made."""
        for name in ("_consumer", "_producer", "_admin"):
            if client := self.__dict__.pop(name, None):
                client.close()

    def description(self) -> dict[str, Any] | None:
        """The broker's metadata of the topic; None where there is no such topic."""
        if self.name not in self._admin.list_topics():
            return None
        return dict(self._admin.describe_topics([self.name])[0])

    def partitions(self) -> list[int]:
        """The numbers of its partitions; NotChecked where there is no such topic."""
        found = self.description()
        if not found:
            raise NotChecked(f"there is no topic {self.name} yet", "make lab-3")
        return sorted(partition["partition_index"] for partition in found["partitions"])

    def _partitions(self) -> list[TopicPartition]:
        found = self.partitions()
        if self._consumer.partitions_for_topic(self.name) != {*found}:
            self._consumer.topics()  # it asks the broker again, and so learns of a partition that was added
        return [TopicPartition(self.name, number) for number in found]

    def end(self) -> Position:
        """Where the next messages will be."""
        return {part.partition: end for part, end in self._consumer.end_offsets(self._partitions()).items()}

    def beginning(self) -> Position:
        """Where the oldest messages are."""
        found = self._consumer.beginning_offsets(self._partitions())
        return {part.partition: begin for part, begin in found.items()}

    def committed(self, states: Sequence[str] | None = None) -> dict[str, Position]:
        """Group -> how far the broker knows that it has read the topic; of all groups, or of those in these states."""
        groups = [group["group_id"] for group in self._admin.list_groups(states_filter=states)]
        offsets = self._admin.list_group_offsets(groups) if groups else {}
        return {
            group: {part.partition: at.offset for part, at in parts.items() if part.topic == self.name}
            for group, parts in offsets.items()
        }

    def since(self, position: Position) -> list[Message]:
        """What has come since `position` (from the beginning of a partition that is newer than it), until now."""
        return list(self._read(position))

    def everything(self) -> list[Message]:
        """All messages that are on the topic now."""
        return self.since(self.beginning())

    def _read(self, position: Position) -> Iterator[Message]:
        consumer, parts = self._consumer, self._partitions()
        ends = consumer.end_offsets(parts)
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, position.get(part.partition, 0))
        deadline = time.monotonic() + TIMEOUT
        while any(consumer.position(part) < end for part, end in ends.items()):
            for part, batch in consumer.poll(timeout_ms=500).items():
                deadline = time.monotonic() + TIMEOUT
                for record in batch:
                    if record.offset < ends[part]:
                        yield Message(part.partition, record.offset, record.timestamp, record.value)
            if time.monotonic() > deadline:
                raise NotChecked(f"Kafka sent nothing of topic {self.name} for {TIMEOUT:.0f} s", broken=True)

    def send(self, *values: dict[str, Any] | bytes | None) -> None:
        """Write messages of one time, events as JSON and bytes as they are; return when the broker has them all."""
        now = int(time.time() * 1000)
        sent = [
            self._producer.send(
                self.name,
                json.dumps(value).encode() if isinstance(value, dict) else value,
                key=b"none" if value is None else None,  # kafka-python sends no message without both
                timestamp_ms=now,
            )
            for value in values
        ]
        for future in sent:
            future.get(timeout=TIMEOUT)

    def spread(self, events: Sequence[dict[str, Any]]) -> None:
        """Write one event to each partition; as many events as partitions."""
        for number, event in zip(self.partitions(), events, strict=True):
            self._producer.send(self.name, json.dumps(event).encode(), partition=number).get(timeout=TIMEOUT)


@dataclass(frozen=True)
class Files:
    """HDFS through WebHDFS."""

    def ask(self, operation: str, path: str, method: str = "GET", **parameters: str) -> requests.Response:
        """One WebHDFS operation; 404 is an answer too."""
        url = f"{endpoints.url('WEBHDFS_URL')}/webhdfs/v1{path}"
        answer = requests.request(method, url, params={"op": operation, **parameters}, timeout=TIMEOUT)
        if answer.status_code != 404:
            answer.raise_for_status()
        return answer

    def entries(self, folder: str) -> list[dict[str, Any]]:
        """The NameNode's status of each entry of a folder (WebHDFS's FileStatus); empty where there is none."""
        answer = self.ask("LISTSTATUS", folder)
        return [] if answer.status_code == 404 else list(answer.json()["FileStatuses"]["FileStatus"])

    def data_files(self, folder: str) -> list[dict[str, Any]]:
        """The files of a table's folder that readers see: without names that begin with _ or a dot."""
        return [file for file in self.entries(folder) if file["type"] == "FILE" and file["pathSuffix"][0] not in "_."]

    def read(self, path: str, offset: int = 0) -> bytes:
        """A file's bytes from `offset`."""
        answer = self.ask("OPEN", path, offset=str(offset))
        answer.raise_for_status()
        return answer.content

    def blocks(self, path: str) -> int:
        """How many blocks a file has."""
        return len(self.ask("GETFILEBLOCKLOCATIONS", path).json()["BlockLocations"]["BlockLocation"])


@dataclass(frozen=True)
class Hive:
    """HiveServer2."""

    @cached_property
    def _connection(self) -> Any:
        return hive.connect(endpoints.url("HIVE_HOST"), int(endpoints.url("HIVE_PORT")), auth="NONE", username="root")

    def rows(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements one after the other; the rows of the last one."""
        with closing(self._connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


@dataclass(frozen=True)
class Presto:
    """Presto's catalog hive."""

    schema: str = "default"

    def rows(
        self, sql: str, session: Mapping[str, str] | None = None, most: int | None = None
    ) -> list[tuple[Any, ...]]:
        """Presto's rows, `most` of them; raises prestodb's PrestoQueryError as Presto words it."""
        return self.answer(sql, session, most)[1]

    def answer(
        self, sql: str, session: Mapping[str, str] | None = None, most: int | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of the columns, and the rows."""
        connection = prestodb.dbapi.connect(
            host=endpoints.url("PRESTO_HOST"),
            port=int(endpoints.url("PRESTO_PORT")),
            user="root",
            catalog="hive",
            schema=self.schema,
            session_properties=dict(session or {}),
        )
        with closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            rows = [tuple(row) for row in (cursor.fetchmany(most) if most else cursor.fetchall())]
            return [column[0] for column in cursor.description], rows


@dataclass(frozen=True)
class Game:
    """The student's web server."""

    def ask(
        self, route: str, headers: Mapping[str, str] | None = None, method: str = "GET", **more: Any
    ) -> requests.Response:
        """One request, and the one that it is redirected to; a proxy of the surroundings is not used.

        A redirect names the Host header's host, which is a player's name: the path is asked of the game again.
        """
        with requests.Session() as session:
            session.trust_env = False
            options = {"headers": dict(headers or {}), "timeout": TIMEOUT, "allow_redirects": False, **more}
            answer = session.request(method, endpoints.url("FLASK_URL") + route, **options)
            if answer.is_redirect:
                moved = urlsplit(answer.headers["Location"])
                path = moved._replace(scheme="", netloc="").geturl()
                answer = session.request(method, endpoints.url("FLASK_URL") + path, **options)
            return answer
