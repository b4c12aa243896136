"""`make gradescope`: the zip that Gradescope takes as an autograder, with this checkout in it."""

import subprocess
import zipfile
from pathlib import Path

from swordlab import console
from swordlab.errors import LabError
from swordlab.places import CHECKOUT

SCRIPTS = CHECKOUT / "examples" / "gradescope"
NOT_NEEDED = ("tests/", "bench/", "docs/", ".ci/", ".devcontainer/")


def build(target: Path) -> int:
    """Write the autograder: setup.sh and run_autograder at the root, the lab's tracked files below swordlab/."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise LabError("the lab's files are not known: this is no git checkout", "clone the lab with git")
    names = [name for name in listed.stdout.split("\0") if name and not name.startswith(NOT_NEEDED)]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for script in sorted(SCRIPTS.iterdir()):
            archive.write(script, script.name)
        for name in names:
            archive.write(CHECKOUT / name, f"swordlab/{name}")  # links become the files that they lead to
    console.say(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB): upload it as the assignment's autograder.")
    return 0
