"""`make verify` proves the course: files agree, solutions pass, starters fail, variants are judged as they must be."""

import ast
import inspect
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.markup import escape

from swordlab import cluster, console, hosts
from swordlab.cluster.local import COMPOSE_FILE
from swordlab.errors import UsageError
from swordlab.grading import run, state, variants
from swordlab.grading.results import FAIL, LabResult
from swordlab.grading.slices import sliced
from swordlab.labs import LABS, SOLUTIONS, Lab, all_labs, lab, needed
from swordlab.work import NOT_WORK, Work

ASKED = re.compile(r"^- `(test_\w+)`: (.+)$", re.M)
"""A line of a lesson's section `What the check asks`."""


@dataclass(frozen=True)
class Row:
    """One thing that was verified."""

    lab: int
    what: str
    wrong: str
    """What is not as it must be; empty when all is."""
    seconds: float = 0.0


def verify(number: int | None, only: str, part: str) -> int:
    """Verify one lab, or all, or what has `only` in its name. Exit status 1 when something is wrong."""
    chosen = [lab(number)] if number else list(all_labs().values())
    hosts.install()
    here = cluster.current()
    with console.Steps() as steps:
        here.up(COMPOSE_FILE, steps)
    here.save_class_data()
    with tempfile.TemporaryDirectory(prefix="swordlab-verify-") as folder:
        rows = [tell(row) for each in chosen for row in rows_of(each, Path(folder), only, part)]
    if not rows:
        raise UsageError(
            f"nothing of lab {number or '1 to 10'} has '{only}' in its name", "make verify LAB=4 names all"
        )
    wrong = [row for row in rows if row.wrong]
    console.say(f"\n{len(rows) - len(wrong)} of {len(rows)} as they must be, {sum(row.seconds for row in rows):.0f} s")
    return int(bool(wrong))


def tell(row: Row) -> Row:
    """One line of the table."""
    word, style = ("WRONG", "red") if row.wrong else ("ok", "green")
    console.out.print(f"  lab {row.lab:>2}  [{style}]{word:<5}[/]  {escape(row.what):<60} {row.seconds:6.1f} s")
    if row.wrong:
        console.out.print(f"          {escape(row.wrong)}")
    return row


def rows_of(chosen: Lab, folder: Path, only: str, part: str) -> Iterator[Row]:
    """Everything about one lab, the quick things first."""
    if not only:
        yield Row(chosen.number, "files, hints and lesson agree with the checks", "; ".join(disagreements(chosen)))
    judge = Judge(chosen, folder)
    judge.prepare()
    for name, judged in judge.cases(part):
        if only in name:
            began = time.monotonic()
            wrong = judged()
            yield Row(chosen.number, name, wrong, time.monotonic() - began)
    judge.leave()


class Judge:
    """One lab's solution, variants and starter, judged one after the other on the same cluster."""

    def __init__(self, chosen: Lab, folder: Path) -> None:
        self.lab, self.folder = chosen, folder

    def cases(self, part: str) -> Iterator[tuple[str, Callable[[], str]]]:
        """Name -> the judgement, which says what is wrong; of the variants those of this part."""
        yield "the solution passes", self.solution
        for group in sliced(variants.groups(list(variants.read(self.lab))), part):
            yield f"{group[0].verdict}: {' + '.join(each.name for each in group)}", partial(self.variants, group)
        yield "the starter fails", self.starter

    def check(self, tree: Path, last: str = "") -> LabResult:
        """Check the lab in this tree, up to check `last`; nothing that it made for the case before counts in this."""
        work = Work(cluster.current(), tree)
        for kind in self.lab.makes:
            state.remove(work, kind)
        return run.check(self.lab, work, seed=run.new_seed(), last=last)

    def prepare(self) -> None:
        """Let the earlier labs' solutions leave behind what this lab stands on, and nothing else do."""
        work = Work(cluster.current(), SOLUTIONS)
        for kind in {kind for earlier in needed(self.lab) for kind in earlier.makes}:
            state.remove(work, kind)
        work.perform(needed(self.lab))

    def solution(self) -> str:
        """It passes with full points. Its programs start faster for every case after it."""
        found = self.check(SOLUTIONS)
        cluster.current().save_class_data()
        return variants.not_passed(found)

    def variants(self, group: Sequence[variants.Variant]) -> str:
        """The checks say of each what they must; one of which they do not is judged again, alone."""
        order = [*self.lab.points]
        last = max((each.check for each in group if each.check), key=order.index, default="")
        Work(cluster.current(), SOLUTIONS).stop([self.lab])  # before the files of the last case go
        found = self.check(variants.write(group, self.folder / "variant"), last)
        wrong = [(each, text) for each in group if (text := each.wrong(found))]
        if len(group) > 1:
            return "; ".join(filter(None, (self.variants([each]) for each, _ in wrong)))
        return "; ".join(f"{each.name}: {text}" for each, text in wrong)

    def starter(self) -> str:
        """It fails here, with a message."""
        tree = self.folder / "starter"
        variants.overlay(self.lab, LABS / self.lab.folder, tree)
        found = self.check(tree)
        if found.verdict != FAIL:
            return f"the starter's verdict is {found.verdict}"
        silent = [
            result.name for result in found.results if result.verdict == FAIL and not (result.found and result.expected)
        ]
        return f"fails without a message: {', '.join(silent)}" if silent else ""

    def leave(self) -> None:
        """The cluster as the course's own file describes it."""
        if self.lab.compose:
            cluster.current().up(COMPOSE_FILE)


def disagreements(chosen: Lab) -> list[str]:
    """In what a lab's files, manifest, lesson and checks differ."""
    found = []
    if not chosen.check_file.is_file():
        return [f"{chosen.check_file.name} is missing"]
    for tree in (LABS, SOLUTIONS):
        files = {path.name for path in (tree / chosen.folder).iterdir()} - NOT_WORK
        if files != set(chosen.edits):
            found.append(
                f"{tree.name}/{chosen.folder} and edits differ: {', '.join(sorted(files ^ set(chosen.edits)))}"
            )
    lesson = (LABS / chosen.folder / "README.md").read_text("utf-8")
    asked, claims = dict(ASKED.findall(lesson)), docstrings(chosen.check_file)
    for name in sorted({*asked, *claims, *chosen.points}):
        if not (name in chosen.points and asked.get(name) == claims.get(name)):
            found.append(f"{name}: the lesson says {asked.get(name)!r}, the check {claims.get(name)!r}")
    return found


def docstrings(file: Path) -> dict[str, str]:
    """Check function -> first line of its docstring, read without running the module."""
    functions = (node for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.FunctionDef))
    return {
        node.name: inspect.cleandoc(ast.get_docstring(node) or "").split("\n")[0]
        for node in functions
        if node.name.startswith("test_")
    }
