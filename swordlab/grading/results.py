"""What checks found: one Result for each check, one LabResult for each lab, as data and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from swordlab import files
from swordlab.labs import Lab

PASS, FAIL, UNCHECKED = "pass", "fail", "unchecked"


@dataclass(frozen=True)
class Result:
    """One check."""

    name: str
    """The check function."""
    claim: str
    """The first line of its docstring: what the student sees as its name."""
    verdict: str
    """pass, fail or unchecked."""
    points: int
    """What it is worth."""
    expected: str = ""
    found: str = ""
    where: str = ""
    cause: str = ""
    next: str = ""
    broken: bool = False
    """Unchecked because an engine or the lab itself failed, not because an earlier lab comes first."""
    seconds: float = 0.0

    @property
    def earned(self) -> int:
        """The points that count."""
        return self.points if self.verdict == PASS else 0


@dataclass(frozen=True)
class LabResult:
    """One lab's checks."""

    number: int
    title: str
    results: Sequence[Result]
    seed: int
    """With which the probes were drawn."""
    seconds: float
    notes: Sequence[str] = field(default_factory=tuple)
    """What was done before the checks, such as a program that was started anew."""

    @property
    def earned(self) -> int:
        """The points reached."""
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> int:
        """The points that could be reached."""
        return sum(result.points for result in self.results)

    @property
    def verdict(self) -> str:
        """pass when every check passed, unchecked when some could not be made and none failed, else fail."""
        verdicts = {result.verdict for result in self.results}
        if not verdicts:
            return UNCHECKED
        return FAIL if FAIL in verdicts else UNCHECKED if UNCHECKED in verdicts else PASS

    @property
    def is_broken(self) -> bool:
        """Whether the lab or an engine failed, so that this is no mark."""
        return not self.results or any(result.broken for result in self.results)

    @property
    def status(self) -> int:
        """The exit status: 0 pass, 1 fail, 2 could not check."""
        return {PASS: 0, FAIL: 1, UNCHECKED: 2}[self.verdict]


def unchecked(lab: Lab, reason: str, next: str = "", *, broken: bool = False, seed: int = 0) -> LabResult:
    """The result of a lab none of whose checks could be made."""
    results = [
        Result(name, name, UNCHECKED, points, found=reason, next=next, broken=broken)
        for name, points in lab.points.items()
    ]
    return LabResult(lab.number, lab.title, results, seed, 0.0)


def save(results: Sequence[LabResult], path: Path) -> None:
    """Write results as JSON, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(as_dicts(results), indent=1, ensure_ascii=False))


def as_dicts(results: Sequence[LabResult]) -> list[dict[str, Any]]:
    """Results as plain data."""
    return [asdict(result) for result in results]


def from_dicts(stored: Sequence[dict[str, Any]]) -> list[LabResult]:
    """The results that `as_dicts` gave."""
    return [LabResult(**{**entry, "results": [Result(**result) for result in entry["results"]]}) for entry in stored]


def load(path: Path) -> list[LabResult]:
    """The results that `save` wrote; none where there is no such file."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    return from_dicts(stored)


def save_junit(results: Sequence[LabResult], path: Path) -> None:
    """Write results as JUnit XML: a suite for each lab; unchecked is an error, which no system counts as passed."""
    document = JUnitXml()
    for lab in results:
        suite = TestSuite(f"lab {lab.number}: {lab.title}")
        suite.add_property("seed", str(lab.seed))
        for result in lab.results:
            case = TestCase(result.claim, f"lab{lab.number}.{result.name}", result.seconds)
            if result.verdict == FAIL:
                case.result = [Failure(plain(result.found), "fail")]
                case.result[0].text = as_text(result)
            elif result.verdict == UNCHECKED:
                case.result = [Error(plain(result.found), "not checked")]
                case.result[0].text = as_text(result)
            suite.add_testcase(case)
        document.add_testsuite(suite)
    document.write(str(path), pretty=True)


def without_paths(lab: LabResult, trees: Sequence[Path]) -> LabResult:
    """The same without the grader's own paths: a student knows these folders as labs/."""

    def shown(value: Any) -> Any:
        for tree in trees if isinstance(value, str) else ():
            value = value.replace(str(tree), "labs")
        return value

    results = [Result(**{key: shown(value) for key, value in vars(result).items()}) for result in lab.results]
    return LabResult(**{**vars(lab), "results": results})


def as_text(result: Result) -> str:
    """What was found, in lines."""
    titles = ("expected", "found", "where", "cause", "next")
    return "\n".join(f"{title}: {plain(value)}" for title in titles if (value := getattr(result, title)))


def plain(text: str) -> str:
    """Text of a student's without what would move the cursor, colour or hide something."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
