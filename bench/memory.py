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
    rows.append(at_most("  with Flask and both Spark jobs", sum(row.memory for row in status) / GIB, 2.0, " GiB"))
    processes = [each for info in cluster.supervisor.info().values() for each in info.processes()]
    if psutil.LINUX:
        shared_once = sum(process.memory_full_info().pss for process in processes)
        rows.append(Row("  the same, shared pages counted once", f"{shared_once / GIB:.2f} GiB"))
    return rows
