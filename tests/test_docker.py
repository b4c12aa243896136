"""The cluster on Docker, started once: by hand as in the report, then with RUNTIME=docker.

Without Docker these tests are skipped; where SWORDLAB_CI is set that is a failure.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests
from conftest import swordlab

from bench.surroundings import own_ports
from swordlab import endpoints, labs
from swordlab.cluster import docker
from swordlab.cluster.local import COMPOSE_FILE
from swordlab.engines import ENGINES
from swordlab.errors import LabError
from swordlab.grading import variants
from swordlab.labs import SOLUTIONS
from swordlab.places import CHECKOUT, State

pytestmark = pytest.mark.long
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)
BY_HAND = [
    line
    for block in BLOCK.findall((CHECKOUT / "docs" / "docker.md").read_text())
    for line in block.splitlines()
    if line.startswith(("docker-compose exec", "bash "))
]
"""The command lines of the report, as docs/docker.md has them."""
GOES_ON = ("flask run", "spark-submit", "kafkacat -C")
TOOLS = ("kafkacat ", "hadoop ", "hive ", "presto ", "curl ")
TYPED = {"hive": "show tables;\n", "presto --server": "show tables;\n"}
"""What is typed where a command line waits for more."""
COMPOSE_V2 = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "swordlab-ci" / "compose-v2"
"""Where .ci/docker puts compose's second version: a DOCKER_CONFIG, so that only the test of it meets it."""


NOSY = """\
from __future__ import annotations
import os, socket
assert not any(os.path.exists(f"/opt/swordlab/{name}") for name in ("solutions", "checks", "tests")), "the course"
assert not os.path.exists("/submissions") and not os.path.exists("/grades"), "others' work"
assert socket.socket().connect_ex(("192.0.2.1", 80)), "a network"
"""
"""What the first lines of a submission's program look for."""


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """The variables of this cluster: ports, state folder and project of its own."""
    try:
        docker.require()
    except LabError as error:
        if os.environ.get("SWORDLAB_CI"):
            pytest.fail(f"Docker is needed here: {error}")
        pytest.skip(f"Docker's part is skipped: {error.message}")
    ports = own_ports()
    state = tmp_path_factory.mktemp("docker") / "state"
    own = {"SWORDLAB_STATE": str(state), "COMPOSE_PROJECT_NAME": "swordlab-test", "RUNTIME": "docker"}
    before = dict(os.environ)
    os.environ.update(ports | own)
    yield ports | own
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def image(environ):
    """The image, built from the checkout as it is."""
    done = subprocess.run(
        ["docker", "build", "-t", docker.IMAGE, CHECKOUT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


# pytest-docker's settings


@pytest.fixture(scope="session")
def docker_compose_command():
    return " ".join(docker.compose_command())


@pytest.fixture(scope="session")
def docker_compose_file():
    return str(COMPOSE_FILE)


@pytest.fixture(scope="session")
def docker_compose_project_name():
    return "swordlab-test"


@pytest.fixture(scope="session")
def docker_setup():
    return ["down --volumes --timeout 10", "up --detach --no-build"]


@pytest.fixture(scope="module")
def services(environ, image, request):
    """Every service, started by pytest-docker with the report's command."""
    return request.getfixturevalue("docker_services")


def typed(line, environ, text="", seconds=120):
    """Run a command line as if it were typed in the project's folder."""
    return subprocess.run(
        ["timeout", str(seconds), "bash", "-c", here(line, environ)],
        cwd=CHECKOUT,
        env=os.environ | environ | {"FLASK_URL": f"http://localhost:{environ['FLASK_PORT']}"},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def here(line, environ):
    """The command line with this cluster's ports for the report's, and with this machine's compose."""
    for name, port in endpoints.PORTS.items():
        line = re.sub(rf"(?<=:){port}\b", environ[name], line)
    if line.startswith("docker-compose exec"):
        line = " ".join(docker.compose_command()) + line.replace("docker-compose exec", " exec -T", 1)
    return line


def until_it_works(run, line, status=0):
    """Run a line until it ends as it should, within a minute: a stream's next batch takes its time."""
    deadline = time.monotonic() + 60
    while (done := run()).returncode != status:
        assert time.monotonic() < deadline, f"{line}\n{done.stdout}{done.stderr}"
        time.sleep(1)
    return done


def inside(service, command):
    return docker.docker("exec", container(service).id, "sh", "-c", command)


def container(service):
    return next(each for each in docker.DockerCluster(State.current()).containers() if each.service == service)


def test_up_returned_when_presto_answered(services, environ):
    answer = typed(f"curl -sf http://localhost:{environ['PRESTO_PORT']}/v1/info", environ)
    assert '"starting":false' in answer.stdout


def test_containers_have_no_root_no_rights_and_limits(services):
    limits = 0
    for name in endpoints.HOSTS:
        found = container(name).found
        limits += found["HostConfig"]["Memory"]
        assert found["HostConfig"]["ReadonlyRootfs"] and found["HostConfig"]["CapDrop"] == ["ALL"]
        assert found["HostConfig"]["LogConfig"]["Config"]["max-size"]
        bindings = [each for ports in found["HostConfig"]["PortBindings"].values() for each in ports]
        assert {each["HostIp"] for each in bindings} <= {"127.0.0.1"}
        assert inside(name, "id -u").strip() == "1000"
    assert 0 < limits <= 4 * 2**30


def test_the_image_is_small(image):
    assert int(docker.docker("image", "inspect", "--format", "{{.Size}}", docker.IMAGE)) <= 2_000_000_000


def test_the_reports_command_lines_work(services, environ):
    """In the order of the report; what goes on runs beside the others and is ended at last."""
    assert len(BY_HAND) >= 10
    with contextlib.ExitStack() as stack:
        for service in ("mids", "spark"):  # at last: what was started by hand outlives the end of its line
            stack.callback(docker.docker, "restart", "--time", "1", container(service).id)
        for line in BY_HAND:
            if any(word in line for word in GOES_ON):
                stack.enter_context(going_on(line, environ))
            else:
                text = next((text for end, text in TYPED.items() if end in line), "")
                done = until_it_works(lambda line=line, text=text: typed(line, environ, text), line)
                assert "Internal Server Error" not in done.stdout


@contextlib.contextmanager
def going_on(line, environ):
    """Start a line, wait until it shows that it works; the program in the container outlives the end of the line."""
    word = next(word for word in GOES_ON if word in line)
    shows = {"flask run": f"Running on http://127.0.0.1:{environ['FLASK_PORT']}", "spark-submit": "", "kafkacat -C": ""}
    line = here(line, environ)
    log = Path(environ["SWORDLAB_STATE"]).with_name(f"typed-{word.split()[0]}-{time.monotonic_ns()}.log")
    with log.open("wb") as output:
        running = subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=CHECKOUT, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 60
            while shows[word] not in log.read_text():
                assert time.monotonic() < deadline and running.poll() is None, f"{line}\n{log.read_text()}"
                time.sleep(0.2)
            yield
            assert running.poll() is None, f"{line}\n{log.read_text()}"
        finally:
            running.kill()
            running.wait()


def test_the_demo_prints_the_reports_figures(services, environ):
    done = swordlab("demo", environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All figures are the report's." in done.stdout


def lines_of(lesson):
    """The command lines of a lesson that use the report's tools."""
    return [line for block in BLOCK.findall(lesson) for line in block.splitlines() if line.startswith(TOOLS)]


@pytest.mark.parametrize("lab", labs.all_labs().values(), ids=lambda lab: lab.folder)
def test_the_lessons_command_lines_work(services, environ, lab):
    folder = docker.mounted(labs.SOLUTIONS / lab.folder)
    for line in lines_of((labs.LABS / lab.folder / "README.md").read_text()):
        goes_on = "kafkacat -C" in line and " -e" not in line
        words = ["timeout", "5" if goes_on else "100", "bash", "-c", here(line, environ)]
        until_it_works(lambda words=words: in_mids(folder, words), line, 124 if goes_on else 0)


def in_mids(folder, words):
    """Run a command in the container of the student's tools."""
    command = ["docker", "exec", "-i", "-w", str(folder), container("mids").id, *words]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False)


def test_the_doctor_knows_docker(services, environ):
    done = swordlab("doctor", environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"ok +Docker +engine \d+\.", done.stdout) and re.search(r"ok +cluster +up", done.stdout)
    done = swordlab("doctor", environ=environ | {"DOCKER_HOST": "unix:///nobody-listens-here"})
    assert done.returncode == 2, done.stdout
    assert re.search(r"problem +Docker +Docker's daemon does not answer", done.stdout), done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_every_solution_passes(services, environ):
    done = swordlab("check", "--tree", "solutions", environ=environ, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


MUTANTS = [
    next(each for each in variants.read(labs.lab(number)) if each.name == name)
    for number, name in {2: "undefined_name", 3: "watcher_ends_at_the_last_event", 6: "host_before_accept"}.items()
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.lab.number}-{each.name}")
def test_a_mutant_fails(services, environ, mutant):
    tree = variants.write([mutant], CHECKOUT / ".swordlab" / "test-docker-mutant")  # where the containers see it
    done = swordlab("check", mutant.lab.number, "--tree", tree, environ=environ)
    shutil.rmtree(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(mutant.cause, done.stdout, re.S), done.stdout


def test_an_extra_authority_is_trusted_in_the_image(tmp_path, environ):
    """The layers of the Dockerfile that take extra certificates, with one made for this test."""
    key = tmp_path / "key.pem"
    crt = tmp_path / "test-docker.crt"
    subject = ["-subj", "/CN=Swordlab test authority"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", key, "-out", crt], check=True, capture_output=True)
    target = CHECKOUT / "docker" / "ca-certificates" / crt.name
    try:
        target.write_bytes(crt.read_bytes())
        build = ["docker", "build", "--target", "system", "-q", "-t", "swordlab-test-ca", CHECKOUT]
        subprocess.run(build, check=True, capture_output=True)
        trusted = (
            f"openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/{crt.name}"
        )
        java = "keytool -list -cacerts -storepass changeit 2>/dev/null | grep -c test-docker"
        done = docker.docker("run", "--rm", "swordlab-test-ca", "sh", "-c", f"{trusted} && {java}")
        assert "OK" in done
    finally:
        target.unlink(missing_ok=True)
        subprocess.run(["docker", "rmi", "swordlab-test-ca"], check=False, capture_output=True)


def leave_a_query_running(environ):
    """A statement whose client went away: Presto works on it for minutes."""
    rows = " cross join ".join(f"unnest(sequence(1, 10000)) as t{n}(x{n})" for n in range(3))
    url = f"http://127.0.0.1:{environ['PRESTO_PORT']}/v1/statement"
    answer = requests.post(url, f"select count(*) from {rows}", headers={"X-Presto-User": "lab"}, timeout=10).json()
    requests.get(answer["nextUri"], timeout=10)


def test_grading_runs_in_a_container_that_has_all_of_it(environ, tmp_path):
    """The right work has every point; a program of it that sees the course, or a way out, ends with an error."""
    right = tmp_path / "submissions" / "anna, 50%"
    shutil.copytree(SOLUTIONS, right, ignore=shutil.ignore_patterns("__pycache__", "out"))
    answers = right / "05-hdfs" / "hdfs_answers.py"
    answers.write_text(NOSY + answers.read_text())
    done = swordlab("grade", right, "--out", tmp_path / "grades", environ=environ, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "anna, 50%: 100 of 100 points" in done.stdout, done.stdout
    assert (tmp_path / "grades" / "report.html").stat().st_uid == os.getuid()


def test_down_is_quick_and_clean_and_data_outlives_it(services, environ):
    ids = {name: container(name).id for name in ("kafka", "cloudera", "presto")}
    leave_a_query_running(environ)
    for name, each in ids.items():
        began = time.monotonic()
        docker.docker("stop", "--time", "10", each)
        status = int(docker.docker("inspect", "--format", "{{.State.ExitCode}}", each))
        assert status in (0, 143) and time.monotonic() - began < 10, f"{name}: status {status}"
    assert swordlab("down", environ=environ).returncode == 0
    assert swordlab("up", environ=environ).returncode == 0
    done = typed(
        "docker-compose exec presto presto --server presto:8080 --catalog hive --schema default "
        "--execute 'select count(*) from sword_purchases'", environ
    )  # fmt: skip
    assert int(done.stdout.strip().strip('"')) >= 100, done.stdout + done.stderr
    assert swordlab("down", environ=environ).returncode == 0


def test_the_same_on_composes_second_version(services, environ):
    """Last: the cluster of the first version is down, its data is there."""
    if not COMPOSE_V2.exists():
        if os.environ.get("SWORDLAB_CI"):
            pytest.fail(f"compose's second version is needed here, in {COMPOSE_V2}")
        pytest.skip("compose's second version is not there: .ci/docker fetches it")
    second = environ | {"DOCKER_CONFIG": str(COMPOSE_V2)}

    def compose(command):
        done = typed(f"docker compose --file {COMPOSE_FILE} --project-name swordlab-test {command}", second)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    assert int(compose("version --short").split(".")[0]) >= 2
    assert set(docker.DockerCluster(State.current()).services()) == set(compose("config --services").split())
    compose("up --detach --no-build")
    count = (
        "presto --server presto:8080 --catalog hive --schema default --execute 'select count(*) from sword_purchases'"
    )
    assert int(compose(f"exec -T presto {count}").strip().strip('"')) >= 100
    status = swordlab("status", environ=second)
    assert status.stdout.count("healthy") == len(ENGINES), status.stdout + status.stderr
    compose("down --timeout 10")
    up = swordlab("up", environ=second)
    assert up.returncode == 0, up.stdout + up.stderr
    assert swordlab("check", "3", "--tree", "solutions", environ=second).returncode == 0
    assert swordlab("down", environ=second).returncode == 0
    assert not docker.DockerCluster(State.current()).containers()
