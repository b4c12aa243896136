"""From a request to its row: how long until Presto finds the event that Flask answered."""

import threading
import time

from bench.row import Row, at_most
from swordlab.cluster.local import LocalCluster
from swordlab.grading.live import Game, Presto

EVENTS = 240
PAUSE = 0.25  # seconds between two events: they fall on every moment of a trigger's ten seconds
TRIGGER = 10.0  # seconds
WITHIN = 60.0  # seconds


def measure(_: LocalCluster) -> list[Row]:
    """Quantiles over all events."""
    sent: dict[str, float] = {}
    sender = threading.Thread(target=send, args=(sent,))
    sender.start()
    seen: dict[str, float] = {}
    deadline = time.monotonic() + EVENTS * PAUSE + WITHIN
    while len(seen) < EVENTS and time.monotonic() < deadline:
        found = Presto().rows("select host from guild_joins where host like 'bench%'")
        now = time.monotonic()
        for (host,) in found:
            seen.setdefault(host, now)
        time.sleep(0.1)
    sender.join()
    if len(seen) < EVENTS:
        raise SystemExit(f"{EVENTS - len(seen)} of {EVENTS} events did not arrive within {WITHIN:.0f} s")
    waits = sorted(seen[host] - sent[host] for host in sent)
    return [
        Row(f"event to row in Presto, {EVENTS} events, median", f"{waits[EVENTS // 2]:.1f} s"),
        at_most("  95 % within", waits[EVENTS * 95 // 100], TRIGGER + 2, " s"),
        Row("  all within", f"{waits[-1]:.1f} s"),
    ]


def send(sent: dict[str, float]) -> None:
    """One request after the other; note when each was answered."""
    due = time.monotonic()
    for number in range(EVENTS):
        host = f"bench{number}.example"
        Game().ask("/join_guild", {"Host": host}).raise_for_status()
        sent[host] = time.monotonic()
        due += PAUSE
        time.sleep(max(0.0, due - time.monotonic()))
