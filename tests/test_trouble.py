"""Broken surroundings: a clear message, the right exit status, no traceback, and nothing that stops the next try."""

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from conftest import swordlab
from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient, NewTopic

from bench.surroundings import own_ports
from swordlab import endpoints, hosts
from swordlab.cluster.local import LocalCluster
from swordlab.places import CHECKOUT, State

KAFKA = "services:\n  kafka:\n    command: swordlab engine kafka\n    environment: {%s}\n"
HDFS = "  cloudera:\n    command: swordlab engine namenode datanode\n"


class Small:
    """A cluster of its own, on ports of its own, with few engines."""

    def __init__(self, folder):
        self.state = State(folder / "state")
        self.file = folder / "docker-compose.yml"
        self.ports = own_ports()
        self.environ = self.ports | {"SWORDLAB_STATE": str(self.state.root), hosts.VARIABLE: " ".join(endpoints.HOSTS)}
        self.environ |= {"KAFKA_BOOTSTRAP_SERVERS": f"kafka:{self.ports['KAFKA_PORT']}"}
        self.define(KAFKA % "")

    @property
    def broker(self):
        return f"127.0.0.1:{self.ports['KAFKA_PORT']}"

    @property
    def supervisor(self):
        return LocalCluster(self.state).supervisor

    def define(self, text):
        self.file.write_text(text)

    def command(self, *arguments):
        return swordlab(*arguments, environ=self.environ)

    def up(self):
        return self.command("up", "--file", self.file)

    def start_up(self):
        """`make up` in a process group of its own, as a terminal starts it."""
        return subprocess.Popen(
            [sys.executable, "-m", "swordlab", "up", "--file", self.file],
            cwd=CHECKOUT,
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def topics(self):
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        try:
            return set(admin.list_topics())
        finally:
            admin.close()


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv(hosts.VARIABLE, " ".join(endpoints.HOSTS))
    hosts.install()
    made = Small(tmp_path)
    yield made
    assert made.command("down").returncode == 0
    assert not list(made.supervisor.leftovers())


@pytest.fixture
def other(tmp_path):
    (tmp_path / "other").mkdir()
    made = Small(tmp_path / "other")
    yield made
    assert made.command("down").returncode == 0


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def refused(done, *texts, status=2):
    """The command ended as it should, and said what it should, without a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert "Traceback" not in said
    for text in texts:
        assert text in said


def in_namespace(script, environ=None):
    """Run a shell script that may mount, in a mount namespace of its own; skip where that is not allowed."""
    if (
        sys.platform != "linux"
        or subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine allows no mount namespace")
    return subprocess.run(
        ["unshare", "-rm", "sh", "-ec", script],
        cwd=CHECKOUT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# the set-up


def bootstrap(folder):
    """A checkout that holds no more than the set-up needs."""
    (folder / "swordlab").mkdir()
    shutil.copy(CHECKOUT / "swordlab" / "bootstrap.py", folder / "swordlab")
    shutil.copy(CHECKOUT / "requirements.lock", folder)
    return folder / "swordlab" / "bootstrap.py"


def test_an_old_python_is_refused(tmp_path):
    code = "import runpy, sys; sys.version_info = (3, 9, 18); runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", code, bootstrap(tmp_path)]
    refused(subprocess.run(command, capture_output=True, text=True, check=False), "3.9.18 is too old", "make PYTHON=")


def test_a_python_without_a_package_index_is_told_so(tmp_path):
    command = [sys.executable, bootstrap(tmp_path)]
    environ = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    refused(done, "Set-up stopped", "a proxy or a mirror set for pip")


def test_a_checkout_that_cannot_be_written_is_refused(tmp_path):
    script = f'mount -o bind "{tmp_path}" "{tmp_path}"; mount -o remount,bind,ro "{tmp_path}"; {sys.executable} "$FILE"'
    done = in_namespace(script, {"FILE": str(bootstrap(tmp_path))})
    refused(done, "Set-up stopped", "Read-only file system")


# disk, folders, ports


def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for command in ("up", "shell", "down"):
        done = swordlab(command, environ={"SWORDLAB_STATE": str(tmp_path / "file" / "state")})
        refused(done, "cannot be made: Not a directory", "make SWORDLAB_STATE=")


@pytest.mark.parametrize("variable", ["SWORDLAB_STATE", "SWORDLAB_CACHE"])
def test_too_little_room_is_said_before_anything_is_done(tmp_path, variable):
    done = in_namespace(
        f'mount -t tmpfs -o size=20m none "${variable}"; {sys.executable} -m swordlab up',
        {"SWORDLAB_STATE": str(tmp_path), variable: str(tmp_path)},
    )
    refused(done, "are free", "are needed", f"make {variable}=")


def test_the_state_folder_of_a_full_disk_is_a_message_not_a_traceback(tmp_path):
    done = in_namespace(
        f'mount -t tmpfs -o size=20m none "$SWORDLAB_STATE"; cat /dev/zero >"$SWORDLAB_STATE/fill" 2>/dev/null || '
        f"{sys.executable} -m swordlab shell </dev/null",
        {"SWORDLAB_STATE": str(tmp_path)},
    )
    refused(done, "No space left on device", "make doctor")


@pytest.mark.parametrize("port", ["http", "70000", "0", "-1"])
def test_what_is_no_port_is_refused(tmp_path, port):
    done = swordlab("up", environ={"SWORDLAB_STATE": str(tmp_path / "state"), "KAFKA_CONTROLLER_PORT": port})
    refused(done, f"KAFKA_CONTROLLER_PORT is '{port}', which is not a port", status=1)


def test_the_doctor_says_what_to_do(tmp_path):
    ports = own_ports()
    environ = {"SWORDLAB_STATE": str(tmp_path / "state"), **ports}
    done = swordlab("doctor", environ=environ)
    refused(done, "The lab can run here.", "down; make up starts it", status=0)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as holder:
        environ["PRESTO_PORT"] = str(holder.server_port)
        done = swordlab("doctor", environ=environ)
    refused(done, f"{holder.server_port} (PRESTO_PORT) is taken by", f"process {os.getpid()}", "make up PRESTO_PORT=")


# the network


def registry_at(address, home):
    """An environment in which every registry is at `address`, with an empty cache."""
    (home / ".config").mkdir(parents=True)
    (home / ".config" / "jgo.conf").write_text(f"[repositories]\nlab = {address}/maven2\n")
    return {"HOME": str(home), "SWORDLAB_CACHE": str(home / "cache"), "PIP_INDEX_URL": f"{address}/simple"}


def test_no_network_is_said_and_leaves_nothing_half_done(tmp_path):
    done = swordlab("fetch", environ=registry_at("http://127.0.0.1:1", tmp_path))
    refused(done, "could not be fetched", "check the network", "what was fetched is kept")


class Stalling(http.server.BaseHTTPRequestHandler):
    """Sends the first bytes of an archive, then nothing more."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"x" * 300_000)
        self.wfile.flush()
        self.server.over.wait()

    def log_message(self, *_):
        pass


def test_ctrl_c_while_fetching_ends_at_once_and_keeps_what_came(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    server.over = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {**os.environ, **registry_at(f"http://127.0.0.1:{server.server_port}", tmp_path)}
    command = [sys.executable, "-m", "swordlab", "fetch"]
    running = subprocess.Popen(
        command, cwd=CHECKOUT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: any(part.stat().st_size for part in tmp_path.rglob("*.part")))
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
    finally:
        running.kill()
        server.over.set()
        server.shutdown()
    refused(subprocess.CompletedProcess(command, running.returncode, out, err), "Stopped.", status=130)
    assert any(part.stat().st_size for part in tmp_path.rglob("*.part"))


# the cluster


@pytest.mark.cluster
def test_a_second_make_up_is_told_of_the_first_and_ctrl_c_leaves_nothing_running(small):
    small.define(KAFKA % "" + HDFS)
    first = small.start_up()
    wait_until(lambda: small.supervisor.is_running())
    refused(small.up(), "this cluster is being changed by 'swordlab up, process")
    os.killpg(first.pid, signal.SIGINT)
    out, err = first.communicate(timeout=60)
    refused(subprocess.CompletedProcess("up", first.returncode, out, err), "Stopped.", status=130)
    assert not small.supervisor.is_running()
    assert not list(small.supervisor.leftovers())
    done = small.up()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
def test_two_clusters_run_side_by_side(small, other):
    with ThreadPoolExecutor() as pool:
        for done in pool.map(Small.up, (small, other)):
            assert done.returncode == 0, done.stdout + done.stderr
    admin = KafkaAdminClient(bootstrap_servers=small.broker)
    admin.create_topics([NewTopic("mine", 1, 1)])
    admin.close()
    assert "mine" in small.topics()
    assert "mine" not in other.topics()
    assert small.command("down").returncode == 0
    assert other.command("status").stdout.split()[6:9] == ["kafka", "kafka", "healthy"]


@pytest.mark.cluster
def test_an_engine_that_cannot_start_says_why_and_the_mended_file_starts(small):
    small.define(KAFKA % "KAFKA_NUM_PARTITIONS: many")
    done = small.up()
    refused(done, "kafka ended before it was ready", "Invalid value many", "a KAFKA_… variable in the compose file")
    assert "\tat " not in done.stderr
    small.define(KAFKA % "KAFKA_NUM_PARTITIONS: 3")
    done = small.up()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
def test_no_answered_event_is_lost_while_kafka_is_down(small, tmp_path):
    assert small.up().returncode == 0
    log = (tmp_path / "flask.log").open("w")
    flask = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "game_api.py", "run", "--port", small.environ["FLASK_PORT"]],
        cwd=CHECKOUT / "solutions" / "02-flask",
        env={**os.environ, **small.environ},
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{small.environ['FLASK_PORT']}/purchase_sword"

    def play(host):
        with contextlib.suppress(requests.ConnectionError):  # flask itself is not there yet
            return requests.get(url, headers={"Host": host}, timeout=30).status_code
        return 0

    try:
        wait_until(lambda: play("first") == 200)
        with ThreadPoolExecutor(16) as pool:
            under_way = [pool.submit(lambda host: (host, play(host)), f"player{number}") for number in range(8)]
            os.kill(small.supervisor.info()["kafka"].pid, signal.SIGKILL)
            small.supervisor.stop("kafka")
            without = [pool.submit(lambda host: (host, play(host)), f"player{number}") for number in range(8, 16)]
            answers = dict(player.result() for player in under_way + without)
        assert set(answers.values()) <= {200, 503}
        assert {player.result()[1] for player in without} == {503}
        small.supervisor.start("kafka")
        wait_until(lambda: play("last") == 200)
    finally:
        flask.kill()
        flask.wait()
        log.close()
    consumer = KafkaConsumer(
        "events", bootstrap_servers=small.broker, auto_offset_reset="earliest", consumer_timeout_ms=3000
    )
    events = [message.value.decode() for message in consumer]
    consumer.close()
    for host in ["first", "last", *(host for host, status in answers.items() if status == 200)]:
        assert sum(f'"Host": "{host}"' in event for event in events) >= 1, host


def test_a_path_with_a_space_and_more_goes_by_a_link(tmp_path, monkeypatch):
    folder = tmp_path / "a b %c ü"
    monkeypatch.setenv("SWORDLAB_STATE", str(folder))
    state = State.current()
    assert state.root != folder
    assert state.folder("conf").resolve() == folder / "conf"
    assert State.current() == state
    monkeypatch.setenv("SWORDLAB_STATE", str(state.root))
    assert State.current() == state
    Path(state.root).unlink()
