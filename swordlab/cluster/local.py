"""The local runtime: the services of docker-compose.yml as supervised processes of this user."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from swordlab import endpoints, engines, fetch, launch
from swordlab.cluster import compose
from swordlab.cluster.compose import Service
from swordlab.cluster.runtime import LOG_SEEN, READY_WITHIN, Cluster, Report, Row, cannot_start, health_of
from swordlab.cluster.supervisor import Program, ProgramInfo
from swordlab.engines import Engine, java, spark
from swordlab.errors import LabError, UsageError
from swordlab.places import CHECKOUT
from swordlab.tools import clients

COMPOSE_FILE = CHECKOUT / "docker-compose.yml"
POLL = 0.1  # seconds
TRIES = 2  # starts of an engine that dies again and again


@dataclass(frozen=True)
class LocalCluster(Cluster):
    """One cluster of local processes."""

    # up

    def up(
        self,
        file: Path = COMPOSE_FILE,
        report: Report = lambda *_: None,
        ready_within: float = READY_WITHIN,
    ) -> None:
        """Start what does not run, restart what the file defines otherwise; return when every engine answers.

        Raises UsageError for the file, LabError for the machine or an engine that cannot start.
        """
        services = compose.read(file)
        fetch.ensure()
        with self.exclusively("up"):
            self.check_disk()
            self.remember(file)
            was_running = self.supervisor.is_running()
            try:
                self._apply(services)
                Starting(self, services, report).run(ready_within)
            except KeyboardInterrupt:
                if not was_running:
                    self.supervisor.shut_down()
                raise

    def _apply(self, services: Mapping[str, Service]) -> None:
        supervisor = self.supervisor
        wanted = {program.name: program for service in services.values() for program in programs_of(service)}
        for program in supervisor.programs().values():
            if not program.engine:
                wanted.setdefault(program.name, program)  # a student's program stays
        if not supervisor.is_running():
            supervisor.end_leftovers()
        supervisor.define(wanted)
        self._check_ports(wanted, supervisor.info())
        supervisor.ensure_running()

    def _check_ports(self, programs: Mapping[str, Program], info: Mapping[str, ProgramInfo]) -> None:
        for program in programs.values():
            running = program.name in info and info[program.name].is_up
            engine = self._engine(program)
            if running or engine is None:
                continue
            for variable in engine.ports:
                if not is_free(engine.port(variable)):
                    raise port_taken(engine.port(variable), variable, program.name)

    # the rest

    def down(self) -> None:
        """Stop everything; data stays."""
        with self.exclusively("down"):
            self.supervisor.shut_down()

    def status(self) -> list[Row]:
        """One row for each program."""
        info = self.supervisor.info()
        rows = []
        for program in self.supervisor.programs().values():
            engine = self._engine(program)
            found = info.get(program.name)
            ports = tuple(engine.port(variable) for variable in engine.ports) if engine else ()
            rows.append(
                Row(
                    program.service,
                    program.name,
                    self._health(engine, found),
                    ports,
                    found.memory if found else 0,
                    found.uptime if found else 0.0,
                )
            )
        return rows

    def held_ports(self) -> set[int]:
        """Those on which one of its processes listens."""
        found = set()
        for port, pids in listening().items():
            with contextlib.suppress(psutil.Error, OSError):
                if any(self.supervisor.owns(psutil.Process(pid)) for pid in pids):
                    found.add(port)
        return found

    def _engine(self, program: Program) -> Engine | None:
        if not program.engine:
            return None
        return engines.engine(program.engine, self.state, program.environment)

    @staticmethod
    def _health(engine: Engine | None, found: ProgramInfo | None) -> str:
        health = health_of(found)
        if engine is None or health != "running":
            return health
        reason = engines.unready(engine)
        return f"starting: {reason}" if reason else "healthy"

    def logs(self, name: str) -> list[Path]:
        """The log of a program, or the logs of all programs of a service; UsageError when there is none."""
        programs = self.supervisor.programs().values()
        found = [self.state.log(program.name) for program in programs if name in (program.name, program.service)]
        if not found:
            names = sorted({text for program in programs for text in (program.name, program.service)})
            known = ", ".join(names) or "none: the cluster was never up"
            raise UsageError(f"there is no service or program '{name}'", f"make logs SERVICE=…, one of: {known}")
        return found

    def log_command(self, name: str) -> list[str]:
        """tail, which begins with the last lines and goes on with what is written."""
        return ["tail", "-n", "50", "-F", *map(str, self.logs(name))]

    def box(self, service: str) -> None:
        """None: programs are processes of this machine."""

    def save_class_data(self) -> None:
        """Have each running engine, a driver, and each client write its class-data archive where there is none yet."""
        info = self.supervisor.info()
        for engine in self._running_engines():
            java.save_archive(java.archive(engine), info[engine.name].pid)
        for driver in self._running_drivers()[:1]:
            java.save_archive(spark.archive(), driver)
        for client in self._running_clients():
            if not client.archive.exists():
                client.save_archive(self.state)

    def _running_engines(self) -> list[Engine]:
        info = self.supervisor.info()
        found = map(self._engine, self.supervisor.programs().values())
        return [engine for engine in found if engine and engine.name in info and info[engine.name].is_up]

    def _running_drivers(self) -> list[int]:
        """The processes of supervised Spark drivers."""
        found = []
        for process in (process for program in self.supervisor.info().values() for process in program.processes()):
            with contextlib.suppress(psutil.Error):
                if spark.DRIVER in process.cmdline():
                    found.append(process.pid)
        return found

    def _running_clients(self) -> list[clients.Client]:
        names = {engine.name for engine in self._running_engines()}
        return [client for client in clients.CLIENTS.values() if client.engine in names]

    def save_class_data_later(self) -> None:
        """The same, beside whatever comes next."""
        archives = [java.archive(engine) for engine in self._running_engines()]
        archives += [client.archive for client in self._running_clients()]
        archives += [spark.archive() for _ in self._running_drivers()]
        if all(archive.exists() for archive in archives):
            return
        subprocess.Popen(
            [sys.executable, "-m", "swordlab", "class-data"],
            stdin=subprocess.DEVNULL,
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def clean(self) -> None:
        """Stop everything and delete topics, files, tables, logs: the state folder."""
        self.down()
        shutil.rmtree(self.state.root.resolve())


class Starting:
    """Start engines as soon as what they depend on answers, and wait for all of them."""

    def __init__(self, cluster: LocalCluster, services: Mapping[str, Service], report: Report) -> None:
        self.cluster, self.services, self.report = cluster, services, report
        self.supervisor = cluster.supervisor
        self.programs = self.supervisor.programs()
        self.waiting = [name for service in services.values() for name in service.engines]
        self.started: dict[str, float] = {}
        self.ready: set[str] = set()
        self.reasons: dict[str, str] = {}
        self.pids: dict[str, set[int]] = {}
        self.log_sizes: dict[str, int] = {}
        """Where in its log the lines of this start begin, in bytes."""

    def run(self, seconds: float) -> None:
        """Until every engine answers; LabError when one cannot, or does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            self._start_what_may()
            self._probe()
            if not self.waiting and self.ready == set(self.started):
                return
            self._look_for_failures()
            if time.monotonic() > deadline:
                late = sorted(set(self.started) - self.ready)
                raise LabError(
                    f"not ready after {seconds:.0f} s: " + "; ".join(f"{n} ({self.reasons.get(n)})" for n in late),
                    f"look at its log: make logs SERVICE={late[0] if late else self.waiting[0]}",
                )
            time.sleep(POLL)

    def _start_what_may(self) -> None:
        for service in self.services.values():
            if all(self._met(other, condition) for other, condition in service.depends_on.items()):
                for name in [name for name in service.engines if name in self.waiting]:
                    self.log_sizes[name] = size_of(self.cluster.state.log(name))
                    self.supervisor.start(name)
                    self.waiting.remove(name)
                    self.started[name] = time.monotonic()
                    self.report(name, "starting")

    def _met(self, other: str, condition: str) -> bool:
        service = self.services[other]
        wanted = service.health if condition == "service_healthy" else ()
        return set(wanted) <= self.ready and not set(service.engines) & set(self.waiting)

    def _probe(self) -> None:
        for name in sorted(set(self.started) - self.ready):
            engine = engines.engine(name, self.cluster.state, self.programs[name].environment)
            self.reasons[name] = engines.unready(engine)
            if not self.reasons[name]:
                self.ready.add(name)
                self.report(name, f"ready after {time.monotonic() - self.started[name]:.1f} s")

    def _look_for_failures(self) -> None:
        for name, found in self.supervisor.info().items():
            if name in self.started and name not in self.ready:
                self.pids.setdefault(name, set()).update({found.pid} - {0})
                if found.gave_up or found.state == "BACKOFF" or len(self.pids[name]) > TRIES:
                    raise self._cannot_start(name)

    def _cannot_start(self, name: str) -> LabError:
        for other in self.started:
            if other not in self.ready:
                self.supervisor.stop(other)
        log = self.cluster.state.log(name).read_bytes()[self.log_sizes[name] :]
        lines = log.decode(errors="replace").splitlines()
        return cannot_start(name, lines[-LOG_SEEN:], f"make logs SERVICE={name}")


def programs_of(service: Service) -> list[Program]:
    """The supervised programs of one service."""
    environment = endpoints.environment({**os.environ, **service.environment}) | dict(service.environment)
    return [launch.engine_program(name, service.name, environment) for name in service.engines]


def size_of(file: Path) -> int:
    """Its bytes; 0 while there is none."""
    return file.stat().st_size if file.exists() else 0


def is_free(port: int) -> bool:
    """Whether a program may listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str:
    """The program that listens on a port, as far as this user may see it."""
    with contextlib.suppress(psutil.Error):
        if process := listener(port):
            return f"{process.name()} (process {process.pid}, {' '.join(process.cmdline())[:60]})"
    return "a program of another user"


def listener(port: int) -> psutil.Process | None:
    """The process that listens on a port; None when there is none that this user may see."""
    with contextlib.suppress(psutil.Error):
        for pid in listening().get(port, ()):
            return psutil.Process(pid)
    return None


def listening() -> dict[int, set[int]]:
    """Port -> the processes that listen on it, as far as this user may see them."""
    found: dict[int, set[int]] = {}
    for entry in psutil.net_connections("tcp"):
        if entry.status == psutil.CONN_LISTEN and entry.pid and entry.laddr:
            found.setdefault(entry.laddr.port, set()).add(entry.pid)
    return found


def port_taken(port: int, variable: str, program: str) -> LabError:
    """The message for a port that somebody else holds."""
    return LabError(
        f"port {port}, which {program} needs, is taken by {holder_of(port)}",
        f"stop that program, or choose another port: make up {variable}={port + 10000}",
    )
