"""Spark's streams as HDFS shows them: their checkpoints, and in these the time of every batch."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from swordlab.grading.live import Files

DEPTH = 5  # folders below / in which a checkpoint is looked for
RECENT = 12  # batches of a checkpoint that are read


@dataclass(frozen=True)
class Batch:
    """One batch of a stream."""

    number: int
    began: float
    """Seconds since the epoch, when its trigger fired."""
    done: float
    """Seconds since the epoch, when it was committed; 0 while it is not."""
    ends: dict[int, int]
    """Partition -> offset up to which it reads the topic."""


def checkpoints(files: Files, folder: str = "/", depth: int = DEPTH) -> Iterator[str]:
    """The folders that are checkpoints: they hold offsets, commits and metadata."""
    entries = [
        entry for entry in files.entries(folder) if entry["type"] == "DIRECTORY" or entry["pathSuffix"] == "metadata"
    ]
    names = {entry["pathSuffix"] for entry in entries}
    if {"offsets", "commits", "metadata"} <= names:
        yield folder
    elif depth:
        for name in sorted(names - {"metadata", "_spark_metadata", "_temporary"}):
            yield from checkpoints(files, f"{folder.rstrip('/')}/{name}", depth - 1)


def batches(files: Files, checkpoint: str, topic: str) -> list[Batch]:
    """The last batches of a stream that reads the topic, in order; none where it reads something else."""
    done = {
        int(entry["pathSuffix"]): entry["modificationTime"] / 1000
        for entry in files.entries(f"{checkpoint}/commits")
        if entry["pathSuffix"].isdigit()
    }
    numbers = sorted(
        int(entry["pathSuffix"]) for entry in files.entries(f"{checkpoint}/offsets") if entry["pathSuffix"].isdigit()
    )
    found = (
        _batch(files.read(f"{checkpoint}/offsets/{number}"), number, done.get(number, 0.0), topic)
        for number in numbers[-RECENT:]
    )
    return [batch for batch in found if batch]


def first_offsets(files: Files, checkpoint: str, topic: str) -> dict[int, int]:
    """Partition -> offset at which a stream of the topic began when it was first started."""
    answer = files.ask("OPEN", f"{checkpoint}/sources/0/0")
    _, _, text = answer.text.partition("{") if answer.ok else ("", "", "}")
    offsets: Any = json.loads("{" + text)
    return {int(partition): int(offset) for partition, offset in offsets.get(topic, {}).items()}


def _batch(content: bytes, number: int, done: float, topic: str) -> Batch | None:
    """A file of the offset log: a version, the query's metadata, then the offsets of each source, each on its line."""
    _, metadata, *sources = content.decode().splitlines()
    for source in sources:
        offsets: Any = json.loads(source) if source.startswith("{") else {}
        if topic in offsets:
            ends = {int(partition): int(end) for partition, end in offsets[topic].items()}
            return Batch(number, json.loads(metadata)["batchTimestampMs"] / 1000, done, ends)
    return None
