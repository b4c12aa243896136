"""The one list of ports and addresses, with the report's values as defaults.

A port is an environment variable, so that a second cluster can have its own. docker-compose.yml uses the same
names; `tests/test_compose.py` holds the two lists against each other.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from swordlab import hosts
from swordlab.errors import UsageError

PORTS: dict[str, int] = {
    "FLASK_PORT": 5000,
    "KAFKA_PORT": 29092,
    "KAFKA_CONTROLLER_PORT": 29093,
    "HDFS_PORT": 8020,
    "NAMENODE_HTTP_PORT": 9870,
    "DATANODE_PORT": 9866,
    "DATANODE_HTTP_PORT": 9864,
    "DATANODE_IPC_PORT": 9867,
    "METASTORE_PORT": 9083,
    "HIVE_PORT": 10000,
    "HIVE_HTTP_PORT": 10002,
    "PRESTO_PORT": 8080,
    "SPARK_UI_PORT": 4040,
}

HOSTS = ("kafka", "cloudera", "presto", "mids", "spark")
"""The host names of the services, as the report uses them."""

KEPT = "cluster.json"
"""The file of a state folder in which a cluster's ports are kept."""


def adopt(folder: Path) -> None:
    """Use the ports that the cluster in this state folder was started with wherever the environment names none."""
    os.environ.setdefault(hosts.VARIABLE, " ".join(HOSTS))
    with contextlib.suppress(OSError, ValueError):
        for name, port in json.loads((folder / KEPT).read_text())["ports"].items():
            os.environ.setdefault(name, str(port))


def ports(environ: Mapping[str, str] | None = None) -> dict[str, int]:
    """The port of each endpoint: the environment's value, else the report's. UsageError for what is no port."""
    environ = os.environ if environ is None else environ
    return {name: _port(name, environ.get(name) or str(default)) for name, default in PORTS.items()}


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise UsageError(f"{name} is '{text}', which is not a port", "a port is a number from 1 to 65535")
    return int(text)


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every program of the lab finds in its environment: ports and the addresses made of them."""
    environ = os.environ if environ is None else environ
    port = ports(environ)
    defaults = {
        "KAFKA_BOOTSTRAP_SERVERS": f"kafka:{port['KAFKA_PORT']}",
        "HDFS_URL": f"hdfs://cloudera:{port['HDFS_PORT']}",
        "WEBHDFS_URL": f"http://cloudera:{port['NAMENODE_HTTP_PORT']}",
        "METASTORE_URI": f"thrift://cloudera:{port['METASTORE_PORT']}",
        "HIVE_HOST": "cloudera",
        "PRESTO_HOST": "presto",
        "FLASK_URL": f"http://localhost:{port['FLASK_PORT']}",
        "BIND": "127.0.0.1",
    }
    chosen = {name: environ.get(name) or value for name, value in defaults.items()}
    return {name: str(value) for name, value in port.items()} | chosen


def url(name: str) -> str:
    """The address or port called `name`, as the programs of this cluster see it."""
    return environment()[name]
