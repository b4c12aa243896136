"""How a check ends: it returns (pass), or raises CheckFailed (fail) or NotChecked (could not check).

def test_topic_has_two_partitions(topic):
    \"\"\"Topic `events` has 2 partitions.\"\"\"
    found = topic.partitions()
    require(found == 2, expected="2 partitions", found=found, where="the broker's metadata", cause="…", next="…")
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")
Cause = str | Callable[[], str]
"""The likely cause, or what finds it out: asked only where the check fails, since it may have to ask the engines."""

POLL = 0.15  # seconds between two looks at a condition
SHOWN = 220  # characters of a long value


@dataclass
class CheckFailed(Exception):
    """The student's work is wrong, or not done yet."""

    expected: str
    found: str
    where: str = ""
    """Where the check looked."""
    cause: str = ""
    """The likely cause, in the student's terms."""
    next: str = ""
    """What to type or to look at now."""

    def __str__(self) -> str:
        return f"expected {self.expected}; found {self.found}" + (f"; likely cause: {self.cause}" if self.cause else "")


@dataclass
class NotChecked(Exception):
    """The check could not be made and costs no points: an earlier lab's work is missing, or the lab is broken."""

    reason: str
    next: str = ""
    broken: bool = False
    """Whether an engine or the lab is to blame; otherwise an earlier lab has to come first."""

    def __str__(self) -> str:
        return self.reason


def require(
    condition: object, *, expected: object, found: object, where: str = "", cause: Cause = "", next: str = ""
) -> None:
    """Go on when the condition holds; otherwise CheckFailed with values cut around their difference."""
    if not condition:
        shown, seen = cut(str(expected), str(found).strip() or "nothing")
        raise CheckFailed(shown, seen, where, cause if isinstance(cause, str) else cause(), next)


def fail(*, expected: object, found: object, where: str = "", cause: Cause = "", next: str = "") -> None:
    """CheckFailed, whatever the condition."""
    require(False, expected=expected, found=found, where=where, cause=cause, next=next)


def wait_for(look: Callable[[], Found], seconds: float, poll: float = POLL) -> Found:
    """Look again and again until what is seen is true, or the time is over; return what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(poll)


def cut(expected: str, found: str) -> tuple[str, str]:
    """Both texts, long ones cut around the first place in which they differ, saying how much was cut."""
    same = next((i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), 0)
    return _window(expected, same), _window(found, same)


def _window(text: str, around: int) -> str:
    if len(text) <= SHOWN:
        return text
    begin = max(0, min(around - SHOWN // 3, len(text) - SHOWN))
    end = begin + SHOWN
    before = f"[{begin} characters] …" if begin else ""
    after = f"… [{len(text) - end} more characters]" if end < len(text) else ""
    return before + text[begin:end] + after
