"""Lab 7: one run of the script is a hundred players, each with one join and one purchase, counted on the topic."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from swordlab.grading import refusing, shown, trouble
from swordlab.grading.arrivals import ROUTES, play, require_game
from swordlab.grading.probes import JOIN, PURCHASE, host
from swordlab.grading.verdict import NotChecked, fail, require, wait_for
from swordlab.work import Finished, Running, digest

PROVIDERS = ("comcast.com", "att.com")
EACH = 50  # players of a provider
SETTLES_WITHIN = 4.0  # seconds
STARTS_WITHIN = 10.0  # seconds
RUN = "stream-events-ran"
ON_TOPIC = "events on the topic during one run"
REFUSED_LINE = re.compile(r'"[A-Z]+ (?P<route>\S+)[^"]*" (?P<status>[45]\d\d)')
COLOURS = re.compile(r"\x1b\[[\d;]*m")
AB_REFUSES = re.compile(r"^(?:\S*/)?ab: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run of the script, and what came of it."""

    finished: Finished
    joins: Counter
    """Host -> how often it joined; hosts of both providers."""
    purchases: Counter
    strangers: Counter
    """The other hosts that came meanwhile."""
    refused: list[str]
    """Requests that the game refused, as route and status."""

    @property
    def is_complete(self):
        """Whether as many events came as there must be."""
        return self.joins.total() >= 2 * EACH and self.purchases.total() >= 2 * EACH

    @property
    def cause(self):
        """Why players are missing, as far as it shows."""
        if self.finished.problem:
            return self.finished.problem
        if self.refused:
            return f"the game refuses {self.refused[0]}: the route is spelled otherwise"
        if said := AB_REFUSES.findall(self.finished.output):
            return f"ab refuses what it is told: {said[-1]}"
        if self.joins and self.purchases and not self.joins.keys() & self.purchases.keys():
            return "purchases come from other hosts than joins"
        if self.strangers and not self.joins:
            strange = self.strangers.most_common(1)[0][0]
            return f"the events have the host {strange}: the header is 'Host: ' with a space, then the player's name"
        for counts in (self.joins, self.purchases):
            name, times = max(counts.items(), key=lambda pair: pair[1], default=("", 0))
            if times > 1:
                return f"hosts overlap, or ab sends more than one request (-n): {name} comes {times} times"
        return trouble.cause_in(self.finished.output)


@pytest.fixture(scope="session")
def first(work, lab, topic, rng):
    """The script's first run."""
    trouble.require_files(work, lab, expected="a script to run")
    require_game(work, lab)
    play(topic, rng, host(rng))
    return one_run(work, lab, topic)


def one_run(work, lab, topic):
    """Run the script and count on the topic what came meanwhile."""
    before, log = topic.end(), access_log(work)
    finished = work.run(lab, lab.step("stream_events").command)
    found = wait_for(lambda: complete(finished, topic.since(before)), SETTLES_WITHIN)
    run = found or count(finished, topic.since(before))
    refused = REFUSED_LINE.finditer(access_log(work)[len(log) :])
    run.refused.extend(f"{match['route']} ({match['status']})" for match in refused if "favicon" not in match["route"])
    return run


def access_log(work):
    """The access log of the game, without colours."""
    path = work.cluster.state.log("flask")
    return COLOURS.sub("", path.read_text("utf-8", "replace")) if path.exists() else ""


def complete(finished, messages):
    """The run when it is complete, else None."""
    run = count(finished, messages)
    return run if run.is_complete else None


def count(finished, messages):
    """Joins and purchases of the providers' hosts."""
    events = [(str(message.event.get("Host")), message.event.get("event_type")) for message in messages]
    players = {name for name, _ in events if provider(name)}
    return Run(
        finished,
        Counter(name for name, kind in events if name in players and kind == JOIN),
        Counter(name for name, kind in events if name in players and kind == PURCHASE),
        Counter(name for name, kind in events if name not in players and kind in ROUTES),
        [],
    )


def provider(name):
    """The provider of a host, or None."""
    bare = name.partition(":")[0].lower()
    return next((provider for provider in PROVIDERS if bare.endswith((f".{provider}", f"@{provider}"))), None)


def require_ended_well(run, work, lab):
    """The script ended with status 0."""
    trouble.require_done(run.finished, work, lab, expected=f"{run.finished.command} ends with status 0")


def require_fifty(run):
    """Fifty players of each provider, joins and purchases together."""
    players = Counter(provider(name) for name in {*run.joins, *run.purchases})
    for name in PROVIDERS:
        require(
            players[name] == EACH,
            expected=f"{EACH} hosts of {name}",
            found=players[name],
            where=ON_TOPIC,
            cause=run.cause or wrong_number(players[name]),
        )


def wrong_number(found):
    """What a wrong number of hosts comes from."""
    if found == 0:
        return "no request is sent with a host of this provider"
    return "the loop begins or ends at another number" if found != 1 else "every request has one host"


def require_once(run, counts, what):
    """Each player once, and nobody else."""
    players = {*run.joins, *run.purchases}
    for name in sorted(players):
        require(
            counts[name] == 1,
            expected=f"{name} {what} once",
            found=f"{counts[name]} times",
            where=ON_TOPIC,
            cause=run.cause or "the request for it is missing",
        )
    require(
        len(players) == 2 * EACH,
        expected=f"{2 * EACH} hosts",
        found=len(players),
        where=ON_TOPIC,
        cause=run.cause or "these are not fifty players of each provider",
    )


def test_fifty_players_of_each_provider(first, work, lab):
    """One run makes events of exactly 50 players of comcast.com and 50 of att.com."""
    require_fifty(first)
    require_ended_well(first, work, lab)


def test_each_player_joins_once(first):
    """Each player joins a guild once."""
    require_once(first, first.joins, "joins")


def test_each_player_purchases_once(first):
    """Each player purchases a sword once."""
    require_once(first, first.purchases, "purchases")


def test_no_request_is_refused(first, work, lab):
    """No request is refused, and the script does not end well when the game refuses."""
    require(
        not first.refused,
        expected="every request is answered with 200",
        found=f"refused: {Counter(first.refused)}",
        where="the access log (make logs SERVICE=flask)",
        cause=first.cause,
    )
    require(
        first.joins or first.purchases,
        expected="requests of players",
        found="none",
        where=ON_TOPIC,
        cause=first.cause or "nothing is sent",
    )
    with refusing_game(work, lab) as (url, game):
        finished = work.run(lab, f"env FLASK_URL={url} {lab.step('stream_events').command}")
        asked = game.output.split()[1:]
    if asked and finished.is_done:
        fail(
            expected="another exit status than 0, and a message, when the game answers 404",
            found=f"status 0 after {len(asked)} refused requests",
            where=f"a game at FLASK_URL={url} that answers 404",
            cause="the answers are not looked at: ab ends well on a 404 too (Non-2xx responses), and so does curl "
            "without --fail; or they are, and `exit 1` is missing",
        )
    require(
        not finished.problem,
        expected="an end when the game refuses",
        found=finished.problem,
        where=finished.command,
        cause="the script tries again for ever",
    )


@contextmanager
def refusing_game(work, lab) -> Iterator[tuple[str, Running]]:
    """A web server that answers 404 to everything: its address, and its process, which prints what was asked for."""
    with work.start(lab, refusing.COMMAND) as game:
        if not wait_for(lambda: "\n" in game.output, STARTS_WITHIN):
            raise NotChecked(f"the check's own web server did not start: {game.output}", broken=True)
        yield f"http://localhost:{game.output.split()[0]}", game


def test_second_run_works(first, work, lab, topic):
    """A second run works like the first."""
    require_fifty(first)
    version = digest(work.folder(lab))
    second = first if shown.before(work, RUN, version) else one_run(work, lab, topic)
    require_ended_well(second, work, lab)
    require_fifty(second)
    for counts, what in ((second.joins, "joins"), (second.purchases, "purchases")):
        require_once(second, counts, what)
    shown.remember(work, RUN, version)  # of this version, the next check's first run is a later one
