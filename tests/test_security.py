"""Attacks of a stranger's program on the grader, each tried on the real engines: docs/security.md tells the story."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from swordlab.errors import LabError
from swordlab.grading import clean, run, sandbox, state
from swordlab.grading.classes import GraderProcess
from swordlab.grading.grader import Grader
from swordlab.grading.live import Files, Hive, Topic
from swordlab.grading.results import FAIL, PASS
from swordlab.grading.sandbox import Sandbox
from swordlab.labs import SOLUTIONS, all_labs
from swordlab.places import CHECKOUT, State
from swordlab.work import Watch, Work

pytestmark = pytest.mark.cluster
LABS = all_labs()


@pytest.fixture
def tree(tmp_path):
    """A submission: the solutions as plain files, to be made hostile."""
    if not sandbox.is_available():
        (pytest.fail if os.environ.get("SWORDLAB_CI") else pytest.skip)("no sandbox: sudo apt install bubblewrap")
    folder = tmp_path / "tree"
    shutil.copytree(SOLUTIONS, folder, ignore=shutil.ignore_patterns("__pycache__", "out"))
    return folder


@pytest.fixture
def work(cluster, tree):
    """The submission in the sandbox."""
    work = Work(cluster, tree, Sandbox(cluster.state))
    yield work
    state.stop_programs(work)


def attack(work, code, seconds=30.0):
    """Run a program of the student's in the sandbox."""
    (work.tree / "03-kafka" / "attack.py").write_text(code)
    return work.run(LABS[3], "python attack.py", seconds=seconds)


def check(work, number):
    """Check a lab; verdict by check."""
    found = run.check(LABS[number], work, seed=run.new_seed())
    return found, {result.name: result for result in found.results}


def test_a_program_has_a_box_of_its_own_inside_the_graders(tree):
    """A grader that could make none must not run programs without: it once did, as root."""
    code = "from swordlab.grading import sandbox; print(sandbox.is_available())"
    command = [*GraderProcess(99).box(), sys.executable, "-c", code]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_without_a_box_no_program_runs(monkeypatch):
    monkeypatch.setattr(sandbox, "is_available", lambda: False)
    monkeypatch.delenv("UNSAFE", raising=False)
    with pytest.raises(LabError, match="no sandbox"):
        Grader(State.current(), 0).work(CHECKOUT)


@pytest.mark.parametrize(
    "path",
    [CHECKOUT / "solutions", CHECKOUT / "checks", CHECKOUT / "labs", CHECKOUT / "tests", CHECKOUT / ".git",
     Path.home() / ".ssh", Path("/etc/shadow"), Path("/var"), Path("/home")],
)  # fmt: skip
def test_it_sees_its_own_files_only(work, path):
    done = attack(work, f"import os; print(os.path.exists({str(path)!r}))")
    assert done.output.strip() == "False", done


def test_it_may_write_into_a_folder_that_a_check_made_for_it(work):
    """As lab 10's report does, also where the program is another user than the grader."""
    folder = Path(tempfile.mkdtemp(dir=work.sandbox.scratch))
    (work.tree / "03-kafka" / "attack.py").write_text("import sys; open(sys.argv[1] + '/mine', 'w').write('done')")
    done = work.run(LABS[3], "python attack.py", str(folder))
    assert (folder / "mine").read_text() == "done", done


def test_it_does_not_see_the_state_of_the_engines_or_another_submission(work, cluster, tree):
    beside = tree.parent / "another-submission"
    beside.mkdir()
    code = f"import os; print([os.path.exists(p) for p in ({str(cluster.state.data)!r}, {str(beside)!r})])"
    assert attack(work, code).output.strip() == "[False, False]"


def test_it_gets_nothing_of_the_graders_environment(work, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dx=y")
    monkeypatch.setenv("PYTHONPATH", "/evil")
    done = attack(work, "import os; print(sorted(os.environ)); print(open('/proc/1/environ','rb').read())")
    assert "SECRET_TOKEN" not in done.output
    assert "JAVA_TOOL_OPTIONS" not in done.output
    assert "PYTHONPATH" not in done.output


def test_it_sees_and_kills_no_process_but_its_own(work, cluster):
    before = {name: info.pid for name, info in cluster.supervisor.info().items()}
    code = """
import os, signal
print("sees", len([p for p in os.listdir("/proc") if p.isdigit()]))
try:
    os.kill(-1, signal.SIGKILL)
except OSError as error:
    print(error)
"""
    done = attack(work, code)
    assert "sees 3" in done.output or "sees 2" in done.output  # itself and the box, perhaps a helper of the box
    assert {name: info.pid for name, info in cluster.supervisor.info().items()} == before
    assert cluster.is_up()


def test_it_cannot_change_its_files_while_it_is_judged(work):
    done = attack(work, "open('create_topic.py', 'w').write('x')")
    assert "Read-only" in done.output
    assert (work.tree / "03-kafka" / "create_topic.py").read_text() != "x"


def test_it_cannot_write_the_labs_code_or_cache(work):
    code = f"""
import os, pathlib
for path in ({str(CHECKOUT / "swordlab" / "x.py")!r}, {str(Path(os.__file__).parent / "sitecustomize.py")!r}):
    try:
        pathlib.Path(path).write_text("evil")
        print("written", path)
    except OSError as error:
        print("refused")
"""
    assert "written" not in attack(work, code).output


def test_what_it_leaves_running_ends_with_it(work):
    code = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "survivor-of-a-test"], start_new_session=True)
print("left")
"""
    assert "left" in attack(work, code).output
    time.sleep(0.2)  # the kernel reaps the namespace
    assert not any("survivor-of-a-test" in " ".join(_cmdline(p)) for p in psutil.process_iter())


def _cmdline(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_fork_bomb_is_stopped(work, cluster):
    done = attack(work, "import os\nwhile True:\n    os.fork()\n")
    assert "processes" in done.problem or "printed" in done.problem or done.status
    assert cluster.is_up()


def test_memory_is_limited(work):
    done = attack(work, "x = []\nwhile True:\n    x.append(bytearray(50_000_000))\n")
    assert "GB of memory" in done.problem


def test_a_flood_of_output_is_stopped(work):
    done = attack(work, "while True:\n    print('x' * 100000)\n")
    assert "printed more than 1 MB" in done.problem
    assert len(done.output) < 2_000_000


def test_the_disk_is_limited(work):
    code = """
import errno
for place in ("/tmp/big", "big"):
    try:
        with open(place, "wb") as file:
            for _ in range(1000):
                file.write(bytes(1_000_000))
        print("filled")
    except OSError as error:
        print("refused", error.errno)
"""
    assert attack(work, code).output.count("refused") == 2


def test_one_that_never_ends_is_stopped(work):
    done = attack(work, "import time\ntime.sleep(1000)\n", seconds=2)
    assert "had not ended after 2 s" in done.problem


@pytest.mark.parametrize(
    "code",
    ["print('passed')\n", "import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n",
     "print('::set-output name=score::100')\nprint('10 of 10 points')\n"],
)  # fmt: skip
def test_what_a_program_prints_or_exits_with_is_no_verdict(work, code):
    (work.tree / "02-flask" / "game_api.py").write_text(code)
    found, _ = check(work, 2)
    assert found.verdict == FAIL
    assert found.earned == 0


def test_planted_files_are_not_the_checks(work):
    for folder in (work.tree, work.tree / "02-flask"):
        for name in ("conftest.py", "pytest.ini", "sitecustomize.py", "test_02_flask.py"):
            (folder / name).write_text("import pytest, os\nos._exit(0)\n")
    (work.tree / "02-flask" / "game_api.py").write_text("x")
    found, _ = check(work, 2)
    assert found.verdict == FAIL
    assert len(found.results) == len(LABS[2].points)


def test_pytest_variables_do_not_change_a_verdict(work, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    monkeypatch.setenv("PYTEST_PLUGINS", "evil")
    found, _ = check(work, 2)
    assert found.verdict == PASS
    assert len(found.results) == len(LABS[2].points)


def test_a_server_by_hand_on_the_games_port_is_not_taken_for_the_students(work):
    """The port is answered before the student's program starts: by a process that is not the student's."""
    import http.server
    import threading

    from swordlab import endpoints

    state.stop_programs(work)
    server = http.server.HTTPServer(("127.0.0.1", int(endpoints.url("FLASK_PORT"))), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found, _ = check(work, 2)
    finally:
        server.shutdown()
        server.server_close()
    assert found.verdict != PASS


def test_a_view_is_no_table(work):
    state.remove(work, "tables")
    (work.tree / "06-hive" / "create_tables.hql").write_text(
        "create view if not exists default.guild_joins as select 'x' as raw_event;\n"
        "create view if not exists default.sword_purchases as select 'x' as raw_event;\n"
    )
    found, _ = check(work, 6)
    assert found.verdict == FAIL
    for name in ("guild_joins", "sword_purchases"):
        Hive().rows(f"drop view if exists default.{name}")


def test_messages_deleted_under_the_check_are_missed(work):
    """A game that deletes the topic's records after each answer leaves no event for the check."""
    game = work.tree / "02-flask" / "game_api.py"
    game.write_text(
        game.read_text().replace(
            'producer.send("events", event).get(timeout=8)',
            'producer.send("events", event).get(timeout=8)\n'
            "    from kafka import KafkaAdminClient, TopicPartition\n"
            "    KafkaAdminClient(bootstrap_servers=os.environ['KAFKA_BOOTSTRAP_SERVERS'])"
            ".delete_records({TopicPartition('events', n): -1 for n in (0, 1)})",
        )
    )
    found, _ = check(work, 2)
    assert found.verdict != PASS


def test_a_supervised_program_is_limited_too(work, cluster):
    game = work.tree / "02-flask" / "game_api.py"
    game.write_text(
        "import os, time\nfor _ in range(400):\n    if os.fork() == 0:\n        time.sleep(100)\n" + game.read_text()
    )
    with Watch(work, [LABS[2]]):
        found, _ = check(work, 2)
    assert found.verdict == FAIL
    assert cluster.is_up()


def test_nothing_of_one_submission_is_left_for_the_next(work, cluster):
    """Plant topics, groups, files, databases, tables, functions, programs; wipe; nothing is left."""
    hive, topic = Hive(), Topic("planted")
    topic.send({"a": 1})
    Files().ask("MKDIRS", "/planted/deep", "PUT")
    Files().ask("MKDIRS", "/user/hive/warehouse/planted", "PUT")
    hive.rows("create database planted", "create table planted.t (a int)", "create table default.planted (a int)",
              "create view default.planted_view as select 1 as a")  # fmt: skip
    work.ensure_running([LABS[2]])
    Work(cluster, SOLUTIONS).run(LABS[3], "kafkacat -C -b kafka:29092 -t planted -e")
    dirty = clean.inventory(cluster)
    assert dirty["topics"] and dirty["paths"] and dirty["databases"] and dirty["tables"] and dirty["programs"], dirty
    clean.wipe(work)
    assert clean.inventory(cluster) == {kind: [] for kind in dirty}
    assert clean.is_clean(cluster)


def test_an_empty_set_of_checks_is_no_full_mark(work, tmp_path, monkeypatch):
    """A module whose checks are gone is refused, not passed."""
    from swordlab.errors import LabError

    empty = tmp_path / "test_nothing.py"
    empty.write_text("")
    plugin = run.Plugin(LABS[2], work, 1, lambda _: None)
    with pytest.raises(LabError):
        run.run_pytest(empty, plugin)
