"""One line of the bench's table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was measured, the figure, and the target it has, if any."""

    what: str
    figure: str
    target: str = ""
    reached: bool | None = None
    """None: no target."""

    @property
    def verdict(self) -> str:
        """The last column."""
        return "" if self.reached is None else "reached" if self.reached else "missed"


def at_most(what: str, figure: float, limit: float, unit: str = "") -> Row:
    """A row whose figure must not exceed `limit`."""
    return Row(what, f"{figure:.2f}{unit}", f"≤ {limit:g}{unit}", figure <= limit)


def at_least(what: str, figure: float, limit: float, unit: str = "") -> Row:
    """A row whose figure must reach `limit`."""
    return Row(what, f"{figure:.2f}{unit}", f"≥ {limit:g}{unit}", figure >= limit)
