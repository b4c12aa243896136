"""What checks send: events of the game with fresh random hosts, and messages that are no events."""

import itertools
import json
import time
from random import Random
from typing import Any

GUILDS = ("Blueblades", "Triad", "Bouldergarde", "Madvale", "Hellforge")
SWORDS = {"templer": 5, "crusader": 10, "hattori hanzo": 25, "light saber": 50}
"""Sword -> its cost."""
JOIN, PURCHASE = "join_guild", "purchase_sword"


def word(rng: Random, length: int = 8) -> str:
    """Random small letters."""
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=length))


FRESH = itertools.count(time.time_ns() // 10**6)
"""Part of every host's name: the same seed set again must not draw a host of an earlier run."""


def host(rng: Random) -> str:
    """A host that has never been seen."""
    return f"{word(rng)}-{next(FRESH):x}.probe"


def odd_host(rng: Random) -> str:
    """A host that has never been seen, with what a name rarely has: the pipeline takes any."""
    return rng.choice(("{}@comcast.com", "{}_1", "the {}", "{}:5000")).format(host(rng))


def agent(rng: Random) -> str:
    """A user agent that has never been seen."""
    return f"Probe/{rng.randrange(1, 10)}.{rng.randrange(1000)}"


def join(rng: Random, **more: Any) -> dict[str, Any]:
    """An event of a host that joins a guild."""
    return _event(rng, JOIN, guild=rng.choice(GUILDS), **more)


def purchase(rng: Random, **more: Any) -> dict[str, Any]:
    """An event of a host that purchases a sword."""
    sword = rng.choice(list(SWORDS))
    return _event(rng, PURCHASE, sword_type=sword, sword_cost=SWORDS[sword], **more)


def others(rng: Random) -> list[dict[str, Any] | bytes | None]:
    """Messages that belong in neither table: other event types, some that contain the words, and what is no event."""
    return [
        _event(rng, "default"),
        _event(rng, f"{JOIN}_request", guild=rng.choice(GUILDS)),
        _event(rng, f"re_{PURCHASE}", sword_type="templer", sword_cost=5),
        _event(rng, "quest", description=f'{JOIN} or {PURCHASE}: "event_type": "{JOIN}"'),
        {"Host": host(rng), "Accept": "*/*", "User-Agent": f'{JOIN} "{PURCHASE}"'},
        b"",
        None,
        b"no JSON: join_guild, purchase_sword",
        json.dumps([JOIN, PURCHASE]).encode(),
        b'"join_guild"',
        b"\xff\xfe\x00\x01",
    ]


def _event(rng: Random, event_type: str, **more: Any) -> dict[str, Any]:
    headers = {"Host": host(rng), "User-Agent": agent(rng), "Accept": rng.choice(("*/*", "text/html", "text/plain"))}
    return {**headers, "event_type": event_type, **more}
