"""A start with everything in place: from `make up` until Presto answers a query over a Hive table in HDFS."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median

import psutil
import requests
from prestodb.exceptions import DatabaseError, PrestoQueryError

from bench.row import Row, at_least, at_most
from bench.surroundings import swordlab
from swordlab.cluster.local import LocalCluster
from swordlab.engines import ENGINES
from swordlab.engines.java import STOCK_VARIABLE
from swordlab.grading.clean import programs
from swordlab.grading.live import Presto
from swordlab.places import CHECKOUT

RUNS = 3
PATIENCE = 300.0  # seconds
QUERY = "select count(*) from guild_joins"


def measure(cluster: LocalCluster) -> list[Row]:
    """The median of some starts, against their CPU time and against stock flags; the student's programs are gone."""
    cluster.supervisor.forget(programs(cluster))
    runs = [start(cluster) for _ in range(RUNS)]
    wall, cpu = (median(run[i] for run in runs) for i in (0, 1))
    chain = cluster.state.root / "one-after-the-other.yml"
    chain.write_text(one_after_the_other())
    stock, stock_cpu = start(cluster, "--file", str(chain), environ={STOCK_VARIABLE: "1"})
    swordlab("down")
    swordlab("demo")  # the programs again
    bound = cpu / (os.cpu_count() or 1)
    return [
        at_most("warm make up until Presto answers", wall, 10, " s"),
        Row("  CPU time of it", f"{cpu:.1f} s"),
        at_most("  ÷ (CPU time ÷ cores)", wall / bound, 1.3),
        Row("the same, stock flags, one engine after the other", f"{stock:.1f} s"),
        Row("  CPU time of it", f"{stock_cpu:.1f} s"),
        at_least("  ÷ warm make up", stock / wall, 4),
    ]


def start(cluster: LocalCluster, *arguments: str, environ: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Wall and CPU seconds of one start; the cluster is stopped before it."""
    swordlab("down")
    begin = time.monotonic()
    command = [sys.executable, "-m", "swordlab", "up", *arguments]
    log = cluster.state.log("bench")
    with log.open("w") as output:
        up = subprocess.Popen(
            command, cwd=CHECKOUT, env=os.environ | dict(environ or {}), stdout=output, stderr=subprocess.STDOUT
        )
    process = psutil.Process(up.pid)
    own = 0.0  # CPU seconds of the command itself
    while not answers():
        if up.poll() is None:
            own = cpu_seconds(process)
        if up.poll() or time.monotonic() - begin > PATIENCE:
            raise SystemExit(f"the cluster did not start:\n{log.read_text()}")
        time.sleep(0.1)
    wall = time.monotonic() - begin
    supervisord = psutil.Process(int(cluster.supervisor.call.getPID()))
    cpu = own + sum(cpu_seconds(each) for each in (supervisord, *supervisord.children(recursive=True)))
    up.wait()
    return wall, cpu


def answers() -> bool:
    """Whether Presto counts the rows of a table now."""
    try:
        return bool(Presto().rows(QUERY))
    except (PrestoQueryError, DatabaseError, requests.RequestException):
        return False


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process and of those it has waited for."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


def one_after_the_other() -> str:
    """A compose file in which each engine waits for the one before; a NameNode with blocks is not ready without its
    DataNode, so that these two start together."""
    lines, before = ["services:"], ""
    for name in (each for each in ENGINES if each != "datanode"):
        names = ["namenode", "datanode"] if name == "namenode" else [name]
        lines += [f"  {name}:", f"    command: swordlab engine {' '.join(names)}"]
        lines += [f"    healthcheck: {{test: [CMD, swordlab, healthy, {', '.join(names)}]}}"]
        lines += [f"    depends_on: {{{before}: {{condition: service_healthy}}}}"] if before else []
        before = name
    return "\n".join(lines) + "\n"
