"""`RUNTIME=docker make grade` and `make grade-class`: all of grading in one container without a network.

A grader's cluster is local processes there too, and each program of a student's has its box: the container keeps both
from the machine, and brings bubblewrap to one that has none (macOS). A stranger's docker-compose.yml, the work of lab
1, never reaches Docker.
"""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from swordlab import console
from swordlab.cluster import docker
from swordlab.errors import UsageError
from swordlab.grading.classes import STATE
from swordlab.places import CHECKOUT, State

INSTALLED = "/opt/swordlab"
"""Where the image has the lab (Dockerfile)."""
COURSE = ("docker-compose.yml", "labs", "checks", "solutions")
"""What grading needs beside it."""
SUBMISSIONS, OUT = "/submissions", "/grades"
RIGHTS = (
    *("SYS_ADMIN", "NET_ADMIN"),  # make boxes
    *("SETUID", "SETGID", "SETPCAP", "CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"),  # run programs as another user
    "SYS_PTRACE",  # see who listens on a port
)
"""The graders' capabilities; the programs in the boxes have none."""
VARIABLES = ("SEED", "NO_COLOR", "GITHUB_ACTIONS")
"""What the graders take from this shell."""
ALIEN = "SWORDLAB_HOSTS SWORDLAB_STATE BIND FLASK_LOG"
"""What the image tells a service of a cluster on Docker."""


def grade(submission: Path, out: Path) -> int:
    """Grade one submission; exit status 0 graded, 2 could not grade."""
    return run(["grade", f"{SUBMISSIONS}/{submission.resolve().name}"], submission.resolve().parent, out)


def grade_class(folder: Path, out: Path, graders: int | None, part: str) -> int:
    """Grade every submission in a folder; exit status 2 when one could not be graded."""
    how_many = ["--graders", str(graders)] if graders else []
    return run(["grade-class", SUBMISSIONS, "--slice", part, *how_many], folder, out)


def run(command: Sequence[str], submissions: Path, out: Path) -> int:
    """Run one of the lab's commands in a container that reads `submissions` and writes `out`."""
    if not submissions.is_dir():
        raise UsageError(f"{submissions} is no folder")
    docker.require()
    with console.Steps() as steps:
        docker.build(State.current(), steps)
    out.mkdir(parents=True, exist_ok=True)
    owner = f"{os.getuid()}:{os.getgid()}"
    there = f'unset {ALIEN}; swordlab "$@" --out {OUT}; status=$?; chown -R {owner} {OUT}; exit $status'
    return subprocess.run([*container(submissions, out), "sh", "-c", there, "sh", *command], check=False).returncode


def container(submissions: Path, out: Path) -> list[str]:
    """The command line of Docker up to the command that runs inside."""
    terminal = ["--tty"] if sys.stdout.isatty() and sys.stdin.isatty() else []
    return [
        *("docker", "run", "--rm", "--init", "--interactive", *terminal, "--network", "none", "--user", "root"),
        *("--cap-drop", "ALL", *(part for right in RIGHTS for part in ("--cap-add", right))),
        *("--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"),
        *("--security-opt", "apparmor=unconfined"),  # both forbid a box in the container
        *(part for name in COURSE for part in mount(CHECKOUT / name, f"{INSTALLED}/{name}", "readonly")),
        *mount(submissions, SUBMISSIONS, "readonly"),
        *mount(out, OUT),
        *("--volume", f"{INSTALLED}/{STATE.relative_to(CHECKOUT)}", "--workdir", INSTALLED, "--env", "HOME=/root"),
        *(part for name in VARIABLES if name in os.environ for part in ("--env", name)),
        docker.IMAGE,
    ]


def mount(source: Path, target: str, *options: str) -> list[str]:
    """Docker's option for a file or folder of this machine, whose path may hold any letter."""
    line = io.StringIO()
    csv.writer(line).writerow(["type=bind", f"source={source.resolve()}", f"target={target}", *options])
    return ["--mount", line.getvalue().strip()]
