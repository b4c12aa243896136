"""The student's work: programs that are supervised, steps that run to their end, and what was started by hand."""

import hashlib
import os
import shlex
import signal
import string
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from swordlab.cluster.runtime import Box, Cluster
from swordlab.cluster.supervisor import KEPT_VARIABLES, ProgramInfo
from swordlab.cluster.supervisor import Program as Supervised
from swordlab.errors import LabError, UsageError
from swordlab.grading.sandbox import Sandbox, excess
from swordlab.labs import Lab, Program
from swordlab.places import path_with_tools

OUTPUT_LIMIT = 1_000_000  # bytes of a step's output that are kept, the last ones; a step that prints more is a flood
LOG_LIMIT = 20_000_000  # bytes that a supervised program may print while it is checked
LOOK_EVERY = 0.25  # seconds between two looks at what a program takes
STEP_SECONDS = 90.0  # then a step is stopped
NOT_WORK = {"README.md", "lab.toml", "__pycache__", "out"}
"""What lies in a lab's folder without being the student's program."""
TOOLBOX = "mids"
"""The service in which steps run."""
MARK = "SWORDLAB_RUN"
"""The variable by which the processes that a step left behind are found."""


@dataclass(frozen=True)
class Work:
    """The work in one tree (a folder with the labs' folders) on one cluster."""

    cluster: Cluster
    tree: Path
    sandbox: Sandbox | None = None
    """Where the programs run when they are a stranger's."""

    def folder(self, lab: Lab) -> Path:
        """Where the files of a lab are."""
        return self.tree / lab.folder

    def box(self, service: str) -> Box | None:
        """Where the programs of this service run; None for plain processes of this machine."""
        return self.sandbox or self.cluster.box(service)

    # programs

    def ensure_running(self, labs: Sequence[Lab]) -> list[str]:
        """Start the programs of these labs, and anew where a file changed; return what was done, a line for each."""
        wanted = {
            program.name: self.supervised(lab, program)
            for lab in labs
            for program in lab.programs
            if not self.started_by_hand(lab, program)
        }
        supervisor = self.cluster.supervisor
        before, info = supervisor.programs(), supervisor.info()
        reasons = {name: reason_to_start(before.get(name), program, info) for name, program in wanted.items()}
        if before != before | wanted:
            supervisor.define(before | wanted)
        for name in filter(reasons.get, wanted):
            supervisor.clear_log(name)
            supervisor.start(name)
        return [f"{name}: {reason}" for name, reason in reasons.items() if reason]

    def supervised(self, lab: Lab, program: Program) -> Supervised:
        """The supervised form of a lab's program; its version changes with its file, or a helper beside it."""
        folder = self.folder(lab).resolve()
        others = {name for other in lab.programs if other != program for name in lab.edits if names(other, name)}
        environ = self.cluster.environment() | dict(program.environment) | {"SWORDLAB_PROGRAM": program.name}
        words, box = shlex.split(fill(program.command, environ)), self.box(program.service)
        return Supervised(
            program.name,
            tuple(box.wrap(words, environ, folder) if box else words),
            program.service,
            environ,
            str(folder),
            restart_always=False,
            version=digest(folder, without=others),
        )

    def stop(self, labs: Sequence[Lab]) -> None:
        """Stop the programs of these labs."""
        for lab in labs:
            for program in lab.programs:
                self.cluster.supervisor.stop(program.name)

    def started_by_hand(self, lab: Lab, program: Program) -> list[psutil.Process]:
        """Processes that run this program's file of this tree without the lab's supervisor."""
        files = {str(self.folder(lab) / name) for name in lab.edits if names(program, name)}
        state = str(self.cluster.state.root)
        return [process for process in psutil.process_iter() if files & set(files_of(process, state))] if files else []

    # steps

    def start(self, lab: Lab, command: str, *arguments: str) -> "Running":
        """Start a command of a lab in its folder; the caller stops it (`with`)."""
        environ = self.cluster.environment()
        words, box = [*shlex.split(fill(command, environ)), *arguments], self.box(TOOLBOX)
        if box:
            boxed = box.wrap(words, environ, self.folder(lab).resolve())
            return Running(boxed, self.folder(lab), dict(os.environ), command, box.stdin)
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | {"PATH": path_with_tools()}
        return Running(words, self.folder(lab), kept | environ, command)

    def run(self, lab: Lab, command: str, *arguments: str, seconds: float = STEP_SECONDS) -> "Finished":
        """Run a command of a lab in its folder until it ends, floods or has had its time."""
        with self.start(lab, command, *arguments) as running:
            running.wait(seconds)
        if box := self.box(TOOLBOX):
            for folder in filter(os.path.isdir, arguments):
                box.collect(Path(folder))
        return running.finished()

    def perform(self, labs: Sequence[Lab], tell: Callable[[str], None] = lambda _: None) -> None:
        """Start the programs of these labs and run their steps once, in order; LabError where a step fails."""
        for lab in labs:
            for note in self.ensure_running([lab]):
                tell(note)
            for step in lab.steps:
                tell(step.command)
                done = self.run(lab, step.command)
                if not done.is_done:
                    said = f"\n{done.output.rstrip()}" if done.output.strip() else ""
                    raise LabError(f"{step.command}: {done.how}{said}", f"make check-{lab.number}")


def reason_to_start(known: Supervised | None, program: Supervised, info: Mapping[str, ProgramInfo]) -> str:
    """Why a program has to be started, or started anew, in words; empty where it has not."""
    if known is None:
        return "started"
    if known != program:
        return "changed, so it was started anew"
    found = info[program.name]
    if found.gave_up and found.exit_status:  # for want of something else, perhaps, that is there now
        return f"had ended with status {found.exit_status}, so it was started again"
    return "started" if found.state in ("STOPPED", "FATAL") else ""


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    command: str
    status: int | None
    """Its exit status; None when it had to be stopped."""
    output: str
    """Standard output and standard error together."""
    problem: str
    """Why it had to be stopped, or an empty text."""

    @property
    def is_done(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.status == 0

    @property
    def how(self) -> str:
        """How it ended, for a person, with its last line where it failed."""
        if self.problem:
            return self.problem
        last = self.output.strip().splitlines()[-1:] or ["it printed nothing"]
        return f"it ended with status {self.status}: {last[0].strip()}" if self.status else "it ended with status 0"


class Running:
    """A started command: its output grows while it runs. Leaving the `with` block ends all that it started."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environ: dict[str, str],
        shown: str,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.shown = shown
        self.mark = uuid.uuid4().hex
        self.problem = ""
        self.printed = 0
        """Bytes of its output, also of what is not kept."""
        self._status: int | None = None
        self._output = bytearray()
        try:
            self._process = subprocess.Popen(
                words,
                cwd=folder,
                env=environ | {MARK: self.mark},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"{shown} cannot be started in {folder}: {error.strerror}") from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._status = self._process.poll()
        for process in self._tree():
            with suppress(psutil.Error):
                process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(1)

    @property
    def output(self) -> str:
        """What it has printed so far, or the end of that."""
        return bytes(self._output).decode(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Until it ends, floods or has had its time."""
        deadline, looked = time.monotonic() + seconds, 0.0
        while self.is_running and not self.problem:
            if time.monotonic() > deadline:
                self.problem = f"it had not ended after {seconds:.0f} s and was stopped"
            if time.monotonic() > looked + LOOK_EVERY:
                looked = time.monotonic()
                self.problem = self.problem or excess(family(self._process.pid))
            time.sleep(0.01)
        if not self.is_running:
            self._reader.join(0.5)  # what is still in the pipe; a child that holds it open is not waited for

    def finished(self) -> Finished:
        """How it ended."""
        return Finished(self.shown, None if self.problem else self._status, self.output, self.problem)

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        while chunk := os.read(pipe.fileno(), 65536):
            self.printed += len(chunk)
            self._output += chunk
            del self._output[:-OUTPUT_LIMIT]
            if self.printed > OUTPUT_LIMIT and not self.problem:
                self.problem = f"it printed more than {OUTPUT_LIMIT // 10**6} MB and was stopped"

    def _tree(self) -> Iterator[psutil.Process]:
        """Every process that the command started, also one that left its session."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark:
                    yield process


class Watch:
    """While a `with` block runs, stops each of these programs that takes more than it may, and says so in its log."""

    def __init__(self, work: Work, labs: Sequence[Lab]) -> None:
        self.work = work
        self.names = [program.name for lab in labs for program in lab.programs]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        supervisor, state = self.work.cluster.supervisor, self.work.cluster.state
        printed = {name: Printed(state.log(name)) for name in self.names}
        while self.names and not self.over.wait(LOOK_EVERY):
            info = supervisor.info()
            for name in self.names:
                if name not in info or not info[name].pid:
                    continue
                if problem := printed[name].excess() or excess(family(info[name].pid)):
                    supervisor.stop(name)
                    with state.log(name).open("a") as log:
                        log.write(f"\nswordlab: {problem}\n")


class Printed:
    """How much a supervised program prints from now on; its log is begun anew whenever it is full."""

    def __init__(self, log: Path) -> None:
        self.log, self.bytes = log, 0
        self.last = self._look()

    def excess(self) -> str:
        """In what it is over its limit; empty when it is not."""
        (file, size), (last_file, last_size) = self._look(), self.last
        self.bytes += size - last_size if file == last_file and size >= last_size else size
        self.last = file, size
        limit = LOG_LIMIT // 10**6
        return f"it printed more than {limit} MB while it was checked and was stopped" if self.bytes > LOG_LIMIT else ""

    def _look(self) -> tuple[int, int]:
        """The file that is the log now, and its bytes."""
        with suppress(FileNotFoundError):
            found = self.log.stat()
            return found.st_ino, found.st_size
        return 0, 0


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def fill(command: str, environ: Mapping[str, str]) -> str:
    """`command` with each ${NAME} of the environment filled in."""
    return string.Template(command).substitute(environ)


def digest(folder: Path, without: Set[str] = frozenset()) -> str:
    """Changes with the name or content of any file of the student's in this folder, some files left out."""
    summary, ignored = hashlib.sha256(), NOT_WORK | without
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not ignored & set(parts) and not any(part.startswith(".") for part in parts):
            summary.update(f"{parts} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return summary.hexdigest()[:16]


def names(program: Program, file: str) -> bool:
    """Whether the program runs this file."""
    return file in program.command or file in program.environment.values()


def files_of(process: psutil.Process, state: str) -> Iterator[str]:
    """The Python files that a process runs, with their whole paths: arguments and FLASK_APP.

    None for a supervised process, a step, and one from a shell of a cluster with another state folder.
    """
    with suppress(psutil.Error, OSError):
        environ = process.environ()
        is_ours = environ.get("SWORDLAB_STATE", state) == state
        if is_ours and "SWORDLAB_PROGRAM" not in environ and MARK not in environ:
            for word in [*process.cmdline(), environ.get("FLASK_APP", "")]:
                if word.endswith(".py"):
                    yield os.path.normpath(os.path.join(process.cwd(), word))  # noqa: PTH118
