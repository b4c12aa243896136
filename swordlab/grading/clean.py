"""Prove that a cluster is clean: what it holds now against what a fresh one holds."""

import shutil
from contextlib import suppress
from typing import Any

from pyhive.exc import Error as HiveError

from swordlab.cluster.runtime import Cluster
from swordlab.grading import shown, state
from swordlab.grading.live import Files, Hive, administration
from swordlab.work import Work

KEPT = {"/user", "/user/hive", "/user/hive/scratch", "/user/hive/warehouse"}
"""Folders of Hive's own, which a fresh cluster has too."""
INTERNAL_TOPICS = {"__consumer_offsets", "__transaction_state"}
LEFTOVERS = ("tmp/scratch", shown.RECORD, "on-reference")
"""What a submission leaves in the state folder beside the engines' data."""


def wipe(work: Work) -> None:
    """Remove everything that programs left: their definitions and processes, topics, groups, files, databases."""
    cluster = work.cluster
    cluster.supervisor.forget(programs(cluster))
    hive = Hive()
    for database in databases(hive):
        hive.rows(f"drop database `{database}` cascade")
    names = tables(hive)
    for name in names:
        with suppress(HiveError):
            hive.rows(f"drop view if exists default.`{name}`")
    state.drop_tables(names)
    for path in user_paths():
        state.delete_files(path)
    state.delete_topics(topics())
    for leftover in (cluster.state.root / name for name in LEFTOVERS):
        shutil.rmtree(leftover, ignore_errors=True)
        leftover.unlink(missing_ok=True)
    for log in cluster.state.logs.glob("*.log*"):
        if log.name.split(".")[0] not in cluster.supervisor.programs() | {"derby": None}:
            log.unlink(missing_ok=True)


def is_clean(cluster: Cluster) -> bool:
    """Whether the cluster holds nothing that a fresh one does not."""
    return not any(inventory(cluster).values())


def inventory(cluster: Cluster) -> dict[str, list[Any]]:
    """What the cluster holds beyond a fresh one, by kind."""
    hive = Hive()
    return {
        "topics": topics(),
        "groups": groups(),
        "paths": user_paths(),
        "databases": databases(hive),
        "tables": tables(hive),
        "functions": [name for (name,) in hive.rows("show functions") if "." in name],
        "programs": programs(cluster),
        "leftovers": [name for name in LEFTOVERS if (cluster.state.root / name).exists()],
    }


def programs(cluster: Cluster) -> list[str]:
    """The supervised programs that are no engines."""
    return [program.name for program in cluster.supervisor.programs().values() if not program.engine]


def databases(hive: Hive) -> list[str]:
    """The databases beside Hive's own."""
    return [name for (name,) in hive.rows("show databases") if name != "default"]


def tables(hive: Hive) -> list[str]:
    """The tables and views of the database default."""
    return [str(name) for (name,) in hive.rows("show tables in default")]


def topics() -> list[str]:
    """The topics that are not Kafka's own."""
    with administration() as admin:
        return sorted(set(admin.list_topics()) - INTERNAL_TOPICS)


def groups() -> list[str]:
    """The consumer groups that the broker remembers."""
    with administration() as admin:
        return sorted(str(group) for group in admin.list_groups())


def user_paths(folder: str = "/") -> list[str]:
    """The paths of HDFS that a fresh cluster does not have, the topmost of each."""
    found: list[str] = []
    for entry in Files().entries(folder):
        path = f"{folder.rstrip('/')}/{entry['pathSuffix']}"
        if path == "/user/hive/scratch":
            continue  # Hive's sessions come and go
        found += user_paths(path) if path in KEPT else [path]
    return found
