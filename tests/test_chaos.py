"""Engines and drivers are killed at random moments while events flow: nothing is lost, doubled or wrongly read.

What is promised, and so what is tested:

- A request that Flask answered is an event on the topic, and each event of the topic is in its table exactly once.
  (A request that was refused while Kafka was dead may be on the topic too: its answer said "not confirmed".)
- A read of Presto that begins and ends while Presto, the metastore, the NameNode and the DataNode answer their probes
  neither fails nor misses a row that an earlier read saw nor shows one twice, whatever happens to Kafka, HiveServer2
  and the drivers. A read may fail while one of those four is dead or on its way back; it must not show wrong rows.
- Everything comes back by itself.

CHAOS_SEED repeats the order and the pauses of a run (the seed is in the message of a failure).
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import requests
from conftest import swordlab
from prestodb.exceptions import DatabaseError, PrestoQueryError

from swordlab.engines import engine, unready
from swordlab.grading.live import Game, Presto, Topic
from swordlab.grading.rows import GUILD_JOINS, SWORD_PURCHASES, TABLES

pytestmark = [pytest.mark.cluster, pytest.mark.long]

ENGINE_KILLS = ["kafka", "namenode", "datanode", "metastore", "hiveserver2", "presto"] * 2
DRIVERS = ["write_guild_stream", "write_swords_stream"]
DRIVER_PAUSE = (3, 20)  # seconds: a driver is killed while it starts, between batches and in the middle of one
READ_THROUGH = {"namenode", "datanode", "metastore", "presto"}
ROUTES = {GUILD_JOINS: "/join_guild", SWORD_PURCHASES: "/purchase_sword"}
EVENTS_A_SECOND = 10
READS = 50
NODES_KEPT = 5  # seconds for which Presto goes by the nodes that it knew at the last read (NodeScheduler)
BACK_WITHIN = 90
ARRIVED_WITHIN = 120


@dataclass
class Chaos:
    """What the threads share."""

    cluster: object
    random: random.Random
    over: threading.Event = field(default_factory=threading.Event)
    answered: Counter = field(default_factory=Counter)  # (event type, host)
    refused: int = 0
    outages: list = field(default_factory=list)  # [begin, end] of each time in which reads may fail
    reads: int = 0
    excused: int = 0
    wrong: list = field(default_factory=list)  # what a reader should not have seen
    kills: Counter = field(default_factory=Counter)
    seen: Counter = field(default_factory=Counter)  # table -> rows of the fullest read

    def play(self):
        """Send events at a steady rate, each with a host of its own."""
        number, due = 0, time.monotonic()
        while not self.over.is_set():
            number += 1
            due += 1 / EVENTS_A_SECOND
            table = TABLES[number % 2]
            host = f"chaos{number}.example"
            try:
                answer = Game().ask(ROUTES[table], {"Host": host})
                answer.raise_for_status()
                self.answered[table.event_type, host] += 1
            except requests.RequestException:
                self.refused += 1
            self.over.wait(max(0, due - time.monotonic()))

    def read(self):
        """Poll Presto all the time and hold each answer against the fullest one before it."""
        while not self.over.is_set():
            for table in TABLES:
                begin = time.monotonic()
                try:
                    [(rows, distinct)] = Presto().rows(f"select count(*), count(distinct host) from {table.name}")
                except (PrestoQueryError, DatabaseError, requests.RequestException) as error:
                    if self.is_outage(begin):
                        self.excused += 1
                    else:
                        self.wrong.append(f"{table.name}: {error}")
                    continue
                self.reads += 1
                if rows != distinct:
                    self.wrong.append(f"{table.name}: {rows} rows of {distinct} hosts")
                if rows < self.seen[table.name]:
                    self.wrong.append(f"{table.name}: {rows} rows after {self.seen[table.name]}")
                self.seen[table.name] = max(rows, self.seen[table.name])
            self.over.wait(0.1)

    def is_outage(self, begin):
        """Whether an outage lies in the time from `begin` until now."""
        return any(until is None or until >= begin for _, until in self.outages)

    @contextmanager
    def outage(self, name):
        """The time in which reads through engine `name` may fail."""
        times = [time.monotonic(), None]
        if name in READ_THROUGH:
            self.outages.append(times)
        yield
        times[1] = time.monotonic() + (NODES_KEPT if name == "presto" else 0)

    def kill_engines(self):
        """Kill each engine, in random order, each once the one before is back."""
        order = self.random.sample(ENGINE_KILLS, len(ENGINE_KILLS))
        for name in order:
            time.sleep(self.random.uniform(0.5, 3))
            with self.outage(name):
                self.kill(name)
                wait_for(lambda name=name: not unready(engine(name)), f"{name} is back", BACK_WITHIN)

    def kill_drivers(self, seed):
        """Kill a driver now and then, ready or not."""
        dice = random.Random(seed)
        while not self.over.wait(dice.uniform(*DRIVER_PAUSE)):
            self.kill(dice.choice(DRIVERS))

    def kill(self, name):
        """kill -9 of a program and what it started."""
        found = self.cluster.supervisor.info()[name]
        for process in found.processes() if found.is_up else []:
            os.kill(process.pid, signal.SIGKILL)
            self.kills[name] += 1
            break


def wait_for(condition, what, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def difference(table):
    """Events on the topic without their row, or with too many, and the other way round."""
    events = Counter(event["Host"] for event in table.events(Topic("events").everything()))
    rows = Counter(host for (host,) in Presto().rows(f"select host from {table.name}"))
    return {host: (events[host], rows[host]) for host in events | rows if events[host] != rows[host]}


def test_no_event_is_lost_or_doubled_and_no_read_fails_whatever_is_killed(cluster):
    done = swordlab("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    seed = os.environ.get("CHAOS_SEED") or os.urandom(4).hex()
    print("CHAOS_SEED", seed)
    chaos = Chaos(cluster, random.Random(seed))
    threads = [
        threading.Thread(target=chaos.play, name="player"),
        threading.Thread(target=chaos.read, name="reader"),
        threading.Thread(target=chaos.kill_drivers, args=(seed,), name="driver killer"),
    ]
    for thread in threads:
        thread.start()
    try:
        chaos.kill_engines()
        time.sleep(chaos.random.uniform(0, 3))
    finally:
        chaos.over.set()
        for thread in threads:
            thread.join()
    print(chaos.kills, f"{chaos.answered.total()} answered, {chaos.refused} refused,"
          f" {chaos.reads} reads, {chaos.excused} excused")  # fmt: skip
    for table in TABLES:
        on_topic = {event["Host"] for event in table.events(Topic("events").everything())}
        lost = {host for kind, host in chaos.answered if kind == table.event_type} - on_topic
        assert not lost, "answered, and not on the topic"
        wait_for(lambda table=table: not difference(table), f"{table.name} has what the topic has", ARRIVED_WITHIN)
    assert not chaos.wrong
    assert min(chaos.kills[name] for name in [*set(ENGINE_KILLS), *DRIVERS]) >= 2
    assert chaos.reads >= READS, "the reader hardly read"
