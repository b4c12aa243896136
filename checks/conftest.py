"""What the checks of all labs ask with. The plugin (swordlab/grading/plugin.py) adds lab, work and rng."""

import pytest

from swordlab.grading.live import Files, Hive, Presto, Topic

TOPIC = "events"


@pytest.fixture(scope="session")
def topic():
    """The topic that everything travels on."""
    topic = Topic(TOPIC)
    yield topic
    topic.close()


@pytest.fixture(scope="session")
def files():
    """HDFS."""
    return Files()


@pytest.fixture(scope="session")
def hive():
    """HiveServer2."""
    return Hive()


@pytest.fixture(scope="session")
def presto():
    """Presto."""
    return Presto()
