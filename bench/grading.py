"""A class of right submissions: what each further one costs, once every grader has its first one behind it."""

import shutil

from bench.row import Row, at_most
from bench.surroundings import scratch, swordlab
from swordlab.grading import sandbox
from swordlab.labs import SOLUTIONS

GRADERS = 3
SUBMISSIONS = 9


def measure() -> list[Row]:
    """From the time at which each mark was written; one row that says why where there is no sandbox."""
    if not sandbox.is_available():
        return [Row("grading a class", "not measured: there is no sandbox (bubblewrap)")]
    with scratch() as folder:
        for number in range(SUBMISSIONS):
            shutil.copytree(SOLUTIONS, folder / "class" / f"student-{number}")
        swordlab("grade-class", str(folder / "class"), "--out", str(folder / "grades"), "--graders", str(GRADERS))
        done = sorted(mark.stat().st_mtime for mark in (folder / "grades").rglob("graded.json"))
    if len(done) < SUBMISSIONS:
        raise SystemExit(f"{SUBMISSIONS - len(done)} of {SUBMISSIONS} submissions have no mark")
    each = (done[-1] - done[GRADERS - 1]) / (SUBMISSIONS - GRADERS)
    return [at_most(f"a class, {GRADERS} at a time: each further submission", each, 60, " s")]
