"""engines.lock: which archives each engine is made of, their size and SHA-256, and where the cache keeps them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from swordlab import files
from swordlab.errors import LabError
from swordlab.places import CHECKOUT, cache_folder, read_toml

LOCK = CHECKOUT / "engines.lock"


@dataclass(frozen=True)
class Artifact:
    """One archive: a Maven coordinate `group:artifact:version[:classifier]`, or `pypi:name:version`."""

    coordinate: str
    size: int  # bytes
    sha256: str

    @property
    def is_pypi(self) -> bool:
        """Whether the archive comes from the Python package index."""
        return self.coordinate.startswith("pypi:")

    @property
    def relative_path(self) -> str:
        """The archive's path in a Maven repository, or its file name on the package index."""
        group, name, version, *classifier = self.coordinate.split(":")
        if self.is_pypi:
            return f"{name}-{version}.tar.gz"
        return f"{group.replace('.', '/')}/{name}/{version}/{'-'.join([name, version, *classifier])}.jar"

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_folder() / ("pypi" if self.is_pypi else "maven") / self.relative_path

    @property
    def unpacked(self) -> Path:
        """Where a Python archive is unpacked to; the archive itself is not kept."""
        return cache_folder() / "python" / self.relative_path.removesuffix(".tar.gz")

    @property
    def is_here(self) -> bool:
        """Whether it was fetched and verified before (a file gets its name only after that)."""
        return self.unpacked.is_dir() if self.is_pypi else self.path.is_file()


@cache
def sections() -> dict[str, list[Artifact]]:
    """The artifacts of each section of engines.lock, in the order in which they stand there."""
    lock = read_toml(LOCK)
    return {
        section: [_locked(coordinate, entry) for coordinate, entry in entries.items()]
        for section, entries in lock.items()
    }


def _locked(coordinate: str, entry: dict[str, Any]) -> Artifact:
    if set(entry) != {"size", "sha256"}:
        raise LabError(f"{LOCK.name} has no size and SHA-256 of {coordinate}", "make lock")
    return Artifact(coordinate, entry["size"], entry["sha256"])


def everything() -> list[Artifact]:
    """Each artifact once, the largest first, so that a parallel fetch ends soonest."""
    unique = {artifact for artifacts in sections().values() for artifact in artifacts}
    return sorted(unique, key=lambda artifact: (-artifact.size, artifact.coordinate))


def missing() -> list[Artifact]:
    """What is still to be fetched."""
    return [artifact for artifact in everything() if not artifact.is_here]


def jars(section: str, *, without: tuple[str, ...] = ()) -> list[Path]:
    """The jar files of one section, leaving out those whose coordinate contains a text of `without`."""
    return [a.path for a in sections()[section] if not any(text in a.coordinate for text in without)]


def jar(section: str, name: str) -> Path:
    """The one jar of a section whose artifact is called `name`."""
    return next(a.path for a in sections()[section] if a.coordinate.split(":")[1] == name)


def spark_home() -> Path:
    """The pyspark package, which is also a Spark distribution."""
    return sections()["spark"][0].unpacked / "pyspark"


def spark_jars(*patterns: str) -> list[Path]:
    """Jars that come with pyspark and whose names match a glob of `patterns`, in a stable order."""
    return [path for pattern in patterns for path in sorted((spark_home() / "jars").glob(pattern))]


def patched(name: str, write: Callable[[Path], None]) -> Path:
    """The file `name` among those that the lab makes of fetched ones; `write` makes it where it is not there yet."""
    target = cache_folder() / "patched" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = files.unfinished(target)
        write(scratch)
        scratch.rename(target)
    return target
