"""Take a submission in: a folder or an archive that a stranger made. Only the lab files are taken, as plain files."""

import hashlib
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from swordlab.errors import UsageError
from swordlab.labs import Lab, all_labs

MOST_FILES = 2000  # entries of an archive or folder that are looked at
MOST_BYTES = 20_000_000  # of all files that are taken
LARGEST = 2_000_000  # bytes of one file
HELPERS = {".py", ".sql", ".hql", ".sh"}
"""Kinds of files that a student may have beside the ones that the lab names: helper modules."""
THE_LABS_OWN = {"README.md", "lab.toml"}
NEVER = {"conftest.py", "sitecustomize.py", "usercustomize.py"}


class BadSubmission(UsageError):
    """There is nothing in it that can be graded; the text is for the person who sent it."""


@dataclass(frozen=True)
class Entry:
    """One file of a submission, before it is taken."""

    path: PurePosixPath
    size: int
    is_plain: bool
    """A regular file: no link, device or pipe."""
    content: bytes
    """Empty while too large or not plain."""


def take_in(submission: Path, tree: Path) -> list[str]:
    """Copy the lab files of a submission into `tree`; return notes on what was left out or changed.

    Raises BadSubmission for what is no archive, is empty, or has no lab folder.
    """
    labs = {lab.folder: lab for lab in all_labs().values()}
    for folder in labs:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    taken = total = 0
    for entry in entries(submission):
        place = lab_path(entry.path, labs)
        if place is None:
            continue
        lab, name = place
        if name in THE_LABS_OWN:
            continue
        if reason := refused(entry, lab, name):
            notes.append(f"{printable(entry.path)} was left out: {reason}")
            continue
        total += entry.size
        if total > MOST_BYTES:
            raise BadSubmission(f"its lab files are larger than {MOST_BYTES // 10**6} MB together")
        content, note = unix_lines(entry.content, name)
        notes += [note] if note else []
        (tree / lab.folder / name).write_bytes(content)
        taken += 1
    if not taken:
        raise BadSubmission(
            "no file of a lab is in it",
            f"it must hold labs/ with the folders {', '.join(labs)}, or these folders alone",
        )
    return notes


def lab_path(path: PurePosixPath, labs: dict[str, Lab]) -> tuple[Lab, str] | None:
    """The lab and the file's name below it: …/04-spark/x.py, however deep the folder lies; None for anything else."""
    if len(path.parts) < 2 or path.parts[-2] not in labs or ".." in path.parts or path.is_absolute():
        return None
    above = path.parts[:-2]
    if "solutions" in above or "checks" in above or ".git" in above:
        return None
    return labs[path.parts[-2]], path.name


def refused(entry: Entry, lab: Lab, name: str) -> str:
    """Why a file is not taken; empty when it is."""
    if name in NEVER or (name not in lab.edits and PurePosixPath(name).suffix not in HELPERS):
        return "the lab does not use such a file"
    if not entry.is_plain:
        return "it is a link or no regular file"
    if entry.size > LARGEST:
        return f"it is larger than {LARGEST // 10**6} MB"
    return ""


def unix_lines(content: bytes, name: str) -> tuple[bytes, str]:
    """Text with Unix line ends: a shell script with Windows' would not start."""
    if b"\r\n" not in content:
        return content, ""
    return content.replace(b"\r\n", b"\n"), f"{printable(name)} had Windows line ends: they were changed"


def entries(submission: Path) -> Iterator[Entry]:
    """Every file of a folder, .zip or .tar.gz; nothing is written anywhere."""
    if submission.is_dir():
        found = _of_folder(submission)
    elif not submission.exists():
        raise UsageError(f"{submission} is missing", "SUBMISSION= a folder, a .zip or a .tar.gz")
    elif zipfile.is_zipfile(submission):
        found = _of_zip(submission)
    elif tarfile.is_tarfile(submission):
        found = _of_tar(submission)
    else:
        raise BadSubmission(f"{submission.name} is neither a folder nor a .zip or .tar.gz archive")
    for count, entry in enumerate(found, 1):
        if count > MOST_FILES:
            raise BadSubmission(f"it has more than {MOST_FILES} files", "send the folder labs/ alone")
        yield entry


def _of_folder(folder: Path) -> Iterator[Entry]:
    labs = {lab.folder for lab in all_labs().values()}
    for path in sorted(folder.rglob("*")):
        if path.parent.name in labs and (path.is_symlink() or not path.is_dir()):
            found = path.lstat()
            is_plain = stat.S_ISREG(found.st_mode) and not any(up.is_symlink() for up in path.parents if up != folder)
            content = path.read_bytes() if is_plain and found.st_size <= LARGEST else b""
            yield Entry(PurePosixPath(path.relative_to(folder).as_posix()), found.st_size, is_plain, content)


def _of_zip(archive: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if not member.is_dir():
                    kind = member.external_attr >> 16
                    is_plain = not stat.S_IFMT(kind) or stat.S_ISREG(kind)
                    content = b""
                    if is_plain and member.file_size <= LARGEST:
                        with opened.open(member) as file:
                            content = file.read(LARGEST + 1)  # what it really holds, whatever its header says
                    size = max(member.file_size, len(content))
                    yield Entry(PurePosixPath(member.filename), size, is_plain, content)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise BadSubmission(f"{archive.name} cannot be unpacked: {error}") from None


def _of_tar(archive: Path) -> Iterator[Entry]:
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                if not member.isdir():
                    content = b""
                    if member.isreg() and member.size <= LARGEST and (file := opened.extractfile(member)):
                        content = file.read(LARGEST + 1)
                    yield Entry(PurePosixPath(member.name), member.size, member.isreg(), content)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise BadSubmission(f"{archive.name} cannot be unpacked: {error}") from None


def printable(name: object) -> str:
    """A stranger's file name without what a terminal or a page would act on."""
    return "".join(char if char.isprintable() else "?" for char in str(name))[:120]


def digest(tree: Path) -> str:
    """Changes with any file that was taken in: an unchanged submission is not graded again."""
    summary = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            summary.update(f"{path.relative_to(tree)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return summary.hexdigest()


def clear(tree: Path) -> Path:
    """An empty folder in its place."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    return tree
