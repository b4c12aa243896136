"""One warm cluster for all tests that need the engines, on ports and in a folder of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.surroundings import own_ports
from swordlab import endpoints, hosts
from swordlab.cluster.local import LocalCluster
from swordlab.places import CHECKOUT, State

# ignored where the tests run in the background, then also in every program that they start and end by Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)


def swordlab(*arguments, environ=None, timeout=600):
    """Run the lab's command as its user does."""
    command = [sys.executable, "-m", "swordlab", *map(str, arguments)]
    return subprocess.run(
        command,
        env={**os.environ, **(environ or {})},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The running cluster; the environment of the tests points at it."""
    state = tmp_path_factory.mktemp("swordlab") / "state"
    os.environ["SWORDLAB_STATE"] = str(state)
    os.environ.update(own_ports())
    os.environ[hosts.VARIABLE] = " ".join(endpoints.HOSTS)
    hosts.install()
    done = swordlab("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert swordlab("class-data").returncode == 0  # an engine stands still for seconds meanwhile
    yield LocalCluster(State(Path(state)))
    assert swordlab("down").returncode == 0
