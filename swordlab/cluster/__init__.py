"""The cluster: docker-compose.yml in, running services out."""

from typing import TYPE_CHECKING

from swordlab.places import State, on_docker

if TYPE_CHECKING:
    from swordlab.cluster.runtime import Cluster


def current() -> "Cluster":
    """The cluster in use: local processes, or on Docker where RUNTIME says so."""
    # imported here: every engine's start and every health check imports this package, and needs neither
    if on_docker():
        from swordlab.cluster.docker import DockerCluster

        return DockerCluster(State.current())
    from swordlab.cluster.local import LocalCluster

    return LocalCluster(State.current())
