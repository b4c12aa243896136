import hashlib
import http.server
import os
import threading
import time
import zipfile

import pytest

from swordlab import artifacts, fetch
from swordlab.artifacts import Artifact
from swordlab.engines import hdfs, java
from swordlab.errors import LabError

CONTENT = bytes(range(256)) * 4096
COORDINATE = "some.group:thing:1"


class Repository(http.server.BaseHTTPRequestHandler):
    asked: list = []
    breaks_after: int | None = None

    def do_GET(self):
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.asked.append(begin)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        self.wfile.write(CONTENT[begin:][: self.breaks_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def repository(monkeypatch, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SWORDLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(fetch, "maven_repository", lambda: f"http://127.0.0.1:{server.server_port}")
    Repository.asked.clear()
    Repository.breaks_after = None
    fetch.stopped.clear()
    yield Repository
    server.shutdown()


def thing(sha256=hashlib.sha256(CONTENT).hexdigest()):
    return Artifact(COORDINATE, len(CONTENT), sha256)


def test_an_archive_is_fetched_once_and_kept(repository):
    fetch.fetch(thing())
    fetch.fetch(thing())
    assert thing().path.read_bytes() == CONTENT
    assert repository.asked == [0]


def test_a_broken_download_is_continued(repository):
    part = thing().path.with_name(thing().path.name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    fetch.fetch(thing())
    assert thing().path.read_bytes() == CONTENT
    assert repository.asked == [1000]


def test_a_connection_that_breaks_is_made_again(repository):
    repository.breaks_after = 400_000
    fetch.fetch(thing())
    assert thing().path.read_bytes() == CONTENT
    assert repository.asked[0] == 0
    assert len(repository.asked) > 2


def test_a_damaged_archive_is_refused_and_deleted(repository):
    with pytest.raises(LabError, match="arrived damaged"):
        fetch.fetch(thing(sha256="0" * 64))
    assert not list(thing().path.parent.iterdir())


def test_what_is_fetched_stays_under_the_promised_size():
    assert sum(artifact.size for artifact in artifacts.everything()) < 1.04e9  # bytes; Python packages come on top


def test_class_data_that_no_program_used_for_long_is_deleted(tmp_path):
    for name, days in {"used.jsa": 2, "old.jsa": 40, "old.other": 40}.items():
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (time.time() - days * 86400,) * 2)
    java.drop_unused(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.other", "used.jsa"]


def test_what_hdfs_searches_for_is_listed_in_a_small_jar_alone():
    for jar in hdfs.server_jars():
        with zipfile.ZipFile(jar) as opened:
            listed = {*hdfs.SCANNED, *hdfs.UNPACKED} & set(opened.namelist())
        assert not listed or jar.stat().st_size < 2_000_000, f"{jar.name} lists {listed}"
