"""Where things are: the checkout, the state folder of a cluster, the download cache."""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """The download cache, shared between checkouts (`SWORDLAB_CACHE` moves it)."""
    if given := os.environ.get("SWORDLAB_CACHE"):
        return Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "swordlab"


def state_folder() -> Path:
    """The state folder of the cluster in use (`SWORDLAB_STATE` chooses another)."""
    given = os.environ.get("SWORDLAB_STATE")
    return Path(given).expanduser().resolve() if given else CHECKOUT / ".swordlab" / "cluster"


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
        """The folder `name` below the state folder, made when it is missing."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
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
