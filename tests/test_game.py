"""The game's decks, without Kafka: the reference solution of lab 2 in a process of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from jsonschema import Draft202012Validator

GAME = Path(__file__).parent.parent / "solutions" / "02-flask"


def play(program: str, **environment: str) -> object:
    """Run `program` after `from game_api import …`; what it prints as JSON."""
    # Port 1 refuses at once; importing the game must not need Kafka.
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"} | environment
    code = f"import json\nfrom game_api import *\n{program}\nimport os\nos._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=GAME, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


DEAL = """
def deal(deck, number):
    cards = []
    for _ in range(number):
        with deck.card() as card:
            cards.append(card)
    return cards
"""


def deal(seed: str, number: int = 100) -> dict[str, list[str]]:
    both = f"dict(guilds=deal(guilds, {number}), swords=deal(swords, {number}))"
    dealt = play(f"{DEAL}\nprint(json.dumps({both}), flush=True)", GAME_SEED=seed)
    assert isinstance(dealt, dict)
    return dealt


def test_a_hundred_cards_have_the_reports_proportions() -> None:
    dealt = deal("7")
    assert Counter(dealt["guilds"]) == {
        "Blueblades": 25,
        "Triad": 23,
        "Bouldergarde": 18,
        "Madvale": 18,
        "Hellforge": 16,
    }
    assert Counter(dealt["swords"]) == {"templer": 83, "crusader": 14, "hattori hanzo": 2, "light saber": 1}


def test_the_used_up_deck_is_replaced_and_shuffled_anew() -> None:
    guilds = deal("7", 200)["guilds"]
    assert Counter(guilds[:100]) == Counter(guilds[100:])
    assert guilds[:100] != guilds[100:]


def test_the_seed_decides() -> None:
    assert deal("7") == deal("7")
    assert deal("7")["guilds"] != deal("8")["guilds"]
    assert deal("")["guilds"] != deal("")["guilds"]


def test_a_card_goes_back_when_its_event_fails() -> None:
    program = f"""{DEAL}
deal(swords, 99)
for _ in range(3):
    try:
        with swords.card() as lost:
            raise OSError
    except OSError:
        pass
print(json.dumps([lost, len(swords.cards), deal(swords, 1)[0]]), flush=True)
"""
    lost, left, dealt = play(program)  # type: ignore[misc]
    assert left == 1
    assert dealt == lost


def test_many_threads_share_one_deck() -> None:
    program = f"""{DEAL}
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    cards = [card for part in pool.map(lambda _: deal(guilds, 25), range(40)) for card in part]
print(json.dumps(cards), flush=True)
"""
    cards = play(program)
    assert Counter(cards) == {  # type: ignore[arg-type]
        "Blueblades": 250,
        "Triad": 230,
        "Bouldergarde": 180,
        "Madvale": 180,
        "Hellforge": 160,
    }


def test_without_kafka_a_request_is_refused_in_time_and_its_card_goes_back() -> None:
    program = """
import time
start = time.monotonic()
answer = app.test_client().get("/join_guild")
result = [answer.status_code, answer.text, time.monotonic() - start, len(guilds.cards)]
print(json.dumps(result), flush=True)
"""
    status, text, seconds, cards = play(program)  # type: ignore[misc]
    assert status == 503
    assert "Kafka has not confirmed the event" in text
    assert seconds < 10
    assert cards == 100


def test_the_sample_events_fit_their_schemas_and_no_other() -> None:
    events = GAME.parent.parent / "events"
    schemas = {
        kind: json.loads((events / f"{kind}.schema.json").read_text("utf-8"))
        for kind in ("join_guild", "purchase_sword")
    }
    samples = [json.loads(line) for line in (events / "samples.jsonl").read_text("utf-8").splitlines()]
    for sample in samples:
        fitting = [kind for kind, schema in schemas.items() if Draft202012Validator(schema).is_valid(sample)]
        assert fitting == [sample["event_type"]]
