"""Run the checks of a lab: the cluster and the student's programs first, then pytest in this process."""

import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from swordlab.errors import LabError
from swordlab.grading import programs
from swordlab.grading.plugin import Plugin, Tell, engines_down
from swordlab.grading.results import LabResult, unchecked
from swordlab.grading.verdict import wait_for
from swordlab.labs import Lab, needed
from swordlab.work import Watch, Work

SEEDS = 10**6
BACK_WITHIN = 30.0  # seconds for an engine that is started again, or stands still while its class-data archive is made


def new_seed() -> int:
    """A seed for the probes: SEED, or a random one."""
    given = os.environ.get("SEED", "")
    return int(given) if given.isdigit() else secrets.randbelow(SEEDS)


def check(lab: Lab, work: Work, *, seed: int, tell: Tell = lambda _: None, last: str = "") -> LabResult:
    """Check one lab, or its checks up to the one called `last`. An engine that is down is a verdict of its own."""
    began = time.monotonic()
    if not lab.compose and (down := engines_that_stay_down(work)):
        return unchecked(lab, f"the cluster is not up: {down[0]}", f"make lab-{lab.number}", broken=True, seed=seed)
    notes = [] if lab.compose else work.ensure_running([*needed(lab), lab])
    notes += [f"{name} was started by hand ({when}): that one is checked" for name, when in by_hand(lab, work)]
    plugin = Plugin(lab, work, seed, tell, last)
    with Watch(work, [*needed(lab), lab]):
        run_pytest(lab.check_file, plugin)
    if work.sandbox and (found := programs.impostors(work)):
        return unchecked(lab, f"not the engine answers: {found[0]}", "grade again", broken=True, seed=seed)
    return plugin.lab_result(time.monotonic() - began, notes)


def engines_that_stay_down(work: Work) -> list[str]:
    """The engines that do not answer, after those on their way had time for it."""
    if not engines_down(work):
        return []
    wait_for(lambda: not any(row.is_on_its_way for row in work.cluster.status()), BACK_WITHIN)
    return engines_down(work)


def by_hand(lab: Lab, work: Work) -> list[tuple[str, str]]:
    """The lab's programs that the student started, each with its process."""
    return [
        (program.name, f"process {process.pid}")
        for program in lab.programs
        for process in work.started_by_hand(lab, program)
    ]


def run_pytest(file: Path, plugin: object) -> None:
    """pytest with this plugin alone: no configuration, environment or plugin of the surroundings changes a verdict."""
    for variable in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(variable, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest

    arguments = [
        str(file),
        *("-p", "no:terminal", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(file.parent)),
        *("--confcutdir", str(file.parent), "--import-mode", "importlib"),
    ]
    status = pytest.main(arguments, plugins=[plugin])
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.stderr.flush()
        raise LabError(f"the checks of {file.name} could not be run (pytest: {pytest.ExitCode(status).name})")


def total(results: Sequence[LabResult]) -> int:
    """The exit status of several labs: 2 when one could not be checked, else 1 when one failed, else 0."""
    return max((result.status for result in results), default=2)
