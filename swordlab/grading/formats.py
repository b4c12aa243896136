"""A mark in the formats that other systems read, and as a page for the student.

Gradescope: results.json as its autograder documentation has it. Classroom 50: result.json, classroom50/result/v1.
JUnit: results.xml. GitHub Actions: summary.md, and $GITHUB_STEP_SUMMARY. For people: report.html.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from swordlab.grading import results as store
from swordlab.grading.results import FAIL, PASS, LabResult, Result, as_text, plain

SUMMARY_BYTES = 900_000  # GitHub takes 1 MiB for each step
ANNOTATIONS = 10  # and shows ten errors of a step
TEMPLATES = Path(__file__).with_name("templates")
CLASSROOM50 = ("classroom", "assignment", "assignment_type", "owner", "submission", "commit", "release", "review")


@dataclass(frozen=True)
class Mark:
    """What became of one submission."""

    name: str
    results: Sequence[LabResult]
    notes: Sequence[str]
    """What was left out or changed when it was taken in."""
    began: float
    """Seconds since the epoch."""
    seconds: float

    @property
    def earned(self) -> int:
        """The points reached."""
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> int:
        """The points that could be reached."""
        return sum(result.points for result in self.results)


def write(mark: Mark, out: Path) -> None:
    """Write all formats into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    store.save(mark.results, out / "checks.json")
    store.save_junit(mark.results, out / "results.xml")
    (out / "results.json").write_text(json.dumps(gradescope(mark), indent=1), "utf-8")
    (out / "result.json").write_text(json.dumps(classroom50(mark), indent=1), "utf-8")
    (out / "summary.md").write_text(summary(mark), "utf-8")
    (out / "report.html").write_text(report(mark), "utf-8")


def checks(labs: Sequence[LabResult]) -> list[tuple[str, LabResult, Result]]:
    """Every check with its number, such as 4.2."""
    return [(f"{lab.number}.{index}", lab, result) for lab in labs for index, result in enumerate(lab.results, 1)]


def gradescope(mark: Mark) -> dict[str, Any]:
    """results.json of a Gradescope autograder."""
    return {
        "score": mark.earned,
        "execution_time": round(mark.seconds),
        "output": "\n".join([f"{mark.earned} of {mark.points} points", *mark.notes]),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "number": number,
                "name": f"Lab {lab.number}: {result.claim}",
                "score": result.earned,
                "max_score": result.points,
                "status": "passed" if result.verdict == PASS else "failed",
                "output": plain(as_text(result)),
                "output_format": "text",
                "visibility": "visible",
            }
            for number, lab, result in checks(mark.results)
        ],
    }


def classroom50(mark: Mark) -> dict[str, Any]:
    """result.json of Classroom 50; what identifies the submission comes from the workflow's environment."""
    moment = time.gmtime(mark.began)
    commit = os.environ.get("GITHUB_SHA", "0" * 40)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", moment)
    defaults = {
        "classroom": "swordlab",
        "assignment": "swordlab",
        "assignment_type": "individual",
        "owner": os.environ.get("GITHUB_REPOSITORY_OWNER", mark.name),
        "submission": f"submit/{stamp}-{commit[:7]}",
        "commit": commit,
        "release": "",
        "review": "",
    }
    return {
        "schema": "classroom50/result/v1",
        **{key: os.environ.get(f"CLASSROOM50_{key.upper()}", defaults[key]) for key in CLASSROOM50},
        "datetime": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
        "score": mark.earned,
        "max-score": mark.points,
        "tests": [
            {
                "test-name": f"{number} {result.claim}",
                "passed": result.verdict == PASS,
                "score": result.earned,
                "max-score": result.points,
            }
            for number, _, result in checks(mark.results)
        ],
    }


def summary(mark: Mark) -> str:
    """The table for a GitHub Actions step; nothing in it is read as a workflow command or as HTML."""
    lines = [f"## {cell(mark.name)}: {mark.earned} of {mark.points} points", ""]
    lines += ["| lab | points | first failure |", "|---|---:|---|"]
    for lab in mark.results:
        failure = next((result for result in lab.results if result.verdict == FAIL), None)
        said = f"{failure.claim} — {failure.cause or failure.found}" if failure else ""
        lines.append(f"| {lab.number} {cell(lab.title)} | {lab.earned}/{lab.points} | {cell(said)} |")
    lines += ["", *(f"- {cell(note)}" for note in mark.notes), ""]
    return "\n".join(lines).encode()[:SUMMARY_BYTES].decode(errors="ignore")


def annotations(labs: Sequence[LabResult]) -> list[str]:
    """The first failures as GitHub's annotations."""
    failures = [(number, result) for number, _, result in checks(labs) if result.verdict == FAIL]
    return [
        f"::error title={command(number)}::{command(f'{result.claim} {result.cause or result.found}')}"
        for number, result in failures[:ANNOTATIONS]
    ]


def command(text: str) -> str:
    """A text inside a workflow command."""
    flat = plain(text).replace("%", "%25").replace("\n", " ").replace("::", ": :")
    return flat.replace(",", "%2C").replace(":", "%3A")


def cell(text: str) -> str:
    """A text inside a markdown table, without markup of its own."""
    flat = re.sub(r"\s+", " ", plain(text))
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&:@])", lambda match: f"&#{ord(match[0])};", flat)


def report(mark: Mark) -> str:
    """The page for the student."""
    return page("report.html", mark=mark, PASS=PASS)


def page(template: str, **values: Any) -> str:
    """A page from a template, in which every value is escaped and control characters are shown as such."""
    loader = FileSystemLoader(TEMPLATES)
    templates = Environment(loader=loader, autoescape=select_autoescape(default=True, default_for_string=True))
    templates.filters["plain"] = plain
    return templates.get_template(template).render(**values)
