"""The stand-in for kafkacat: its arguments, formats, and its words when there is no broker."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from swordlab import endpoints
from swordlab.tools import kafkacat

MESSAGE = SimpleNamespace(
    topic="events", partition=0, offset=7, timestamp=1000, timestamp_type=0, key=b"k", value="Ünï".encode()
)


def test_the_reports_command_line() -> None:
    options = kafkacat.parse(["-C", "-b", "kafka:29092", "-t", "events", "-o", "beginning"])
    assert options == kafkacat.Options(mode="C", brokers="kafka:29092", topic="events")


def test_all_flags() -> None:
    line = "-P -b a,b:1 -t x -p 2 -o -5 -e -c 3 -q -u -J"
    options = kafkacat.parse([*line.split(), "-f", r"%s\t%o\n"])
    assert options == kafkacat.Options(
        mode="P",
        brokers="a,b:1",
        topic="x",
        partition=2,
        offset="-5",
        count=3,
        format="%s\t%o\n",
        exit_at_end=True,
        as_json=True,
        unbuffered=True,
        quiet=True,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-C", "-t", "events"], "-b <broker,..> missing"),
        (["-C", "-b", "kafka"], "-t <topic> missing"),
        (["-C", "-b", "kafka", "-t", "events", "-o", "start"], "-o wants"),
        (["-C", "-b", "kafka", "-t", "events", "-c", "few"], "-c wants a number"),
        (["-C", "-b", "kafka", "-t", "events", "extra"], "unknown argument 'extra'"),
        (["-Y"], "-Y"),
    ],
)
def test_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert kafkacat.main(arguments) == 1
    err = capsys.readouterr().err
    assert "stand-in" in err
    assert f"% ERROR: {message}" in err or f"% ERROR: option {message}" in err


def test_format() -> None:
    template = "%t [%p] %o %k=%s %T %% %x\n"
    assert kafkacat.formatted(MESSAGE, template).decode() == "events [0] 7 k=Ünï 1000 % %x\n"


def test_what_a_message_contains_is_not_taken_for_a_format() -> None:
    message = SimpleNamespace(**{**vars(MESSAGE), "value": rb"%o\1"})
    assert kafkacat.formatted(message, "%s") == rb"%o\1"


def test_json() -> None:
    assert kafkacat.as_json(MESSAGE).decode() == (
        '{"topic":"events","partition":0,"offset":7,"tstype":"create","ts":1000,"key":"k","payload":"Ünï"}\n'
    )


@pytest.mark.parametrize("mode", ["-C", "-P", "-L"])
def test_no_broker(mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "swordlab.tools.kafkacat", mode, "-b", "127.0.0.1:1", "-t", "events"],
        input="x\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Local: Broker transport failure" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.cluster
def test_what_is_produced_is_consumed(cluster: object) -> None:
    broker = endpoints.url("KAFKA_BOOTSTRAP_SERVERS")
    topic = f"kafkacat-{os.urandom(4).hex()}"

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "swordlab.tools.kafkacat", "-b", broker, "-t", topic, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)

    assert "Unknown topic or partition" in run("-C", "-e").stderr
    assert run("-P", text="one\ntwo\nthree\n").returncode == 0
    everything = run("-C", "-e")
    assert everything.stdout == "one\ntwo\nthree\n"
    assert f"% Reached end of topic {topic} [0] at offset 3: exiting" in everything.stderr
    assert run("-C", "-e", "-o", "-1").stdout == "three\n"
    assert run("-C", "-o", "1", "-c", "1").stdout == "two\n"
    assert f'topic "{topic}" with 1 partitions' in run("-L").stdout
