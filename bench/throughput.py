"""Requests per second of the game ÷ of the same program without Kafka."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bench.row import Row, at_least
from bench.surroundings import free_ports
from swordlab import endpoints
from swordlab.cluster.local import LocalCluster
from swordlab.places import CHECKOUT

REQUESTS = 800
CLIENTS = (1, 8, 32)
ROUNDS = 3
REQUEST = b"GET /join_guild HTTP/1.0\r\nHost: user1.comcast.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"


def measure(_: LocalCluster) -> list[Row]:
    """Both run side by side and are asked in turns, so that a change of the machine's mood meets both."""
    rows = []
    with flask(CHECKOUT / "solutions/02-flask/game_api.py") as real, flask(CHECKOUT / "bench/without_kafka.py") as bare:
        for clients in CLIENTS:
            with_kafka, without = [], []
            for _round in range(ROUNDS):
                without.append(rate(bare, clients))
                with_kafka.append(rate(real, clients))
            figure = f"Flask, {clients} client{'s' * (clients > 1)}"
            rows.append(Row(figure, f"{median(with_kafka):.0f} /s"))
            rows.append(at_least("  ÷ without Kafka", median(with_kafka) / median(without), 0.8))
    return rows


@contextlib.contextmanager
def flask(program: os.PathLike[str]) -> Iterator[int]:
    """Flask's development server with a program; its port."""
    [port] = free_ports(1)
    path = f"{CHECKOUT / 'solutions/02-flask'}:{CHECKOUT}"
    server = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", program, "run", "--port", str(port)],
        # SWORDLAB_PROGRAM: so that no other cluster takes it for a program of its own that was started by hand
        env=os.environ | endpoints.environment() | {"PYTHONPATH": path, "SWORDLAB_PROGRAM": "bench"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                ask(port)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def rate(port: int, clients: int) -> float:
    """Requests per second that so many clients get answered, each connection for one request."""
    begin = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask_often, port, REQUESTS // clients) for _ in range(clients)]
        for client in asked:
            client.result()
    return REQUESTS // clients * clients / (time.monotonic() - begin)


def ask_often(port: int, times: int) -> None:
    """One client."""
    for _ in range(times):
        ask(port)


def ask(port: int) -> None:
    """One request, which must be answered well. Closes at the end of the answer, as a browser and curl do."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"!\n"):
            if not (part := connection.recv(4096)):
                raise OSError(f"not the game's answer: {answer[:80]!r}")
            answer += part
