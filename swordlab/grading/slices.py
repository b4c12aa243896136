"""A part of a long list, so that several runs share it: SLICE=3/20."""

from collections.abc import Sequence
from typing import TypeVar

from swordlab.errors import UsageError

Item = TypeVar("Item")


def sliced(items: Sequence[Item], part: str) -> list[Item]:
    """The items of a part such as 3/20: every twentieth, beginning with the third; all of them for an empty text."""
    if not part:
        return list(items)
    number, _, of = part.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise UsageError(f"SLICE={part} is not understood", "for example SLICE=3/20")
    return list(items)[int(number) - 1 :: int(of)]
