"""`make lock`: size and SHA-256 of new entries in engines.lock, and the exact Python packages of pyproject.toml."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import requests

from swordlab import artifacts, console, fetch, files
from swordlab.artifacts import Artifact
from swordlab.errors import LabError
from swordlab.places import CHECKOUT

NEW_ENTRY = re.compile(r'^"(?P<coordinate>[^"]+)" = \{\s*\}', re.MULTILINE)
PYTHON_LOCKS = {"requirements.lock": (), "requirements-test.lock": ("--extra", "test")}


def run() -> int:
    """Complete all lock files; what is locked already stays as it is."""
    complete(artifacts.LOCK)
    for name, extra in PYTHON_LOCKS.items():
        pin(CHECKOUT / name, extra)
        console.say(f"{name}: up to date")
    return 0


def complete(lock: Path) -> None:
    """Give each entry that is still empty (`"group:artifact:version" = {}`) the size and SHA-256 of its archive."""

    def entry(match: re.Match[str]) -> str:
        size, sha256 = measure(Artifact(match["coordinate"], 0, ""))
        console.say(f"{lock.name}: {match['coordinate']}, {size} bytes")
        return f'"{match["coordinate"]}" = {{ size = {size}, sha256 = "{sha256}" }}'

    files.write(lock, NEW_ENTRY.sub(entry, lock.read_text()))


def measure(artifact: Artifact) -> tuple[int, str]:
    """Size in bytes and SHA-256 of an archive as the registry serves it now."""
    size, digest = 0, hashlib.sha256()
    try:
        with fetch.session().get(fetch.address(artifact), stream=True, timeout=fetch.TIMEOUT) as answer:
            answer.raise_for_status()
            for block in answer.iter_content(fetch.BLOCK):
                size += len(block)
                digest.update(block)
    except requests.RequestException as error:
        raise fetch.no_network(artifact, error) from None
    return size, digest.hexdigest()


def pin(lock: Path, extra: tuple[str, ...]) -> None:
    """Have uv resolve pyproject.toml for every platform and Python; packages keep the version that they have."""
    uv = shutil.which("uv")
    if uv is None:
        raise LabError("uv, which resolves the Python packages, is not installed", "pip install uv; then make lock")
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.10", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", *extra, "--output-file", str(lock), "pyproject.toml"]
    index = fetch.package_index()
    environment = {**({"UV_DEFAULT_INDEX": index} if index else {}), **os.environ}
    if subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode:
        raise LabError(f"{lock.name} could not be made; uv says why, above")
