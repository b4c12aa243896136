"""Lab 6: the two tables over the streams' files, as the metastore describes them and as Hive and Presto read them.

Each check lets create_tables.hql make the tables anew, so that one of an earlier version of the file is not taken for
this version's. Only descriptions are dropped, never files, and what the file does not make any more is put back.
"""

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from prestodb.exceptions import PrestoQueryError
from pyhive.exc import Error as HiveError

from swordlab.grading import parquet, trouble
from swordlab.grading.arrivals import require_arrived
from swordlab.grading.probes import join, purchase
from swordlab.grading.rows import GUILD_JOINS, SWORD_PURCHASES, TABLES, Rows
from swordlab.grading.verdict import CheckFailed, fail, require
from swordlab.work import Finished

MAKERS = {GUILD_JOINS: join, SWORD_PURCHASES: purchase}
EACH = 4  # events of each kind
STEADY_TRIES = 4
PROPERTIES = ("parquet.compress", "parquet.compression")
"""The report's name and Hive's own."""
UPKEEP = {"transient_lastDdlTime", "last_modified_time", "last_modified_by", "COLUMN_STATS_ACCURATE"} | {
    "numFiles",
    "numRows",
    "rawDataSize",
    "totalSize",
}
"""Properties that Hive keeps up by itself."""
KEEP_FILES = "set tblproperties ('EXTERNAL'='TRUE', 'external.table.purge'='false')"
EXTERNAL, VIEW = "EXTERNAL_TABLE", "VIRTUAL_VIEW"
PURGE = "external.table.purge"
QUOTED = re.compile(r"`([^`]*)`")
LOCATION = re.compile(r"^LOCATION\s+'([^'\n]*)'", re.MULTILINE)
LOOK = "hive -e 'describe formatted {}'"


@dataclass(frozen=True)
class Description:
    """A table as `describe formatted` prints it."""

    columns: tuple[tuple[str, str], ...]
    partitions: tuple[str, ...]
    """The columns that are in no file."""
    statement: str
    """What `show create table` prints: nothing is cut off there."""
    details: Mapping[str, str]
    """Location, Table Type, InputFormat and so on."""
    properties: Mapping[str, str]

    @property
    def is_external(self):
        """Whether its files stay when it is dropped."""
        return self.details["Table Type"] == EXTERNAL and not self.is_purged

    @property
    def is_purged(self):
        """Whether its files go when it is dropped, though it is external."""
        return self.properties.get(PURGE, "").lower() == "true"

    @property
    def location(self):
        """The table's folder, without the NameNode's address."""
        found = LOCATION.search(self.statement)
        return urlsplit(found[1]).path.rstrip("/") if found else ""

    @property
    def spaced(self):
        """The names of columns that begin or end with a space."""
        return [name for name in QUOTED.findall(self.statement) if name != name.strip()]


@dataclass(frozen=True)
class Made:
    """The tables after the file has run once and after it has run twice."""

    once: Mapping[str, Description]
    twice: Mapping[str, Description]
    second: Finished | None
    """How the second run ended; None where it was not tried."""

    def table(self, table, hive):
        """The description of a table; CheckFailed where there is none."""
        if table.name not in self.once:
            others = [name for (name,) in hive.rows("show databases") if (table.name,) in tables_of(hive, name)]
            elsewhere = [name for name in others if name not in ("default", "lab_checks")]
            fail(
                expected=f"table default.{table.name}",
                found=f"it is in database {elsewhere[0]}" if elsewhere else "no such table",
                where="the metastore, after hive -f create_tables.hql",
                cause="the table is made in another database"
                if elsewhere
                else "no statement of create_tables.hql makes it, or its name is spelled otherwise",
            )
        if self.once[table.name].details["Table Type"] == VIEW:
            fail(
                expected=f"table default.{table.name}",
                found="a view of that name",
                where=LOOK.format(table.name),
                cause="create view keeps a query; a table describes the files of the stream's folder itself",
                next=f"hive -e 'drop view {table.name}'",
            )
        return self.once[table.name]


@pytest.fixture(scope="session")
def sent(topic, rng):
    """Events that are on their way through the streams."""
    topic.partitions()
    events = {table: [make(rng) for _ in range(EACH)] for table, make in MAKERS.items()}
    topic.send(*(event for each in events.values() for event in each))
    return events


@pytest.fixture(scope="session")
def made(work, lab, hive, files, sent):
    """create_tables.hql, run twice on a metastore that has none of its tables."""
    before = {table.name: dropped(hive, table.name) for table in TABLES}
    try:
        run(work, lab)
        once = described(hive)
        if not all(each.is_external for each in once.values()):
            return Made(once, {}, None)  # a file that drops its tables first would delete the streams' files
        return Made(once, second=work.run(lab, lab.step("create_tables").command), twice=described(hive))
    finally:
        for name, statement in before.items():
            if statement and (name,) not in tables_of(hive, "default"):
                with suppress(HiveError):
                    hive.rows(statement)


@pytest.fixture(scope="session")
def rows(work, lab, sent, files, hive):
    """The files' rows, once those of the events are among them."""
    rows = Rows(hive=hive, files=files)
    require_arrived(
        work,
        lab,
        lambda: all(len(rows.of(table, hosts(events))) == EACH for table, events in sent.items()),
        "new events are not in the files",
    )
    return rows


def run(work, lab):
    """Run the file; CheckFailed where Hive stops at a statement."""
    trouble.require_files(work, lab, expected="statements for hive")
    require_run(work.run(lab, lab.step("create_tables").command), "hive runs every statement of create_tables.hql")


def require_run(finished, expected):
    """CheckFailed, with Hive's own words, where Hive stopped at a statement."""
    errors = [line for line in finished.output.splitlines() if line.startswith("Error: ")]
    require(
        finished.is_done,
        expected=expected,
        found=errors[-1] if errors else finished.how,
        where=finished.command,
        cause=trouble.cause_in(finished.output),
        next="in make shell, in labs/06-hive: hive -f create_tables.hql",
    )


def dropped(hive, name):
    """Drop a table's description, never its files; return the statement that makes it again, or None."""
    if (name,) not in tables_of(hive, "default"):
        return None
    statement = create_statement(hive, name)
    if statement.upper().startswith("CREATE VIEW"):
        hive.rows(f"drop view default.{name}")
    else:
        hive.rows(f"alter table default.{name} {KEEP_FILES}", f"drop table default.{name}")
    return statement


def create_statement(hive, name):
    """The statement that makes a table or view again, as Hive prints it."""
    return "\n".join(line for (line,) in hive.rows(f"show create table default.{name}"))


def tables_of(hive, database):
    """The tables of a database, as rows."""
    return hive.rows(f"show tables in {database}")


def described(hive):
    """Name -> description of each of the two tables that is there."""
    there = tables_of(hive, "default")
    return {table.name: description(hive, table.name) for table in TABLES if (table.name,) in there}


def description(hive, name):
    """One table's description."""
    sections: dict[str, list[list[str]]] = {}
    found: list[list[str]] = sections.setdefault("columns", [])
    for row in hive.rows(f"describe formatted default.{name}"):
        words = [(word or "").strip() for word in row]
        if words[0].startswith("# ") and words[0] != "# col_name":
            found = sections.setdefault(words[0], [])
        elif any(words) and words[0] != "# col_name":
            found.append(words)
    partitions = tuple(column for column, *_ in sections.get("# Partition Information", []))
    return Description(
        tuple((column, kind) for column, kind, _ in sections["columns"] if column not in partitions),
        partitions,
        create_statement(hive, name),
        {
            key.rstrip(":"): value
            for title in ("# Detailed Table Information", "# Storage Information")
            for key, value, _ in sections.get(title, [])
        },
        dict(hive.rows(f"show tblproperties default.{name}")),
    )


def hosts(events):
    """The hosts of events."""
    return [event["Host"] for event in events]


def test_tables_are_external(made, hive):
    """Both tables exist in database default and are external."""
    for table in TABLES:
        found = made.table(table, hive)
        kind = found.details["Table Type"]
        require(
            kind == EXTERNAL,
            expected=f"{table.name}: {EXTERNAL}",
            found=kind,
            where=LOOK.format(table.name),
            cause="the word external is missing: dropping a managed table deletes its files",
            next=f'before you drop it: hive -e "alter table {table.name} {KEEP_FILES}"',
        )
        require(
            not found.is_purged,
            expected=f"{table.name}: files that stay when it is dropped",
            found=f"{PURGE} = true",
            where=LOOK.format(table.name),
            cause="with that property drop table deletes the files, as of a managed table",
            next=f'before you drop it: hive -e "alter table {table.name} {KEEP_FILES}"',
        )


def test_tables_lie_on_the_streams_folders(made, hive, presto):
    """Each table lies on the folder that its stream writes."""
    for table in TABLES:
        found = made.table(table, hive)
        folders = {found.location}
        if found.partitions and found.location != table.folder:  # a partition has a folder of its own
            folders = {
                urlsplit(path).path.rpartition("/")[0]
                for (path,) in presto.rows(f'select distinct "$path" from {table.name}')
            }
        require(
            folders == {table.folder},
            expected=f"{table.name}: {table.folder}",
            found=", ".join(sorted(folders)) or "no file",
            where=LOOK.format(table.name),
            cause=wrong_folder(table, folders),
        )


def wrong_folder(table, folders):
    """What is wrong with a table's location."""
    if any(folder != folder.strip() for folder in folders):
        return "a space stands before or after the folder's name, inside the quotes"
    if any(other.folder in folders for other in TABLES if other is not table):
        return "the locations of the two tables are swapped, or the same"
    if any("/user/hive/warehouse" in folder for folder in folders):
        return "location is missing, so Hive chose a folder of its own"
    return "location names another folder than the stream's path"


def test_format_is_parquet_with_snappy(made, hive):
    """Both tables are stored as parquet, with parquet.compress SNAPPY."""
    for table in TABLES:
        found = made.table(table, hive)
        require(
            "parquet" in found.details["InputFormat"].lower(),
            expected=f"{table.name}: stored as parquet",
            found=found.details["InputFormat"],
            where=LOOK.format(table.name),
            cause="stored as is missing, or names another format than the files'",
        )
        values = [found.properties[name] for name in PROPERTIES if name in found.properties]
        alike = {name: value for name, value in found.properties.items() if "compress" in name.lower()}
        require(
            [value.upper() for value in values] == ["SNAPPY"],
            expected=f"{table.name}: {PROPERTIES[0]} = SNAPPY",
            found=", ".join(f"{name!r} = {value!r}" for name, value in alike.items()) or "no such property",
            where=LOOK.format(table.name),
            cause="the property's name or value is spelled otherwise (a space, a quote)"
            if alike
            else 'tblproperties ("parquet.compress"="SNAPPY") is missing',
        )


def test_columns_have_names_types_and_order(made, hive, files):
    """The columns have the names, types and order of the files."""
    for table in TABLES:
        described_as = made.table(table, hive)
        found, wanted = described_as.columns, columns_of_files(files, table)
        require(
            not described_as.spaced,
            expected=f"{table.name}: {listed(wanted)}",
            found=", ".join(map(repr, described_as.spaced)),
            where=LOOK.format(table.name),
            cause="a space stands before or after a column's name, inside the back quotes",
        )
        require(
            found == wanted,
            expected=f"{table.name}: {listed(wanted)}",
            found=f"{table.name}: {listed(found)}",
            where=LOOK.format(table.name),
            cause=difference(found, wanted),
        )


def columns_of_files(files, table):
    """The columns of the newest file, in the table's spelling; before there is one, those that lab 4 asks for."""
    there = [file for file in files.data_files(table.folder) if file["length"]]
    with suppress(parquet.NotParquet):
        if there:
            newest = max(there, key=lambda file: file["modificationTime"])
            footer = parquet.footer(files.read(f"{table.folder}/{newest['pathSuffix']}"))
            return tuple((name.lower(), kind) for name, kind in footer.columns)
    return tuple(table.columns.items())


def listed(columns):
    """Columns as in a statement."""
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def difference(found, wanted):
    """In what the columns of a table differ from those of the files; empty when in nothing."""
    names, wanted_names = [name for name, _ in found], [name for name, _ in wanted]
    if names == wanted_names:
        wrong = [f"{name} is {kind}" for (name, kind), (_, right) in zip(found, wanted, strict=True) if kind != right]
        return f"a type is unlike the files': {', '.join(wrong)}" if wrong else ""
    if sorted(names) == sorted(wanted_names):
        return "the columns are in another order than in the files, and Presto reads parquet by position"
    missing, more = [n for n in wanted_names if n not in names], [n for n in names if n not in wanted_names]
    return (
        "; ".join(
            f"{what}: {', '.join(each)}" for what, each in (("missing", missing), ("not in the files", more)) if each
        )
        or "a column stands there twice"
    )


def test_running_twice_does_no_harm(made, work, lab, hive):
    """Running create_tables.hql a second time ends well and changes nothing."""
    for table in TABLES:
        if table.name in made.once:
            made.table(table, hive)
    require(
        made.second,
        expected="external tables, whose files stay",
        found="one whose files go when it is dropped",
        where="the metastore, after the first run",
        cause=f"the word external is missing, or {PURGE} is true, so a second run is not tried: a drop would delete "
        "the stream's files",
    )
    require_run(made.second, "a second run of create_tables.hql ends well")
    for name, before in made.once.items():
        changed = changes(before, made.twice.get(name))
        require(
            not changed,
            expected=f"table {name} as after the first run",
            found=changed,
            where=LOOK.format(name),
            cause="a statement changes the table again and again",
        )


def changes(before, after):
    """What a second run changed in a table; empty when nothing."""
    if after is None:
        return "the table is gone"
    facts = [
        {"columns": each.columns, "location": each.location, "type": each.details["Table Type"], **each.properties}
        for each in (before, after)
    ]
    names = sorted({*facts[0], *facts[1]} - UPKEEP)
    return "; ".join(
        f"{name}: {facts[1].get(name)}, before {facts[0].get(name)}"
        for name in names
        if facts[0].get(name) != facts[1].get(name)
    )


def test_hive_reads_the_rows_of_the_files(made, hive, files, rows, sent):
    """Hive finds as many rows, and the same, as the files hold."""
    for table in TABLES:
        found = made.table(table, hive)
        wanted = rows.of(table, hosts(sent[table]))
        names = ", ".join(f"`{name}`" for name in table.columns)
        listed_hosts = ", ".join(f"'{host}'" for host in hosts(sent[table]))
        query = f"select {names} from default.{table.name} where `host` in ({listed_hosts})"
        seen = [dict(zip(table.columns, row, strict=True)) for row in ask_hive(hive, table, query, found, files)]
        require_same(table, wanted, seen, "Hive", difference(found.columns, columns_of_files(files, table)))
        count, count_of_files = counts(hive, files, rows, table, found)
        require(
            count == count_of_files,
            expected=f"{count_of_files} rows in {table.name}",
            found=count,
            where=f"Hive: select host from {table.name}",
            cause="the table reads other files beside the stream's, or not all of them",
        )


def counts(hive, files, rows, table, found):
    """How many rows Hive and the check's own table have, at a moment when nothing comes."""
    for _ in range(STEADY_TRIES):
        before = rows.count(table)
        count = len(ask_hive(hive, table, f"select `host` from default.{table.name}", found, files))
        if before == rows.count(table):
            break
    return count, before


def ask_hive(hive, table, query, found, files):
    """Hive's rows; CheckFailed where Hive cannot read them."""
    try:
        return hive.rows(query)
    except HiveError as error:
        text = str(error)
        message = re.search(r"errorMessage=['\"](.*?)['\"], ", text) or re.search(r"(.{0,300})", text)
        raise CheckFailed(
            f"the rows of {table.name}",
            message[1],
            f"Hive: {query}",
            difference(found.columns, columns_of_files(files, table)) or "Hive cannot read the table",
        ) from None


def test_presto_sees_each_column_under_its_own_name(made, hive, presto, files, rows, sent):
    """Presto sees the value of each column under that column's own name."""
    for table in TABLES:
        found = made.table(table, hive)
        names = [name for name, _ in found.columns]
        cause = difference(found.columns, columns_of_files(files, table))
        anywhere = " or ".join(f"cast(\"{name}\" as varchar) like '%{{0}}%'" for name in names)
        selected = ", ".join(f'"{name}"' for name in names)
        for wanted in rows.of(table, hosts(sent[table])):
            query = f"select {selected} from {table.name} where {anywhere.format(wanted['host'])}"
            try:
                seen = [dict(zip(names, row, strict=True)) for row in presto.rows(query)]
            except PrestoQueryError as error:
                fail(
                    expected=f"the row of {wanted['host']}",
                    found=error.message.splitlines()[0],
                    where=f"Presto: table {table.name}",
                    cause=cause or "Presto cannot read the table",
                )
            require_same(table, [wanted], seen, "Presto", cause)


def require_same(table, wanted, seen, reader, cause):
    """A reader sees each of the wanted rows once, every value under its own name."""
    require(
        len(seen) == len(wanted),
        expected=f"{len(wanted)} rows of the probes' hosts",
        found=len(seen),
        where=f"{reader}: table {table.name}",
        cause=cause or "the table does not read the stream's files, or reads them twice",
    )
    by_text = {row["raw_event"]: row for row in seen}
    for row in wanted:
        other = by_text.get(row["raw_event"], seen[0])
        for name, value in row.items():
            require(
                other.get(name) == value,
                expected=f"{name} = {value!r}",
                found=f"{name} = {other[name]!r}" if name in other else f"no column {name}",
                where=f"{reader}: table {table.name}",
                cause=cause or "the column shows another one's values",
            )
    require(
        Counter(map(str, seen)).most_common(1)[0][1] == 1,
        expected="each row once",
        found="a row twice",
        where=f"{reader}: table {table.name}",
        cause="two partitions or two tables lie on the same files",
    )
