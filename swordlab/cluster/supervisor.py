"""The supervised programs of one cluster: supervisord keeps them running, this module talks to it.

A program's definition stands in programs.json; supervisord starts each as `python -m swordlab run NAME`, which reads
it there. So an argument or a variable is never quoted into supervisord's own format.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from swordlab import files
from swordlab.errors import LabError
from swordlab.places import CHECKOUT, State, path_with_tools, private_folder, short_name

STOP_SECONDS = 10  # then a program is killed
STARTED_WITHIN = 10.0  # seconds for supervisord to answer
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "JAVA_HOME",
    "SWORDLAB_CACHE",
    "SWORDLAB_HOSTS",
    "SWORDLAB_STOCK_JVM",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "GAME_SEED",
)
"""What programs inherit from the shell that started the cluster. Anything else could change how an engine behaves."""

CONFIGURATION = """\
[supervisord]
logfile = {state}/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 1
pidfile = {state}/supervisord.pid
childlogdir = {logs}
nodaemon = {foreground}

[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:restarts]
supervisor.rpcinterface_factory = swordlab.cluster.restarts:make
"""

PROGRAM = """
[program:{name}]
command = "{python}" -m swordlab run {name}
directory = {checkout}
environment = SWORDLAB_DEFINITION="{digest}"
autostart = {autostart}
autorestart = {autorestart}
exitcodes = {exit_codes}
startsecs = {start_seconds}
startretries = 2
stopasgroup = true
killasgroup = true
stopwaitsecs = {stop_seconds}
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = {log_bytes}
stdout_logfile_backups = 1
"""


@dataclass(frozen=True)
class Program:
    """A supervised program: an engine, or a student's program."""

    name: str
    command: tuple[str, ...]
    service: str
    """The service of docker-compose.yml that it belongs to."""
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = str(CHECKOUT)
    restart_always: bool = True
    """An engine is started again whatever happens; a student's program when it was killed by a signal, or had worked
    before it failed (restarts.py): one with a mistake in it would fail for ever. A status above 127 is how a shell, and
    Docker, tell of a signal."""
    version: str = ""
    """Changes when the program must be started anew, for instance with its file's content."""

    @property
    def engine(self) -> str:
        """The engine that it is (`swordlab engine NAME`); empty for a student's program."""
        return self.command[2] if self.command[:2] == ("swordlab", "engine") else ""

    @property
    def digest(self) -> str:
        """Changes with anything in the definition."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ProgramInfo:
    """What supervisord knows of a program."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED or FATAL (supervisord's words)."""
    pid: int
    started: float
    """Seconds since the epoch; 0 when it never started."""
    exit_status: int

    @property
    def is_up(self) -> bool:
        """Whether it has a process that is not on its way out."""
        return self.state in ("STARTING", "RUNNING")

    @property
    def gave_up(self) -> bool:
        """Whether supervisord does not start it again."""
        return self.state in ("FATAL", "EXITED")

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        return max(0.0, time.time() - self.started) if self.is_up else 0.0

    @property
    def memory(self) -> int:
        """Resident bytes of the process and those it started."""
        return sum(_resident(process) for process in self.processes())

    def processes(self) -> list[psutil.Process]:
        """The process and those it started."""
        return _tree(self.pid) if self.pid else []


class Supervisor:
    """supervisord of one state folder."""

    def __init__(self, state: State) -> None:
        self.state = state

    # definitions

    def programs(self) -> dict[str, Program]:
        """The programs as they were last defined."""
        try:
            stored = json.loads((self.state.root / "programs.json").read_text())
        except FileNotFoundError:
            return {}
        return {name: Program(**{**entry, "command": tuple(entry["command"])}) for name, entry in stored.items()}

    def define(self, programs: Mapping[str, Program], *, foreground: bool = False) -> None:
        """Make `programs` the definitions; a running program that changed or is gone is stopped."""
        stored = json.dumps({name: asdict(program) for name, program in programs.items()}, indent=1)
        files.write(self.state.root / "programs.json", stored)
        files.write(self.state.root / "supervisord.conf", self._configuration(programs, foreground))
        if self.is_running():
            self._reload()

    def _configuration(self, programs: Mapping[str, Program], foreground: bool) -> str:
        head = CONFIGURATION.format(
            state=_literal(self.state.root),
            logs=_literal(self.state.logs),
            socket=_literal(self.socket()),
            foreground=str(foreground).lower(),
        )
        return head + "".join(
            PROGRAM.format(
                name=program.name,
                python=_literal(sys.executable),
                checkout=_literal(CHECKOUT),
                digest=program.digest,
                autostart=str(foreground).lower(),
                autorestart="true" if program.restart_always else "unexpected",
                exit_codes="0" if program.restart_always else ",".join(map(str, range(128))),
                start_seconds=1 if program.restart_always else 0,
                stop_seconds=STOP_SECONDS,
                log="/dev/stdout" if foreground else _literal(self.state.log(program.name)),  # the container's log
                log_bytes=0 if foreground else "10MB",
            )
            for program in programs.values()
        )

    def _reload(self) -> None:
        added, changed, removed = self.call.reloadConfig()[0]
        for name in [*changed, *removed]:
            self.call.stopProcessGroup(name)
            self.call.removeProcessGroup(name)
        if changed or removed:
            self.end_leftovers([*changed, *removed])
        for name in [*added, *changed]:
            self.call.addProcessGroup(name)

    # the daemon

    def socket(self) -> Path:
        """supervisord's socket."""
        return private_folder() / f"{short_name(self.state.root.resolve())}.sock"

    @property
    def call(self) -> Any:
        """supervisord's XML-RPC methods (http://supervisord.org/api.html)."""
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket()}")
        return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        try:
            return bool(self.call.getState())
        except (OSError, xmlrpc.client.Error, ConnectionError):
            return False

    def ensure_running(self) -> None:
        """Start supervisord when it does not answer; end what an earlier one left behind first."""
        if self.is_running():
            return
        self.end_leftovers()
        self.socket().unlink(missing_ok=True)
        subprocess.run(
            self.daemon_command(), env=self.environment(), check=True, stdin=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + STARTED_WITHIN
        while not self.is_running():
            if time.monotonic() > deadline:
                raise LabError("the process supervisor did not start", f"its log: {self.state.root}/supervisord.log")
            time.sleep(0.02)

    def daemon_command(self) -> list[str]:
        """The command line of supervisord."""
        return [
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "-c",
            str(self.state.root / "supervisord.conf"),
        ]

    def environment(self) -> dict[str, str]:
        """What supervisord and so every program starts from."""
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        own = {"PATH": path_with_tools(), "SWORDLAB_STATE": str(self.state.root), "PYTHONUNBUFFERED": "1"}
        return kept | own

    def shut_down(self) -> None:
        """Stop every program, then supervisord, and wait until all are gone."""
        if self.is_running():
            pid = int(self.call.getPID())
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                self.call.shutdown()
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                psutil.Process(pid).wait(STOP_SECONDS + 10)
        self.end_leftovers()

    def end_leftovers(self, programs: Collection[str] = ()) -> None:
        """End processes of this cluster that no supervisord watches any more, of these programs or of all.

        After a kill -9 of supervisord, or a crash; and what a program started and left behind.
        """
        leftovers = list(self.leftovers(programs))
        for process in leftovers:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        _, alive = psutil.wait_procs(leftovers, STOP_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, STOP_SECONDS)

    def leftovers(self, programs: Collection[str] = ()) -> Iterator[psutil.Process]:
        """Processes that were started for this state folder, by a variable in their environment."""
        mine = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                name = self.program_of(process)
                if name and (not programs or name in programs) and process.pid not in mine:
                    yield process

    def owns(self, process: psutil.Process) -> bool:
        """Whether a process is a program of this cluster; psutil.Error where this user may not know."""
        return bool(self.program_of(process))

    def program_of(self, process: psutil.Process) -> str:
        """The program of this cluster that a process is, or was started by; empty where it is none's."""
        environ = process.environ()
        return environ.get("SWORDLAB_PROGRAM", "") if environ.get("SWORDLAB_STATE") == str(self.state.root) else ""

    # programs

    def start(self, name: str) -> None:
        """Start a program; return at once."""
        with contextlib.suppress(xmlrpc.client.Fault):  # already started
            self.call.startProcess(name, False)

    def stop(self, name: str) -> None:
        """Stop a program and what it started, also what left its process group; wait until all has ended."""
        with contextlib.suppress(xmlrpc.client.Fault):  # not running
            self.call.stopProcess(name)
        self.end_leftovers([name])

    def forget(self, names: Collection[str]) -> None:
        """Stop programs, end what they started, and drop their definitions."""
        kept = {name: program for name, program in self.programs().items() if name not in names}
        for name in names:
            self.stop(name)
        self.define(kept)

    def clear_log(self, name: str) -> None:
        """Empty a program's log, so that it holds only what this version of the program says.

        supervisord itself empties only the log of a program that has run since it was defined.
        """
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.state.log(name), 0)

    def info(self) -> dict[str, ProgramInfo]:
        """Every program's state; empty when the cluster is down."""
        if not self.is_running():
            return {}
        return {
            entry["name"]: ProgramInfo(
                entry["name"], entry["statename"], entry["pid"], entry["start"], entry["exitstatus"]
            )
            for entry in self.call.getAllProcessInfo()
        }


def _literal(value: object) -> str:
    """A text in supervisord's format, where % begins an expression."""
    return str(value).replace("%", "%%")


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
