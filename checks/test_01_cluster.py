"""Lab 1: the student's docker-compose.yml describes a cluster whose engines answer and find each other.

The checks run the cluster from that file, then ask the engines.
"""

import socket
import struct

import pytest
from prestodb.exceptions import Error, PrestoQueryError

from swordlab import endpoints, engines
from swordlab.engines.hdfs import LIVE_DATANODES, NAMENODE
from swordlab.errors import LabError
from swordlab.grading import probes, trouble
from swordlab.grading.live import Presto
from swordlab.grading.verdict import CheckFailed, fail, require

COMPOSE = "docker-compose.yml"
STARTS_WITHIN = 90.0  # seconds
METADATA, VERSION = 3, 1  # the request and its version; Kafka protocol guide, "Metadata"
PUBLISHED = {
    "kafka": ["KAFKA_PORT"],
    "cloudera": [
        "HDFS_PORT",
        "NAMENODE_HTTP_PORT",
        "DATANODE_PORT",
        "DATANODE_HTTP_PORT",
        "METASTORE_PORT",
        "HIVE_PORT",
        "HIVE_HTTP_PORT",
    ],
    "presto": ["PRESTO_PORT"],
    "mids": ["FLASK_PORT"],
}
WAITS_FOR = {"mids": ["kafka"], "spark": ["kafka", "cloudera"]}


@pytest.fixture(scope="session")
def cluster(work, lab):
    """The cluster, started from the student's file."""
    file = work.folder(lab) / COMPOSE
    trouble.require_files(work, lab, expected=f"a {COMPOSE}")
    try:
        work.cluster.up(file, ready_within=STARTS_WITHIN)
    except LabError as error:
        message = error.message.replace(str(file), COMPOSE)
        raise CheckFailed("a cluster that starts", message, COMPOSE, message.splitlines()[0], error.hint) from None
    return work.cluster


@pytest.fixture(scope="session")
def database(cluster, hive, rng):
    """A database of the check's own, for this run."""
    name = f"lab_probe_{probes.word(rng)}"
    hive.rows(f"create database {name}")
    yield name
    hive.rows(f"drop database {name} cascade")


def test_each_engine_answers_its_own_protocol(cluster):
    """Kafka, the NameNode, the metastore, HiveServer2 and Presto each answer in their own protocol."""
    rows = health_of_engines(cluster)
    for name in engines.ENGINES:
        require(
            rows.get(name) == "healthy",
            expected=f"{name} answers",
            found=rows.get(name, "no service runs it"),
            where="make status",
            cause=f"no service of {COMPOSE} runs {name}" if name not in rows else "",
            next=f"make logs SERVICE={name}",
        )


def health_of_engines(cluster):
    """Engine -> its health, as the lab finds it by asking."""
    return {row.program: row.health for row in cluster.status() if row.ports}


def test_kafka_sends_clients_to_an_address_they_reach(cluster):
    """Kafka sends its clients on to an address at which they reach it."""
    host, port = advertised()
    wanted = ("kafka", endpoints.ports()["KAFKA_PORT"])
    require(
        (host, port) == wanted,
        expected=f"kafka:{wanted[1]}",
        found=f"{host}:{port}",
        where="the broker's metadata",
        cause="the advertised listener names another host or port: a client connects, is "
        "sent on to that address, and finds nobody there",
        next="look at KAFKA_ADVERTISED_LISTENERS",
    )
    with socket.create_connection((host, port), 5):
        pass


def advertised():
    """The address of the broker in its own metadata: Metadata request without topics, answer with one broker."""
    request = struct.pack(">hhihi", METADATA, VERSION, 1, -1, 0)
    with socket.create_connection(("127.0.0.1", endpoints.ports()["KAFKA_PORT"]), 5) as broker:
        broker.settimeout(5)
        broker.sendall(struct.pack(">i", len(request)) + request)
        answer = broker.recv(4096)
    length = struct.unpack_from(">h", answer, 16)[0]  # after size, correlation id, count and node id
    return answer[18 : 18 + length].decode(), struct.unpack_from(">i", answer, 18 + length)[0]


def test_namenode_left_safe_mode_with_a_live_datanode(cluster):
    """The NameNode is out of safe mode and has a live DataNode."""
    namenode = engines.engine("namenode", cluster.state)
    require(
        not namenode.bean(NAMENODE)["Safemode"],
        expected="safe mode off",
        found=namenode.bean(NAMENODE)["Safemode"],
        where="the NameNode's JMX",
    )
    live = namenode.bean(LIVE_DATANODES)["NumLiveDataNodes"]
    health = health_of_engines(cluster).get("datanode", "no service runs it")
    require(
        live == 1 and health == "healthy",  # for minutes the NameNode counts one that has ended
        expected="1 live DataNode",
        found=live if live != 1 else f"the NameNode still counts 1, but the DataNode: {health}",
        where="the NameNode's JMX",
        cause="no service runs a DataNode that reports to this NameNode",
    )


def test_catalog_hive_reaches_this_metastore(cluster, database):
    """Presto's catalog hive reaches this cluster's metastore."""
    found = asked("show schemas")
    require(
        (database,) in found,
        expected=f"the database {database} that Hive has just made",
        found=found,
        where="show schemas in Presto",
        cause="the catalog reads another metastore",
    )
    runs = {engine: service for service in cluster.services().values() for engine in service.engines}
    address = runs["presto"].environment.get("HIVE_THRIFTSERVER", "")
    require(
        address.rpartition(":")[0] in ("", runs["metastore"].name),
        expected=f"{runs['metastore'].name}:{endpoints.ports()['METASTORE_PORT']}",
        found=address,
        where="HIVE_THRIFTSERVER of service presto",
        cause="on that host no metastore runs: it answers only where all services share one machine, not on Docker",
    )


def asked(sql, schema="default"):
    """Presto's answer; fails where the catalog does not reach a metastore."""
    try:
        return Presto(schema).rows(sql)
    except (PrestoQueryError, Error) as error:
        text = getattr(error, "message", str(error)).splitlines()[0]
        fail(
            expected=f"an answer to: {sql}",
            found=text,
            where="Presto, catalog hive",
            cause="the catalog's metastore is on another host or port",
            next="look at HIVE_THRIFTSERVER of service presto",
        )


def test_every_port_of_an_engine_is_published(cluster):
    """Every port on which an engine answers is published."""
    services, ports = cluster.services(), endpoints.ports()
    for service, names in PUBLISHED.items():
        published = services[service].ports if service in services else {}
        for name in names:
            require(
                published.get(ports[name]) == ports[name],
                expected=f"{name} ({ports[name]}) of {service} is published",
                found=", ".join(f"{outside}:{inside}" for outside, inside in published.items()) or "none of its ports",
                where=f"the ports of service {service}",
                cause=f"inside it leads to {published[ports[name]]}, where another engine answers, or none"
                if ports[name] in published
                else f"{name} is not among its published ports",
                next=f'ports: - "127.0.0.1:…" of {service} in {COMPOSE}',
            )


def test_services_wait_until_engines_answer(cluster):
    """A service that needs another waits until all engines of that one answer."""
    services = cluster.services()
    for name, others in WAITS_FOR.items():
        for other in others:
            found = services[name].depends_on.get(other, "nothing") if name in services else "no such service"
            require(
                found == "service_healthy",
                expected=f"{name} waits for {other}: service_healthy",
                found=found,
                where=f"depends_on of {name}",
                cause=f"{name} starts while {other} does not answer yet",
            )
            unasked = set(services[other].engines) - set(services[other].health)
            require(
                not unasked,
                expected=f"the health check of {other} asks {', '.join(services[other].engines)}",
                found=", ".join(services[other].health),
                where=f"healthcheck of {other}",
                cause=f"{', '.join(sorted(unasked))} may not answer yet when {other} counts as healthy",
            )


def test_row_written_by_hive_is_read_by_presto(cluster, database, hive, rng):
    """A row that Hive writes to HDFS is read by Presto."""
    word = probes.word(rng, 12)
    hive.rows(
        f"create table {database}.probe (word string) stored as parquet",
        f"insert into {database}.probe select '{word}'",
    )
    found = asked("select word from probe", database)
    require(
        found == [(word,)],
        expected=[(word,)],
        found=found,
        where=f"Presto, table {database}.probe",
        cause="Presto reads another metastore or another HDFS",
    )
