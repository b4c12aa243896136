"""Right answers in other words and wrong ones with a known mistake, as edits of the solutions (tests/variants/*.toml).

[fail.trigger_of_five_seconds]                  # or pass.…: the verdict that is expected
check = "test_batches_come_every_ten_seconds"   # the check that must fail …
cause = "no trigger, or a shorter one"          # … and what it must say: a regular expression
[[fail.trigger_of_five_seconds.edit]]
file = "write_guild_stream.py"
old = '''processingTime="10 seconds"'''
new = '''processingTime="5 seconds"'''          # without old: the file's whole content; without new: it is deleted
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swordlab.errors import LabError
from swordlab.grading.results import FAIL, PASS, LabResult
from swordlab.labs import SOLUTIONS, Lab, all_labs
from swordlab.places import CHECKOUT, read_toml

VARIANTS = CHECKOUT / "tests" / "variants"


@dataclass(frozen=True)
class Variant:
    """One edit of a solution, and what the checks must say of it."""

    lab: Lab
    name: str
    verdict: str
    """pass or fail."""
    edits: Sequence[Mapping[str, str]]
    check: str = ""
    cause: str = ""

    @property
    def files(self) -> set[str]:
        """The names of the files that it edits."""
        return {edit["file"] for edit in self.edits}

    def wrong(self, found: LabResult) -> str:
        """In what the result is another than it must be; empty when it is as expected."""
        if self.verdict == PASS:
            return not_passed(found)
        if found.is_broken:
            return "; ".join(f"{result.name}: {result.found}" for result in found.results if result.broken)
        result = next((result for result in found.results if result.name == self.check), None)
        if result is None or result.verdict != FAIL:
            return f"{self.check} is {result.verdict if result else 'not there'}: {result.found if result else ''}"
        said = f"{result.found} {result.cause}"
        return "" if re.search(self.cause, said, re.S) else f"{self.check} fails, but says: {said}"


def not_passed(found: LabResult) -> str:
    """Which checks did not pass, those with the same to say together."""
    said: dict[str, list[str]] = {}
    for each in found.results:
        if each.verdict != PASS:
            said.setdefault(f"{each.verdict}: {each.found}: {each.cause}", []).append(each.name)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items())


def write(variants: Sequence[Variant], tree: Path) -> Path:
    """Make a tree in which the variants' lab is the edited solution and every other one the solution itself."""
    lab = variants[0].lab
    overlay(lab, SOLUTIONS / lab.folder, tree)
    for variant in variants:
        for edit in variant.edits:
            apply(edit, tree / lab.folder)
    return tree


def overlay(lab: Lab, folder: Path, tree: Path) -> None:
    """Make a tree with a copy of `folder` as this lab, and links to the solutions of the others, whatever was there."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for each in all_labs().values():
        if each.number != lab.number:
            (tree / each.folder).symlink_to(SOLUTIONS / each.folder)
    shutil.copytree(folder, tree / lab.folder, ignore=shutil.ignore_patterns("__pycache__", "out"))


def apply(edit: Mapping[str, str], folder: Path) -> None:
    """Change one file. Raises LabError where the text to be replaced is not there exactly once."""
    file = folder / edit["file"]
    if "new" not in edit:
        file.unlink()
    elif "old" in edit:
        text = file.read_text("utf-8")
        if text.count(edit["old"]) != 1:
            raise LabError(
                f"{edit['old']!r} is not exactly once in {file.name}", "the solution has changed: mend the variant"
            )
        file.write_text(text.replace(edit["old"], edit["new"]), "utf-8")
    else:
        file.write_text(edit["new"], edit.get("encoding", "utf-8"))


def read(lab: Lab) -> Iterator[Variant]:
    """The variants of a lab, the right ones first."""
    path = VARIANTS / f"{lab.folder}.toml"
    if path.exists():
        content = read_toml(path)
        for verdict in (PASS, FAIL):
            for name, entry in content.get(verdict, {}).items():
                yield _variant(lab, verdict, name, entry)


def groups(found: Sequence[Variant]) -> list[list[Variant]]:
    """The variants in groups that one run can judge: they edit different files, and no check is two variants'.

    Right ones always go together: if all of it passes, each of them does. Of the wrong ones only those do whose check
    asks about their own file alone, as far as the other mutants of that check show.
    """
    files_of_check: dict[str, set[str]] = {}
    for variant in found:
        if len(variant.files) == 1:
            files_of_check.setdefault(variant.check, set()).update(variant.files)
    together: list[list[Variant]] = []
    for variant in found:
        alone = variant.verdict != PASS and files_of_check.get(variant.check) != variant.files
        fits = (
            group
            for group in together
            if not any(other.verdict != variant.verdict or other.files & variant.files for other in group)
            and all(other.verdict == PASS or files_of_check.get(other.check) == other.files for other in group)
        )
        group = None if alone else next(fits, None)
        if group is None:
            together.append([variant])
        else:
            group.append(variant)
    return together


def _variant(lab: Lab, verdict: str, name: str, entry: Mapping[str, Any]) -> Variant:
    return Variant(lab, name, verdict, entry["edit"], entry.get("check", ""), entry.get("cause", ""))
