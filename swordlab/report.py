"""Tables and questions for the person at the keyboard."""

from collections.abc import Sequence

from rich.table import Table

from swordlab import console
from swordlab.cluster.runtime import Cluster, Row


def print_status(rows: Sequence[Row]) -> int:
    """The table of `make status`; exit status 2 when an engine does not answer."""
    if not rows or all(row.health == "down" for row in rows):
        console.say("The cluster is down: make up starts it.")
        return 2
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for column in ("SERVICE", "PROGRAM", "HEALTH", "PORT", "MEMORY", "UPTIME"):
        table.add_column(column, justify="right" if column in ("MEMORY", "UPTIME") else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            row.service,
            row.program,
            row.health,
            " ".join(map(str, row.ports)),
            f"{row.memory / 2**20:.0f} MiB" if row.memory else "-",
            duration(row.uptime),
        )
    table.add_row("", "", "", "", f"{sum(row.memory for row in rows) / 2**20:.0f} MiB", "", style="bold")
    console.out.print(table)
    return 0 if all(row.health in ("healthy", "running") for row in rows) else 2


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if not seconds:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def clean(cluster: Cluster, *, ask: bool) -> int:
    """Say what will be deleted, ask, delete."""
    root = cluster.state.root.resolve()
    if not root.exists():
        console.say(f"Nothing to delete: there is no {root}.")
        return 0
    size = sum(file.lstat().st_size for file in root.rglob("*") if not file.is_symlink() and file.is_file())
    console.say(
        f"This stops the cluster and deletes {root} ({size / 1e6:.0f} MB): topics, HDFS files, Hive tables, "
        "logs. Your files in labs/ and the download cache stay."
    )
    if ask and input("Delete it? [y/N] ").strip().lower() not in ("y", "yes"):
        console.say("Nothing was deleted.")
        return 1
    cluster.clean()
    console.say("Deleted.")
    return 0
