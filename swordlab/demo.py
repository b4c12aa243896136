"""`make demo`: the report's pipeline on the real engines, from the first request to the answers of its section 9."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prestodb
import requests
from kafka import KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError
from pyhive import hive
from rich.table import Table

from swordlab import console, endpoints, hosts
from swordlab.cluster import current
from swordlab.cluster.local import COMPOSE_FILE, LocalCluster
from swordlab.cluster.supervisor import Program
from swordlab.engines import spark
from swordlab.errors import LabError
from swordlab.places import CHECKOUT

PLAYERS = 100
FOLDERS = ("guild_joins", "sword_purchases")
JOBS = ("write_guild_stream", "write_swords_stream")
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


def run(tree: str) -> int:
    """Run the pipeline of `tree` (solutions or labs); exit status 1 when a figure differs from the report's."""
    hosts.install()
    cluster = current()
    console.say("1  The cluster")
    with console.Steps() as steps:
        cluster.up(COMPOSE_FILE, steps)
    Demo(cluster, CHECKOUT / tree).play()
    same = print_answers(CHECKOUT / tree / "09-presto")
    cluster.save_class_data_later()
    print_pages()
    return 0 if same else 1


class Demo:
    """The report's sections 2 to 7."""

    def __init__(self, cluster: LocalCluster, tree: Path) -> None:
        self.cluster, self.tree = cluster, tree

    def play(self) -> None:
        """Fresh events through the whole pipeline."""
        self.begin_clean()
        console.say("2  Flask: the game answers on " + endpoints.url("FLASK_URL"))
        self.start_programs()
        console.say("3  Kafka: topic events")
        self.step([sys.executable, str(self.tree / "03-kafka" / "create_topic.py")])
        console.say("6  Hive: tables guild_joins and sword_purchases")
        self.create_tables()
        console.say("7  Events: 50 players of comcast.com and 50 of att.com, each joins a guild and purchases a sword")
        self.step(["bash", str(CHECKOUT / "events" / "stream_events.sh")])
        console.say("4  Spark: both streams write to HDFS every ten seconds")
        wait_until(
            lambda: [rows(f"select count(*) from {name}")[0][0] for name in FOLDERS] == [PLAYERS] * 2,
            f"{PLAYERS} rows in each table",
            "make status; the jobs' logs are in the logs folder",
        )

    def begin_clean(self) -> None:
        """Stop the programs of an earlier run and remove its events, files and tables."""
        supervisor = self.cluster.supervisor
        for name in ("flask", *JOBS):
            supervisor.stop(name)
        cursor = hive_cursor()
        for name in FOLDERS:
            cursor.execute(f"drop table if exists {name}")
            for path in (name, f"checkpoints_for_{name}"):
                address = f"{endpoints.url('WEBHDFS_URL')}/webhdfs/v1/tmp/{path}"
                requests.delete(address, params={"op": "DELETE", "recursive": "true"}, timeout=30).raise_for_status()
        admin = KafkaAdminClient(bootstrap_servers=endpoints.url("KAFKA_BOOTSTRAP_SERVERS"))
        try:
            admin.delete_topics(["events"])
            wait_until(lambda: "events" not in admin.list_topics(), "the old topic deleted", "make status")
        except UnknownTopicOrPartitionError:
            pass
        finally:
            admin.close()

    def start_programs(self) -> None:
        """Flask and the two Spark jobs, supervised."""
        supervisor = self.cluster.supervisor
        programs = supervisor.programs()
        for program in (self.flask(), *map(self.job, JOBS)):
            programs[program.name] = program
        supervisor.define(programs)
        for name in ("flask", *JOBS):
            supervisor.start(name)
        wait_until(
            lambda: urllib.request.urlopen(endpoints.url("FLASK_URL") + "/", timeout=2).status == 200,  # noqa: S310
            "an answer from Flask",
            "make status",
        )

    def flask(self) -> Program:
        """The game."""
        command = (
            sys.executable,
            "-m",
            "flask",
            "--app",
            "game_api.py",
            "run",
            "--host",
            endpoints.url("BIND"),
            "--port",
            endpoints.url("FLASK_PORT"),
        )
        return Program(
            "flask", command, "mids", endpoints.environment(), str(self.tree / "02-flask"), False, str(time.time())
        )

    def job(self, name: str) -> Program:
        """One Spark job."""
        environment = endpoints.environment() | spark.environment(self.cluster.state)
        command = (spark.submit_command(), f"{name}.py")
        return Program(name, command, "spark", environment, str(self.tree / "04-spark"), False, str(time.time()))

    def create_tables(self) -> None:
        """Run the lab's HiveQL, statement by statement."""
        text = (self.tree / "06-hive" / "create_tables.hql").read_text()
        code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        cursor = hive_cursor()
        for statement in filter(None, (part.strip() for part in code.split(";"))):
            cursor.execute(statement)

    def step(self, command: list[str]) -> None:
        """One program of the pipeline, with the lab's tools on its PATH."""
        path = f"{CHECKOUT / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | endpoints.environment() | {"PATH": path}
        if subprocess.run(command, env=environment, check=False).returncode:
            raise LabError(f"{Path(command[-1]).name} failed; what it said is above", "make status")


def hive_cursor() -> Any:
    """A session with HiveServer2."""
    port = int(endpoints.url("HIVE_PORT"))
    return hive.connect(endpoints.url("HIVE_HOST"), port, auth="NONE", username="root").cursor()


def rows(sql: str) -> list[tuple[Any, ...]]:
    """Presto's answer."""
    connection = prestodb.dbapi.connect(
        host=endpoints.url("PRESTO_HOST"),
        port=int(endpoints.url("PRESTO_PORT")),
        user="root",
        catalog="hive",
        schema="default",
    )
    cursor = connection.cursor()
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()]


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
    different = []
    for file in sorted(folder.glob("9_*.sql")):
        sql = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("--"))
        found = rows(sql.strip().rstrip(";"))
        console.say(f"\n{sql.strip()}", "bold")
        table = Table(box=None, show_header=False)
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
