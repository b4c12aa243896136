"""The Docker runtime: docker-compose.yml run by Docker's own compose, and the student's programs in its containers.

What is asked of Docker goes through its command line, which knows the user's contexts and rights. A container's
health check (`swordlab healthy NAME…`) prints a line for each engine, which Docker keeps: that is what `status` reads.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from swordlab import endpoints
from swordlab.cluster import compose
from swordlab.cluster.compose import Service
from swordlab.cluster.local import is_free, port_taken
from swordlab.cluster.runtime import LOG_SEEN, READY_WITHIN, Cluster, Report, Row, cannot_start, health_of, last_lines
from swordlab.engines import ENGINES
from swordlab.errors import LabError, UsageError
from swordlab.places import CHECKOUT, MOUNT, State

IMAGE = "swordlab"
PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
"""The labels by which compose knows its containers."""
OLDEST_COMPOSE = (1, 29)
MEMORY_NEEDED = 3.0  # GiB, for Docker; the containers' limits add up to 4
SLOWER = 2.0  # times the patience with local processes, which start with class-data archives
STOP_SECONDS = 10  # then Docker kills a container
POLL = 0.5  # seconds
TRIES = 2  # starts of a container whose engine ends again and again
FLOOD = 20_000_000  # bytes of a file that a program has written into a folder
WITHOUT_DOCKER = "or leave RUNTIME=docker out: the lab runs without Docker too"
INHERITED = {"PATH", "HOME", "SWORDLAB_STATE", "SWORDLAB_CACHE", "SWORDLAB_HOSTS", "FLASK_LOG"}
"""What a program in a container takes from the image, whatever it is on this machine."""
LISTENER = """\
import psutil, sys
from swordlab.cluster.local import listening
for pid in listening().get(int(sys.argv[1]), ()):
    print(psutil.Process(pid).environ().get("SWORDLAB_PROGRAM", ""))
"""
"""Run in a container: the mark of the program that listens on a port."""
BUILD_CAUSES = (
    ("no space left on device", "the disk is full", "make room: docker system df shows what Docker takes"),
    (
        "certificate",
        "a certificate authority of this network is not known in the image",
        "put its certificate into docker/ca-certificates: the README there says how",
    ),
    *(
        (sign, "the image's parts could not be fetched", "the first build needs a network: try again there")
        for sign in (
            "Temporary failure", "Could not resolve", "no such host", "dial tcp", "unreachable", "timed out", "timeout",
            "Unable to fetch", "NewConnectionError",
        )
    ),
)  # fmt: skip
"""A text in the build's output -> what it means, what to do."""


@dataclass(frozen=True)
class Container:
    """One service's container, and so the box in which its programs run."""

    service: str
    found: Mapping[str, Any]
    """What `docker inspect` says of it."""

    stdin: ClassVar[int] = subprocess.PIPE
    """A program in a container ends when the standard input of the command that started it closes (inside.py)."""

    @property
    def id(self) -> str:
        """Docker's name for it, which a new container does not share."""
        return str(self.found["Id"])[:12]

    @property
    def is_running(self) -> bool:
        """Whether its first process runs."""
        return bool(self.found["State"]["Running"])

    @property
    def has_failed(self) -> bool:
        """Whether it ended, or was started again and again."""
        return self.found["State"]["Status"] in ("exited", "dead") or self.found["RestartCount"] >= TRIES

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        began = datetime.fromisoformat(self.found["State"]["StartedAt"][:19] + "+00:00").timestamp()
        return max(0.0, time.time() - began) if self.is_running else 0.0

    def health(self, engine: str) -> str:
        """An engine's health in the words of `make status`."""
        if not self.is_running:
            return f"ended with status {self.found['State']['ExitCode']}"
        checks = self.found["State"].get("Health", {}).get("Log") or []
        if not checks:
            return "starting"
        found = re.search(rf"^{engine}: (.*)", checks[-1]["Output"], re.M)
        reason = found[1] if found else checks[-1]["Output"].strip()
        return "healthy" if reason == "ready" else f"starting: {reason}"

    def memory(self) -> dict[str, int]:
        """Engine -> resident bytes of its process."""
        listed = docker("top", self.id, "-eo", "pid,rss,args").splitlines()[1:]
        return {
            name: sum(int(line.split()[1]) * 1024 for line in listed if f" {engine.main}" in line)
            for name, engine in ENGINES.items()
        }

    def wrap(self, words: Sequence[str], environ: Mapping[str, str], folder: Path) -> list[str]:
        """The command line that runs `words` in the container, with this environment, in this folder of the checkout.

        A word that is a folder of this machine is one that the program writes into: `collect` brings it back.
        """
        variables = {name: value for name, value in environ.items() if name not in INHERITED}
        log = ["--log", self.variable("FLASK_LOG")] if "FLASK_APP" in environ else []
        made = [part for word in words if is_folder(word) for part in ("--make", word)]
        return [
            *("docker", "exec", "--interactive", "--workdir", str(mounted(folder))),
            *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
            *(self.id, "python", "-P", "-m", "swordlab.inside", *log, *made, "--", *words),
        ]

    def variable(self, name: str) -> str:
        """A variable of the container's environment."""
        entries: list[str] = self.found["Config"]["Env"]
        return dict(entry.split("=", 1) for entry in entries)[name]

    def collect(self, folder: Path) -> None:
        """Move the files that a program wrote into this folder of the container to the same folder here."""
        command = ["docker", "exec", self.id, "sh", "-c", 'tar -C "$0" -c . && rm -rf "$0"', str(folder)]
        archive = subprocess.run(command, check=False, capture_output=True).stdout
        with contextlib.suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if (
                    member.isfile()
                    and member.size < FLOOD
                    and len(name.parts) == 1
                    and (file := tar.extractfile(member))
                ):
                    (folder / name).write_bytes(file.read())

    def program_on(self, port: int) -> str:
        """The supervised program that listens on a port of the container; empty where none of those does."""
        return docker("exec", self.id, "python", "-P", "-c", LISTENER, str(port)).strip()

    def shell(self) -> list[str]:
        """A shell in the container."""
        terminal = "--tty" if sys.stdin.isatty() else "--interactive"
        return ["docker", "exec", "--interactive", terminal, "--workdir", MOUNT, self.id, "bash"]


class DockerCluster(Cluster):
    """One cluster of containers."""

    def up(self, file: Path, report: Report = lambda *_: None, ready_within: float = READY_WITHIN) -> None:
        """Build the image, let compose start the services, wait until the health check of each engine is content."""
        services = compose.read(file)
        require()
        with self.exclusively("up"):
            self.check_disk()
            self._check_ports(services)
            self.remember(file)
            build(self.state, report)
            self._start(services, report, ready_within * SLOWER)
            self.supervisor.define(self.supervisor.programs())
            self.supervisor.ensure_running()

    def held_ports(self) -> set[int]:
        """Those that a running container publishes."""
        running = self._running()
        services = self.services() if running else {}
        return {port for name in running for port in services[name].ports}

    def _running(self) -> set[str]:
        return {container.service for container in self.containers() if container.is_running}

    def _check_ports(self, services: Mapping[str, Service]) -> None:
        running = self._running()
        variables = {port: name for name, port in endpoints.ports().items()}
        for service in services.values():
            for port in service.ports if service.name not in running else ():
                if not is_free(port):
                    raise port_taken(port, variables.get(port, "…"), service.name)

    def _start(self, services: Mapping[str, Service], report: Report, seconds: float) -> None:
        """compose up, until all engines answer."""
        deadline, began = time.monotonic() + seconds, time.monotonic()
        waiting = {name for service in services.values() for name in service.engines}
        for name in sorted(waiting):
            report(name, "starting")
        before = {container.id for container in self.containers()}
        log = self.state.log("compose")
        with log.open("wb") as output:
            command = self._compose("up", "--detach", "--no-build", "--remove-orphans")
            starting = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=CHECKOUT)
        try:
            while waiting or starting.poll() is None:
                begun = starting.poll() is not None  # until then a container of before may be about to be replaced
                containers = {c.service: c for c in self.containers() if begun or c.id not in before}
                for name, container in engines_in(services, containers):
                    if name in waiting and container.health(name) == "healthy":
                        waiting.remove(name)
                        report(name, f"ready after {time.monotonic() - began:.1f} s")
                for container in containers.values():
                    if container.has_failed and container.service in services:
                        raise self._cannot_start(container.service)
                if starting.poll():
                    raise compose_failed(log.read_text(errors="replace"))
                if time.monotonic() > deadline:
                    reasons = [f"{name} ({c.health(name)})" for name, c in engines_in(services, containers)]
                    raise LabError(
                        f"not ready after {seconds:.0f} s: {'; '.join(r for r in reasons if '(healthy)' not in r)}",
                        "look at the logs: docker-compose logs",
                    )
                time.sleep(POLL)
        finally:
            if starting.poll() is None:
                starting.terminate()
            starting.wait()

    def _cannot_start(self, service: str) -> LabError:
        command = self._compose("logs", "--no-color", "--tail", str(LOG_SEEN), service)
        text = subprocess.run(command, check=False, capture_output=True, text=True, cwd=CHECKOUT).stdout
        lines = [line.partition("| ")[2] or line for line in text.splitlines()]
        return cannot_start(service, lines, f"docker-compose logs {service}")

    def _compose(self, *arguments: str, file: Path | None = None) -> list[str]:
        """A command line of compose for this cluster's file."""
        kept = json.loads((self.state.root / endpoints.KEPT).read_text())
        where = [
            "--project-directory",
            str(CHECKOUT),
            "--project-name",
            project(),
            "--file",
            str(file or kept["compose"]),
        ]
        return [*compose_command(), *where, *arguments]

    def down(self) -> None:
        """End the programs, then the containers; the volumes stay."""
        self._end("down")

    def clean(self) -> None:
        """The same, and the volumes with all data."""
        self._end("down", "--volumes")
        shutil.rmtree(self.state.root.resolve())

    def _end(self, *command: str) -> None:
        require()
        with self.exclusively("down"):
            self.supervisor.shut_down()
            if (self.state.root / endpoints.KEPT).exists():
                end = self._compose(*command, "--remove-orphans", "--timeout", str(STOP_SECONDS))
                done = subprocess.run(end, check=False, capture_output=True, text=True, cwd=CHECKOUT)
                if done.returncode:
                    raise compose_failed(done.stderr)

    def containers(self) -> list[Container]:
        """This cluster's containers, also those that have ended."""
        ids = docker("ps", "--all", "--quiet", "--filter", f"label={PROJECT}={project()}").split()
        try:
            found = json.loads(docker("inspect", *ids)) if ids else []
        except LabError:  # one of them was removed meanwhile
            return self.containers()
        return [Container(entry["Config"]["Labels"][SERVICE], entry) for entry in found]

    def status(self) -> list[Row]:
        """One row for each engine, and one for each program of the student's."""
        if not (self.state.root / endpoints.KEPT).exists():
            return []
        services, rows = self.services(), []
        containers = {container.service: container for container in self.containers()}
        for service in services.values():
            container = containers.get(service.name)
            memory = container.memory() if container and container.is_running and service.engines else {}
            for name in service.engines:
                health, uptime = (container.health(name), container.uptime) if container else ("down", 0.0)
                ports = tuple(endpoints.ports()[variable] for variable in ENGINES[name].ports)
                rows.append(Row(service.name, name, health, ports, memory.get(name, 0), uptime))
        info = self.supervisor.info()
        for program in self.supervisor.programs().values():
            found = info.get(program.name)
            rows.append(Row(program.service, program.name, health_of(found), (), 0, found.uptime if found else 0.0))
        return rows

    def log_command(self, name: str) -> list[str]:
        """tail for a program of the student's, compose's own for a service or an engine."""
        programs, services = self.supervisor.programs(), self.services() if self.status() else {}
        if name in programs:
            return ["tail", "-n", "50", "-F", str(self.state.log(name))]
        for service in services.values():
            if name in (service.name, *service.engines):
                return self._compose("logs", "--follow", "--tail", "50", service.name)
        known = sorted({*programs, *services, *(name for service in services.values() for name in service.engines)})
        raise UsageError(
            f"there is no service or program '{name}'",
            f"make logs SERVICE=…, one of: {', '.join(known) or 'none: the cluster was never up'}",
        )

    def save_class_data(self) -> None:
        """Nothing: the image cannot be written."""

    save_class_data_later = save_class_data

    def box(self, service: str) -> Container:
        """The service's container; LabError where it does not run."""
        found = [container for container in self.containers() if container.service == service and container.is_running]
        if not found:
            raise LabError(f"no container runs for service {service}", "make up RUNTIME=docker")
        return found[0]

    def environment(self) -> dict[str, str]:
        """The same addresses as on this machine; a program listens on every address of its container."""
        return endpoints.environment() | {"BIND": "0.0.0.0", "PYTHONUNBUFFERED": "1"}  # noqa: S104


def engines_in(services: Mapping[str, Service], containers: Mapping[str, Container]) -> Iterator[tuple[str, Container]]:
    """Each engine with its container, where there is one."""
    for service in services.values():
        for name in service.engines:
            if service.name in containers:
                yield name, containers[service.name]


def is_folder(word: str) -> bool:
    """Whether a word of a command line is a folder of this machine that is none of the checkout's."""
    path = Path(word)
    return path.is_absolute() and path.is_dir() and not path.is_relative_to(CHECKOUT)


def mounted(folder: Path) -> PurePosixPath:
    """Where a folder of the checkout is in a container; UsageError for another folder."""
    if not folder.is_relative_to(CHECKOUT):
        raise UsageError(
            f"{folder} is not below {CHECKOUT}, and so not in the containers",
            "copy it there, or leave RUNTIME=docker out",
        )
    return PurePosixPath(MOUNT) / folder.relative_to(CHECKOUT)


def build(state: State, report: Report) -> None:
    """Build the image; when nothing changed that takes a second."""
    report("image", "building (the first time takes minutes)")
    began, log = time.monotonic(), state.log("build")
    with log.open("wb") as output:
        command = ["docker", "build", "--tag", IMAGE, str(CHECKOUT)]
        done = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        text = log.read_text(errors="replace")
        tail = last_lines(text.splitlines())
        cause, cure = next(
            ((cause, cure) for sign, cause, cure in BUILD_CAUSES if sign in text), ("its output says why", str(log))
        )
        raise LabError(f"the image could not be built. The last lines:\n{tail}\n  Likely cause: {cause}", cure)
    with contextlib.suppress(LabError):  # another prune is at work
        docker("image", "prune", "--force", "--filter", f"label={IMAGE}")  # earlier builds that nothing uses
    report("image", f"built after {time.monotonic() - began:.1f} s")


def project() -> str:
    """Compose's name for this cluster: COMPOSE_PROJECT_NAME, or the checkout's folder as compose spells it."""
    return os.environ.get("COMPOSE_PROJECT_NAME") or re.sub(r"[^-_a-z0-9]", "", CHECKOUT.name.lower()).lstrip("-_")


def docker(*arguments: str) -> str:
    """What a docker command prints; LabError with what it complains of."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"docker {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}", "docker info")
    return done.stdout


def require() -> None:
    """LabError where Docker cannot run the cluster: none installed, not running, not allowed, too old, too small."""
    if not shutil.which("docker"):
        raise LabError("Docker is not installed", f"install it, {WITHOUT_DOCKER}")
    try:
        memory = int(docker("info", "--format", "{{.MemTotal}}").strip() or 0) / 2**30
    except (LabError, ValueError) as error:
        if "permission denied" in str(error):
            raise LabError(
                "this user may not use Docker",
                f"sudo usermod -aG docker $USER, then log in again; {WITHOUT_DOCKER}",
            ) from None
        raise LabError(
            f"Docker's daemon does not answer ({str(error).splitlines()[0][:200]})",
            f"start Docker Desktop, or: sudo systemctl start docker; {WITHOUT_DOCKER}",
        ) from None
    if not memory:
        raise LabError("Docker's daemon does not answer", "start Docker Desktop, or: sudo systemctl start docker")
    if memory < MEMORY_NEEDED:
        raise LabError(
            f"Docker has {memory:.1f} GiB of memory, the cluster needs {MEMORY_NEEDED:.0f}",
            f"give it more (Docker Desktop: Settings, Resources), {WITHOUT_DOCKER}",
        )
    compose_command()


@cache
def compose_command() -> list[str]:
    """`docker compose` where there is one, else `docker-compose`; LabError where there is none, or an old one."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version", "--short"], check=False, capture_output=True, text=True)
            numbers = re.search(r"(\d+)\.(\d+)", done.stdout)
            if done.returncode == 0 and numbers:
                if (int(numbers[1]), int(numbers[2])) < OLDEST_COMPOSE:
                    raise LabError(
                        f"{' '.join(command)} {done.stdout.strip()} is too old: 1.29 or newer is needed",
                        f"update it, {WITHOUT_DOCKER}",
                    )
                return command
    raise LabError("Docker has no compose", f"install docker-compose (1.29 or newer), {WITHOUT_DOCKER}")


def compose_failed(text: str) -> LabError:
    """What compose said, as far as it helps."""
    lines = [line for line in text.splitlines() if line.strip()]
    cure = "make room: docker system df" if "no space left" in text else "docker-compose ps; docker-compose logs"
    if "already allocated" in text or "address already in use" in text:
        cure = "another program took the port meanwhile; type the same command again, and it is named"
    return LabError("Docker's compose could not do it. Its last lines:\n    " + "\n    ".join(lines[-6:]), cure)
