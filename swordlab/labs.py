"""The labs: each folder below labs/ with a manifest, lab.toml (format: lab.schema.json). Nothing else lists them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from swordlab.errors import LabError, UsageError
from swordlab.places import CHECKOUT, read_toml

LABS = CHECKOUT / "labs"
SOLUTIONS = CHECKOUT / "solutions"
CHECKS = CHECKOUT / "checks"
MANIFEST = "lab.toml"


@dataclass(frozen=True)
class Program:
    """A program of the student's that runs on until it is stopped."""

    name: str
    service: str
    """The service of docker-compose.yml in which it runs."""
    command: str
    """With ${NAME} for an endpoint; runs in the lab's folder."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A command of the student's that does its work and ends."""

    name: str
    command: str


@dataclass(frozen=True)
class Lab:
    """One lab, as its manifest describes it."""

    folder: str
    """The folder's name in every tree, such as 04-spark."""
    number: int
    title: str
    aim: str
    edits: tuple[str, ...]
    services: tuple[str, ...]
    after: tuple[int, ...]
    """The labs whose work it stands on, directly."""
    makes: tuple[str, ...]
    """What its work leaves on the cluster: topics, files, tables."""
    compose: str
    """Its own compose file, or an empty text when the cluster is the lab's."""
    programs: tuple[Program, ...]
    steps: tuple[Step, ...]
    points: Mapping[str, int]
    """Check function -> points."""
    hints: tuple[str, ...]

    @property
    def check_file(self) -> Path:
        """The module with its checks."""
        return CHECKS / f"test_{self.folder.replace('-', '_')}.py"

    @property
    def max_points(self) -> int:
        """The points of all its checks."""
        return sum(self.points.values())

    def step(self, name: str) -> Step:
        """The step called `name`."""
        return next(step for step in self.steps if step.name == name)


def all_labs() -> dict[int, Lab]:
    """Every lab by its number, in order. Raises LabError for a manifest that is broken."""
    found = sorted((read(path) for path in LABS.glob(f"*/{MANIFEST}")), key=lambda lab: lab.number)
    labs = {lab.number: lab for lab in found}
    if len(labs) < len(found):
        raise LabError(f"two labs have the same number: {[lab.folder for lab in found]}", "change one lab.toml")
    return labs


def lab(number: int) -> Lab:
    """The lab with this number."""
    labs = all_labs()
    if number not in labs:
        raise UsageError(f"there is no lab {number}", f"the labs are {', '.join(map(str, labs))}")
    return labs[number]


def needed(lab: Lab) -> list[Lab]:
    """The labs that `lab` stands on, directly or not, in order."""
    labs, found = all_labs(), set[int]()
    queue = list(lab.after)
    while queue:
        number = queue.pop()
        if number not in found:
            found.add(number)
            queue += labs[number].after
    return [labs[number] for number in sorted(found)]


def read(path: Path) -> Lab:
    """One manifest."""
    values = _load(path)
    return Lab(
        folder=path.parent.name,
        number=values["number"],
        title=values["title"],
        aim=values["aim"],
        edits=tuple(values["edits"]),
        services=tuple(values["services"]),
        after=tuple(values["after"]),
        makes=tuple(values.get("makes", ())),
        compose=values.get("compose", ""),
        programs=tuple(Program(**program) for program in values.get("program", ())),
        steps=tuple(Step(**step) for step in values.get("step", ())),
        points=values["points"],
        hints=tuple(hint["text"].strip() for hint in values["hint"]),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        values = read_toml(path)
    except (OSError, ValueError) as error:
        raise LabError(f"{path}: {error}", "mend the manifest") from None
    schema = json.loads((Path(__file__).parent / "lab.schema.json").read_text())
    for wrong in Draft202012Validator(schema).iter_errors(values):
        where = ".".join(map(str, wrong.absolute_path)) or "the manifest"
        raise LabError(f"{path}: {where}: {wrong.message}", "the format is in swordlab/lab.schema.json")
    return values
