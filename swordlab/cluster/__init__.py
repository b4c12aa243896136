"""The cluster: docker-compose.yml in, running services out."""

from swordlab.cluster.docker import DockerCluster
from swordlab.cluster.local import LocalCluster
from swordlab.cluster.runtime import Cluster
from swordlab.places import State, on_docker

__all__ = ["Cluster", "current"]


def current() -> Cluster:
    """The cluster in use: local processes, or on Docker where RUNTIME says so."""
    return (DockerCluster if on_docker() else LocalCluster)(State.current())
