"""`python -m bench [NAME…]`: run the named measurements or all, print the table. All of them renew docs/bench.md."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

import psutil
from rich.table import Table

from bench import checks, cold, grading, latency, memory, on_docker, throughput, warm
from bench.row import Row
from bench.surroundings import own_cluster
from swordlab import console
from swordlab.cluster.local import LocalCluster
from swordlab.places import CHECKOUT

PAGE = CHECKOUT / "docs" / "bench.md"
ALONE: dict[str, Callable[[], list[Row]]] = {
    "cold": cold.measure,
    "docker": on_docker.measure,
    "grading": grading.measure,
}
ON_A_CLUSTER: dict[str, Callable[[LocalCluster], list[Row]]] = {
    "warm": warm.measure,  # first: with the tables that the demo made, not with those of the other measurements
    "memory": memory.measure,
    "latency": latency.measure,
    "checks": checks.measure,
    "throughput": throughput.measure,  # after what reads the whole topic: it fills it
}
"""A measurement more is a module more and a line here."""
NAMES = [*ALONE, *ON_A_CLUSTER]


def main(names: Sequence[str]) -> int:
    """Measure, print, and write the page when everything was measured."""
    if unknown := set(names) - set(NAMES):
        console.problem(f"there is no measurement '{unknown.pop()}': the measurements are {', '.join(NAMES)}")
        return 1
    wanted = [name for name in NAMES if name in names or not names]
    load = f"{os.getloadavg()[0]:.1f}"
    rows: list[Row] = []
    try:
        for some in measurements(wanted):
            rows += some
    finally:  # what was measured before a failure is worth its time
        print_table(rows)
    if wanted == NAMES:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(rows, load))
        console.say(f"Written to {PAGE.relative_to(CHECKOUT)}.")
    return 0


def measurements(wanted: Sequence[str]) -> Iterator[list[Row]]:
    """The rows of one measurement after the other."""
    for name in (each for each in wanted if each in ALONE):
        console.say(f"measuring {name} …")
        yield ALONE[name]()
    if on_a_cluster := [name for name in wanted if name in ON_A_CLUSTER]:
        console.say("starting a cluster and running the demo on it …")
        with own_cluster() as cluster:
            for name in on_a_cluster:
                console.say(f"measuring {name} …")
                yield ON_A_CLUSTER[name](cluster)


def print_table(rows: Sequence[Row]) -> None:
    """The table for the person at the keyboard."""
    table = Table(box=None, pad_edge=False)
    for column in ("MEASUREMENT", "FIGURE", "TARGET", ""):
        is_number = column in ("FIGURE", "TARGET")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=column != "MEASUREMENT")
    for row in rows:
        table.add_row(row.what, row.figure, row.target, row.verdict, style="red" if row.reached is False else None)
    console.out.print(table)


def page(rows: Sequence[Row], load: str) -> str:
    """The page that keeps the last run, with the machine it ran on."""
    lines = [
        "# What the lab costs",
        "",
        "Written by `make bench`. Ratios are within one run, so that they can be compared between machines.",
        "",
        f"{datetime.now(timezone.utc):%Y-%m-%d}, commit {commit()}: {os.cpu_count()} cores,"
        f" {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()} {platform.release()}"
        f" {platform.machine()}, Python {platform.python_version()}; load average at the start {load}.",
        "",
        "| measurement | figure | target | |",
        "|---|---:|---:|---|",
    ]
    lines += [
        f"| {row.what.replace('  ', '&emsp;', 1)} | {row.figure} | {row.target} | {row.verdict} |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def commit() -> str:
    """The commit that was measured."""
    command = ["git", "describe", "--always", "--dirty"]
    return (
        subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
