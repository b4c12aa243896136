"""Lab 2: the game's web server turns each request into one event on the topic.

The checks send requests of fresh random hosts and look for exactly those events on the topic.
"""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from swordlab.grading import programs, trouble
from swordlab.grading.live import Game, Message
from swordlab.grading.probes import GUILDS, JOIN, PURCHASE, SWORDS, agent, host, word
from swordlab.grading.verdict import CheckFailed, fail, require, wait_for

ROUTES = {"/": "default", "/join_guild": JOIN, "/purchase_sword": PURCHASE}
PLAYERS = 24
MORE_PLAYERS = 100  # 83 of a deck's 100 cards are templers: in one run of a hundred all of PLAYERS draw one
BURST = 200
ARRIVES_WITHIN = 6.0  # seconds; for producers that linger
LOOK = "make logs SERVICE=flask"
ON_TOPIC = "messages on topic events"


@dataclass(frozen=True)
class Sent:
    """One request and what came of it."""

    route: str
    host: str
    agent: str
    accept: str
    status: int
    text: str

    def is_in(self, message: Message) -> bool:
        """Whether the message is of this request's host."""
        return self.host.encode() in (message.value or b"")

    def events(self, messages):
        """The events of this request's host; a text that is no JSON object is none."""
        return [message.event for message in messages if self.is_in(message) and message.event]


@dataclass(frozen=True)
class Traffic:
    """Requests, and every message that came meanwhile."""

    sent: list[Sent]
    messages: list[Message]

    def of(self, route):
        """The requests of one route with the event of each; fails where one has none."""
        pairs = []
        for request in self.sent:
            if request.route == route:
                events = request.events(self.messages)
                if not events:
                    raise no_event(request, self.messages)
                pairs.append((request, events[0]))
        return pairs

    def drawn(self, route, key):
        """The different values of a key in the events of a route."""
        return {event.get(key) for _, event in self.of(route)}


@pytest.fixture(scope="session")
def game(work, lab):
    """The student's server, once it answers."""
    programs.require_serving(work, lab, lab.programs[0], "FLASK_PORT")
    return Game()


@pytest.fixture(scope="session")
def traffic(game, topic, rng):
    """Requests on all three routes, one after the other."""
    before = topic.end() if topic.description() else {}
    sent = [send(game, rng, route) for route in ROUTES]
    answered = [request.route for request in sent if request.status == 200 and request.route != "/"]
    sent += [send(game, rng, route) for route in answered * PLAYERS]  # a route that fails may take its time
    return Traffic(sent, arrived(topic, before, sent))


def more_traffic(game, topic, rng, route):
    """MORE_PLAYERS requests on one route."""
    before = topic.end()
    sent = [send(game, rng, route) for _ in range(MORE_PLAYERS)]
    return Traffic(sent, arrived(topic, before, sent))


def send(game, rng, route, **more):
    """One request of a fresh host."""
    headers = {"Host": host(rng), "User-Agent": agent(rng), "Accept": f"text/{word(rng)}"}
    try:
        answer = game.ask(route, headers, **more)
    except requests.RequestException as error:
        raise CheckFailed(
            f"an answer to {route}",
            f"none: {type(error).__name__}",
            "the game's port",
            "the server hangs or ended",
            LOOK,
        ) from None
    return Sent(route, headers["Host"], headers["User-Agent"], headers["Accept"], answer.status_code, answer.text)


def arrived(topic, before, sent):
    """The messages since `before`, once there is one of each answered request, or after a while."""
    answered = [request for request in sent if request.status == 200]

    def messages_of_all():
        messages = topic.since(before) if topic.description() else []
        text = b"\n".join(message.value or b"" for message in messages)
        return messages if all(request.host.encode() in text for request in answered) else []

    return wait_for(messages_of_all, ARRIVES_WITHIN) or (topic.since(before) if topic.description() else [])


def no_event(request, messages):
    """Why there is no event of a request's host."""
    if request.status != 200:
        found = f"none, and status {request.status} as the answer"
        return CheckFailed(f"an event of host {request.host} ({request.route})", found, ON_TOPIC, next=LOOK)
    cause, found = "the handler answers without logging an event, or logs it to another topic", "none of that host"
    texts = [message.value or b"" for message in messages]
    own = next((message.value for message in messages if request.is_in(message)), None)
    if own and is_json_text(own):
        cause, found = "the event was made JSON twice: send the dict, value_serializer makes JSON of it", repr(own)
    elif any(text and not message.event for text, message in zip(texts, messages, strict=True)):
        cause, found = "the event is text but no JSON: json.dumps(event), not str(event)", repr(own or texts[-1])
    elif any(message.event and "Host" not in message.event for message in messages):
        cause, found = "the headers of the request are not in the event", repr(texts[-1])
    return CheckFailed(f"an event of host {request.host} ({request.route})", found, ON_TOPIC, cause, LOOK)


def is_json_text(value):
    """Whether a message is JSON, but of a text and not of an object."""
    try:
        return isinstance(json.loads(value), str)
    except ValueError:
        return False


def test_answers_name_what_was_done(traffic, work, lab):
    """Each route answers with the report's text."""
    beginnings = {
        "/": "This is the default response!",
        "/join_guild": "You have joined ",
        "/purchase_sword": "You have purchased ",
    }
    for request in traffic.sent:
        if request.status != 200:
            fail(
                expected=f"status 200 for {request.route}",
                found=request.status,
                where="the answer",
                cause=refusal(request, work, lab),
                next=LOOK,
            )
        names = GUILDS if request.route == "/join_guild" else SWORDS if request.route == "/purchase_sword" else [""]
        require(
            is_answer(request.text, beginnings[request.route], names),
            expected=f"{beginnings[request.route]}… for {request.route}",
            found=request.text.strip(),
            where="the answer's text",
            cause="the answer has another wording, or names no guild or sword",
        )


def refusal(request, work, lab):
    """Why a request was not answered as it must be."""
    said = trouble.cause_of(work, lab, "flask") or trouble.cause_in(request.text)
    named = {
        400: "the handler reads a body that need not be there, or a value that is not sent",
        404: f"no route {request.route}: it is spelled otherwise",
        405: f"the route {request.route} does not take a GET",
        415: "the handler reads a body of JSON that need not be there: request.get_json(silent=True)",
    }
    return said or named.get(request.status, f"the handler of {request.route} fails")


def is_answer(text, beginning, names):
    """Whether an answer begins as it must and names one of `names`."""
    return text.lower().startswith(beginning.lower()) and any(name in text for name in names)


def test_each_request_becomes_one_event(traffic, work, lab):
    """Each request becomes exactly one event on the topic, with the right keys."""
    for request in traffic.sent:
        events = request.events(traffic.messages)
        if not events:
            missing = no_event(request, traffic.messages)
            missing.cause = trouble.cause_of(work, lab, "flask") or missing.cause
            raise missing
        require(
            len(events) == 1,
            expected=f"one event of {request.host}",
            found=f"{len(events)} events",
            where=ON_TOPIC,
            cause="an event is logged twice, or sent again after it had arrived",
            next=LOOK,
        )
        kind = events[0].get("event_type")
        if request.route != "/":
            require(
                kind == ROUTES[request.route],
                expected=f"event_type {ROUTES[request.route]}",
                found=repr(kind),
                where=f"the event of {request.route}",
                cause="event_type is spelled otherwise",
            )
        keys = {"/join_guild": ["guild"], "/purchase_sword": ["sword_type", "sword_cost"]}.get(request.route, [])
        for key in keys:
            require(
                key in events[0],
                expected=f"a key {key}",
                found=", ".join(events[0]),
                where=f"the event of {request.route}",
                cause=f"{key} is not in the event, or is spelled otherwise",
            )


def test_event_carries_this_requests_headers(traffic):
    """An event carries the headers of its own request."""
    for route in ROUTES:
        for request, event in traffic.of(route):
            for key, value in (("Host", request.host), ("User-Agent", request.agent), ("Accept", request.accept)):
                require(
                    event.get(key) == value,
                    expected=f"{key}: {value}",
                    found=f"{key}: {event.get(key)}",
                    where=f"the event of {request.host}",
                    cause="the headers are not in the event under their own names, or are another request's",
                )


def test_answer_and_event_agree(traffic):
    """The answer and the event name the same guild, and the same sword."""
    for route, key in (("/join_guild", "guild"), ("/purchase_sword", "sword_type")):
        for request, event in traffic.of(route):
            named = str(event.get(key))
            require(
                named in request.text and event.get(key),
                expected=f"an answer that names {key} {named}",
                found=request.text.strip(),
                where=f"answer and event of {request.host}",
                cause="it is drawn twice: once for the answer, once for the event",
            )


def wrong_cost(cost):
    """What is wrong with a cost."""
    return "the cost is not looked up by the sword" if type(cost) is int else "the cost is not a whole number"


def test_cost_fits_the_sword(traffic):
    """A sword always costs the same, a whole number of coins."""
    for request, event in traffic.of("/purchase_sword"):
        sword, cost = event.get("sword_type"), event.get("sword_cost")
        require(
            type(cost) is int and SWORDS.get(sword) == cost,
            expected=f"{sword}: {SWORDS.get(sword)}",
            found=f"{sword}: {cost!r}",
            where=f"the event of {request.host}",
            cause=wrong_cost(cost),
        )


def test_guilds_vary(game, topic, rng, traffic):
    """Players join different guilds and purchase different swords."""
    for name, route, key, least in (
        ("guilds", "/join_guild", "guild", 3),
        ("swords", "/purchase_sword", "sword_type", 2),
    ):
        kinds = traffic.drawn(route, key)
        if len(kinds) < least:
            kinds = more_traffic(game, topic, rng, route).drawn(route, key)
        require(
            len(kinds) >= least,
            expected=f"at least {least} {name} among {MORE_PLAYERS} players",
            found=kinds,
            where=ON_TOPIC,
            cause="every player gets the same: it is drawn once, or typed in",
        )


def test_unknown_route_is_404_and_logs_nothing(game, topic, rng, traffic):
    """An unknown route is answered with 404 and becomes no event."""
    before = topic.end()
    unknown = [send(game, rng, route) for route in (f"/{word(rng)}", "/join_guilds", "/purchase")]
    known = send(game, rng, "/join_guild")  # when its event is there, one of the others would be there too
    messages = arrived(topic, before, [known])
    for request in unknown:
        require(
            request.status == 404,
            expected=f"status 404 for {request.route}",
            found=request.status,
            where="the answer",
            cause="a route or an error handler takes every path",
        )
        require(
            not request.events(messages),
            expected=f"no event for {request.route}",
            found=request.events(messages),
            where=ON_TOPIC,
            cause="events are logged before a route is chosen",
        )


def test_burst_of_200_loses_and_doubles_none(game, topic, rng, traffic):
    """A burst of 200 requests loses no event and doubles none."""
    for request in traffic.sent:
        if request.status != 200:
            raise no_event(request, traffic.messages)
    before = topic.end()
    plans = [(rng.choice(["/join_guild", "/purchase_sword"]), type(rng)(rng.random())) for _ in range(BURST)]
    with ThreadPoolExecutor(16) as pool:
        sent = list(pool.map(lambda plan: send(game, plan[1], plan[0]), plans))
    messages = arrived(topic, before, sent)
    answered = {request.host for request in sent if request.status == 200}
    events = Counter(message.event.get("Host") for message in messages)
    require(
        len(answered) == BURST,
        expected=f"{BURST} answers with status 200",
        found=Counter(request.status for request in sent),
        where="the answers",
        next=LOOK,
    )
    lost = answered - set(events)
    require(
        not lost,
        expected=f"{BURST} events",
        found=f"{BURST - len(lost)} of them",
        where=ON_TOPIC,
        cause="the answer is given before the broker has the event, or an error is swallowed",
    )
    doubled = [name for name in answered if events[name] > 1]
    require(
        not doubled,
        expected="each event once",
        found=f"{len(doubled)} hosts twice or more",
        where=ON_TOPIC,
        cause="an event is sent again after it had arrived",
    )


def test_post_and_body_break_nothing(game, topic, rng, traffic):
    """A POST, or a request with a body, is answered and logged like a GET."""
    before = topic.end()
    sent = [
        send(game, rng, "/join_guild", method="POST", json={"guild": word(rng)}),
        send(game, rng, "/purchase_sword", method="POST", data=b"{ no JSON"),
        send(game, rng, "/join_guild", data=b"a body"),
        send(game, rng, f"/purchase_sword?n={word(rng)}"),
    ]
    messages = arrived(topic, before, sent)
    for request in sent:
        refused = request.status == 405  # GET alone is right too, if it is said
        require(
            refused or request.status == 200,
            expected="status 200, or 405 for a POST",
            found=request.status,
            where=f"the answer to {request.route}",
            cause="the handler reads a body that need not be there",
            next=LOOK,
        )
        require(
            len(request.events(messages)) == (0 if refused else 1),
            expected="one event for each answer",
            found=f"{len(request.events(messages))} events",
            where=ON_TOPIC,
            cause="the handler logs only requests of one kind",
        )
