"""The engines by name. An engine more is a class more in this list."""

import os
from collections.abc import Mapping

from swordlab.engines.base import Engine, NotReady
from swordlab.engines.hdfs import DataNode, NameNode
from swordlab.engines.hive import HiveServer2, Metastore
from swordlab.engines.kafka import Kafka
from swordlab.engines.presto import Presto
from swordlab.errors import UsageError
from swordlab.places import State

ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (Kafka, NameNode, DataNode, Metastore, HiveServer2, Presto)
}

__all__ = ["ENGINES", "Engine", "NotReady", "engine", "unready"]


def engine(name: str, state: State | None = None, environ: Mapping[str, str] | None = None) -> Engine:
    """The engine called `name`, of the cluster in use unless another is given."""
    if name not in ENGINES:
        raise UsageError(f"there is no engine '{name}'", f"the engines are {', '.join(ENGINES)}")
    return ENGINES[name](state or State.current(), dict(os.environ) if environ is None else environ)


def unready(engine: Engine) -> str:
    """Why the engine does not answer, or an empty text when it does."""
    try:
        engine.probe()
    except (NotReady, OSError, ValueError, KeyError) as error:
        return str(error) or type(error).__name__
    return ""
