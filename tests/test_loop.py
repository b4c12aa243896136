"""The student's loop as a student types it: in a copy of the checkout, on the tests' cluster, in the order of a course.

The last tests make a small course of it: labs 1 to 3 and an eleventh that consists of its three folders alone.
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from xml.etree import ElementTree

import psutil
import pytest
from conftest import swordlab
from kafka import KafkaProducer

from swordlab import endpoints
from swordlab.grading import clean, run, state
from swordlab.grading.results import PASS
from swordlab.grading.verdict import wait_for
from swordlab.labs import SOLUTIONS, lab
from swordlab.places import CHECKOUT
from swordlab.work import OUTPUT_LIMIT, Work

pytestmark = pytest.mark.cluster

NOT_COPIED = shutil.ignore_patterns(".git", ".swordlab", "__pycache__", ".*_cache", "grades", "out")
MAKE = ["make", "PYTHON=true"]  # the environment is the original's, so nothing is to be set up
SOLVED = (SOLUTIONS / "02-flask" / "game_api.py").read_text("utf-8")
SAVED_AND_CHECKED = 60.0  # seconds


class Course:
    """A copy of the checkout, and what is typed in it."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(CHECKOUT, folder, ignore=NOT_COPIED)
        (folder / ".swordlab").mkdir()
        (folder / ".swordlab" / "venv").symlink_to(sys.prefix)
        self.game = folder / "labs" / "02-flask" / "game_api.py"
        # the environment is the original's and would find the original's swordlab first
        self.environ = os.environ | {"PYTHONPATH": str(folder)}
        where = self.run(self.program[0], "-c", "from swordlab.places import CHECKOUT; print(CHECKOUT)").stdout.strip()
        assert where == str(folder.resolve()), "nothing may be typed into the original"

    def run(self, *words, timeout=600):
        """One command; output and errors together, status apart."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return done

    def make(self, *words):
        """`make WORDS`."""
        return self.run(*MAKE, *words)

    def swordlab(self, *words):
        """The command behind the Makefile, whose exit status make does not pass on."""
        return self.run(*self.program, *words)

    @property
    def program(self):
        return [str(self.folder / ".swordlab" / "venv" / "bin" / "python"), "-m", "swordlab"]

    def kept(self):
        """What was kept aside, as texts."""
        return [path.read_text("utf-8") for path in (self.folder / ".swordlab" / "kept").rglob("*.py")]


@pytest.fixture(scope="module")
def course(tmp_path_factory, cluster):
    course = Course(tmp_path_factory.mktemp("course") / "swordlab")
    yield course
    cluster.supervisor.forget(clean.programs(cluster))
    assert swordlab("up").returncode == 0  # the engines were the copy's: defined by the original, they start anew


def test_make_alone_lists_the_loop(course):
    listed = course.make().stdout
    for command in (
        "lab-N",
        "check-N",
        "hint-N",
        "watch-N",
        "reset-N",
        "solution-N",
        "catch-up-N",
        "progress",
        "check",
    ):
        assert f"make {command}" in listed


def test_lab_brings_up_what_it_needs_and_shows_its_card(course):
    done = course.make("lab-2")
    assert done.returncode == 0, done.stdout
    for text in ("Lab 2:", "labs/02-flask/README.md", "labs/02-flask/game_api.py", "make check-2", "make hint-2"):
        assert text in done.stdout


def test_check_of_the_starter_fails_and_names_the_gaps(course):
    done = course.swordlab("check", "2")
    assert done.returncode == 1, done.stdout
    assert "FAIL" in done.stdout
    assert "still to do: TODO" in done.stdout
    assert re.search(r"Lab 2: \d of 10 points", done.stdout)
    assert course.make("check-2").returncode != 0


def test_a_hint_more_each_time(course):
    first, second = course.make("hint-2").stdout, course.make("hint-2").stdout
    assert first.count("Hint ") == 1 and "One more: make hint-2" in first
    assert second.count("Hint ") == 2 and second.startswith(first.split("One more")[0])
    while "That was the last one." not in (last := course.make("hint-2").stdout):
        assert last.count("Hint ") < 10
    assert course.make("hint-2").stdout == last


def test_watch_checks_again_whenever_a_file_is_saved(course, tmp_path):
    starter, printed = course.game.read_text("utf-8"), tmp_path / "printed"
    with printed.open("w") as output:
        watching = subprocess.Popen(
            [*course.program, "watch", "2"],
            cwd=course.folder,
            env=course.environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def times():
        return printed.read_text("utf-8").count("Watching labs/02-flask")

    try:
        assert wait_for(lambda: times() == 1, SAVED_AND_CHECKED), printed.read_text()
        course.game.write_text(SOLVED, "utf-8")
        assert wait_for(lambda: times() == 2, SAVED_AND_CHECKED), printed.read_text()
        assert "Lab 2: 10 of 10 points" in printed.read_text()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    finally:
        watching.kill()
        watching.wait()
    assert "Traceback" not in printed.read_text()
    course.game.write_text(starter + "\n# mine\n", "utf-8")


def test_reset_brings_the_starter_back_and_loses_nothing(course):
    mine = course.game.read_text("utf-8")
    done = course.make("reset-2")
    assert done.returncode == 0, done.stdout
    assert course.game.read_text("utf-8") != mine
    assert mine in course.kept()
    assert "yours is kept in .swordlab/kept/02-flask/" in done.stdout


def test_solution_asks_first(course):
    before = course.game.read_text("utf-8")
    nobody = course.swordlab("solution", "2")
    assert nobody.returncode == 1 and "YES=1" in nobody.stdout
    mine, terminal = pty.openpty()
    asked = subprocess.Popen(
        [*course.program, "solution", "2"],
        cwd=course.folder,
        env=course.environ,
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.write(mine, b"n\n")
    said, _ = asked.communicate(timeout=60)
    os.close(mine)
    os.close(terminal)
    assert asked.returncode == 1
    assert "[y/N]" in said and "Nothing was changed." in said
    assert course.game.read_text("utf-8") == before


def test_solution_without_the_question_keeps_the_old_file(course):
    before = course.game.read_text("utf-8")
    done = course.make("solution-2", "YES=1")
    assert done.returncode == 0, done.stdout
    assert course.game.read_text("utf-8") == SOLVED
    assert before in course.kept()
    assert course.swordlab("check", "2").returncode == 0


def test_progress_has_the_last_result_of_each_lab(course):
    shown = course.make("progress").stdout
    assert re.search(r"^ +2  .*10 of 10  pass", shown, re.M)
    assert re.search(r"^ +3  .* -$", shown, re.M)


def test_catch_up_lets_the_earlier_solutions_run(course, cluster):
    mine = "print('my topic')\n"
    (course.folder / "labs" / "03-kafka" / "create_topic.py").write_text(mine)
    done = course.make("catch-up-5")
    assert done.returncode == 0, done.stdout
    assert "Lab 5:" in done.stdout
    assert mine in course.kept()
    assert course.game.read_text("utf-8") == SOLVED, "lab 2 has passed: its file is left alone"
    info = cluster.supervisor.info()
    assert all(info[name].is_up for name in ("flask", "write_guild_stream", "write_swords_stream"))


def test_a_lab_that_is_not_there(course):
    done = course.swordlab("check", "12")
    assert done.returncode == 1
    assert "there is no lab 12" in done.stdout


MANIFEST = """\
number = 11
title = "Say hello"
aim = "Write a program that greets."
edits = ["hello.py"]
services = []
after = []

[[step]]
name = "hello"
command = "python hello.py"

[points]
test_it_greets = 1

[[hint]]
text = "print(…) writes a line."
"""
LESSON = "# Lab 11\n\n## What the check asks\n- `test_it_greets`: The program greets.\n"
CHECK = '''\
"""Lab 11."""

from swordlab.grading.verdict import require


def test_it_greets(work, lab):
    """The program greets."""
    said = work.run(lab, lab.step("hello").command).output.strip()
    require(said == "Hello!", expected="Hello!", found=said or "nothing printed", cause="it does not greet yet")
'''


@pytest.fixture(scope="module")
def small(course):
    """The same copy with labs 1 to 3, and an eleventh that is made of its three folders."""
    for path in course.folder.glob("labs/*"):
        if path.name[:2] not in ("01", "02", "03"):
            shutil.rmtree(path)
    shutil.rmtree(course.folder / ".swordlab" / "starters")
    files = {
        "labs/11-hello/lab.toml": MANIFEST,
        "labs/11-hello/README.md": LESSON,
        "labs/11-hello/hello.py": "# TODO 1: greet\n",
        "solutions/11-hello/hello.py": "print('Hello!')\n",
        "checks/test_11_hello.py": CHECK,
    }
    for name, text in files.items():
        (course.folder / name).parent.mkdir(exist_ok=True)
        (course.folder / name).write_text(text, "utf-8")
    return course


def test_check_writes_its_results(small):
    done = small.make("check", "TREE=solutions", "JSON=results.json", "JUNITXML=results.xml")
    assert done.returncode == 0, done.stdout
    found = {lab["number"]: lab for lab in json.loads((small.folder / "results.json").read_text())}
    assert set(found) == {1, 2, 3, 11}
    assert all(result["verdict"] == "pass" for lab in found.values() for result in lab["results"])
    cases = ElementTree.parse(small.folder / "results.xml").getroot().iter("testcase")
    assert len(list(cases)) == sum(len(lab["results"]) for lab in found.values())


def test_an_eleventh_lab_needs_its_three_folders_alone(small):
    wrong = small.swordlab("check", "11")
    assert wrong.returncode == 1
    assert "it does not greet yet" in wrong.stdout and "still to do: TODO 1 of hello.py" in wrong.stdout
    assert "print(…) writes a line." in small.make("hint-11").stdout
    assert small.make("solution-11", "YES=1").returncode == 0
    assert small.swordlab("check", "11").returncode == 0
    assert re.search(r"^ +11  Say hello +1 of 1  pass", small.make("progress").stdout, re.M)
    assert small.make("reset-11").returncode == 0
    verified = small.make("verify", "LAB=11")
    assert verified.returncode == 0, verified.stdout
    assert "3 of 3 as they must be" in verified.stdout


def test_an_engine_that_stands_still_for_a_moment_is_waited_for(cluster):
    metastore = psutil.Process(cluster.supervisor.info()["metastore"].pid)
    metastore.suspend()
    threading.Timer(5.0, metastore.resume).start()
    work = Work(cluster, SOLUTIONS)
    found = run.check(lab(3), work, seed=run.new_seed())
    work.stop([lab(3)])
    assert found.verdict == PASS, found.results


def test_a_long_topic_is_no_fault_of_the_watcher(cluster):
    work, event = Work(cluster, SOLUTIONS), json.dumps({"Host": "user1.comcast.com", "event_type": "default"}).encode()
    work.run(lab(3), "python create_topic.py")
    producer = KafkaProducer(bootstrap_servers=endpoints.url("KAFKA_BOOTSTRAP_SERVERS"))
    for number in range(2 * OUTPUT_LIMIT // len(event)):
        producer.send("events", event, partition=number % 2)
    producer.close()
    found = run.check(lab(3), work, seed=run.new_seed())
    state.delete_topics(["events"])
    assert found.verdict == PASS, found.results
