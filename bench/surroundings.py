"""A cluster of the bench's own: free ports, a state folder that is thrown away, the checkout's cache unless told."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swordlab import endpoints, hosts
from swordlab.cluster.local import LocalCluster
from swordlab.places import CHECKOUT, State


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return found


def own_ports() -> dict[str, str]:
    """Every port of a cluster, by its variable."""
    return {name: str(port) for name, port in zip(endpoints.PORTS, free_ports(len(endpoints.PORTS)), strict=True)}


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a disk (a temporary folder may lie in memory), deleted at the end."""
    parent = CHECKOUT / ".swordlab"
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def own_cluster() -> Iterator[LocalCluster]:
    """A cluster on which the demo has run and whose class-data archives are there; up."""
    with scratch() as folder:
        os.environ["SWORDLAB_STATE"] = str(folder / "state")
        os.environ.update(own_ports())
        os.environ[hosts.VARIABLE] = " ".join(endpoints.HOSTS)
        hosts.install()
        try:
            swordlab("demo")
            swordlab("class-data")
            swordlab("down")  # a program that has written its archive keeps the memory for it
            swordlab("demo")
            yield LocalCluster(State(folder / "state"))
        finally:
            swordlab("down")


def swordlab(*arguments: str, **environ: str) -> None:
    """One of the lab's commands, to its end; what it says is shown when it fails."""
    command = [sys.executable, "-m", "swordlab", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"swordlab {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
