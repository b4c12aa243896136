"""`make demo`: the report's pipeline on the real engines, from the first request to the answers of its section 9."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prestodb
import requests
from rich import box
from rich.table import Table

from swordlab import console, endpoints, hosts
from swordlab.cluster import current
from swordlab.cluster.local import COMPOSE_FILE
from swordlab.errors import LabError
from swordlab.grading import state
from swordlab.grading.live import Presto
from swordlab.grading.rows import TABLES
from swordlab.labs import all_labs
from swordlab.work import Work

PLAYERS = 100
WITHIN = 120.0  # seconds for the rows to arrive
POLL = 0.3
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "9_5_hosts": [(100,)],
    "9_6_guilds": [
        ("Blueblades", 25),
        ("Triad", 23),
        ("Bouldergarde", 18),
        ("Madvale", 18),
        ("Hellforge", 16),
    ],
    "9_7_num_swords": [(100,)],
    "9_8_swords": [
        ("templer", 83, 415),
        ("crusader", 14, 140),
        ("hattori hanzo", 2, 50),
        ("light saber", 1, 50),
    ],
}
"""The report's figures."""


def run(tree: Path) -> int:
    """Run the pipeline of `tree` (solutions or labs); exit status 1 when a figure differs from the report's."""
    hosts.install()
    cluster = current()
    console.say("1  The cluster")
    with console.Steps() as steps:
        cluster.up(COMPOSE_FILE, steps)
    play(Work(cluster, tree))
    same = print_answers(tree / "09-presto")
    cluster.save_class_data_later()
    print_pages()
    return 0 if same else 1


def play(work: Work) -> None:
    """The report's sections 2 to 7: fresh events through the whole pipeline."""
    labs = {lab.folder: lab for lab in all_labs().values()}
    state.begin_clean(work)
    console.say("2  Flask: the game answers on " + endpoints.url("FLASK_URL"))
    console.say("4  Spark: both streams write to HDFS every ten seconds")
    work.ensure_running([labs["02-flask"], labs["04-spark"]])
    console.say("3  Kafka: topic events")
    work.perform([labs["03-kafka"]], tell)
    console.say("6  Hive: tables guild_joins and sword_purchases")
    work.perform([labs["06-hive"]], tell)
    console.say("7  Events: 50 players of comcast.com and 50 of att.com, each joins a guild and purchases a sword")
    wait_until(
        lambda: requests.get(endpoints.url("FLASK_URL") + "/", timeout=2).ok,
        "an answer from Flask",
        "make logs SERVICE=flask",
    )
    work.perform([labs["07-generate-events"]], tell)
    console.say("   Their events travel through Spark, which wakes every ten seconds")
    presto = Presto()
    wait_until(
        lambda: all(presto.rows(f"select count(*) from {table.name}") == [(PLAYERS,)] for table in TABLES),
        f"{PLAYERS} rows in each table",
        "make status; make logs SERVICE=write_guild_stream",
    )


def tell(line: str) -> None:
    """One line below a step's."""
    console.say(f"   {line}")


def wait_until(condition: Callable[[], bool], what: str, hint: str) -> None:
    """Poll until `condition` holds; LabError with the last reason when it does not in time."""
    deadline, reason = time.monotonic() + WITHIN, "not yet"
    while True:
        try:
            if condition():
                return
        except (OSError, prestodb.exceptions.DatabaseError, prestodb.exceptions.PrestoQueryError) as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {WITHIN:.0f} s ({reason})", hint)
        time.sleep(POLL)


def print_answers(folder: Path) -> bool:
    """Print each query with Presto's answer; return whether all figures are the report's."""
    console.say("9  Presto")
    presto, different = Presto(), []
    for file in sorted(folder.glob("9_*.sql")):
        sql = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("--"))
        columns, found = presto.answer(sql.strip().rstrip(";"))
        console.say(f"\n{sql.strip()}", "bold")
        table = Table(*columns, box=box.ASCII2, show_edge=False)
        for row in found:
            table.add_row(*map(str, row))
        console.out.print(table)
        if file.stem in EXPECTED and sorted(found) != sorted(EXPECTED[file.stem]):
            different.append(f"{file.stem}: the report has {EXPECTED[file.stem]}, Presto answered {found}")
    for line in different:
        console.problem(line)
    console.say("\n" + ("Some figures differ from the report's." if different else "All figures are the report's."))
    return not different


def print_pages() -> None:
    """What runs now, which pages can be opened, how to stop."""
    url = endpoints.environment()
    console.say(f"""
Running now: the cluster, the game and both streams. Pages to open:
  the game    {url["FLASK_URL"]}/join_guild
  NameNode    http://localhost:{url["NAMENODE_HTTP_PORT"]}/
  HiveServer2 http://localhost:{url["HIVE_HTTP_PORT"]}/
  Spark       http://localhost:{url["SPARK_UI_PORT"]}/
  Presto      http://localhost:{url["PRESTO_PORT"]}/ui/
Stop it with: make down""")
