"""The game's API web server: every request becomes one event on Kafka's topic `events`.

Run it with `env FLASK_APP=game_api.py flask run --host 0.0.0.0`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from threading import Lock

from flask import Flask, request
from kafka import KafkaProducer
from kafka.errors import KafkaError

# How many of a hundred cards name each guild and each sword.
GUILDS = {"Blueblades": 25, "Triad": 23, "Bouldergarde": 18, "Madvale": 18, "Hellforge": 16}
SWORDS = {"templer": 83, "crusader": 14, "hattori hanzo": 2, "light saber": 1}
SWORD_COSTS = {"templer": 5, "crusader": 10, "hattori hanzo": 25, "light saber": 50}

SEED = os.environ.get("GAME_SEED") or os.urandom(8).hex()  # the same seed deals the same cards

app = Flask(__name__)
producer = KafkaProducer(  # one for all requests
    bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "kafka:29092"),
    value_serializer=lambda event: json.dumps(event).encode(),
    api_version=(4, 0),  # not asked of the broker, so that the game starts even if Kafka is not up yet
    acks="all",  # an event counts as logged once the broker has it, not once we have sent it
    enable_idempotence=False,
    retries=0,  # try once: then no event is doubled, and the player hears of a failure
    max_block_ms=5000,  # without Kafka give up after 5 s ...
    request_timeout_ms=4000,
    delivery_timeout_ms=5000,
    reconnect_backoff_max_ms=1000,  # ... and find it again within a second of its return
)


class Deck:
    """A shuffled deck of cards, replaced by a fresh one when used up; many threads may deal from it."""

    def __init__(self, name: str, proportions: dict[str, int]) -> None:
        self.proportions = proportions
        self.random = Random(f"{SEED} {name}")
        self.cards: list[str] = []
        self.lock = Lock()

    @contextmanager
    def card(self) -> Iterator[str]:
        """Deal one card; if what is done with it fails, it goes back, so that the proportions stay true."""
        with self.lock:
            if not self.cards:
                self.cards = [name for name, count in self.proportions.items() for _ in range(count)]
                self.random.shuffle(self.cards)
            card = self.cards.pop()
        try:
            yield card
        except Exception:
            with self.lock:
                self.cards.append(card)
            raise


guilds = Deck("guilds", GUILDS)
swords = Deck("swords", SWORDS)


def log_event(event_type: str, **details: str | int) -> None:
    """Write this request's headers and `details` to topic `events`; return when Kafka has acknowledged it."""
    # TODO 1: so far the event is empty. One flat object must hold the headers of this request (Host, User-Agent,
    # Accept, …: see flask.request), event_type and the details.
    event: dict[str, str | int] = {}
    # TODO 2: send() puts the event into a buffer and returns at once, whatever becomes of it. Wait for the
    # broker's word; if there is none, the KafkaError reaches event_not_logged below.
    producer.send("events", event)


@app.errorhandler(KafkaError)
def event_not_logged(error: KafkaError) -> tuple[str, int]:
    """Never answer as if all were well when the event may not be on the topic."""
    return f"Kafka has not confirmed the event: {error}. Is Kafka up? Please try again.\n", 503


@app.route("/", methods=["GET", "POST"])
def default_response() -> str:
    log_event("default")
    return "This is the default response!\n"


@app.route("/join_guild", methods=["GET", "POST"])
def join_guild() -> str:
    # TODO 3: every player joins the same guild, and the event does not say which. Take a card of the deck `guilds`.
    log_event("join_guild")
    return "You have joined Blueblades!\n"


# TODO 4: /purchase_sword, event_type purchase_sword, with sword_type and sword_cost.
# The answer: You have purchased the crusader sword!
