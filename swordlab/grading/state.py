"""What a pipeline leaves behind on a cluster, and its removal: topics, files, tables."""

from collections.abc import Iterable
from contextlib import suppress

from kafka.errors import UnknownTopicOrPartitionError

from swordlab.errors import LabError
from swordlab.grading.live import Files, Hive, administration
from swordlab.grading.rows import DATABASE, TABLES
from swordlab.grading.verdict import wait_for
from swordlab.labs import all_labs
from swordlab.work import Work

TOPIC = "events"
TMP = "/tmp"  # noqa: S108  HDFS's, not this machine's
DELETED_WITHIN = 30.0  # seconds


def begin_clean(work: Work) -> None:
    """Stop the students' programs, and remove the report's events, files and tables."""
    for kind in ("files", "tables", "topics"):
        remove(work, kind)


def remove(work: Work, kind: str) -> None:
    """Remove what a lab makes: its topics, files or tables (lab.toml, makes)."""
    if kind == "tables":
        for (database,) in Hive().rows("show databases"):
            if database != DATABASE:  # the checks' own
                drop_tables([table.name for table in TABLES], database)
        return
    stop_programs(work)
    if kind == "files":
        delete_files(TMP)
    else:
        delete_topics([TOPIC])


def stop_programs(work: Work) -> None:
    """Stop every program of every lab."""
    work.stop(list(all_labs().values()))


def drop_tables(names: Iterable[str], database: str = "default") -> None:
    """Drop tables with all that they hold, and views of such a name."""
    hive = Hive()
    views = {view for (view,) in hive.rows(f"show views in {database}")}
    for name in names:
        hive.rows(
            f"drop view {database}.`{name}`" if name in views else f"drop table if exists {database}.`{name}` purge"
        )


def delete_files(path: str) -> None:
    """Delete a path of HDFS and all below it; no error where there is none."""
    Files().ask("DELETE", path, "DELETE", recursive="true")


def delete_topics(names: Iterable[str]) -> None:
    """Delete topics and wait until the broker knows them no more."""
    wanted = set(names)
    with administration() as admin:
        for name in wanted & set(admin.list_topics()):
            with suppress(UnknownTopicOrPartitionError):  # gone meanwhile
                admin.delete_topics([name])
        if not wait_for(lambda: not wanted & set(admin.list_topics()), DELETED_WITHIN):
            raise LabError(f"Kafka did not delete {', '.join(wanted)} within {DELETED_WITHIN:.0f} s", "make status")
