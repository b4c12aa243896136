"""`make doctor`: whether this machine can run the lab, and what to do where it cannot."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from swordlab import artifacts, console, endpoints, fetch
from swordlab.cluster.local import holder_of, is_free
from swordlab.cluster.runtime import DISK_NEEDED, Cluster
from swordlab.engines import java
from swordlab.errors import LabError
from swordlab.places import CHECKOUT, cache_folder, on_docker
from swordlab.tools import shell

MEMORY_NEEDED = 2.0  # GiB: the engines and both Spark jobs
DOCKER = "Docker"
PROBLEM, NOTE, FINE = "problem", "note", "ok"
STYLE = {PROBLEM: "red", NOTE: "yellow", FINE: "green"}
PORTS_OF_PROGRAMS = ("FLASK_PORT", "SPARK_UI_PORT")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; a problem keeps the lab from running."""

    kind: str
    subject: str
    text: str
    cure: str = ""


def run(cluster: Cluster) -> int:
    """Look at everything; exit status 2 when there is a problem."""
    problems = 0
    for check in CHECKS:
        for finding in check(cluster):
            problems += finding.kind == PROBLEM
            console.out.print(f"  {finding.kind:<8}", style=STYLE[finding.kind], end="")
            console.say(f"{finding.subject:<9} {finding.text}")
            if finding.cure:
                console.say(f"{'':20}What to do: {finding.cure}")
            if (finding.kind, finding.subject) == (PROBLEM, DOCKER):
                return 2  # what comes after it asks Docker
    console.say("The lab can run here." if not problems else f"Problems: {problems}.")
    return 2 if problems else 0


def python(_: Cluster) -> Iterator[Finding]:
    """The Python in use; the set-up refused one that is too old."""
    yield Finding(FINE, "Python", platform.python_version())


def java_17(_: Cluster) -> Iterator[Finding]:
    """A Java 17."""
    try:
        yield Finding(FINE, "Java", f"{java.VERSION} in {java.home()}")
    except LabError as error:
        yield Finding(PROBLEM, "Java", error.message, error.hint)


def docker_engine(_: Cluster) -> Iterator[Finding]:
    """Docker, where the lab is told to use it."""
    if not on_docker():
        return
    from swordlab.cluster import docker  # no other runtime needs it

    try:
        docker.require()
        version = docker.docker("version", "--format", "{{.Server.Version}}").strip()
        yield Finding(FINE, DOCKER, f"engine {version}, {' '.join(docker.compose_command())}")
    except LabError as error:
        yield Finding(PROBLEM, DOCKER, error.message, error.hint)


def engines(_: Cluster) -> Iterator[Finding]:
    """The engines' archives, or room for them."""
    missing = artifacts.missing()
    if not missing:
        yield Finding(FINE, "engines", f"all {len(artifacts.everything())} archives are in {cache_folder().resolve()}")
        return
    size = sum(artifact.size for artifact in missing) / 1e6
    try:
        fetch.room_for(missing)
        yield Finding(NOTE, "engines", f"{len(missing)} archives, {size:.0f} MB, are still to be fetched", "make up")
    except LabError as error:
        yield Finding(PROBLEM, "engines", error.message, error.hint)


def disk(cluster: Cluster) -> Iterator[Finding]:
    """Room for the cluster's data, in a folder that can be written."""
    try:
        free = cluster.check_disk()
        yield Finding(FINE, "disk", f"{free / 1e9:.1f} GB free for data, {DISK_NEEDED / 1e9:.1f} GB are needed")
    except LabError as error:
        yield Finding(PROBLEM, "disk", error.message, error.hint)


def memory(cluster: Cluster) -> Iterator[Finding]:
    """Memory for what does not run yet."""
    free, running = psutil.virtual_memory().available / 2**30, sum(row.memory for row in cluster.status()) / 2**30
    text = f"{free:.1f} GiB available, {running:.1f} GiB used by the cluster; it takes {MEMORY_NEEDED:.1f} GiB in all"
    enough = free + running >= MEMORY_NEEDED
    yield Finding(FINE if enough else PROBLEM, "memory", text, "" if enough else "end other programs")


def ports(cluster: Cluster) -> Iterator[Finding]:
    """Every port is free, or held by this cluster."""
    taken, held = 0, cluster.held_ports()
    for variable, port in endpoints.ports().items():
        if port in held or is_free(port):
            continue
        taken += 1
        kind = NOTE if variable in PORTS_OF_PROGRAMS else PROBLEM
        cure = f"stop that program, or choose another port: make up {variable}={port + 10000}"
        yield Finding(kind, "ports", f"{port} ({variable}) is taken by {holder_of(port)}", cure)
    if not taken:
        yield Finding(FINE, "ports", " ".join(map(str, endpoints.ports().values())))


def tools(_: Cluster) -> Iterator[Finding]:
    """What the report's commands use beside the engines."""
    if shutil.which("curl"):
        yield Finding(FINE, "curl", "is installed")
    else:
        yield Finding(NOTE, "curl", "is not installed", "Debian and Ubuntu: sudo apt install curl")
    for tool, real in {"ab": ("ab",), "kafkacat": ("kafkacat", "kcat")}.items():
        found = [path for path in map(_outside_lab, real) if path]
        yield Finding(FINE, tool, found[0] if found else "not installed: the lab's stand-in takes its place")


def _outside_lab(name: str) -> str | None:
    folders = [folder for folder in os.get_exec_path() if folder != str(CHECKOUT / "bin")]
    return shutil.which(name, path=os.pathsep.join(folders))


def names(cluster: Cluster) -> Iterator[Finding]:
    """Whether `make shell` can have an /etc/hosts of its own; tried in a child process."""
    child = os.fork()
    if child == 0:
        known = False
        try:
            known = shell.own_hosts_file(cluster.state)
        finally:
            os._exit(0 if known else 1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        yield Finding(FINE, "names", "in make shell every program knows kafka, cloudera, presto, mids and spark")
    else:
        yield Finding(NOTE, "names", "in make shell only the lab's own tools know kafka, cloudera, …: see what it says")


def engines_up(cluster: Cluster) -> Iterator[Finding]:
    """Whether the cluster runs, and every engine answers."""
    rows = cluster.status()
    if all(row.health == "down" for row in rows):
        yield Finding(FINE, "cluster", "down; make up starts it")
        return
    broken = [row for row in rows if row.health not in ("healthy", "running")]
    for row in broken:
        yield Finding(PROBLEM, "cluster", f"{row.program}: {row.health}", f"make logs SERVICE={row.program}; make up")
    if not broken:
        yield Finding(FINE, "cluster", "up")


CHECKS: tuple[Callable[[Cluster], Iterator[Finding]], ...] = (
    python,
    java_17,
    engines,
    docker_engine,
    disk,
    memory,
    ports,
    tools,
    names,
    engines_up,
)
