"""The same cluster on Docker: its start, with the image built, and the memory of its engines."""

import os
import time

from bench.row import Row
from bench.surroundings import own_ports, scratch, swordlab
from swordlab import cluster
from swordlab.cluster import docker
from swordlab.cluster.runtime import Cluster
from swordlab.errors import LabError

GIB = 2**30


def measure() -> list[Row]:
    """A cluster of its own, deleted at the end; one row that says why where there is no Docker."""
    try:
        docker.require()
    except LabError as error:
        return [Row("on Docker", f"not measured: {error.message}")]
    before = dict(os.environ)
    try:
        with scratch() as folder:
            os.environ.update(own_ports())
            os.environ |= {
                "RUNTIME": "docker",
                "COMPOSE_PROJECT_NAME": "swordlab-bench",
                "SWORDLAB_STATE": str(folder / "state"),
            }
            return on_docker(cluster.current())
    finally:
        os.environ.clear()
        os.environ.update(before)


def on_docker(started: Cluster) -> list[Row]:
    """Started twice: the first time builds the image and formats the volumes."""
    try:
        swordlab("up")
        swordlab("down")
        begin = time.monotonic()
        swordlab("up")
        seconds = time.monotonic() - begin
        memory = sum(row.memory for row in started.status())
    finally:
        swordlab("clean", "--yes")
    size = int(docker.docker("image", "inspect", "--format", "{{.Size}}", docker.IMAGE))
    return [
        Row("on Docker, warm make up", f"{seconds:.1f} s"),
        Row("  memory of the engines", f"{memory / GIB:.2f} GiB"),
        Row("  size of the image", f"{size / 1e9:.2f} GB"),
    ]
