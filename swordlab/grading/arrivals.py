"""Waiting for the streams of an earlier lab: a precondition here, so what does not arrive costs no points."""

from collections.abc import Callable

from swordlab.grading import trouble
from swordlab.grading.programs import has_ended
from swordlab.grading.verdict import CheckFailed, NotChecked, wait_for
from swordlab.labs import Lab, Program, needed
from swordlab.work import Work

WITHIN = 75.0  # seconds: the start of a Spark driver on a busy machine, a trigger and a batch
POLL = 0.3  # seconds


def require_arrived(work: Work, lab: Lab, arrived: Callable[[], object], what: str) -> None:
    """Return once `arrived` is true; NotChecked when a program of an earlier lab has ended, or after a while."""

    def look() -> object:
        return _is_true(arrived) or ended(work, lab)

    wait_for(look, WITHIN, POLL)
    if _is_true(arrived):
        return
    for earlier, program in ended(work, lab):
        cause = trouble.cause_of(work, earlier, program.name)
        raise NotChecked(cause or f"{program.name} ended", f"make check-{earlier.number}")
    writers = [earlier for earlier in needed(lab) if earlier.programs]
    raise NotChecked(f"{what} after {WITHIN:.0f} s", f"make check-{writers[-1].number}")


def ended(work: Work, lab: Lab) -> list[tuple[Lab, Program]]:
    """The programs of the labs that this one stands on which do not run any more."""
    return [
        (earlier, program)
        for earlier in needed(lab)
        for program in earlier.programs
        if has_ended(work, program) and not work.started_by_hand(earlier, program)
    ]


def _is_true(arrived: Callable[[], object]) -> bool:
    """Whether all is there; a file that is being written cannot be read yet."""
    try:
        return bool(arrived())
    except CheckFailed:
        return False
