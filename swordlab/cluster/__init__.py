"""The cluster: docker-compose.yml in, running services out."""

from swordlab.cluster.local import LocalCluster
from swordlab.places import State


def current() -> LocalCluster:
    """The cluster in use."""
    return LocalCluster(State.current())
