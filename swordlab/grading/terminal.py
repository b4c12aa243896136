"""Results on the screen: a line for each check, then the first failures in full, then the progress."""

from collections.abc import Mapping, Sequence

from rich.markup import escape

from swordlab import console
from swordlab.grading.results import FAIL, PASS, UNCHECKED, LabResult, Result, plain
from swordlab.labs import Lab

SHOWN = 3  # failures that are shown in full
WORDS = {PASS: ("pass", "green"), FAIL: ("FAIL", "red"), UNCHECKED: ("not checked", "yellow")}
DETAILS = ("expected", "found", "where", "cause", "next")
CLAIM_WIDTH = 88


def heading(lab: Lab, seed: int) -> None:
    """What is checked, and the seed with which the same probes can be drawn again."""
    console.out.print(f"[bold]Lab {lab.number}  {escape(lab.title)}[/]  [dim](SEED={seed})[/]")


def line(result: Result) -> None:
    """One check."""
    word, style = WORDS[result.verdict]
    points = f"{result.earned}/{result.points}" if result.verdict != UNCHECKED else f"-/{result.points}"
    console.out.print(f"  [{style}]{word:<11}[/]  {escape(plain(result.claim)):<{CLAIM_WIDTH}}  {points}")


def details(result: LabResult) -> None:
    """The first failures in full, and what could not be checked, once for each reason."""
    for note in result.notes:
        console.out.print(f"  [dim]{escape(plain(note))}[/]")
    groups = alike([entry for entry in result.results if entry.verdict == FAIL])
    for group in groups[:SHOWN]:
        _explain(group)
    if len(groups) > SHOWN:
        left = sum(map(len, groups[SHOWN:]))
        console.say(f"\n  … and {left} more. Mend the first; often the others go with it.")
    reasons = {(entry.found, entry.next) for entry in result.results if entry.verdict == UNCHECKED}
    for reason, next in sorted(reasons):
        console.out.print(f"\n  [yellow]not checked[/]: {escape(plain(reason))}")
        if next:
            console.out.print(f"    next      {escape(plain(next))}")
    console.say(f"\n  Lab {result.number}: {result.earned} of {result.points} points, {result.seconds:.1f} s")


def alike(failures: Sequence[Result]) -> list[list[Result]]:
    """Failures that have the same to say, together, in order."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for entry in failures:
        groups.setdefault(tuple(getattr(entry, title) for title in DETAILS), []).append(entry)
    return list(groups.values())


def _explain(group: Sequence[Result]) -> None:
    console.out.print()
    for entry in group:
        console.out.print(f"  [red]FAIL[/]  [bold]{escape(plain(entry.claim))}[/]")
    for title in DETAILS:
        if value := getattr(group[0], title):
            console.out.print(f"    {title:<9} {escape(plain(value))}")


def progress(labs: Mapping[int, Lab], results: Mapping[int, LabResult]) -> None:
    """One line for each lab: its last result."""
    for number, lab in labs.items():
        found = results.get(number)
        state = f"{found.earned:>2} of {found.points}  {WORDS[found.verdict][0]}" if found else " -"
        style = WORDS[found.verdict][1] if found else "dim"
        console.out.print(f"  {number:>2}  {escape(lab.title):<52}  [{style}]{state}[/]")
    earned = sum(result.earned for result in results.values())
    console.say(f"      {earned} of {sum(lab.max_points for lab in labs.values())} points")


def short_progress(labs: Mapping[int, Lab], results: Mapping[int, LabResult]) -> str:
    """The same in one line."""
    return "Progress: " + "  ".join(f"{number} {_share(results.get(number))}" for number in labs)


def _share(result: LabResult | None) -> str:
    return f"{result.earned}/{result.points}" if result else "-"
