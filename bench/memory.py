"""Resident memory: of each engine, of all, and of all with both Spark jobs."""

import psutil

from bench.row import Row, at_most
from swordlab.cluster.local import LocalCluster

MIB = 2**20
GIB = 2**30


def measure(cluster: LocalCluster) -> list[Row]:
    """As `make status` shows it; and once without counting pages twice that programs share (Linux: PSS)."""
    status = [row for row in cluster.status() if row.memory]
    rows = [Row(f"memory of {row.program}", f"{row.memory / MIB:.0f} MiB") for row in status]
    engines = sum(row.memory for row in status if row.ports)
    rows.append(Row("memory of the engines", f"{engines / GIB:.2f} GiB"))
    total = sum(row.memory for row in status) / GIB
    if not psutil.LINUX:
        return [*rows, at_most("  with Flask and both Spark jobs", total, 2.0, " GiB")]
    processes = [each for info in cluster.supervisor.info().values() for each in info.processes()]
    shared_once = sum(process.memory_full_info().pss for process in processes) / GIB
    return [
        *rows,
        Row("  with Flask and both Spark jobs, as the sum of RSS", f"{total:.2f} GiB"),
        at_most("  the same, pages that programs share counted once", shared_once, 2.0, " GiB"),
    ]
