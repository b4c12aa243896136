"""Where things are: the checkout, the state folder of a cluster, the download cache."""

import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from swordlab.errors import LabError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).resolve().parent.parent
MOUNT = "/w205"
"""Where a container has the checkout (docker-compose.yml)."""
PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")
"""A path that every engine takes: Hadoop stumbles over a space or %, a classpath over a colon, Java over letters that
the locale does not have."""
OTHER_STATE = "choose another folder for the cluster's state: make SWORDLAB_STATE=/path …"


def cache_folder() -> Path:
    """The download cache, shared between checkouts (`SWORDLAB_CACHE` moves it)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    given = os.environ.get("SWORDLAB_CACHE")
    return plain(Path(given).expanduser() if given else Path(base) / "swordlab")


def state_folder() -> Path:
    """The state folder of the cluster in use (`SWORDLAB_STATE` chooses another); one more for Docker beside it."""
    given = os.environ.get("SWORDLAB_STATE")
    folder = Path(given).expanduser() if given else CHECKOUT / ".swordlab" / "cluster"
    return plain(folder.with_name(f"{folder.name}-docker") if on_docker() else folder)


def on_docker() -> bool:
    """Whether the cluster in use runs on Docker (RUNTIME); UsageError for a runtime that is not known."""
    runtime = os.environ.get("RUNTIME") or "local"
    if runtime not in ("local", "docker"):
        raise UsageError(f"there is no runtime '{runtime}'", "RUNTIME=docker, or no RUNTIME for local processes")
    return runtime == "docker"


def plain(folder: Path) -> Path:
    """`folder` itself, or a link to it where its path is not PLAIN."""
    folder = folder.resolve()
    if PLAIN.fullmatch(str(folder)):
        return folder
    link = private_folder() / short_name(folder)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(folder)
    return link


def short_name(folder: Path) -> str:
    """A name for a folder, made of its path."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]


def private_folder() -> Path:
    """A folder of this user alone, with a short path: a socket's path has about 100 characters."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = (base if os.access(base, os.W_OK) else Path(tempfile.gettempdir())) / f"swordlab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700 or not stat.S_ISDIR(found.st_mode):
        raise LabError(f"{folder} is not a private folder of yours", f"look at it, then remove it: rm -r {folder}")
    return folder


def path_with_tools() -> str:
    """The shell's PATH behind the lab's tools (kafkacat, hive, …) and its Python's (python, flask)."""
    return f"{CHECKOUT / 'bin'}:{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


@dataclass(frozen=True)
class State:
    """The folders and files of one cluster. Nothing that a cluster writes lies outside `root`."""

    root: Path

    @classmethod
    def current(cls) -> "State":
        """The state of the cluster that the environment names."""
        return cls(state_folder())

    def folder(self, name: str) -> Path:
        """The folder `name` below the state folder, made when it is missing; LabError when it cannot be."""
        path = self.root / name
        try:
            path.resolve().mkdir(parents=True, exist_ok=True)  # the root may be a link to a folder that is not there
        except OSError as error:
            raise LabError(f"the folder {path} cannot be made: {error.strerror}", OTHER_STATE) from None
        return path

    @cached_property
    def data(self) -> Path:
        """What must survive `make down`: topics, HDFS blocks, the metastore."""
        return self.folder("data")

    @cached_property
    def conf(self) -> Path:
        """Configuration files, written anew before each start."""
        return self.folder("conf")

    @cached_property
    def logs(self) -> Path:
        """One log for each service."""
        return self.folder("logs")

    @cached_property
    def tmp(self) -> Path:
        """Temporary files of the engines."""
        return self.folder("tmp")

    def log(self, program: str) -> Path:
        """The log of one program."""
        return self.logs / f"{program}.log"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content. Raises OSError, UnicodeDecodeError or ValueError for what it cannot read."""
    content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    return content
