"""What can be wrong with a student's file as such: each gets a verdict that names it, and harms nothing else."""

import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil
import pytest

from bench.surroundings import free_ports
from swordlab.grading import run
from swordlab.grading.results import FAIL
from swordlab.labs import SOLUTIONS, all_labs, needed
from swordlab.work import Work

pytestmark = [pytest.mark.cluster, pytest.mark.long]
LABS = all_labs()
PATIENCE = 10.0  # seconds for a step that never ends; students wait longer

PYTHON = {
    "a syntax error": "def main(:\n",
    "prints a gigabyte": "import sys\nfor _ in range(1000):\n    sys.stdout.write('x' * 999_999 + '\\n')\n",
    "never ends": "import time\ntime.sleep(100_000)\n",
    "ends at once": "print('done')\n",
    "forks": "import os, time\nfor _ in range(3):\n    os.fork()\ntime.sleep(100_000)\n",
    "forks and ends": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100_000)\nprint('done')\n",
    "calls os._exit(0)": "import os\nos._exit(0)\n",
}
BASH = {
    "a syntax error": "for user in {1..50}; do\n    echo $user\n",
    "prints a gigabyte": "head -c 1000000000 /dev/zero | tr '\\0' x\n",
    "never ends": "sleep 100000\n",
    "ends at once": "exit 0\n",
    "forks": "sleep 100000 &\nsleep 100000 &\nwait\n",
    "forks and ends": "setsid sleep 100000 &\nexit 0\n",
}
ANYWHERE = {
    "missing": None,
    "empty": b"",
    "not UTF-8": b"# Schl\xfcssel\n",
}
STOPPED = "it had not ended after \\d+ s and was stopped"
"""What is said of a step that never ends."""


@dataclass(frozen=True)
class Case:
    """A lab's file, what to put into it, and what the verdict must say."""

    number: int
    file: str
    contents: Mapping[str, str]
    said: Mapping[str, str] = field(default_factory=dict)
    """Kind -> what found or cause must match, where it is not the same in every lab."""
    last: str = ""
    """The last check that is made; all are, where it is empty."""


CASES = [
    Case(
        2,
        "game_api.py",
        PYTHON
        | {
            "listens on a wrong port": "from flask import Flask\n"
            "from werkzeug.serving import run_simple\n"
            "app = Flask(__name__)\n"
            "run_simple('127.0.0.1', {another_port}, app)\n"
        },
        {
            "never ends": "it runs, but does not listen there it has not started to listen yet",
            "forks": "it runs, but does not listen there it has not started to listen yet",
            "ends at once": "the file makes no Flask application",
            "forks and ends": "the file makes no Flask application",
            "calls os._exit(0)": "it ended flask ended with status 0",
            "prints a gigabyte": "it printed more than 20 MB while it was checked and was stopped",
            "listens on a wrong port": "it listens on port \\d+ instead",
        },
    ),
    Case(
        4,
        "write_guild_stream.py",
        {kind: PYTHON[kind] for kind in ("prints a gigabyte", "calls os._exit(0)", "forks and ends")},
        {
            "prints a gigabyte": "it printed more than 20 MB while it was checked and was stopped",
            "calls os._exit(0)": "write_guild_stream ended with status 0|write_guild_stream ended",
            "forks and ends": "write_guild_stream ended",
        },
        last="test_guild_joins_land",
    ),
    Case(
        5,
        "hdfs_answers.py",
        PYTHON,
        {
            "ends at once": "done what it prints is no JSON",
            "forks and ends": "done what it prints is no JSON",
            "calls os._exit(0)": "nothing printed what it prints is no JSON",
        },
    ),
    Case(
        6,
        "create_tables.hql",
        {"a syntax error": "create external tabel guild_joins;\n", "ends at once": "select 1;\n"},
        {
            "a syntax error": "Hive cannot read line 1 of the statement",
            "ends at once": "no statement of create_tables.hql makes it",
        },
    ),
    Case(
        7,
        "stream_events.sh",
        BASH,
        {
            "a syntax error": "a syntax error in line 3: unexpected end of file",
            "ends at once": "no request is sent with a host of this provider",
            "forks and ends": "no request is sent with a host of this provider",
        },
    ),
    Case(
        8,
        "follow_host.py",
        PYTHON,
        {
            "ends at once": "done not every partition is read",
            "forks and ends": "done not every partition is read",
            "calls os._exit(0)": "not every partition is read",
        },
    ),
    Case(
        10,
        "report.py",
        PYTHON,
        {
            "ends at once": "an empty folder the report is written somewhere else",
            "forks and ends": "an empty folder the report is written somewhere else",
            "calls os._exit(0)": "an empty folder the report is written somewhere else",
        },
    ),
]
SAID = {
    "missing": "{file} is missing",
    "empty": "{file} is empty",
    "not UTF-8": "{file} is not UTF-8 text",
    "a syntax error": "a syntax error: ",
    "prints a gigabyte": "it printed more than 1 MB and was stopped",
    "never ends": STOPPED,
    "forks": STOPPED,
}
TRIED = [(case, kind) for case in CASES for kind in [*ANYWHERE, *case.contents]]


@pytest.fixture(scope="module")
def tree(cluster, tmp_path_factory):
    """The solutions, in which one file at a time is spoilt; topic and tables are there."""
    folder = tmp_path_factory.mktemp("spoilt") / "labs"
    shutil.copytree(SOLUTIONS, folder, ignore=shutil.ignore_patterns("__pycache__", "out"))
    Work(cluster, folder).perform(needed(LABS[10]))
    return folder


def spoil(path, case, kind):
    """Put the bad content into the student's file."""
    content = ANYWHERE[kind] if kind in ANYWHERE else case.contents[kind].encode()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.replace(b"{another_port}", str(free_ports(1)[0]).encode()))


def processes_of(folder):
    """The processes that work in this folder."""
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.pid != os.getpid():
                yield process
        except (psutil.Error, OSError):
            continue


def gone(folder, seconds=5.0):
    """Whether no process is left in this folder, now or in a moment."""
    deadline = time.monotonic() + seconds
    while list(processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not list(processes_of(folder))


@pytest.mark.parametrize(("case", "kind"), TRIED, ids=[f"{case.number}-{kind}" for case, kind in TRIED])
def test_a_bad_file_is_named_and_harms_nothing(case, kind, cluster, tree, monkeypatch):
    monkeypatch.setitem(Work.run.__kwdefaults__, "seconds", PATIENCE)
    lab, work = LABS[case.number], Work(cluster, tree)
    path = work.folder(lab) / case.file
    right = path.read_bytes()
    try:
        spoil(path, case, kind)
        found = run.check(lab, work, seed=run.new_seed(), last=case.last)
    finally:
        path.write_bytes(right)
        work.stop([lab])
    failed = [result for result in found.results if result.verdict == FAIL]
    said = [f"{result.found} {result.cause}" for result in failed]
    assert found.verdict == FAIL, found.results
    assert not found.is_broken, found.results
    expected = case.said.get(kind) or SAID[kind].format(file=re.escape(case.file))
    assert any(re.search(expected, text, re.S) for text in said), said
    assert gone(work.folder(lab)), list(processes_of(work.folder(lab)))
    assert cluster.is_up(), cluster.status()
