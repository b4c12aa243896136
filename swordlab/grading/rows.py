"""The rows in the files that the streams write, read by Presto through tables of the checks' own.

The student's tables are not needed for it (they come in lab 6), and columns are found by name, not by position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prestodb.exceptions import PrestoQueryError

from swordlab.grading.live import Files, Hive, Message, Presto
from swordlab.grading.probes import JOIN, PURCHASE
from swordlab.grading.verdict import CheckFailed, wait_for

DATABASE = "lab_checks"
BEING_WRITTEN = 3.0  # seconds for which a file may be there and not readable yet
BY_NAME = {"hive.parquet_use_column_names": "true"}
Row = tuple[Any, ...]
Listing = list[tuple[str, int, int]]
"""Name, bytes and time of change (milliseconds) of each file."""
COMMON = {
    "raw_event": "string",
    "timestamp": "string",
    "accept": "string",
    "host": "string",
    "user_agent": "string",
    "event_type": "string",
}


@dataclass(frozen=True)
class Table:
    """One of the two tables as it must be."""

    name: str
    event_type: str
    columns: Mapping[str, str] = field(hash=False)
    """Name -> type in Hive's words, in order."""

    @property
    def folder(self) -> str:
        """Where its files are."""
        return f"/tmp/{self.name}"  # noqa: S108  HDFS's, not this machine's

    def events(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages that belong in it, as events."""
        return [message.event for message in messages if message.event.get("event_type") == self.event_type]


GUILD_JOINS = Table("guild_joins", JOIN, COMMON | {"guild": "string"})
SWORD_PURCHASES = Table("sword_purchases", PURCHASE, COMMON | {"sword_type": "string", "sword_cost": "int"})
TABLES = (GUILD_JOINS, SWORD_PURCHASES)


@dataclass
class Rows:
    """The rows of both tables, whatever the student's tables are."""

    hive: Hive = field(default_factory=Hive)
    files: Files = field(default_factory=Files)
    presto: Presto = field(default_factory=lambda: Presto(DATABASE))
    _made: set[str] = field(default_factory=set)
    _read: dict[str, tuple[Listing, dict[str, list[Row]]]] = field(default_factory=dict)
    """Table -> its files when it was last read, and the answers since: the same files give the same answer."""

    def of(self, table: Table, hosts: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of these hosts, each as column -> value."""
        listed = ", ".join(f"'{host}'" for host in hosts)
        return self.where(table, f"host in ({listed})")

    def where(self, table: Table, condition: str) -> list[dict[str, Any]]:
        """The rows for which an SQL condition holds."""
        names = list(table.columns)
        selected = ", ".join(f'"{name}"' for name in names)
        return [
            dict(zip(names, row, strict=True)) for row in self._ask(table, f"select {selected}", f"where {condition}")
        ]

    def columns(self, table: Table, *names: str) -> list[Row]:
        """These columns of every row."""
        return self._ask(table, f"select {', '.join(names)}", "")

    def count(self, table: Table, condition: str = "true") -> int:
        """How many rows there are."""
        found = self._ask(table, "select count(*)", f"where {condition}")
        return int(found[0][0]) if found else 0

    def _ask(self, table: Table, select: str, rest: str) -> list[Row]:
        """Presto's rows; none while the folder has no file. CheckFailed when Presto cannot read a file."""
        listing = [
            (file["pathSuffix"], file["length"], file["modificationTime"])
            for file in self.files.data_files(table.folder)
        ]
        if not listing:
            return []
        known, answers = self._read.get(table.name, ([], {}))
        if known != listing:
            answers = {}
            self._read[table.name] = listing, answers
        sql = f"{select} from {table.name} {rest}"
        if sql not in answers:
            answers[sql] = self._answer(table, sql)
        return answers[sql]

    def _answer(self, table: Table, sql: str) -> list[Row]:
        """Presto's answer; CheckFailed when it cannot read a file, also after a while."""
        self._make(table)
        errors: list[PrestoQueryError] = []

        def ask() -> tuple[list[Row]] | None:
            try:
                return (self.presto.rows(sql, BY_NAME),)
            except PrestoQueryError as error:
                errors.append(error)
                return None

        found = wait_for(ask, BEING_WRITTEN)
        if found is None:
            raise unreadable(table, errors[-1])
        return found[0]

    def _make(self, table: Table) -> None:
        """Create the checks' own table, once."""
        if table.name not in self._made:
            columns = ", ".join(f"`{name}` {kind}" for name, kind in table.columns.items())
            self.hive.rows(
                f"create database if not exists {DATABASE}",
                f"create external table if not exists {DATABASE}.{table.name} ({columns}) "
                f"stored as parquet location '{table.folder}'",
            )
            self._made.add(table.name)


def unreadable(table: Table, error: PrestoQueryError) -> CheckFailed:
    """What it means that Presto cannot read a folder's files as the table."""
    return CheckFailed(
        f"files in {table.folder} that Presto reads with the columns {', '.join(table.columns)}",
        error.message.splitlines()[0],
        f"Presto over {table.folder}",
        "a file there has other types, or is no parquet file; files of an earlier version of the program stay there "
        "until they are removed",
        f"hadoop fs -rm -r {table.folder} and the stream's checkpoint, then start the stream again",
    )
