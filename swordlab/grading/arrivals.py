"""What a check needs of earlier labs' programs, the game and the streams: where it is missing, no points are lost."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import requests
from prestodb.exceptions import PrestoQueryError

from swordlab.grading import probes, trouble
from swordlab.grading.live import Game, Message, Presto, Topic
from swordlab.grading.programs import has_ended, require_serving
from swordlab.grading.rows import TABLES, Rows, Table
from swordlab.grading.verdict import CheckFailed, NotChecked, wait_for
from swordlab.labs import Lab, Program, needed
from swordlab.work import Work

WITHIN = 75.0  # seconds: the start of a Spark driver on a busy machine, a trigger and a batch
POLL = 0.3  # seconds
LOGGED_WITHIN = 6.0  # seconds from an answer of the game to the event on the topic
Event = dict[str, Any]
ROUTES = {probes.JOIN: "/join_guild", probes.PURCHASE: "/purchase_sword"}
"""Event type -> the game's route."""


def require_arrived(work: Work, lab: Lab, arrived: Callable[[], object], what: str) -> None:
    """Return once `arrived` is true; NotChecked when a program of an earlier lab has ended, or after a while."""

    def look() -> object:
        return _is_true(arrived) or ended(work, lab)

    wait_for(look, WITHIN, POLL)
    if _is_true(arrived):
        return
    for earlier, program in ended(work, lab):
        cause = trouble.cause_of(work, earlier, program.name)
        raise NotChecked(cause or f"{program.name} ended", f"make check-{earlier.number}")
    writers = [earlier for earlier in needed(lab) if earlier.programs]
    raise NotChecked(f"{what} after {WITHIN:.0f} s", f"make check-{writers[-1].number}")


def deliver(work: Work, lab: Lab, topic: Topic, rows: Rows, events: Sequence[Event]) -> dict[Table, list[str]]:
    """Send events and return once each has landed once, with their hosts by table; NotChecked where they do not."""
    counts = {
        table: Counter(event["Host"] for event in events if event["event_type"] == table.event_type) for table in TABLES
    }

    def arrived() -> bool:
        return all(Counter(row["host"] for row in rows.of(table, list(c))) == c for table, c in counts.items())

    topic.send(*events)
    require_arrived(work, lab, arrived, "new events are not in the files, each once")
    return {table: list(hosts) for table, hosts in counts.items()}


def require_game(work: Work, lab: Lab) -> None:
    """Return once the game of an earlier lab answers; NotChecked when it does not."""
    for earlier in needed(lab):
        for program in earlier.programs:
            if "FLASK_PORT" in program.command:
                try:
                    require_serving(work, earlier, program, "FLASK_PORT")
                except CheckFailed as failed:
                    reason = f"the game does not answer: {failed.cause or failed.found}"
                    raise NotChecked(reason, f"make check-{earlier.number}") from None


def play(topic: Topic, rng: Random, host: str) -> list[Message]:
    """Let a host join and purchase through the game; both events' messages, NotChecked where one does not come."""
    before = topic.end() if topic.description() else {}  # the broker makes the topic when the game first writes
    for route in ROUTES.values():
        try:
            answer = Game().ask(route, {"Host": host, "User-Agent": probes.agent(rng)})
        except requests.RequestException as error:
            raise NotChecked(f"the game does not answer: {type(error).__name__}", "make check-2") from None
        if answer.status_code != 200:
            raise NotChecked(f"the game answers {route} with status {answer.status_code}", "make check-2")

    def messages() -> list[Message]:
        messages = topic.since(before) if topic.description() else []
        found = [message for message in messages if message.event.get("Host") == host]
        return found if ROUTES.keys() <= {message.event.get("event_type") for message in found} else []

    found = wait_for(messages, LOGGED_WITHIN)
    if not found:
        raise NotChecked("the game's answers become no events, or events without Host or event_type", "make check-2")
    return found


def require_tables(work: Work, lab: Lab, presto: Presto) -> None:
    """Both tables are there; where one is not, the steps that make tables are run. NotChecked if that does not help."""
    makers = [earlier for earlier in needed(lab) if earlier.steps and "presto" in earlier.services]
    for maker in makers if missing_tables(presto) else ():
        for step in maker.steps:
            work.run(maker, step.command)
    if missing := missing_tables(presto):
        raise NotChecked(f"there is no table {missing[0]}", f"make check-{makers[-1].number}")


def missing_tables(presto: Presto) -> list[str]:
    """Which of the two tables Presto does not find."""
    there = {name for (name,) in presto.rows("show tables")}
    return [table.name for table in TABLES if table.name not in there]


def require_tables_true(presto: Presto, rows: Rows, hosts: Mapping[Table, Sequence[str]]) -> None:
    """The student's tables show these hosts' rows as the files hold them; otherwise NotChecked."""
    for table, names in hosts.items():
        columns = [name for name in table.columns if name not in ("raw_event", "timestamp")]
        listed = ", ".join(f"'{name}'" for name in names)
        query = f"select {', '.join(columns)} from {table.name} where host in ({listed})"  # noqa: S608  our own names
        try:
            seen = presto.rows(query)
        except PrestoQueryError as error:
            raise NotChecked(f"Presto cannot read table {table.name}: {error.message}", "make check-6") from None
        if Counter(seen) != Counter(tuple(row[name] for name in columns) for row in rows.of(table, names)):
            raise NotChecked(f"table {table.name} does not show the rows of its files as they are", "make check-6")


def ended(work: Work, lab: Lab) -> list[tuple[Lab, Program]]:
    """The programs of the labs that this one stands on which do not run any more."""
    return [
        (earlier, program)
        for earlier in needed(lab)
        for program in earlier.programs
        if has_ended(work, program) and not work.started_by_hand(earlier, program)
    ]


def _is_true(arrived: Callable[[], object]) -> bool:
    """Whether all is there; a file that is being written cannot be read yet."""
    try:
        return bool(arrived())
    except CheckFailed:
        return False
