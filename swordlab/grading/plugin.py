"""The pytest plugin of the checks: it turns what a check raises into a Result, and nothing else into a verdict."""

import inspect
import random
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swordlab.grading import trouble
from swordlab.grading.results import FAIL, PASS, UNCHECKED, LabResult, Result
from swordlab.grading.verdict import CheckFailed, NotChecked
from swordlab.labs import Lab
from swordlab.work import Work

Tell = Callable[[Result], None]
"""Told of each result as soon as it is there."""


class Plugin:
    """The checks of one lab against one tree's work on one cluster."""

    def __init__(self, lab: Lab, work: Work, seed: int, tell: Tell, last: str = "") -> None:
        self.lab, self.work, self.seed, self.tell, self.last = lab, work, seed, tell, last
        self.results: list[Result] = []

    # what checks ask for

    @pytest.fixture(name="lab", scope="session")
    def the_lab(self) -> Lab:
        """The lab that is checked."""
        return self.lab

    @pytest.fixture(name="work", scope="session")
    def the_work(self) -> Work:
        """The student's work."""
        return self.work

    @pytest.fixture(name="rng", scope="session")
    def the_rng(self) -> random.Random:
        """Where every probe draws from; the seed is printed and can be set."""
        return random.Random(self.seed)  # noqa: S311

    # what becomes of them

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module of checks that cannot be imported is the lab's fault, and said as such."""
        if report.failed:
            raise pytest.UsageError(f"{self.lab.check_file.name} cannot be imported: {report.longreprtext}")

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Every check of the manifest is there and no other: an empty set must not count as full marks."""
        found, listed = {item.name for item in items}, set(self.lab.points)
        if found != listed:
            wrong = ", ".join(sorted(found ^ listed))
            raise pytest.UsageError(f"{self.lab.check_file.name} and lab.toml do not list the same checks: {wrong}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """One Result for each check: from its own call, or from the fixture that failed before it."""
        report: pytest.TestReport = yield  # type: ignore[assignment]
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, KeyboardInterrupt):
            return report  # type: ignore[return-value]
        if call.when == "call" or (call.when == "setup" and error):
            result = self._result(item, error, call.duration)
            self.results.append(result)
            self.tell(result)
            if item.name == self.last:
                item.session.shouldfail = f"{self.last} was the last that was asked for"
        return report  # type: ignore[return-value]

    def _result(self, item: pytest.Item, error: BaseException | None, seconds: float) -> Result:
        claim = inspect.getdoc(item.obj) or item.name  # type: ignore[attr-defined]
        base: dict[str, Any] = {
            "name": item.name,
            "claim": claim.splitlines()[0],
            "points": self.lab.points[item.name],
            "seconds": round(seconds, 3),
        }
        match error:
            case None:
                return Result(verdict=PASS, **base)
            case CheckFailed():
                return Result(verdict=FAIL, **base, **vars(error) | {"next": self._next(error)})
            case NotChecked(reason, next, broken):
                return Result(verdict=UNCHECKED, **base, found=reason, next=next, broken=broken)
            case _:
                return Result(verdict=UNCHECKED, **base, **self._blame(error), broken=True)

    def _next(self, error: CheckFailed) -> str:
        """What the check says, then the gaps that are still marked: of this mistake, or of what comes later."""
        gaps = trouble.open_gaps(self.work, self.lab)
        return "; ".join(filter(None, (error.next, f"still to do: {gaps}" if gaps else "")))

    def _blame(self, error: BaseException) -> dict[str, Any]:
        """An error that no check foresaw: an engine that does not answer, or else a fault of the check's own."""
        if down := engines_down(self.work):
            return {"found": f"{down[0]} does not answer", "next": "make status"}
        log = Path(self.work.cluster.state.log("checks"))
        with log.open("a") as file:
            file.write("".join(traceback.format_exception(error)))
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
        return {"found": f"the check itself failed ({text})", "next": f"this is not your mistake; details: {log}"}

    def lab_result(self, seconds: float, notes: list[str]) -> LabResult:
        """Everything together."""
        return LabResult(self.lab.number, self.lab.title, self.results, self.seed, round(seconds, 2), notes)


def engines_down(work: Work) -> list[str]:
    """The engines of the cluster that do not answer, each with the reason."""
    rows = work.cluster.status()
    if not rows:
        return ["nothing was started yet"]
    return [f"{row.program} ({row.health})" for row in rows if row.ports and row.health != "healthy"]
