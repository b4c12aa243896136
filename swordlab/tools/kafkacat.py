"""A stand-in for kafkacat (kcat) on kafka-python, for the flags that the lab uses."""

import getopt
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

USAGE = """Usage: kafkacat <options>
Modes:  -C consume (print messages)   -P produce (one message a line of stdin)   -L list metadata
  -b <brokers,..>    Bootstrap broker(s) (host[:port])
  -t <topic>         Topic
  -p <partition>     Partition
  -o <offset>        Offset to start from: beginning | end | stored | <n> | -<n> from the end
  -e                 Exit when the last message was received
  -c <cnt>           Exit after cnt messages
  -f <fmt>           Format: %s payload, %k key, %o offset, %p partition, %t topic, %T timestamp, \\n, \\t
  -J                 Print each message as JSON, with its topic, partition and offset
  -u                 Unbuffered output
  -q                 Be quiet"""

BROKER_TIMEOUT_MS = 5000


class Fatal(Exception):
    """What stops kafkacat, in its own words."""


@dataclass
class Options:
    """kafkacat's command line."""

    mode: str = ""  # C, P or L
    brokers: str = ""
    topic: str = ""
    partition: int | None = None  # None: all of them
    offset: str = "beginning"  # beginning, end, stored or a number
    count: float = float("inf")
    format: str = "%s\n"
    exit_at_end: bool = False
    as_json: bool = False
    unbuffered: bool = False
    quiet: bool = False


def parse(argv: list[str]) -> Options:
    """Read kafkacat's arguments; raises Fatal for those that it refuses."""
    options = Options()
    try:
        pairs, rest = getopt.gnu_getopt(argv, "CPLb:t:p:o:ec:f:Juq")
    except getopt.GetoptError as error:
        raise Fatal(f"{error}\n{USAGE}") from None
    for flag, value in pairs:
        match flag:
            case "-C" | "-P" | "-L":
                options.mode = flag[1]
            case "-b":
                options.brokers = value
            case "-t":
                options.topic = value
            case "-p":
                partition = number(flag, value)
                options.partition = None if partition == -1 else partition
            case "-o":
                options.offset = offset_name(value)
            case "-c":
                options.count = number(flag, value)
            case "-f":
                options.format = value.replace("\\n", "\n").replace("\\t", "\t")
            case "-e":
                options.exit_at_end = True
            case "-J":
                options.as_json = True
            case "-u":
                options.unbuffered = True
            case "-q":
                options.quiet = True
    if rest:
        raise Fatal(f"unknown argument {rest[0]!r}\n{USAGE}")
    if not options.brokers:
        raise Fatal(f"-b <broker,..> missing\n{USAGE}")
    if not options.mode:
        options.mode = "C" if sys.stdin.isatty() else "P"
        say(
            options,
            f"Auto-selecting {'Consumer' if options.mode == 'C' else 'Producer'} mode (use -P or -C to override)",
        )
    if options.mode != "L" and not options.topic:
        raise Fatal(f"-t <topic> missing\n{USAGE}")
    return options


def number(flag: str, text: str) -> int:
    """The whole number after `flag`, or Fatal."""
    if not re.fullmatch(r"-?\d+", text):
        raise Fatal(f"{flag} wants a number, not {text!r}\n{USAGE}")
    return int(text)


def offset_name(text: str) -> str:
    """The start `text` names, or Fatal."""
    if not re.fullmatch(r"begin|beginning|end|stored|-?\d+", text):
        raise Fatal(f"-o wants beginning, end, stored, n or -n, not {text!r}\n{USAGE}")
    return "beginning" if text == "begin" else text


def say(options: Options, text: str) -> None:
    """A remark on stderr, as kafkacat makes them, unless -q."""
    if not options.quiet:
        print(f"% {text}", file=sys.stderr, flush=True)


def formatted(message: Any, template: str) -> bytes:
    """One message as -f asks; what it does not know stays as it stands."""
    fields = {
        b"s": message.value or b"",
        b"k": message.key or b"",
        b"o": str(message.offset).encode(),
        b"p": str(message.partition).encode(),
        b"t": message.topic.encode(),
        b"T": str(message.timestamp).encode(),
        b"%": b"%",
    }
    return re.sub(rb"%([skoptT%])", lambda found: fields[found[1]], os.fsencode(template))


def as_json(message: Any) -> bytes:
    """One message as -J prints it."""
    envelope = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "tstype": "create" if message.timestamp_type == 0 else "logappend",
        "ts": message.timestamp,
        "key": text_or_none(message.key),
        "payload": text_or_none(message.value),
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def text_or_none(data: bytes | None) -> str | None:
    """Bytes as text, with a mark for what is not UTF-8."""
    return None if data is None else data.decode(errors="replace")


def start(consumer: Any, partitions: list[Any], offset: str) -> None:
    """Move to where -o says."""
    if offset == "stored":
        return  # the consumer goes on from what its group has committed
    if offset == "end":
        consumer.seek_to_end(*partitions)
    elif offset == "beginning":
        consumer.seek_to_beginning(*partitions)
    else:
        first, last = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        for partition in partitions:
            wanted = int(offset) if int(offset) >= 0 else last[partition] + int(offset)
            consumer.seek(partition, max(first[partition], wanted))


def consume(options: Options, out: IO[bytes]) -> None:
    """Print messages until -e, -c or Ctrl-C."""
    consumer = KafkaConsumer(
        bootstrap_servers=options.brokers.split(","),
        bootstrap_timeout_ms=BROKER_TIMEOUT_MS,
        allow_auto_create_topics=False,  # looking at a topic must not make it
        group_id="kafkacat" if options.offset == "stored" else None,
        auto_offset_reset="earliest",
    )
    try:
        known = consumer.partitions_for_topic(options.topic) or set()
        wanted = known if options.partition is None else known & {options.partition}
        if not wanted:
            raise UnknownTopicOrPartitionError()
        partitions = [TopicPartition(options.topic, partition) for partition in sorted(wanted)]
        consumer.assign(partitions)
        start(consumer, partitions, options.offset)
        print_messages(options, consumer, partitions, out)
    finally:
        consumer.close()


def print_messages(options: Options, consumer: Any, partitions: list[Any], out: IO[bytes]) -> None:
    """The loop of `consume`: print what comes, and say where a partition has ended."""
    ends = consumer.end_offsets(partitions)
    said: dict[Any, int] = {}  # the end of each partition that was already told
    left = options.count
    while left > 0:
        batches = consumer.poll(timeout_ms=500, max_records=int(min(left, 500)))
        for message in (message for batch in batches.values() for message in batch):
            out.write(as_json(message) if options.as_json else formatted(message, options.format))
            left -= 1
            if options.unbuffered:
                out.flush()
        out.flush()
        for partition in partitions:
            position = consumer.position(partition)
            at_end = position >= max(ends[partition], consumer.highwater(partition) or 0)
            if at_end and said.get(partition) != position:
                said[partition] = position
                say(
                    options,
                    f"Reached end of topic {partition.topic} [{partition.partition}]"
                    f" at offset {position}{': exiting' if is_last(options, said, partitions) else ''}",
                )
        if is_last(options, said, partitions):
            return


def is_last(options: Options, said: dict[Any, int], partitions: list[Any]) -> bool:
    """Whether -e is given and every partition has ended."""
    return options.exit_at_end and len(said) == len(partitions)


def produce(options: Options, lines: Iterable[bytes]) -> None:
    """Send each line as a message; raises KafkaError if one is not acknowledged."""
    producer = KafkaProducer(
        bootstrap_servers=options.brokers.split(","),
        bootstrap_timeout_ms=BROKER_TIMEOUT_MS,
        max_block_ms=BROKER_TIMEOUT_MS,
    )
    try:
        sent = [
            producer.send(options.topic, line.rstrip(b"\n"), partition=options.partition)
            for line in lines
            if line != b"\n"
        ]
        for message in sent:
            message.get(timeout=30)
    finally:
        producer.close(timeout=5)


def list_metadata(options: Options, out: IO[bytes]) -> None:
    """Print brokers, topics and partitions."""
    admin = KafkaAdminClient(bootstrap_servers=options.brokers.split(","), bootstrap_timeout_ms=BROKER_TIMEOUT_MS)
    try:
        cluster = admin.describe_cluster()
        topics = admin.describe_topics([options.topic] if options.topic else None)
    finally:
        admin.close()
    lines = [
        f"Metadata for {options.topic or 'all topics'} (from broker -1: {options.brokers}/bootstrap):",
        f" {len(cluster['brokers'])} brokers:",
    ]
    for broker in cluster["brokers"]:
        mark = " (controller)" if broker["broker_id"] == cluster["controller_id"] else ""
        lines.append(f"  broker {broker['broker_id']} at {broker['host']}:{broker['port']}{mark}")
    lines.append(f" {len(topics)} topics:")
    for topic in topics:
        lines.append(f'  topic "{topic["name"]}" with {len(topic["partitions"])} partitions:')
        for part in topic["partitions"]:
            replicas = ",".join(map(str, part["replica_nodes"]))
            isrs = ",".join(map(str, part["isr_nodes"]))
            lines.append(
                f"    partition {part['partition_index']}, leader {part['leader_id']},"
                f" replicas: {replicas}, isrs: {isrs}"
            )
    out.write("\n".join(lines).encode() + b"\n")
    out.flush()


def main(argv: list[str] | None = None) -> int:
    """Run as `kafkacat`; 0, or 1 with its kind of message."""
    print("% kafkacat: this is Swordlab's stand-in, on kafka-python", file=sys.stderr, flush=True)
    topic = ""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        topic = options.topic
        if options.mode == "C":
            consume(options, sys.stdout.buffer)
        elif options.mode == "P":
            produce(options, sys.stdin.buffer)
        else:
            list_metadata(options, sys.stdout.buffer)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The reader has gone (`kafkacat … | head`). Python must not try to flush to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Fatal as error:
        print(f"% ERROR: {error}", file=sys.stderr)
        return 1
    except UnknownTopicOrPartitionError:
        print(f"% ERROR: Topic {topic} error: Broker: Unknown topic or partition", file=sys.stderr)
        return 1
    except KafkaError as error:
        print(
            f"% ERROR: Failed to query metadata for topic {topic or '(all)'}:"
            f" Local: Broker transport failure ({error})",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
