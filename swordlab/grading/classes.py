"""`make grade` and `make grade-class`: graders, each in namespaces of its own, and what becomes of their marks."""

import contextlib
import csv
import difflib
import hashlib
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from swordlab import console, endpoints, fetch
from swordlab.engines import java, spark
from swordlab.errors import LabError, UsageError
from swordlab.grading import formats, sandbox
from swordlab.grading import results as store
from swordlab.grading.results import FAIL, plain
from swordlab.grading.slices import sliced
from swordlab.grading.submission import BadSubmission, clear, digest, printable, take_in
from swordlab.labs import CHECKS, LABS, SOLUTIONS, all_labs
from swordlab.places import CHECKOUT, cache_folder

STATE = CHECKOUT / ".swordlab" / "grading"
MEMORY_EACH = 3_000_000_000  # bytes of a grader with its engines and both Spark jobs
GRADERS_PER_CORE = 1.5  # the checks wait for triggers meanwhile
ALIKE = 0.8  # share of two students' own lines that are the same: worth a look
OWN_LINES = 8  # fewer own lines than that say nothing
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Answer:
    """What a grader said of one submission."""

    name: str
    earned: int | None
    """None where it could not be graded."""
    points: int
    labs: Sequence[dict[str, Any]]
    problem: str
    status: int
    seconds: float
    of: str = ""
    """The version (below) of what was graded."""
    again: bool = False
    """Whether the mark is of an earlier run, since nothing has changed."""

    @property
    def shown(self) -> str:
        """The mark, or why there is none, in a line."""
        return self.problem.splitlines()[0] if self.problem else f"{self.earned}/{self.points}"


# one submission, a class


def grade(submission: Path, out: Path) -> int:
    """Grade one submission; exit status 0 graded, 2 could not grade."""
    must_be_safe()
    fetch.ensure()
    name = name_of(submission)
    (answer,) = run_graders([submission], {submission: out}, 1)
    if answer.problem:
        console.problem(f"{name} could not be graded: {answer.problem}")
        return 2
    console.say((out / "summary.md").read_text("utf-8") if os.environ.get("GITHUB_ACTIONS") else terminal_table(answer))
    publish(out, answer)
    console.say(f"\nWritten into {out}: report.html, results.json, results.xml, result.json, summary.md")
    return 0


def publish(out: Path, answer: Answer) -> None:
    """In a GitHub workflow: the step's summary, and the first failures as annotations."""
    if target := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(target).open("a", encoding="utf-8") as file:
            file.write((out / "summary.md").read_text("utf-8"))
    if os.environ.get("GITHUB_ACTIONS"):
        for line in formats.annotations(store.from_dicts(answer.labs)):
            print(line)


def terminal_table(answer: Answer) -> str:
    """A line for each lab."""
    lines = [f"{answer.name}: {answer.earned} of {answer.points} points, {answer.seconds:.0f} s"]
    for lab in store.from_dicts(answer.labs):
        failure = next((result for result in lab.results if result.verdict == FAIL), None)
        said = f"   {plain(failure.claim)} {plain(failure.cause)}" if failure else ""
        lines.append(f"  {lab.number:>2}  {lab.earned:>2}/{lab.points}{said}")
    return "\n".join(lines)


def grade_class(folder: Path, out: Path, graders: int | None, part: str) -> int:
    """Grade every submission in a folder; exit status 2 when one could not be graded."""
    must_be_safe()
    fetch.ensure()
    chosen = sliced(submissions_in(folder), part)
    count = min(len(chosen), graders or graders_that_fit())
    console.say(f"{len(chosen)} submissions, {count} at a time; marks go into {out}")
    if len(chosen) > count:
        train()
    answers = run_graders(chosen, {path: out / name_of(path) for path in chosen}, count)
    write_csv(answers, out / "grades.csv")
    write_overview(answers, similar(chosen), out / "overview.html")
    for answer in answers:
        again = "  (unchanged)" if answer.again else ""
        console.say(f"  {answer.name:<32} {answer.shown:<40} {answer.seconds:6.0f} s{again}")
    console.say(f"\nWritten: {out}/grades.csv, {out}/overview.html, and a folder for each submission")
    return 2 if any(answer.status == 2 for answer in answers) else 0


def submissions_in(folder: Path) -> list[Path]:
    """Each folder and archive in it, by name."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "SUBMISSIONS= the folder that holds the submissions")
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not found:
        raise UsageError(f"{folder} is empty", "put each submission into it, as a folder or an archive")
    return found


def name_of(submission: Path) -> str:
    """The submission's name: the folder's or archive's, without its ending."""
    name = submission.name
    for ending in (".zip", ".tar.gz", ".tgz", ".tar"):
        name = name.removesuffix(ending)
    return printable(name) or "submission"


def graders_that_fit() -> int:
    """How many graders this machine's cores and free memory take."""
    by_memory = int(psutil.virtual_memory().available // MEMORY_EACH)
    return max(1, min(by_memory, int((os.cpu_count() or 1) * GRADERS_PER_CORE)))


def must_be_safe() -> None:
    """Refuse to run strangers' programs without a sandbox, unless UNSAFE=1 says so."""
    if not sandbox.is_used():
        console.problem("UNSAFE=1: the programs run without a sandbox, as you. Grade only what you trust.")


# graders


def run_graders(submissions: Sequence[Path], out: dict[Path, Path], count: int) -> list[Answer]:
    """The answers in the submissions' order; unchanged ones are not graded again."""
    answers: dict[Path, Answer] = {}
    waiting: queue.Queue[Path] = queue.Queue()
    for path in submissions:
        if known := graded_before(path, out[path]):
            answers[path] = known
        else:
            waiting.put(path)
    threads = [
        threading.Thread(target=_work, args=(number, waiting, out, answers), daemon=True)
        for number in range(min(count, waiting.qsize()))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[path] for path in submissions]


def _work(number: int, waiting: "queue.Queue[Path]", out: dict[Path, Path], answers: dict[Path, Answer]) -> None:
    """One grader's turn: take a submission, have it graded, until none is left. A grader that dies is replaced."""
    with contextlib.ExitStack() as stack:
        grader = stack.enter_context(GraderProcess(number))
        with contextlib.suppress(queue.Empty):
            while True:
                path = waiting.get_nowait()
                answer = grader.ask(path, out[path])
                if not grader.is_alive:
                    stack.close()
                    grader = stack.enter_context(GraderProcess(number))
                answers[path] = answer
                remember(out[path], answer)
                console.say(f"  {answer.name}: {answer.shown} ({len(answers)} done, {answer.seconds:.0f} s)")


def train() -> None:
    """Once in a checkout: let the reference's programs write the archives that make every later start faster."""
    if spark.archive().exists() or not java.jcmd().exists():
        return
    console.say("  First the reference's own programs run once: all others start faster then.")
    with GraderProcess(0, "training-run") as grader:
        grader.process.wait()


class GraderProcess:
    """A command, a grader's if nothing else is said, in network, process and mount namespaces of its own."""

    def __init__(self, number: int, *command: str) -> None:
        self.number, self.state = number, STATE / str(number)
        self.command = command or ("grader", "--number", str(number))

    def __enter__(self) -> "GraderProcess":
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True)
        self.log = (STATE / f"grader-{self.number}.log").open("a")
        self.process = subprocess.Popen(
            [*self.box(), sys.executable, "-m", "swordlab", *self.command, str(self.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=CHECKOUT,
            env=self._environment(),
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def is_alive(self) -> bool:
        """Whether it takes another submission."""
        return self.process.poll() is None

    def ask(self, submission: Path, out: Path) -> Answer:
        """Have one submission graded."""
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        assert pipe_in and pipe_out
        name, tree, mailbox = name_of(submission), clear(self.state / "submission"), clear(self.state / "out")
        try:
            notes = take_in(submission, tree)
        except BadSubmission as error:
            return Answer(name, None, 0, [], str(error), error.status, 0.0)
        task = {"tree": str(tree), "out": str(mailbox), "name": name, "notes": notes}
        try:
            pipe_in.write(json.dumps(task) + "\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return Answer(name, None, 0, [], f"the grader ended; its log: {self.log.name}", 2, 0.0)
        said = json.loads(line)
        if "problem" in said:
            return Answer(name, None, 0, [], said["problem"], said["status"], said["seconds"])
        try:
            shutil.rmtree(out, ignore_errors=True)  # out itself stays where it is a mount
            shutil.copytree(mailbox, out, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            return Answer(name, None, 0, [], f"the results could not be written into {out}: {error}", 2, 0.0)
        return Answer(name, said["earned"], said["points"], said["labs"], "", 0, said["seconds"], version(tree))

    def _environment(self) -> dict[str, str]:
        """Default ports: the network is its own."""
        kept = {name: value for name, value in os.environ.items() if name not in endpoints.PORTS}
        for name in ("SWORDLAB_STATE", *endpoints.environment({})):
            kept.pop(name, None)
        own = {"SWORDLAB_STATE": str(self.state), "XDG_RUNTIME_DIR": "/run"}
        return kept | (own if sandbox.is_available() else {"SWORDLAB_STATE": str(self.state)})

    def box(self) -> list[str]:
        """Everything is read-only but its state and the download cache; no network, no other process."""
        if not sandbox.is_available():
            return []
        cache_folder().mkdir(parents=True, exist_ok=True)
        tmp = clear(self.state / "tmp")
        seen = (CHECKOUT, Path(sys.prefix), Path(sys.base_prefix))  # again, where they lie below /tmp
        return [
            "bwrap",
            *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--ro-bind", "/", "/"),
            *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run", "--bind", str(tmp), "/tmp"),  # noqa: S108
            *(part for path in seen for part in ("--ro-bind", str(path), str(path))),
            *(part for path in (self.state, cache_folder()) for part in ("--bind", str(path), str(path))),
            "--",
        ]


# what was graded before


def graded_before(submission: Path, out: Path) -> Answer | None:
    """The answer of an earlier run, when neither the submission nor the course has changed since."""
    with contextlib.suppress(OSError, ValueError, TypeError, LabError):
        kept = Answer(**json.loads((out / "graded.json").read_text()))
        with taken_in(submission) as tree:
            if kept.of == version(tree):
                return replace(kept, again=True)
    return None


def remember(out: Path, answer: Answer) -> None:
    """Keep an answer beside the results, unless the lab itself failed."""
    if answer.earned is not None:
        (out / "graded.json").write_text(json.dumps(vars(answer)))


def version(tree: Path) -> str:
    """Changes with the lab files of a submission that was taken in, and with anything that judges them."""
    return f"{digest(tree)} {course_digest()}"


@cache
def course_digest() -> str:
    """Changes with the lab, its checks, solutions and starters."""
    course = hashlib.sha256()
    for root in (CHECKS, CHECKOUT / "swordlab", SOLUTIONS, LABS):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                course.update(path.read_bytes())
    return course.hexdigest()


@contextlib.contextmanager
def taken_in(submission: Path) -> Iterator[Path]:
    """The submission's lab files in a folder that is removed afterwards. Raises BadSubmission."""
    tree = STATE / f"look-{os.getpid()}-{threading.get_ident()}"
    tree.mkdir(parents=True, exist_ok=True)
    try:
        take_in(submission, tree)
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)


# the class's pages


def write_csv(answers: Sequence[Answer], path: Path) -> None:
    """Marks in Canvas's import format; a submission without a mark has an empty cell."""
    points = next(
        (answer.points for answer in answers if answer.points), sum(each.max_points for each in all_labs().values())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Swordlab"])
        writer.writerow(["Points Possible", "", "", "", "", points])
        for answer in answers:
            name = harmless(answer.name)
            writer.writerow([name, "", "", name, "", "" if answer.earned is None else answer.earned])


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def write_overview(answers: Sequence[Answer], alike: Sequence[tuple[str, str, float]], path: Path) -> None:
    """One page of the class: marks, which checks fail most, near-identical work."""
    failing: Counter[str] = Counter()
    for answer in answers:
        for lab in store.from_dicts(answer.labs):
            failing.update(f"Lab {lab.number}: {result.claim}" for result in lab.results if result.verdict == FAIL)
    page = formats.page("overview.html", answers=answers, failing=failing.most_common(15), alike=alike, labs=all_labs())
    path.write_text(page, "utf-8")


def similar(submissions: Sequence[Path]) -> list[tuple[str, str, float]]:
    """Pairs whose own lines (neither the starter's nor the solution's) are nearly the same."""
    known = {line for tree in (LABS, SOLUTIONS) for line in lines_of(tree)}
    own: dict[str, list[str]] = {}
    for path in submissions:
        with contextlib.suppress(BadSubmission, OSError), taken_in(path) as tree:
            own[name_of(path)] = [line for line in lines_of(tree) if line not in known]
    pairs = []
    for (one, first), (other, second) in itertools.combinations(own.items(), 2):
        if min(len(first), len(second)) >= OWN_LINES:
            share = difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()
            if share >= ALIKE:
                pairs.append((one, other, share))
    return sorted(pairs, key=lambda pair: -pair[2])


def lines_of(tree: Path) -> list[str]:
    """The lines of a tree's lab files, without space around them and without empty ones."""
    found = []
    for lab in all_labs().values():
        for name in lab.edits:
            file = tree / lab.folder / name
            if file.is_file():
                found += [line.strip() for line in file.read_text("utf-8", "replace").splitlines() if line.strip()]
    return found
