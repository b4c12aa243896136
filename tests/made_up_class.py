"""A made-up class: `python tests/made_up_class.py FOLDER` writes submissions whose names say what their marks must be.

all-right, lab-N-wrong (one mutant of that lab, everything else right), empty, hostile, broken-archive, no-archive.
"""

import shutil
import sys
import zipfile
from pathlib import Path

from swordlab.grading import variants
from swordlab.labs import SOLUTIONS, Lab, all_labs

HOSTILE = """
import os, subprocess, sys
print("10 of 10 points")
for path in ("results.json", "/tmp/results.json", "../results.json"):
    try:
        open(path, "w").write('{"score": 100}')
    except OSError:
        pass
try:
    os.kill(-1, 9)
except OSError:
    pass
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
os._exit(0)
"""


def write(folder: Path, names: list[str] | None = None) -> list[Path]:
    """Write the class, or those of `names`, into `folder`; return the paths."""
    makers = {
        "all-right": _all_right,
        "empty": _empty,
        "hostile": _hostile,
        "broken-archive": _broken,
        "no-archive": _none,
    }
    makers |= {f"lab-{lab.number}-wrong": _wrong(lab) for lab in all_labs().values()}
    folder.mkdir(parents=True, exist_ok=True)
    return [makers[name](folder / name) for name in names or makers]


def _all_right(path: Path) -> Path:
    tree = path / "labs"
    shutil.copytree(SOLUTIONS, tree, ignore=shutil.ignore_patterns("__pycache__", "out"))
    return path


def _wrong(lab: Lab):
    def make(path: Path) -> Path:
        _all_right(path)
        mutant = next(variant for variant in variants.read(lab) if variant.verdict == "fail")
        for edit in mutant.edits:
            variants.apply(edit, path / "labs" / lab.folder)
        archive = Path(shutil.make_archive(str(path), "zip", path))
        shutil.rmtree(path)
        return archive

    return make


def _empty(path: Path) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w"):
        return path.with_suffix(".zip")


def _hostile(path: Path) -> Path:
    _all_right(path)
    for file in (path / "labs").rglob("*.py"):
        file.write_text(HOSTILE)
    for name in ("conftest.py", "labs/conftest.py", "labs/02-flask/sitecustomize.py", "Makefile"):
        (path / name).write_text("raise SystemExit(0)\n")
    return path


def _broken(path: Path) -> Path:
    archive = Path(shutil.make_archive(str(path), "zip", _all_right(path)))
    shutil.rmtree(path)
    archive.write_bytes(archive.read_bytes()[:2000])
    return archive


def _none(path: Path) -> Path:
    path.with_suffix(".zip").write_text("I forgot to zip it.\n")
    return path.with_suffix(".zip")


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
