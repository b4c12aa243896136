"""Follow one player from the access log of Flask to the topic: `python follow_host.py user1.comcast.com`.

The access log names no hosts, only times and routes, so an event is matched with the lines of its route
in the second in which Kafka got it or the one after; it says so where there is more than one.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

TOPIC = "events"
ROUTES = {"join_guild": "/join_guild", "purchase_sword": "/purchase_sword", "default": "/"}
KEY_FIELDS = ["Host", "User-Agent", "event_type", "guild", "sword_type", "sword_cost"]
LOG_LINE = re.compile(r'\[(?P<time>[^\]]+)\] "\w+ (?P<route>/[^ ?]*)[^"]*" 200')


def records(consumer: KafkaConsumer) -> Iterator[Any]:
    """Everything that is on the topic now, from its beginning."""
    partitions = [TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    # TODO 1: one poll brings some records or none, often of one partition only. Go on until the position in every
    # partition (consumer.position) has reached the end that it has now (consumer.end_offsets).
    for batch in consumer.poll(timeout_ms=1000).values():
        yield from batch


def event_in(record: Any) -> dict[str, Any]:
    """The event as a dict; an empty one where the message is not an event."""
    # TODO 2: record.value holds the bytes of the message, or None. Not every message is JSON, or an object.
    return {}


def log_lines(log: list[str], event_type: str, milliseconds: int) -> list[str]:
    """The lines of the access log that can be this event's: its route, its second or the next."""
    found = []
    for line in log:
        match = LOG_LINE.search(line)
        if match and match["route"] == ROUTES.get(event_type):
            seconds = datetime.strptime(match["time"], "%d/%b/%Y %H:%M:%S").timestamp()
            # TODO 3: this takes every line of the route. Keep those of the event's second or the next; Kafka's
            # timestamp counts milliseconds.
            found.append(line)
    return found


def show(record: Any, event: dict[str, Any], log: list[str]) -> None:
    """Print one event's way."""
    lines = log_lines(log, event.get("event_type", ""), record.timestamp)
    many = f"   (or another of its {len(lines)} like lines)" if len(lines) > 1 else ""
    print(f"access log: {lines[0] if lines else 'no line found'}{many}")
    # TODO 4: where on the topic the event is, partition and offset, and those of its KEY_FIELDS that it has, as JSON.
    print(f"topic: {record.topic}\n")


def main(host: str) -> None:
    """Print the way of each event of `host`, or say that it never came."""
    log_file = Path(os.environ.get("FLASK_LOG", ""))
    log = log_file.read_text(errors="replace").splitlines() if log_file.is_file() else []
    consumer = KafkaConsumer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "kafka:29092"), bootstrap_timeout_ms=10000
    )
    seen = 0
    for record in records(consumer):
        event = event_in(record)
        if event.get("Host") == host:
            seen += 1
            show(record, event, log)
    consumer.close()
    # TODO 5: silence and status 0 look like success. If the host never came, say so and exit with status 1.


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Which host? For example: python follow_host.py user1.comcast.com")
    try:
        main(sys.argv[1])
    except KafkaError as error:
        sys.exit(f"Kafka did not answer: {error}. Is it up?")
