"""From nothing: bytes fetched, and the time of `make demo` as a multiple of `pip install pyspark`."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.row import Row, at_most
from bench.surroundings import own_ports, scratch
from swordlab import artifacts
from swordlab.places import CHECKOUT


def measure() -> list[Row]:
    """Both with empty caches, one after the other."""
    with scratch() as folder:
        install = pip_install_pyspark(folder)
        demo = cold_demo(folder)
        packages = size_of(packages_of_demo(folder))
    engines = sum(artifact.size for artifact in artifacts.everything())
    return [
        at_most("bytes fetched, all", (engines + packages) / 1e9, 1.1, " GB"),
        Row("  of it Python packages", f"{packages / 1e6:.0f} MB"),
        Row("pip install pyspark, nothing cached", f"{install:.0f} s"),
        Row("make demo, nothing cached", f"{demo:.0f} s"),
        at_most("  ÷ pip install pyspark", demo / install, 4),
    ]


def pip_install_pyspark(folder: Path) -> float:
    """Seconds of the one package that is the largest part, into a fresh environment."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    environ = os.environ | {"PIP_CACHE_DIR": str(folder / "pip-of-pyspark")}
    version = artifacts.sections()["spark"][0].coordinate.split(":")[2]
    command = (folder / "venv" / "bin" / "pip", "install", "--quiet", f"pyspark=={version}")
    return seconds(command, folder, environ)


def cold_demo(folder: Path) -> float:
    """Seconds of the command that a visitor types in a fresh clone."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, clone], check=True)
    environ = {name: value for name, value in os.environ.items() if name != "SWORDLAB_STATE"}
    environ |= {"SWORDLAB_CACHE": str(folder / "cache"), "PIP_CACHE_DIR": str(folder / "pip-of-demo")}
    environ |= own_ports()
    try:
        return seconds(("make", "demo"), clone, environ)
    finally:
        seconds(("make", "down"), clone, environ)


def packages_of_demo(folder: Path) -> Path:
    """A folder with the archives that the lab's set-up installs; pip's cache does not keep each of them."""
    archives = folder / "packages"
    lock = CHECKOUT / "requirements.lock"
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
    seconds((*download, "--requirement", lock, "--dest", archives), folder, dict(os.environ))
    return archives


def seconds(command: Sequence[str | Path], folder: Path, environ: dict[str, str]) -> float:
    """How long a command takes that must succeed."""
    begin = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - begin


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
