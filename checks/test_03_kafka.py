"""Lab 3: the topic with its two partitions, and a watcher that shows all of it.

The checks run the student's programs, and write their own messages to the topic for the watcher to show.
"""

import re

import pytest

from swordlab.grading import probes, trouble
from swordlab.grading.verdict import fail, require, wait_for

PARTITIONS = 2
CREATE = "python create_topic.py"
WATCH = "bash watch_events.sh"
TERMINAL = "python -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'"
"""Runs a command on a terminal, as the student does: grep and jq keep back what they print into a pipe."""
SHOWS_WITHIN = 15.0  # seconds, or longer while it is still printing what came before
FLOOD = 20_000_000  # bytes of output
POLL = 0.05  # seconds
MORE = 8  # messages on each partition after those that must be shown: the last few are not all of the past
MEMBERS = ["Stable"]
"""The state of a group that somebody reads in."""
COMMITTED_WITHIN = 7.0  # seconds; clients that commit do it every five
KAFKACAT = re.compile(r"^% |ERROR|Usage:|command not found|No such file", re.M)


@pytest.fixture(scope="session")
def created(work, lab, topic):
    """The first run of create_topic.py, and the topic after it."""
    finished = work.run(lab, CREATE)
    return finished, topic.description()


@pytest.fixture(scope="session")
def watcher(work, lab, topic, rng, created):
    """The running watcher, once it has shown an event that was there before it, or did not in time."""
    if not topic.description():
        fail(
            expected="a topic to watch",
            found="no topic events",
            where="the broker's metadata",
            cause="create_topic.py has not created it",
            next=CREATE,
        )
    before, read = on_each_partition(topic, rng), topic.committed()
    others = topic.committed(MEMBERS)
    for _ in range(MORE):
        topic.spread([probes.others(rng)[0] for _ in topic.partitions()])
    with work.start(lab, f"{TERMINAL} {WATCH}") as running:
        running.before, running.read, running.others = before, read, others
        wait_until_shown(running, before)
        yield running


def on_each_partition(topic, rng):
    """Write an event of a fresh host to each partition; return the hosts."""
    events = [probes.join(rng) for _ in topic.partitions()]
    topic.spread(events)
    return [event["Host"] for event in events]


def remembering(running, topic):
    """The group whose offsets the watcher commits; empty where it reads for itself."""

    def its_groups():
        return {group: read for group, read in topic.committed(MEMBERS).items() if group not in running.others}

    def moved():
        return next((group for group, read in its_groups().items() if read != running.read.get(group, {})), "")

    return (wait_for(moved, COMMITTED_WITHIN, 0.5) or "") if its_groups() else ""


def wait_until_shown(running, hosts):
    """Wait until the watcher shows these hosts, has ended, or prints nothing more: a long past takes its time."""
    printed = -1
    while printed < running.printed < FLOOD:
        printed = running.printed
        if wait_for(lambda: shown(running, hosts) or not running.is_running, SHOWS_WITHIN, POLL):
            return


def shown(running, hosts):
    """Whether the watcher has printed an event of each host."""
    output = running.output
    return all(host in output for host in hosts)


def flooded(running):
    """What it means that more was printed than a watcher is waited for; else empty."""
    return "the topic is too full to be shown, or it prints without end" if running.printed > FLOOD else ""


def said(running):
    """What a watcher said of itself, without the events."""
    return " ".join(line for line in running.output.splitlines() if KAFKACAT.search(line))[-200:] or "nothing"


def test_topic_has_two_partitions(created, work, lab):
    """Topic events has two partitions."""
    finished, topic = created
    cause = trouble.missing_file(work, lab) or trouble.cause_in(finished.output, work.folder(lab))
    require(
        topic,
        expected="topic events",
        found="no such topic",
        where="the broker's metadata",
        cause=cause or "create_topic.py does not create it, or creates another",
        next=CREATE,
    )
    found = len(topic["partitions"])
    require(
        found == PARTITIONS,
        expected=f"{PARTITIONS} partitions",
        found=found,
        where="the broker's metadata",
        cause=cause
        or too_many(found)
        or "the broker made the topic by itself when the game first wrote, with one "
        "partition, and create_topic.py did not add the other",
        next=f"{CREATE}; kafkacat -L -b kafka:29092 -t events",
    )
    copies = {len(partition["replica_nodes"]) for partition in topic["partitions"]}
    require(copies == {1}, expected="one copy of each partition", found=copies, where="the broker's metadata")


def too_many(found):
    """What more than two partitions mean."""
    return "partitions can be added, never removed: make clean, then two from the start" if found > PARTITIONS else ""


def test_creating_it_again_does_no_harm(created, work, lab, topic, rng):
    """Running create_topic.py again ends well and leaves the topic and its events as they are."""
    if not topic.description():
        fail(expected="a topic", found="none after the first run", where="the broker's metadata", next=CREATE)
    on_each_partition(topic, rng)  # a topic that is made anew has lost them
    before = (topic.partitions(), topic.beginning(), topic.end())
    finished = work.run(lab, CREATE)
    trouble.require_done(finished, work, lab, expected="exit status 0 of a second run")
    after = (topic.partitions(), topic.beginning(), topic.end())
    kept = before[0] == after[0] and all(after[2].get(part, -1) >= end for part, end in before[2].items())
    require(
        kept and before[1] == after[1],
        expected=f"partitions and offsets as before: {before}",
        found=after,
        where="the broker's metadata",
        cause="the topic was deleted and made anew, or grew again",
    )


def test_watcher_shows_what_came_before(watcher, work, lab, topic):
    """The watcher shows an event that came before it was started."""
    cause = (
        trouble.missing_file(work, lab)
        or flooded(watcher)
        or ("" if watcher.is_running else "it ended before it had shown them, by an error, -e, -c or head, or ")
        + "it begins at the end of the topic: -o beginning is missing"
    )
    require(
        shown(watcher, watcher.before),
        expected=f"events of {' and '.join(watcher.before)}",
        found=f"they are not in its output; it said: {said(watcher)}",
        where=WATCH,
        cause=cause,
        next=f"run it yourself, in make shell: {WATCH}",
    )
    group = remembering(watcher, topic)
    require(
        not group,
        expected="all of the past, at every start",
        found=f"it commits how far group {group} has read",
        where=WATCH,
        cause="its next start shows only what came after this one: read without a group, or commit nothing",
        next=f"run it twice, in make shell: {WATCH}",
    )


def test_watcher_shows_what_comes_after(watcher, topic, rng):
    """The watcher shows an event that comes while it runs, on each partition."""
    hosts = on_each_partition(topic, rng)
    wait_until_shown(watcher, hosts)
    require(
        shown(watcher, hosts),
        expected=f"events of {' and '.join(hosts)}",
        found="they are not in its output",
        where=WATCH,
        cause=flooded(watcher)
        or ("it shows one partition only, or another topic" if watcher.is_running else "it ended: -e ends it"),
        next=f"run it yourself, in make shell: {WATCH}",
    )


def test_watcher_does_not_end(watcher):
    """The watcher does not end at the last event."""
    require(
        watcher.is_running,
        expected="a watcher that still runs",
        found=f"it ended; it said: {said(watcher)}",
        where=WATCH,
        cause="-e, -c or a wrong option ends it, or it cannot reach the broker",
    )
