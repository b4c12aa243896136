"""Lab 8: the program follows a host, which the check has just let play, from the access log to the topic."""

import re
import time
from dataclasses import dataclass
from datetime import datetime

import pytest

from swordlab.grading import shown, trouble
from swordlab.grading.arrivals import ROUTES, play, require_game
from swordlab.grading.live import Message
from swordlab.grading.probes import JOIN, PURCHASE, agent, host, others, purchase
from swordlab.grading.verdict import NotChecked, fail, require, wait_for
from swordlab.work import Finished, digest

FOLLOW = "python follow_host.py"
ENOUGH = 1200  # messages on the topic: more than one poll of a consumer brings
ENDS_WITHIN = 40.0  # seconds
PATIENCE = 3.0  # seconds until lines of the access log are of another second
LINE = "tells-a-line-of-the-log-from-later-ones"
KEYS = {JOIN: ("Host", "event_type", "guild"), PURCHASE: ("Host", "event_type", "sword_type")}
NUMBERED = re.compile(r"(partition|offset)\W{1,6}(\d+)", re.IGNORECASE)
LOG_TIME = re.compile(r"\[(\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d)\]")
BROKEN_OFF = re.compile(r'^Traceback|^ *File "[^"]+", line \d', re.MULTILINE)
DENIES = re.compile(r"\b(no|not|never|none)\b", re.IGNORECASE)
LOG_FORMAT = "%d/%b/%Y %H:%M:%S"


@dataclass(frozen=True)
class Followed:
    """A host, its events on the topic, and what the program said of it."""

    host: str
    played: list[Message]
    """What came through the game, so that the access log has a line of it."""
    messages: list[Message]
    """All of the host's."""
    finished: Finished

    @property
    def output(self):
        """All that the program printed."""
        return self.finished.output

    @property
    def places(self):
        """Partition and offset of each event."""
        return sorted((message.partition, message.offset) for message in self.messages)

    def has(self, line):
        """Whether a line of the access log can be one of the host's."""
        return any(belongs(line, message) for message in self.messages)

    def require_found(self, work, lab):
        """CheckFailed unless the program ended well and showed something of the host."""
        cause = self.finished.problem or trouble.cause_in(self.output, work.folder(lab))
        require(
            self.finished.is_done and (self.host in self.output or in_one_line(self.output, self.places)),
            expected=f"the events of {self.host}, and status 0",
            found=self.output.strip() if self.finished.is_done else self.finished.how,
            where=f"{FOLLOW} {self.host}",
            cause=cause
            or "not every partition is read to its end, or not from its beginning in every run (a group goes on where "
            "it was), or the event's Host is not looked at",
        )


@pytest.fixture(scope="session")
def game(work, lab, topic, rng):
    """The game, with lines of other players in its log, and a topic with more on it than one poll brings, some of it no
    event."""
    trouble.require_files(work, lab, expected="a program to run")
    require_game(work, lab)
    log = trouble.log_of(work, "flask")
    if any(f"{route} " not in log for route in ROUTES.values()):
        play(topic, rng, host(rng))
    there = sum(topic.end().values()) - sum(topic.beginning().values())
    more = [{"Host": host(rng), "event_type": "default"} for _ in range(ENOUGH - there)]
    topic.send(*others(rng), *more)


@dataclass(frozen=True)
class Sent:
    """A host that has just joined and purchased."""

    host: str
    played: list[Message]
    messages: list[Message]


@pytest.fixture(scope="session")
def sent(work, topic, rng, game):
    """A host that has just joined and purchased, some of it through the game; other lines are of another second."""
    last = [seconds(found) for found in LOG_TIME.findall(trouble.log_of(work, "flask"))[-1:]]
    wait_for(lambda: all(time.time() >= second + 1 for second in last), PATIENCE)
    name = host(rng)
    before = topic.end()
    played = play(topic, rng, name)
    topic.spread([purchase(rng, Host=name) for _ in topic.partitions()])
    messages = [message for message in topic.since(before) if message.event.get("Host") == name]
    return Sent(name, played, messages)


@pytest.fixture(scope="session")
def absent(work, lab, topic, rng, sent):
    """Asked for a host that never came, though its name stands in other messages.

    It is asked for before the one that came: who goes on where an earlier run ended does not find that one. And once
    for each version another host plays after that one, so that the log's last line of a route is not its line.
    """
    if not shown.before(work, LINE, digest(work.folder(lab))):
        last = max(message.timestamp for message in sent.played) // 1000
        wait_for(lambda: time.time() >= last + 2, PATIENCE)  # a line is of the event's second or the next
        play(topic, rng, host(rng))
    name = host(rng)
    topic.send(
        purchase(rng, Host=f"{name}.org"),
        purchase(rng, Host=f"other-{name}"),
        {**purchase(rng), "User-Agent": f"{agent(rng)} {name}"},
        name.encode(),
        *others(rng),
    )
    return Followed(name, [], [], work.run(lab, FOLLOW, name, seconds=ENDS_WITHIN))


@pytest.fixture(scope="session")
def followed(work, lab, sent, absent):
    """Asked for the host that has just joined and purchased."""
    finished = absent.finished  # where that had to be stopped, it would take its time again
    if not finished.problem:
        finished = work.run(lab, FOLLOW, sent.host, seconds=ENDS_WITHIN)
    return Followed(sent.host, sent.played, sent.messages, finished)


def test_finds_a_host_just_sent(followed, work, lab):
    """Asked for a host that was just sent, it finds it."""
    followed.require_found(work, lab)


def test_names_partition_and_offset(followed, topic, work, lab):
    """It names the topic's partition and offset of each event of that host."""
    followed.require_found(work, lab)
    wanted = followed.places
    found = sorted(named_places(followed.output)) or in_one_line(followed.output, wanted)
    bounds = {*topic.beginning().items(), *topic.end().items()}  # what a program may tell of its reading
    require(
        set(wanted) <= set(found) <= {*wanted, *bounds},
        expected=f"partition and offset of {len(wanted)} events: {wanted}",
        found=found or followed.output.strip(),
        where=f"the output of {followed.finished.command}",
        cause=wrong_places(found, wanted),
    )


def named_places(text):
    """Each partition and offset that are named by these words, one after the other."""
    found, pending = [], {}
    for word, number in NUMBERED.findall(text):
        pending[word.lower()] = int(number)
        if len(pending) > 1:
            found.append((pending["partition"], pending["offset"]))
            pending = {}
    return found


def in_one_line(text, places):
    """Of these places those whose two numbers stand in one line, as in a table."""
    lines = [re.findall(r"\d+", line) for line in text.splitlines()]
    return [place for place in places if any({*map(str, place)} <= {*numbers} for numbers in lines)]


def wrong_places(found, wanted):
    """What is wrong with partitions and offsets."""
    if not found:
        return "record.partition and record.offset are not printed"
    if set(found) < set(wanted):
        read = {partition for partition, _ in found}
        unread = sorted({partition for partition, _ in wanted} - read)
        if unread and all(place in found for place in wanted if place[0] in read):
            first = "it stops at the first event of the host, or " if len(found) == 1 else ""
            return f"{first}partition {unread[0]} is not read to its end"
        return "it stops at the first event of the host" if len(found) == 1 else "not all of its events are shown"
    return "the numbers are counted by the program, or are another message's: they must be the record's own"


def test_shows_the_key_fields(followed, work, lab):
    """It shows the key fields of each event: Host, event_type, and guild or sword."""
    followed.require_found(work, lab)
    for message in followed.messages:
        for key in KEYS.get(message.event["event_type"], ()):
            value = str(message.event.get(key))
            require(
                value in followed.output,
                expected=f"{key}: {value}",
                found=followed.output.strip(),
                where=f"the output of {followed.finished.command}",
                cause=f"{key} of the event is not printed (partition {message.partition}, offset {message.offset})",
            )


def test_shows_the_line_of_the_access_log(followed, work, lab):
    """It shows the line of the access log that belongs to the event."""
    followed.require_found(work, lab)
    log = trouble.log_of(work, "flask").splitlines()
    allowed = set()
    for message in followed.played:
        route = ROUTES.get(message.event["event_type"])
        lines = [line for line in log if route and f"{route} " in line and belongs(line, message)]
        if route and not lines:
            raise NotChecked(
                "the access log has no line of a request that the game has just answered: it was started by hand, "
                "or writes its log elsewhere",
                "stop your flask run (Ctrl-C); the lab then runs it for you",
            )
        allowed |= {match[1] for line in lines if (match := LOG_TIME.search(line))}
        printed = [
            line
            for line in followed.output.splitlines()
            if route and route in line and any(time in line for time in allowed)
        ]
        require(
            printed or not route,
            expected=f"a line like {lines[0] if lines else route}",
            found=followed.output.strip(),
            where=f"the output of {followed.finished.command}",
            cause="the log's line of the event's route and second is not printed (FLASK_LOG names the log; "
            "Kafka's timestamp counts milliseconds)",
        )
    allowed |= {match[1] for line in log if (match := LOG_TIME.search(line)) and followed.has(line)}
    foreign = sorted(set(LOG_TIME.findall(followed.output)) - allowed)
    if foreign:
        fail(
            expected=f"lines of {', '.join(sorted(allowed))}",
            found=f"lines of {', '.join(foreign)}",
            where=f"the output of {followed.finished.command}",
            cause="every line of the route is taken: keep those of the event's second, or the next",
        )
    shown.remember(work, LINE, digest(work.folder(lab)))


def seconds(log_time):
    """Seconds since the epoch of a time as the access log writes it."""
    return datetime.strptime(log_time, LOG_FORMAT).timestamp()


def belongs(line, message):
    """Whether a line of the access log can be the message's: of its second or the next."""
    match = LOG_TIME.search(line)
    if not match:
        return False
    return 0 <= seconds(match[1]) - message.timestamp // 1000 <= 1


def test_says_that_a_host_never_came(absent, work, lab):
    """Asked for a host that never came, it says so and exits with status 1."""
    finished = absent.finished
    require(
        not finished.problem and not BROKEN_OFF.search(finished.output),
        expected="a message",
        found=finished.problem or finished.how,
        where=f"the output of {finished.command}",
        cause=finished.problem or trouble.cause_in(finished.output, work.folder(lab)),
    )
    require(
        finished.status == 1,
        expected="status 1, since there is no such host",
        found=f"status {finished.status}: {finished.output.strip() or 'nothing printed'}",
        where=f"{FOLLOW} {absent.host}",
        cause="it must end with status 1: sys.exit(message) prints it and ends so"
        if finished.status
        else "silence and status 0 look like success: sys.exit(message) prints it and ends with status 1"
        if not any(name in absent.output for name in (f"{absent.host}.org", f"other-{absent.host}"))
        else "a message that only contains the name is taken for the host's: compare the event's Host",
    )
    require(
        absent.host in absent.output or DENIES.search(absent.output),
        expected=f"a message that {absent.host} never came",
        found=absent.output.strip() or "nothing printed",
        where=f"the output of {finished.command}",
        cause="nothing is said",
    )
