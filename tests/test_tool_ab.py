"""The stand-in for ab, against a small HTTP server."""

import errno
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from swordlab.tools import ab


class Server(ThreadingHTTPServer):
    """Keeps what it was asked; answers 404 below /missing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, self.request_version, dict(self.headers.items()), body))
        self.send_response(404 if self.path.startswith("/missing") else 200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def test_it_says_that_it_is_a_stand_in(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert ab.main([f"{server.url}/"]) == 0
    assert "stand-in" in capsys.readouterr().err


def test_it_asks_as_ab_does(server: Server) -> None:
    assert ab.main(["-n", "1", "-H", "Host: user1.comcast.com", f"{server.url}/join_guild?x=1"]) == 0
    [(method, path, version, headers, _)] = server.seen
    assert (method, path, version) == ("GET", "/join_guild?x=1", "HTTP/1.0")
    assert headers == {"Host": "user1.comcast.com", "User-Agent": "ApacheBench/2.3", "Accept": "*/*"}


def test_without_a_host_header_the_host_is_the_address(server: Server) -> None:
    ab.main([f"{server.url}/"])
    assert server.seen[0][3]["Host"] == f"127.0.0.1:{server.server_port}"


def test_every_request_is_sent_and_counted(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert ab.main(["-n", "40", "-c", "4", "-H", "A: 1", "-H", "B: 2", f"{server.url}/"]) == 0
    out = capsys.readouterr().out
    assert len(server.seen) == 40
    assert all(seen[3]["A"] == "1" and seen[3]["B"] == "2" for seen in server.seen)
    assert "Complete requests:      40" in out
    assert "Failed requests:        0" in out
    assert "Concurrency Level:      4" in out
    assert "Non-2xx" not in out


def test_other_answers_than_2xx_are_counted_and_end_well(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert ab.main(["-n", "3", f"{server.url}/missing"]) == 0
    assert "Non-2xx responses:      3" in capsys.readouterr().out


def test_a_body_is_posted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "body").write_text("sword=1")
    ab.main(["-p", str(tmp_path / "body"), "-T", "application/x-www-form-urlencoded", f"{server.url}/"])
    method, _, _, headers, body = server.seen[0]
    assert (method, body) == ("POST", b"sword=1")
    assert headers["Content-type"] == "application/x-www-form-urlencoded"


def test_the_method_can_be_named(server: Server) -> None:
    ab.main(["-m", "PUT", f"{server.url}/"])
    assert server.seen[0][0] == "PUT"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 22, "wrong number of arguments"),
        (["-n", "1", "http://a/", "http://b/"], 22, "wrong number of arguments"),
        (["-n", "2", "-c", "3", "http://a/"], 22, "Cannot use concurrency level greater than total number of requests"),
        (["-c", "2", "http://a/"], 22, "Cannot use concurrency level"),
        (["-n", "0", "http://a/"], 1, "Invalid number of requests"),
        (["-n", "many", "http://a/"], 1, "Invalid number of requests"),
        (["-y", "http://a/"], 22, "-y"),
        (["http://localhost:5000"], 22, "invalid URL"),
        (["http://localhost:port/"], 22, "invalid URL"),
        (["https://a/"], 1, "no https support"),
        (["-p", "/no/such/file", "http://a/"], 1, "Could not open POST data file"),
        (["-H", "Host", "http://a/"], 22, "is no header line"),
    ],
)
def test_refused(arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ab.main(arguments) == status
    assert message in capsys.readouterr().err


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/"
    assert ab.main(["-n", "5", url]) == errno.ECONNREFUSED
    err = capsys.readouterr().err
    assert "refused" in err
    assert "Total of 0 requests completed" in err


def test_a_header_that_http_cannot_carry(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert ab.main(["-H", "Host: snow\u2603man", f"{server.url}/"]) == 1
    assert "Traceback" not in capsys.readouterr().err
