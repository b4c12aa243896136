"""From what a program said to the likely cause, in the student's terms."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path

from swordlab.cluster.supervisor import ProgramInfo
from swordlab.grading.verdict import CheckFailed
from swordlab.labs import Lab
from swordlab.places import CHECKOUT, MOUNT, read_toml
from swordlab.work import Finished, Work

GAP = re.compile(r"\bTODO[ _](\d+)")
GAPS_SHOWN = 2  # files
LOG_TAIL = 200_000  # bytes of a log that are looked at
PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
ERROR = re.compile(r"^(?P<kind>(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Available|Exists|Exit)): ?(?P<text>.*)$", re.M)

CAUSES = Path(__file__).with_name("causes.toml")


def cause_in(text: str, folder: Path | None = None) -> str:
    """The likely cause of the last error in a program's output, with the line of the student's file; else empty."""
    errors = list(ERROR.finditer(text))
    found = ((entry["text"], re.search(entry["sign"], text)) for entry in causes())
    cause = next((wording.format(sign[0], *sign.groups()) for wording, sign in found if sign), "")
    if not cause and errors:
        cause = f"{errors[-1]['kind'].rsplit('.', 1)[-1]}: {errors[-1]['text']}"[:200]
    return cause + (f" ({place})" if cause and (place := _place(text, folder)) else "")


@cache
def causes() -> list[dict[str, str]]:
    """The entries of causes.toml."""
    return list(read_toml(CAUSES)["cause"])


def _place(text: str, folder: Path | None) -> str:
    """The last line of the student's own files in a traceback."""
    text = text.replace(f'"{MOUNT}/', f'"{CHECKOUT}/')  # as a container names the files
    places = [
        (Path(match["file"]), match["line"])
        for match in PLACE.finditer(text)
        if folder is None or Path(match["file"]).resolve().is_relative_to(folder.resolve()) or "/" not in match["file"]
    ]
    return f"{places[-1][0].name}, line {places[-1][1]}" if places else ""


def log_of(work: Work, program: str) -> str:
    """What a supervised program has printed since it was started."""
    try:
        with work.cluster.state.log(program).open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - LOG_TAIL))
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def info_of(work: Work, program: str) -> ProgramInfo | None:
    """What the supervisor knows of a program."""
    return work.cluster.supervisor.info().get(program)


def cause_of(work: Work, lab: Lab, program: str) -> str:
    """Why a program does not do its work, as far as its log and its end tell; else empty."""
    cause = cause_in(log_of(work, program), work.folder(lab))
    found = info_of(work, program)
    if found and found.gave_up:
        return f"{program} ended with status {found.exit_status}" + (f": {cause}" if cause else "")
    return cause


def missing_file(work: Work, lab: Lab) -> str:
    """The first of the files that the student edits which is missing, empty or not UTF-8, in words; else empty."""
    for name in lab.edits:
        try:
            text = (work.folder(lab) / name).read_text("utf-8")
        except FileNotFoundError:
            return f"{name} is missing"
        except UnicodeDecodeError:
            return f"{name} is not UTF-8 text: save it as UTF-8"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if not text.strip():
            return f"{name} is empty"
    return ""


def require_files(work: Work, lab: Lab, *, expected: str) -> None:
    """CheckFailed where a file that the student edits is missing, empty or not UTF-8."""
    if missing := missing_file(work, lab):
        raise CheckFailed(expected, missing, str(work.folder(lab)), missing, f"make reset-{lab.number}")


def open_gaps(work: Work, lab: Lab) -> str:
    """The gaps of the starter that are still marked TODO, file by file; empty when none is."""
    found = []
    for name in lab.edits:
        with suppress(OSError):
            numbers = GAP.findall((work.folder(lab) / name).read_text("utf-8", "replace"))
            if numbers:
                found.append(f"TODO {', '.join(dict.fromkeys(numbers))} of {name}")
    return "; ".join([*found[:GAPS_SHOWN], *(["…"] if len(found) > GAPS_SHOWN else [])])


def require_done(finished: Finished, work: Work, lab: Lab, *, expected: str, next: str = "") -> None:
    """CheckFailed, with the cause, unless a step ended with status 0."""
    if not finished.is_done:
        cause = missing_file(work, lab) or cause_in(finished.output, work.folder(lab))
        raise CheckFailed(
            expected, finished.how, finished.command, cause, next or f"run it yourself: {finished.command}"
        )
