"""What a check costs: all ten labs on the solutions, which run already and did not change."""

from bench.row import Row, at_most
from bench.surroundings import scratch, swordlab
from swordlab.cluster.local import LocalCluster
from swordlab.grading import results
from swordlab.grading.results import LabResult

WAIT_FOR_A_TRIGGER = {4, 5, 6, 9, 10}
"""The labs whose checks send events and look for what becomes of them in HDFS."""


def measure(_: LocalCluster) -> list[Row]:
    """Of the second of two runs: the first one starts the programs."""
    with scratch() as folder:
        for _run in range(2):
            swordlab("check", "--tree", "solutions", "--json", str(folder / "results.json"))
        found = results.load(folder / "results.json")
    return [
        at_most("check of all ten labs, unchanged", sum(lab.seconds for lab in found), 120, " s"),
        slowest([lab for lab in found if lab.number not in WAIT_FOR_A_TRIGGER], 3),
        slowest([lab for lab in found if lab.number in WAIT_FOR_A_TRIGGER], 14),
    ]


def slowest(labs: list[LabResult], limit: float) -> Row:
    """The one that takes longest."""
    lab = max(labs, key=lambda lab: lab.seconds)
    numbers = ", ".join(str(each.number) for each in labs)
    return at_most(f"  slowest of labs {numbers}: lab {lab.number}", lab.seconds, limit, " s")
