"""Grade submissions, one after the other, on a private cluster: what runs inside a grader's own namespaces.

Each lab is graded on the student's own earlier work, and where that falls short once more on the reference's, so that
one mistake costs one lab.
"""

import json
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swordlab import hosts
from swordlab.cluster.local import COMPOSE_FILE, LocalCluster
from swordlab.errors import LabError
from swordlab.grading import clean, formats, run, state, variants
from swordlab.grading import results as store
from swordlab.grading.results import PASS, LabResult
from swordlab.grading.sandbox import Sandbox, is_used
from swordlab.labs import SOLUTIONS, Lab, all_labs, needed
from swordlab.places import State
from swordlab.work import Work

ON_REFERENCE = "graded on the reference's earlier labs, since an earlier lab of this submission falls short"

OTHERS = {"submission", "out", "tmp"}
"""What lies in the state folder without being the cluster's."""


class CouldNotGrade(LabError):
    """An engine or the lab failed: this is no mark."""


@dataclass
class Grader:
    """One private cluster, kept warm between submissions as long as it can be proven clean."""

    state: State
    number: int

    @property
    def cluster(self) -> LocalCluster:
        """The private cluster."""
        return LocalCluster(self.state)

    def grade(self, tree: Path, out: Path, name: str, notes: Sequence[str]) -> formats.Mark:
        """Grade the lab files of one submission, its results into `out`. Raises CouldNotGrade after two tries."""
        began, seed = time.time(), run.new_seed()
        for attempt in (1, 2):
            self.ready()
            results = self.results(tree, seed)
            if not any(result.is_broken for result in results):
                break
            self.throw_away()
            if attempt == 2:
                raise CouldNotGrade(f"{name}: {reason(results)}", "make grade again; the log of the checks says more")
        results = [store.without_paths(result, [tree, self.state.root / "on-reference"]) for result in results]
        mark = formats.Mark(name, results, notes, began, time.time() - began)
        formats.write(mark, out)
        return mark

    # the cluster

    def ready(self) -> None:
        """A cluster that runs and holds nothing of anybody's."""
        if self.cluster.is_up():
            clean.wipe(self.work(SOLUTIONS))
            if clean.is_clean(self.cluster):
                return
            self.throw_away()
        self.cluster.up(COMPOSE_FILE)

    def throw_away(self) -> None:
        """End the cluster and all that it holds."""
        self.cluster.down()
        for path in self.state.root.iterdir():
            if path.name not in OTHERS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.state = State(self.state.root)  # its folders are made anew

    def work(self, tree: Path) -> Work:
        """A stranger's tree in the sandbox; the reference's without."""
        boxed = tree != SOLUTIONS and is_used()
        return Work(self.cluster, tree, Sandbox(self.state, self.number) if boxed else None)

    # the labs

    def results(self, tree: Path, seed: int) -> list[LabResult]:
        """Every lab's result, the better of its one or two."""
        found = {lab.number: self.check(lab, self.work(tree), seed) for lab in in_order()}
        again = [lab for lab in all_labs().values() if falls_short(lab, found)]
        if again and not any(result.is_broken for result in found.values()):
            for lab, result in self.on_reference(again, tree, seed):
                found[lab.number] = max(found[lab.number], result, key=lambda each: each.earned)
        return [found[number] for number in sorted(found)]

    def check(self, lab: Lab, work: Work, seed: int) -> LabResult:
        """One lab, while only its own programs and those that it needs run."""
        own = {each.number for each in [lab, *needed(lab)]}
        work.stop([each for each in all_labs().values() if each.number not in own])
        found = run.check(lab, work, seed=seed)
        if lab.compose:
            self.cluster.up(COMPOSE_FILE)
        return found

    def on_reference(self, labs: Sequence[Lab], tree: Path, seed: int) -> Iterator[tuple[Lab, LabResult]]:
        """These labs once more, each on the reference's earlier labs."""
        clean.wipe(self.work(SOLUTIONS))
        for lab in labs:
            reference = self.work(SOLUTIONS)
            for kind in lab.makes:
                state.remove(reference, kind)
            reference.perform(needed(lab))
            base = self.state.root / "on-reference"
            variants.overlay(lab, tree / lab.folder, base)
            try:
                found = run.check(lab, self.work(base), seed=seed)
            finally:
                self.cluster.supervisor.forget([program.name for program in lab.programs])
            yield lab, LabResult(**{**vars(found), "notes": (*found.notes, ON_REFERENCE)})


def in_order() -> list[Lab]:
    """Each lab after those that it stands on, and next to those that stand on the same: few programs start twice."""
    return sorted(all_labs().values(), key=lambda lab: [each.number for each in [*needed(lab), lab]])


def falls_short(lab: Lab, found: dict[int, LabResult]) -> bool:
    """Whether a lab did not pass, and one that it stands on did not either."""
    return found[lab.number].verdict != PASS and any(found[each.number].verdict != PASS for each in needed(lab))


def reason(results: Sequence[LabResult]) -> str:
    """Why there is no mark."""
    return next(f"lab {result.number}: {entry.found}" for result in results for entry in result.results if entry.broken)


def training_run(state_folder: Path) -> int:
    """Run what has a long start once, for the archives with which everything after it starts faster.

    That is the engines and the reference's Spark drivers: a stranger's driver must not write what others read.
    """
    hosts.install()
    cluster = LocalCluster(State(state_folder))
    cluster.up(COMPOSE_FILE)
    work = Work(cluster, SOLUTIONS)
    for lab in all_labs().values():
        if any(program.service == "spark" for program in lab.programs):
            work.perform(needed(lab))
            run.check(lab, work, seed=run.new_seed())
    cluster.save_class_data()
    cluster.down()
    return 0


def serve(state_folder: Path, number: int) -> int:
    """Grade what standard input names, a JSON line for each; answer each with a JSON line."""
    hosts.install()
    grader = Grader(State(state_folder), number)
    for line in sys.stdin:
        task = json.loads(line)
        answer = handle(grader, task)
        print(json.dumps(answer), flush=True)
    grader.cluster.down()
    return 0


def handle(grader: Grader, task: dict[str, Any]) -> dict[str, object]:
    """One submission's answer: its marks, or why there are none."""
    began = time.monotonic()
    try:
        mark = grader.grade(Path(task["tree"]), Path(task["out"]), task["name"], task["notes"])
    except LabError as error:
        return no_mark(task, str(error), error.status, began)
    except Exception as error:
        traceback.print_exc()  # into the grader's log
        grader.throw_away()
        return no_mark(task, f"the grader failed ({type(error).__name__}: {error})", LabError.status, began)
    return {
        "name": task["name"],
        "earned": mark.earned,
        "points": mark.points,
        "labs": store.as_dicts(mark.results),
        "seconds": time.monotonic() - began,
    }


def no_mark(task: dict[str, Any], problem: str, status: int, began: float) -> dict[str, object]:
    """The answer for a submission that could not be graded."""
    return {"name": task["name"], "problem": problem, "status": status, "seconds": time.monotonic() - began}
