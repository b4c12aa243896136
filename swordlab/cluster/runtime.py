"""What the two runtimes have in common, and what each must offer: local processes (local.py), Docker (docker.py).

On both the student's programs are supervised from here; on Docker what is supervised is a command that runs the
program in a service's container.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from swordlab import endpoints, files
from swordlab.cluster import compose
from swordlab.cluster.compose import Service
from swordlab.cluster.supervisor import ProgramInfo, Supervisor
from swordlab.errors import LabError
from swordlab.places import OTHER_STATE, State

READY_WITHIN = 180.0  # seconds
DISK_NEEDED = 500_000_000  # bytes for logs and data of a first run

LOG_SEEN = 200  # lines of the log of an engine that cannot start
LOG_SHOWN = 12  # of them
STACK_FRAME = re.compile(r"\s+(at |\.\.\. \d+ more)")

LIKELY_CAUSES = (
    ("Address already in use", "another program took the port meanwhile: make up names it"),
    ("No space left on device", "the disk is full"),
    ("OutOfMemoryError", "its heap is too small for what it holds: make clean starts afresh"),
    ("Cannot lock storage", "another cluster uses this state folder"),
    ("InconsistentFSStateException", "its stored data is damaged: make clean starts afresh"),
    ("ERROR XSDB6", "another metastore uses this state folder"),
    ("UnsupportedClassVersionError", "the wrong Java: it must be 17"),
    ("Could not reserve enough space", "too little free memory"),
    ("ConfigException", "a KAFKA_… variable in the compose file is wrong"),
    ("KafkaException: Unable to parse", "a KAFKA_… variable in the compose file is wrong"),
)

Report = Callable[[str, str], None]
"""Told of each engine's step: (engine, what happens to it)."""


@dataclass(frozen=True)
class Row:
    """One line of `make status`."""

    service: str
    program: str
    health: str
    ports: tuple[int, ...]
    memory: int  # bytes
    uptime: float  # seconds

    @property
    def is_on_its_way(self) -> bool:
        """Whether it does not answer now, and may soon."""
        return self.health.startswith(("starting", "restarting"))


def health_of(found: ProgramInfo | None) -> str:
    """A supervised program's health, as far as the supervisor knows."""
    if found is None or found.state == "STOPPED":
        return "down"
    if not found.is_up:
        return f"ended with status {found.exit_status}" if found.gave_up else "restarting"
    return "running"


class Box(Protocol):
    """Where a program runs that is no plain process of this machine: a container, a sandbox."""

    stdin: ClassVar[int]
    """What a command in the box must have as standard input (subprocess.PIPE or DEVNULL)."""

    def wrap(self, words: Sequence[str], environ: Mapping[str, str], folder: Path) -> list[str]:
        """The command line that runs `words` in the box, with this environment, in this folder of the student's."""
        ...

    def collect(self, folder: Path) -> None:
        """See to it that what a program wrote into this folder, which its command line names, can be read here."""
        ...


@dataclass(frozen=True)
class Cluster(ABC):
    """One cluster."""

    state: State

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of its processes."""
        return Supervisor(self.state)

    @abstractmethod
    def up(self, file: Path, report: Report = lambda *_: None, ready_within: float = READY_WITHIN) -> None:
        """Start what does not run, restart what the file defines otherwise; return when every engine answers.

        Raises UsageError for the file, LabError for the machine or an engine that cannot start.
        """

    @abstractmethod
    def down(self) -> None:
        """Stop everything; data stays."""

    @abstractmethod
    def clean(self) -> None:
        """Stop everything and delete topics, files, tables, logs."""

    @abstractmethod
    def status(self) -> list[Row]:
        """One row for each program."""

    @abstractmethod
    def held_ports(self) -> set[int]:
        """The ports of this machine on which it is this cluster that listens."""

    @abstractmethod
    def log_command(self, name: str) -> list[str]:
        """What follows the log of a program or a service; UsageError when there is none."""

    @abstractmethod
    def save_class_data(self) -> None:
        """Have each program that runs write what makes its next start faster; it stands still for seconds meanwhile."""

    @abstractmethod
    def save_class_data_later(self) -> None:
        """The same, beside whatever comes next."""

    @abstractmethod
    def box(self, service: str) -> Box | None:
        """Where the programs of this service run; None for processes of this machine."""

    def environment(self) -> dict[str, str]:
        """What a program of the student's finds in its environment beside what is kept of the shell's."""
        return endpoints.environment() | {
            "PYTHONUNBUFFERED": "1",
            "SWORDLAB_STATE": str(self.state.root),
            "FLASK_LOG": str(self.state.log("flask")),
        }

    def is_up(self) -> bool:
        """Whether every engine of the cluster answers."""
        rows = [row for row in self.status() if row.ports]
        return bool(rows) and all(row.health == "healthy" for row in rows)

    def services(self) -> dict[str, Service]:
        """The services of the compose file that the cluster was started from."""
        kept = json.loads((self.state.root / endpoints.KEPT).read_text())
        return compose.read(Path(kept["compose"]))

    def check_disk(self) -> int:
        """The free bytes for the cluster's data; LabError when they are too few, or the folder cannot be written."""
        try:
            self.state.root.resolve().mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.state.root).close()
            free = shutil.disk_usage(self.state.root).free
        except OSError as error:
            raise LabError(
                f"the state folder {self.state.root} cannot be written: {error.strerror}",
                OTHER_STATE,
            ) from None
        if free < DISK_NEEDED:
            raise LabError(
                f"{free / 1e6:.0f} MB are free in {self.state.root}, {DISK_NEEDED / 1e6:.0f} MB are needed",
                f"make room, or {OTHER_STATE}",
            )
        return free

    def remember(self, file: Path) -> None:
        """Keep ports and compose file, so that later commands find this cluster without being told again."""
        kept = {"compose": str(file.resolve()), "ports": endpoints.ports()}
        files.write(self.state.root / endpoints.KEPT, json.dumps(kept, indent=1))

    @contextlib.contextmanager
    def exclusively(self, what: str) -> Iterator[None]:
        """One `up` or `down` of a cluster at a time; a second one is told who is at work and ends."""
        self.state.folder("conf")
        with (self.state.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                lock.seek(0)
                raise LabError(
                    f"this cluster is being changed by '{lock.read().strip()}'",
                    "wait until that is done, then look: make status",
                ) from None
            lock.truncate(0)
            lock.write(f"swordlab {what}, process {os.getpid()}")
            lock.flush()
            yield


def cannot_start(name: str, log: Sequence[str], see: str) -> LabError:
    """The message for an engine or service that ended before it was ready: its log's last lines, the likely cause."""
    told = [line for line in log if not STACK_FRAME.match(line)]
    cause = next((cause for sign, cause in LIKELY_CAUSES if any(sign in line for line in log)), "its log says more")
    return LabError(
        f"{name} ended before it was ready. Its last lines:\n{last_lines(told)}",
        f"likely cause: {cause}. The whole log: {see}",
    )


def last_lines(log: Sequence[str]) -> str:
    """The end of a log as part of a message."""
    return "\n".join(f"    {line[:200]}" for line in log[-LOG_SHOWN:])
