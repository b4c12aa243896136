"""Fetch what engines.lock names into the cache: in parallel, resumable, verified, each archive once."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from swordlab import artifacts, console
from swordlab.artifacts import Artifact
from swordlab.errors import LabError
from swordlab.places import cache_folder

PARALLEL = 12
BLOCK = 1 << 18  # bytes
TIMEOUT = (15, 60)  # seconds to connect, seconds between two blocks
UNPACKED_FACTOR = 1.3  # room for what is unpacked beside what is fetched

Advance = Callable[[int], None]
stopped = threading.Event()


class Broken(Exception):
    """The connection ended before the archive did."""


BREAKS = (Broken, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def ensure() -> None:
    """Fetch what is missing, with progress; return at once when nothing is.

    Raises LabError when the network, the disk or an archive is not as it must be. What was fetched stays, so that
    the next call goes on from there.
    """
    wanted = artifacts.missing()
    if not wanted:
        return
    room_for(wanted)
    todo = sum(artifact.size for artifact in wanted)
    with console.transfer(f"Fetching {len(wanted)} archives of the engines", todo) as advance:
        in_parallel(wanted, advance)


def room_for(wanted: list[Artifact]) -> None:
    """Refuse to begin when the disk cannot hold what is to come."""
    folder = cache_folder()
    try:
        folder.resolve().mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise LabError(
            f"the download cache {folder} cannot be written: {error.strerror}",
            "choose another folder: make SWORDLAB_CACHE=/path …",
        ) from None
    need = int(sum(artifact.size for artifact in wanted) * UNPACKED_FACTOR)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise LabError(
            f"{need / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free",
            "make room, or choose another disk: make SWORDLAB_CACHE=/path …",
        )


def in_parallel(wanted: list[Artifact], advance: Advance) -> None:
    """Fetch every artifact; the first failure (or Ctrl-C) stops the others at their next block."""
    stopped.clear()
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        futures = [pool.submit(fetch, artifact, advance) for artifact in wanted]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)  # a thread may be waiting for a server that is silent


def fetch(artifact: Artifact, advance: Advance = lambda _: None) -> None:
    """Bring one artifact into the cache. A partial file of an earlier try is continued."""
    path = artifact.path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with locked(part) as file:
            if artifact.is_here:  # by another checkout, while this one waited
                advance(artifact.size)
                return
            advance(min(file.seek(0, os.SEEK_END), artifact.size))
            download(artifact, file, advance)
            verify(artifact, file, part)
            if artifact.is_pypi:
                unpack(artifact, part)
                part.unlink()
            else:
                part.rename(path)
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise no_network(artifact, error) from None
        raise LabError(f"{path.name} cannot be kept in the cache: {error.strerror or error}", "") from None


@contextmanager
def locked(part: Path) -> Iterator[BinaryIO]:
    """The partial file, held against a second process that fetches the same archive."""
    with part.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def download(artifact: Artifact, file: BinaryIO, advance: Advance) -> None:
    """Append what is missing to `file`, connecting again as long as each connection brings something."""
    while True:
        before = file.seek(0, os.SEEK_END)
        try:
            append(artifact, file, advance)
            return
        except BREAKS as error:
            if file.seek(0, os.SEEK_END) <= before:
                raise no_network(artifact, error) from None


def append(artifact: Artifact, file: BinaryIO, advance: Advance) -> None:
    """One connection: ask for the rest of the archive and write it to the end of `file`."""
    have = file.seek(0, os.SEEK_END)
    if have >= artifact.size:
        return
    asked = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with session().get(address(artifact), headers=asked, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 404:
            raise LabError(f"{artifact.coordinate} is not served here", "set a mirror that has it")
        answer.raise_for_status()
        if have and answer.status_code != 206:  # the server does not continue: from the start
            file.truncate(0)
            advance(-have)
        for block in answer.iter_content(BLOCK):
            if stopped.is_set():
                raise LabError("stopped", "type the same command again to go on where it was")
            file.write(block)
            advance(len(block))
    file.flush()
    if file.seek(0, os.SEEK_END) < artifact.size:
        raise Broken(f"ended after {file.tell()} of {artifact.size} bytes")


def verify(artifact: Artifact, file: BinaryIO, part: Path) -> None:
    """Compare with the lock; a wrong archive is deleted, never used."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    if digest.hexdigest() != artifact.sha256:
        part.unlink()
        raise LabError(
            f"{artifact.coordinate} arrived damaged: its SHA-256 is {digest.hexdigest()[:12]}…, "
            f"engines.lock says {artifact.sha256[:12]}…; it was deleted",
            "type the same command again; if it stays so, something between here and the registry changes downloads",
        )


def unpack(artifact: Artifact, archive_file: Path) -> None:
    """Unpack pyspark as its own set-up would: Python code, with jars, bin and data inside the package.

    Its wheel would have to be built for every environment and holds the same files a second time.
    """
    target = artifact.unpacked
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # of a try that was stopped
    with tarfile.open(archive_file) as archive:
        # Python before 3.11.4 has no filters; the archive's SHA-256 was compared in any case
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(scratch)  # noqa: S202
    top = scratch / target.name
    for name in ("jars", "bin", "sbin", "data"):
        shutil.rmtree(top / "pyspark" / name, ignore_errors=True)
        (top / "deps" / name).rename(top / "pyspark" / name)
    top.rename(target)
    scratch.rmdir()


@cache
def session() -> requests.Session:
    """One session for all threads: connections are kept, a busy server is asked again after a pause."""
    made = requests.Session()
    retry = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
    for scheme in ("https://", "http://"):
        made.mount(scheme, HTTPAdapter(pool_maxsize=PARALLEL, max_retries=retry))
    return made


def address(artifact: Artifact) -> str:
    """Where the user's own client configuration would fetch the artifact from."""
    if artifact.is_pypi:
        return package_address(artifact)
    return f"{maven_repository()}/{artifact.relative_path}"


@cache
def maven_repository() -> str:
    """The repository that jgo's configuration names, else Maven Central."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL

    configured = list(GlobalSettings.load().repositories.values())
    return str(configured[0] if configured else MAVEN_CENTRAL_URL).rstrip("/")


@cache
def package_address(artifact: Artifact) -> str:
    """The address of a source archive on the package index that pip is configured for."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple

    configured = package_index()
    with PyPISimple(configured or PYPI_SIMPLE_ENDPOINT, session=session()) as index:
        page = index.get_project_page(artifact.coordinate.split(":")[1])
    for package in page.packages:
        if package.filename == artifact.relative_path:
            return str(package.url)
    raise LabError(f"{artifact.relative_path} is not on the package index {configured}", "set another index for pip")


def package_index() -> str:
    """The package index that pip is configured for; empty when it is pip's own default."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    return (
        os.environ.get("PIP_INDEX_URL")
        or subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    )


def no_network(artifact: Artifact, error: Exception) -> LabError:
    """The one message for a registry that cannot be reached."""
    cause = str(error).split("(Caused by ")[-1][:200]
    return LabError(
        f"{artifact.coordinate} could not be fetched: {cause}",
        "check the network, and the proxy or mirror set for pip and jgo; then type the same command again: "
        "what was fetched is kept",
    )
