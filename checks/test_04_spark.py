"""Lab 4: two streams take the events from the topic and add parquet files to HDFS.

The checks write events straight to the topic, so that no other lab's work is needed, and read what lands.
"""

import itertools
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from swordlab.grading import parquet, probes, programs, shown, trouble
from swordlab.grading.rows import GUILD_JOINS, SWORD_PURCHASES, TABLES, Rows
from swordlab.grading.streams import batches, checkpoints, first_offsets
from swordlab.grading.verdict import CheckFailed, NotChecked, fail, require, wait_for
from swordlab.work import names

LANDS_WITHIN = 75.0  # seconds: a driver's start, and a trigger that is too long must still show itself as that
TRIGGER = 10.0  # seconds
EXACT = 0.6  # seconds by which a trigger may fire late
TRIGGER_SEEN_WITHIN = 42.0  # seconds
EACH = 5  # events of each kind
RESTART = "survived-restart"
POLL = 0.3  # seconds
LOOK_DEEPER = 2.0  # seconds between two looks at what takes many requests: checkpoints, processes
WRITES = re.compile(r"\.write(Stream)?\b")
WAIT_BETWEEN = re.compile(r"\.start\(.*\bawait\w*\(.*\.start\(", re.DOTALL)
MAKERS = {GUILD_JOINS: probes.join, SWORD_PURCHASES: probes.purchase}


class Streams:
    """The streams under observation: what was sent to the topic, and what has landed."""

    def __init__(self, work, lab, topic, files, rng):
        self.work, self.lab, self.topic, self.files, self.rng = work, lab, topic, files, rng
        self.rows = Rows(files=files)
        self.began = time.time()
        self.start = topic.end()
        self.sent = {table: [] for table in TABLES}
        self.trickled = {table: [] for table in TABLES}
        self.others = []

    def send(self, count=EACH):
        """Events of both kinds, two of each kind equal to the byte and in time; one of a player with an odd name."""
        for table, make in MAKERS.items():
            fresh = [make(self.rng, Host=probes.odd_host(self.rng)), *(make(self.rng) for _ in range(count - 1))]
            self.sent[table] += [*fresh, fresh[0]]
            self.topic.send(*fresh, fresh[0])

    def landed(self, table):
        """The rows of all events of this table."""
        return self.rows.of(table, [event["Host"] for event in self.sent[table]])

    def missing(self):
        """The tables in which rows of sent events are missing, or cannot be read."""
        return [table for table in TABLES if not self.is_complete(table)]

    def is_complete(self, table):
        """Whether the rows of all events of this table have landed."""
        with suppress(CheckFailed):
            return len(self.landed(table)) >= len(self.sent[table])
        return False

    def wait(self, seconds=LANDS_WITHIN):
        """Until all that was sent has landed, or never will; return whether it has."""
        wait_for(lambda: wait_for(lambda: not self.missing(), LOOK_DEEPER, POLL) or self.hopeless(), seconds)
        return not self.missing()

    def hopeless(self):
        """Whether all that was sent has been read without landing, or no program is left to read it."""
        done = [self.batches(path) for path in self.active_checkpoints()]
        end = self.topic.end()
        if any(not has_read(past, end) for past in done) or not self.missing():
            return False
        alive = [program for program in self.lab.programs if self.is_alive(program)]
        return len(done) >= len(alive) and len(done) == len(self.new_checkpoints())

    def is_alive(self, program):
        """Whether the program runs, by the supervisor or by hand."""
        return not programs.has_ended(self.work, program) or bool(self.work.started_by_hand(self.lab, program))

    def new_checkpoints(self):
        """The checkpoints that are in use or were made since the check began."""
        return [path for path in checkpoints(self.files) if self.is_new(path) or self.is_new(f"{path}/commits")]

    def began_late(self):
        """Whether a stream begins where the topic ended when it started, so that it has not seen what came before."""
        return any(
            offset > self.start.get(partition, 0)
            for path in self.active_checkpoints()
            for partition, offset in first_offsets(self.files, path, self.topic.name).items()
        )

    def active_checkpoints(self):
        """The checkpoints in which a batch was committed since the check began."""
        return [path for path in checkpoints(self.files) if self.is_new(f"{path}/commits")]

    def is_new(self, folder):
        """Whether something in this folder was written since the check began."""
        return any(entry["modificationTime"] >= self.began * 1000 for entry in self.files.entries(folder))

    def batches(self, path):
        """The committed batches of a checkpoint."""
        return [batch for batch in batches(self.files, path, self.topic.name) if batch.done]

    def new_files(self, table):
        """The data files that were written since the check began, with their content's footer."""
        for file in self.files.data_files(table.folder):
            if file["modificationTime"] >= self.began * 1000:
                path = f"{table.folder}/{file['pathSuffix']}"
                try:
                    yield path, parquet.footer(self.files.read(path))
                except parquet.NotParquet as error:
                    raise not_parquet(path, error) from None


def has_read(past, end):
    """Whether the batches have read the topic up to `end`."""
    return bool(past) and all(past[-1].ends.get(partition, 0) >= offset for partition, offset in end.items())


def not_parquet(path, error):
    """A file of another format."""
    return CheckFailed("parquet files", str(error), path, "the sink's format is not parquet", "look at format(…)")


@pytest.fixture(scope="session")
def streams(work, lab, topic, files, rng):
    """Both streams, after a wave of events: on return all rows have landed, or it is known that some do not."""
    trouble.require_files(work, lab, expected="two programs to run")
    topic.partitions()
    streams = Streams(work, lab, topic, files, rng)
    streams.others = probes.others(rng)
    streams.others_before = {table: streams.rows.count(table, broken(streams)) for table in TABLES}
    topic.send(*streams.others)
    streams.send()
    if not streams.wait() and streams.began_late():
        streams.sent = {table: [] for table in TABLES}
        topic.send(*streams.others)
        streams.send()
        streams.wait()
    return streams


def broken(streams):
    """The condition for rows of the messages that are no events: without a host, with just their text or none."""
    texts = [message.decode(errors="replace") for message in streams.others if isinstance(message, bytes)]
    listed = ", ".join(f"'{text}'" for text in texts if "\0" not in text)
    return f"host is null and (raw_event is null or raw_event in ({listed}))"


def why_not(streams, table):
    """Why the rows of a table do not land, as far as it shows."""
    other = next(each for each in TABLES if each is not table)
    hosts = [event["Host"] for event in streams.sent[table]]
    with suppress(CheckFailed):
        if streams.rows.of(other, hosts):
            return f"they are in {other.folder}: the paths or the filters are swapped, or a filter lets them through"
    stubs = [program.name for program in streams.lab.programs if is_stub(streams, program)]
    ended = [
        program.name
        for program in streams.lab.programs
        if programs.has_ended(streams.work, program) and program.name not in stubs
    ]
    telling = [program for program in streams.lab.programs if not ended_quietly(streams, program)]
    if causes := causes_of(streams, telling):
        return causes
    if any(WAIT_BETWEEN.search(text) for text in sources(streams).values()):
        return "a wait between two start(): the program stays there, and the second sink never starts"
    if ended:
        return f"{' and '.join(ended)} ended: a batch, or nothing that waits for the stream (awaitTermination)"
    if stubs and not any(table.name in text for text in sources(streams).values()):
        return f"{' and '.join(stubs)} ended: nothing in its file writes a stream, and no file names {table.folder}"
    if not streams.files.data_files(table.folder):
        return f"no file is in {table.folder}: another path or topic, a filter that lets nothing through, or no start()"
    return "the stream reads another topic, its filter lets nothing through, or the schema does not find the keys"


def causes_of(streams, some):
    """Why some of the programs do not do their work, as far as their logs and ends tell; else empty."""
    found = (trouble.cause_of(streams.work, streams.lab, program.name) for program in some)
    return "; ".join(filter(None, found))


def ended_quietly(streams, program):
    """Whether a program ended with status 0 and said nothing of why."""
    info = trouble.info_of(streams.work, program.name)
    said = trouble.cause_in(trouble.log_of(streams.work, program.name))
    return bool(info and info.gave_up and info.exit_status == 0 and not said)


def is_stub(streams, program):
    """Whether a program ended and its file writes nothing: both streams are in the other one's."""
    texts = [text for name, text in sources(streams).items() if names(program, name)]
    return ended_quietly(streams, program) and not any(WRITES.search(text) for text in texts)


def sources(streams):
    """File -> text of the student's programs."""
    found = {}
    for name in streams.lab.edits:
        with suppress(OSError):
            found[name] = (streams.work.folder(streams.lab) / name).read_text("utf-8", "replace")
    return found


def require_landed(streams, table, keys):
    """Each event of the table is a row, with its own values."""
    rows = streams.landed(table)
    name = f"write_{'guild' if table is GUILD_JOINS else 'swords'}_stream"
    require(
        rows,
        expected=f"{len(streams.sent[table])} rows of the probes' hosts in {table.folder}",
        found="none",
        where=f"Presto over {table.folder}",
        cause=lambda: why_not(streams, table),
        next=f"make logs SERVICE={name}",
    )
    by_host = {row["host"]: row for row in rows}
    for event in streams.sent[table]:
        row = by_host.get(event["Host"])
        require(row, expected=f"a row of {event['Host']}", found="none", where=table.folder, cause="the row is missing")
        wanted = {
            "accept": event["Accept"],
            "user_agent": event["User-Agent"],
            "event_type": event["event_type"],
            **{key: event[key] for key in keys},
        }
        for column, value in wanted.items():
            require(
                row[column] == value,
                expected=f"{column} = {value!r}",
                found=f"{column} = {row[column]!r}",
                where=f"the row of {event['Host']} in {table.folder}",
                cause="a field of the schema is not spelled as the event's key (User-Agent, Host, …)"
                if row[column] is None
                else "the column takes another key's value",
            )
        same = json.loads(row["raw_event"] or "null") == event
        require(
            same,
            expected=f"raw_event = {event}",
            found=row["raw_event"],
            where=table.folder,
            cause="raw_event is not the text of the message",
        )
        require(row["timestamp"], expected="the message's time in column timestamp", found="NULL", where=table.folder)


def test_guild_joins_land(streams):
    """A player's join lands in /tmp/guild_joins, with the player's guild."""
    require_landed(streams, GUILD_JOINS, ["guild"])


def test_sword_purchases_land(streams):
    """A player's purchase lands in /tmp/sword_purchases, with sword and cost."""
    require_landed(streams, SWORD_PURCHASES, ["sword_type", "sword_cost"])


def test_only_events_of_their_kind_land(streams):
    """Other events, broken messages and texts that only contain the word land in neither folder."""
    for table in TABLES:
        require_some(streams, table)
        foreign = [event for event in streams.others if isinstance(event, dict)]
        foreign += [event for other in TABLES if other is not table for event in streams.sent[other]]
        kinds = {event["Host"]: event.get("event_type") for event in foreign}
        found = [kinds[row["host"]] for row in streams.rows.of(table, list(kinds))]
        require(
            not found,
            expected=f"only event_type {table.event_type} in {table.folder}",
            found=f"rows of {sorted({str(kind) for kind in found})}",
            where=f"Presto over {table.folder}",
            cause="the filter lets through what only contains the word, is inverted, or two streams write one folder",
        )
        empty = streams.rows.count(table, broken(streams)) - streams.others_before[table]
        require(
            not empty,
            expected=f"no row of a message that is no event in {table.folder}",
            found=f"{empty} rows without a host",
            where=f"Presto over {table.folder}",
            cause="messages that are no JSON object pass the filter",
        )


def require_some(streams, table):
    """Without a row there is nothing to say about rows."""
    if not streams.landed(table):
        fail(
            expected=f"rows in {table.folder}",
            found="none of the probes'",
            where=table.folder,
            cause=why_not(streams, table),
        )


def test_equal_events_all_land(streams):
    """Equal events all land: one row for each."""
    for table in TABLES:
        require_some(streams, table)
        twin = streams.sent[table][-1]["Host"]
        found = len(streams.rows.of(table, [twin]))
        require(
            found == 2,
            expected="2 rows for 2 equal events",
            found=f"{found}",
            where=table.folder,
            cause="distinct or dropDuplicates throws equal events away" if found < 2 else "a batch is written twice",
        )


def require_new_files(streams, table):
    """The data files that were written since the check began."""
    found = list(streams.new_files(table))
    require(
        found,
        expected=f"new files in {table.folder}",
        found="none",
        where=table.folder,
        cause=lambda: why_not(streams, table),
    )
    return found


def test_files_are_snappy_parquet(streams):
    """The files are parquet, compressed with snappy."""
    for table in TABLES:
        for path, footer in require_new_files(streams, table):
            codecs = ", ".join(footer.codecs) or "snappy"
            require(
                codecs == "snappy",
                expected="snappy",
                found=codecs,
                where=path,
                cause="the sink's option compression is another, or none",
            )


def test_columns_have_names_types_and_order(streams):
    """The columns have the report's names, types and order."""
    for table in TABLES:
        for path, footer in require_new_files(streams, table):
            columns = [(name.lower(), kind) for name, kind in footer.columns]
            require(
                columns == list(table.columns.items()),
                expected=listed(table.columns.items()),
                found=listed(columns),
                where=path,
                cause=difference(columns, list(table.columns.items())),
            )


def listed(columns):
    """Columns as in a DDL."""
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def difference(found, wanted):
    """In what the columns differ."""
    names, wanted_names = [name for name, _ in found], [name for name, _ in wanted]
    if twice := [name for name in wanted_names if names.count(name) > 1]:
        return f"two columns have the same name: {', '.join(twice)}"
    if names == wanted_names:
        wrong = [f"{name} is {kind}" for (name, kind), (_, right) in zip(found, wanted, strict=True) if kind != right]
        return f"a type is another: {', '.join(wrong)}"
    if sorted(names) == sorted(wanted_names):
        return "the order is another, and Presto reads parquet by position"
    return f"missing: {sorted(set(wanted_names) - set(names))}, not asked for: {sorted(set(names) - set(wanted_names))}"


def test_batches_come_every_ten_seconds(streams):
    """Each stream starts a batch every ten seconds."""
    for table in TABLES:
        require_some(streams, table)
    seen = pairs_by_checkpoint(streams)
    if not all_show(seen, has_the_trigger):
        streams.send(1)
        seen = pairs_from_now(streams)  # what was before may have met a busy machine, or one that slept
    for path, pairs in seen.items():
        where, gaps = f"the offsets of {path}", [later.began - earlier.began for earlier, later in pairs]
        require(
            not any(is_too_soon(*pair) for pair in pairs),
            expected=f"{TRIGGER:.0f} s from batch to batch",
            found=f"{min(gaps, default=0):.1f} s",
            where=where,
            cause="no trigger, or a shorter one: many small files",
        )
        require(
            any(is_trigger(*pair) for pair in pairs),
            expected=f"{TRIGGER:.0f} s from batch to batch",
            found=f"{min(gaps):.1f} s" if gaps else f"no second batch within {TRIGGER_SEEN_WITHIN:.0f} s",
            where=where,
            cause="the trigger is longer, or fires once",
        )
    streams.wait()
    for table in streams.missing():
        fail(
            expected=f"rows of the events that came later in {table.folder}",
            found="some of them are missing",
            where=table.folder,
            cause=why_not(streams, table),
        )


# Spark fires at whole multiples of the trigger since 1970; after a batch that took longer at once, then again at the
# next multiple (ProcessingTimeExecutor). So batches may be close together on a busy machine, but never two of them in
# one span between multiples; and one that began on time is followed a whole trigger later.


def is_on_time(batch):
    """Whether a batch began at a multiple of the trigger."""
    return batch.began % TRIGGER <= EXACT


def is_too_soon(earlier, later):
    """Whether two batches cannot come from the trigger."""
    is_short = later.began - earlier.began < TRIGGER - EXACT
    return is_short and (is_on_time(earlier) or earlier.began // TRIGGER == later.began // TRIGGER)


def is_trigger(earlier, later):
    """Whether two batches began on time, one trigger apart."""
    return is_on_time(earlier) and abs(later.began - earlier.began - TRIGGER) <= EXACT


def has_the_trigger(pairs):
    """Whether these pairs of batches are those of the trigger."""
    return any(is_trigger(*pair) for pair in pairs) and not any(is_too_soon(*pair) for pair in pairs)


def is_decided(pairs):
    """Whether these pairs of batches tell the trigger, or that it is another one."""
    return any(is_trigger(*pair) or is_too_soon(*pair) for pair in pairs)


def all_show(seen, what):
    """Whether there are checkpoints, and `what` holds for the pairs of each."""
    return bool(seen) and all(map(what, seen.values()))


def pairs_from_now(streams):
    """The pairs of each checkpoint whose batches begin from now on, once they are decided; events come meanwhile."""
    now = time.time()
    with Trickle(streams):
        wait_for(lambda: all_show(pairs_by_checkpoint(streams, now), is_decided), TRIGGER_SEEN_WITHIN, LOOK_DEEPER / 2)
    return pairs_by_checkpoint(streams, now)


def pairs_by_checkpoint(streams, since=0.0):
    """Checkpoint -> pairs of batches, one after the other, since the programs started and since then.

    The first batch after a start begins when the start is done, at any time.
    """
    started = min(start_times(streams), default=0.0)
    found = {}
    for path in streams.active_checkpoints():
        past = [batch for batch in streams.batches(path) if batch.began > started][1:]
        found[path] = list(itertools.pairwise(batch for batch in past if batch.began > since))
    return found


def start_times(streams):
    """When the programs were started, by the supervisor or by hand."""
    for program in streams.lab.programs:
        info = trouble.info_of(streams.work, program.name)
        if info and info.is_up:
            yield info.started
        for process in streams.work.started_by_hand(streams.lab, program):
            yield process.create_time()


class Trickle:
    """Two events a second while a `with` block runs: then every trigger has something to do."""

    def __init__(self, streams):
        self.streams, self.stop = streams, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        """Send until stopped."""
        while not self.stop.wait(0.5):
            for table, make in MAKERS.items():
                event = make(self.streams.rng)
                self.streams.topic.send(event)
                self.streams.trickled[table].append(event)


def test_each_stream_has_its_own_checkpoint(streams):
    """Each stream keeps its own checkpoint."""
    found = streams.active_checkpoints()
    require(
        found,
        expected="a checkpoint in HDFS for each stream",
        found="none that is in use",
        where="HDFS, below /",
        cause=lambda: (
            causes_of(streams, streams.lab.programs)
            or "no checkpointLocation, or one on this machine's disk: a restart forgets it"
        ),
    )
    running = [program.name for program in streams.lab.programs if streams.is_alive(program)]
    require(
        len(found) >= len(running),
        expected=f"a checkpoint in HDFS for each of {' and '.join(running)}",
        found=", ".join(found),
        where="HDFS, below /",
        cause=lambda: (
            causes_of(streams, streams.lab.programs)
            or "the streams share one checkpoint, or one of them is on this machine's disk: a restart forgets it"
        ),
    )
    for table in TABLES:
        require(
            streams.landed(table),
            expected=f"a stream that writes {table.folder}",
            found="none",
            where=f"the checkpoints in use: {', '.join(found)}",
            cause=lambda table=table: why_not(streams, table),
        )


def test_restart_loses_and_doubles_nothing(streams):
    """After a kill and a restart no row is missing and none is doubled."""
    for table in TABLES:
        require_some(streams, table)
    if not shown.before(streams.work, RESTART, version(streams)):  # each is killed once, not at every check
        kill_and_send(streams)
    for table in TABLES:
        wanted = Counter(event["Host"] for event in streams.sent[table])
        trickled = Counter(event["Host"] for event in streams.trickled[table])  # the last of them may be on their way
        found = Counter(row["host"] for row in streams.rows.of(table, [*wanted, *trickled]))
        lost = [host for host in wanted if found[host] < wanted[host]]
        doubled = [host for host, count in (wanted + trickled).items() if found[host] > count]
        require(
            not lost,
            expected=f"{len(wanted)} hosts in {table.folder}",
            found=f"{len(lost)} of them are missing",
            where=f"Presto over {table.folder}, after kill -9 of the drivers",
            cause=lambda table=table: why_lost(streams, table),
        )
        require(
            not doubled,
            expected="each event once",
            found=f"{len(doubled)} hosts more often",
            where=f"Presto over {table.folder}, after kill -9 of the drivers",
            cause="the stream begins anew at the topic's beginning: it has no checkpoint that lasts",
        )
    shown.remember(streams.work, RESTART, version(streams))


def why_lost(streams, table):
    """Why rows are missing after a restart."""
    alive = any(streams.is_alive(program) for program in streams.lab.programs)
    if alive and not causes_of(streams, streams.lab.programs):
        return "the stream begins anew at the topic's end: it has no checkpoint that lasts"
    return why_not(streams, table)


def kill_and_send(streams):
    """Kill both drivers at a random moment; send events before, in between and after."""
    supervised = {program.name: programs.own_processes(streams.work, program) for program in streams.lab.programs}
    if any(streams.work.started_by_hand(streams.lab, program) for program in streams.lab.programs):
        raise NotChecked(
            "a stream that was started by hand is not started again after a kill", "stop it (Ctrl-C), check again"
        )
    streams.send(2)
    time.sleep(streams.rng.uniform(0, 0.5))
    for pids in supervised.values():
        for pid in pids:
            with suppress(ProcessLookupError, psutil.Error):
                os.kill(pid, signal.SIGKILL)
    streams.send(2)
    streams.wait()


def version(streams):
    """The versions of the lab's programs that run, as one text."""
    defined = streams.work.cluster.supervisor.programs()
    return " ".join(defined[program.name].digest for program in streams.lab.programs if program.name in defined)
