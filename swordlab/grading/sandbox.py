"""A box around each program of a student's while it is graded (bubblewrap, Linux).

Inside: its own files, the lab's tools and the engines' ports. Not inside: solutions, checks, results, other
submissions, the grader's processes, the state of the engines, the machine's network. docs/security.md says from whom.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import psutil

from swordlab import endpoints, files
from swordlab.engines import java
from swordlab.errors import LabError
from swordlab.places import CHECKOUT, State, cache_folder

MEMORY = 1_600_000_000  # resident bytes of a program with all that it starts
PROCESSES = 200  # of a program with all that it starts (a Spark driver has two)
TASKS = 4000  # processes and threads, as the kernel counts them for the user
FILE_BYTES = 200_000_000  # the largest file that may be written
TMP_BYTES = 200_000_000  # its /tmp
FIRST_USER = 61000  # programs run as this user and the following ones when the grader is root
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache",
          "/etc/localtime", "/etc/apache2")  # fmt: skip
LAB = ("swordlab", "bin", "engines.lock")
"""What the lab's tools need of the checkout."""


def namespaces() -> list[str]:
    """bubblewrap's flags for what a program has of its own. Root needs no user namespace, and changes the user."""
    own_user = () if os.getuid() == 0 else ("--unshare-user",)
    return [*own_user, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]


@cache
def is_available() -> bool:
    """Whether bubblewrap is installed and may make here, also inside a grader's own box, the box of a program."""
    if not shutil.which("bwrap"):
        return False
    probe = ["bwrap", "--ro-bind", "/", "/", *namespaces(), "--proc", "/proc", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def is_used() -> bool:
    """Whether strangers' programs run in a box. Where there is none: False if UNSAFE=1 allows it, else LabError."""
    if not is_available() and not os.environ.get("UNSAFE"):
        raise LabError(
            "a submission is a stranger's program, and this machine has no sandbox for it: bubblewrap is not "
            "installed, or may not make namespaces here",
            "sudo apt install bubblewrap; or, for work that you trust, UNSAFE=1 make grade SUBMISSION=…",
        )
    return is_available()


@dataclass(frozen=True)
class Sandbox:
    """The box of one grader; several graders on one machine have different numbers."""

    state: State
    number: int = 0

    stdin: ClassVar[int] = subprocess.DEVNULL

    @property
    def user(self) -> int:
        """The user as whom programs run; another than the grader only where the grader is root."""
        return FIRST_USER + self.number if os.getuid() == 0 else os.getuid()

    @property
    def scratch(self) -> Path:
        """The folder into which programs write what a check reads."""
        return self.state.folder("tmp/scratch")

    def wrap(self, words: Sequence[str], environ: Mapping[str, str], folder: Path) -> list[str]:
        """The command line that runs `words` in the box, with this environment, in this folder of the student's.

        A word that is a folder in `scratch` is one that the program writes into.
        """
        for made in (self.scratch, *(Path(word) for word in words if Path(word).parent == self.scratch)):
            self._give(made)
        return [
            "bwrap",
            *namespaces(),
            *("--new-session", "--die-with-parent", "--hostname", "lab", "--clearenv"),
            *self._mounts(folder),
            *(part for name, value in self._environment(environ).items() for part in ("--setenv", name, value)),
            *("--chdir", str(folder), "--"),
            *self._drop_rights(),
            *("prlimit", f"--nproc={TASKS}", f"--fsize={FILE_BYTES}", "--core=0", "--"),
            *words,
        ]

    def collect(self, folder: Path) -> None:
        """Nothing: what programs write into `scratch` is here."""

    def _mounts(self, folder: Path) -> Iterator[str]:
        yield from ("--proc", "/proc", "--dev", "/dev", "--size", str(TMP_BYTES), "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108
        for parent in self._parents(folder):
            yield from ("--perms", "0755", "--dir", str(parent))
        for path in SYSTEM:
            if Path(path).is_symlink():
                yield from ("--symlink", str(Path(path).readlink()), path)
            elif Path(path).exists():
                yield from ("--ro-bind", path, path)
        for path, text in self._own_files().items():
            yield from ("--ro-bind", str(self._write(path, text)), path)
        for shared in self._shared():
            yield from ("--ro-bind", str(shared), str(shared))
        # a program may write beside its files, but not change them: the grader reads them
        yield from ("--size", str(TMP_BYTES), "--perms", "1777", "--tmpfs", str(folder))
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.is_symlink():
                yield from ("--ro-bind", str(file), str(file))
        yield from ("--bind", str(self.scratch), str(self.scratch))
        log = self.state.log("flask")
        log.touch()
        yield from ("--ro-bind", str(log), str(log))

    def _parents(self, folder: Path) -> list[Path]:
        """The folders above all that is bound: bubblewrap would make them for root alone."""
        bound = [*self._shared(), folder, self.scratch, self.state.log("flask"), Path("/etc/hosts")]
        made_by_it = {Path("/"), *map(Path, SYSTEM), Path("/tmp")}  # noqa: S108
        return sorted({parent for path in bound for parent in path.parents} - made_by_it)

    def _shared(self) -> list[Path]:
        """The lab's Python with its packages, the engines' clients and Java; links and what they lead to."""
        python = {Path(sys.prefix), Path(sys.base_prefix)}
        debians_java = Path("/etc").glob("java-*")  # its configuration
        return [*sorted(python), cache_folder(), java.home(), *debians_java, *(CHECKOUT / name for name in LAB)]

    def _own_files(self) -> dict[str, str]:
        """/etc as the box has it: one user, and the services' names."""
        return {
            "/etc/hosts": f"127.0.0.1 localhost lab {' '.join(endpoints.HOSTS)}\n",
            "/etc/passwd": f"student:x:{self.user}:{self.user}::/tmp:/bin/sh\n",
            "/etc/group": f"student:x:{self.user}:\n",
            "/etc/nsswitch.conf": "hosts: files\npasswd: files\ngroup: files\n",
        }

    def _write(self, path: str, text: str) -> Path:
        file = files.write(self.state.folder("conf/sandbox") / Path(path).name, text)
        file.chmod(0o644)
        return file

    @staticmethod
    def _environment(environ: Mapping[str, str]) -> dict[str, str]:
        """What the program was meant to find, and nothing of the grader's."""
        tools = f"{CHECKOUT / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        own = {"PATH": tools, "HOME": "/tmp", "USER": "student", "LANG": "C.UTF-8", "HADOOP_USER_NAME": "root"}  # noqa: S108
        # the mark of a program that nobody started by hand
        own["SWORDLAB_PROGRAM"] = "sandbox"
        return {**environ, **own, "SWORDLAB_STATE": "/tmp/state", "SWORDLAB_CACHE": str(cache_folder())}  # noqa: S108

    def _drop_rights(self) -> list[str]:
        if os.getuid():
            return ["setpriv", "--no-new-privs", "--"]
        user = str(self.user)
        return [
            "setpriv",
            "--reuid",
            user,
            "--regid",
            user,
            "--clear-groups",
            "--no-new-privs",
            "--inh-caps=-all",
            "--",
        ]

    def _give(self, folder: Path) -> None:
        """Let the program's user write the folder."""
        if os.getuid() == 0:
            os.chown(folder, self.user, self.user, follow_symlinks=False)  # a program may have put a link there


def excess(processes: Sequence[psutil.Process]) -> str:
    """In what a program with all that it started is over its limits; empty when it is not."""
    if len(processes) > PROCESSES:
        return f"it ran more than {PROCESSES} processes and was stopped"
    memory = 0
    for process in processes:
        with suppress(psutil.Error):
            memory += process.memory_info().rss
    return f"it took more than {MEMORY / 1e9:.1f} GB of memory and was stopped" if memory > MEMORY else ""
