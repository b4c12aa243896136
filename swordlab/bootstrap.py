"""Make the virtual environment from the lock file. Standard library only: it runs before anything is installed."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".swordlab" / "venv"
PLACE = VENV / "made-for"
LOWEST = (3, 10)
NAMES_HOOK = "import os; os.environ.get('SWORDLAB_HOSTS') and __import__('swordlab.hosts').hosts.install()\n"


class SetUpFailed(Exception):
    """The environment cannot be made; the text says why and what to do."""


def check_python() -> None:
    """Refuse a Python that is too old or cannot make virtual environments."""
    if sys.version_info < LOWEST:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetUpFailed(f"Python {found} is too old: the lab needs 3.10 or newer. Name one: make PYTHON=python3.12 …")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise SetUpFailed(
            "this Python cannot make virtual environments. Debian and Ubuntu: sudo apt install python3-venv"
        ) from None


def fingerprint(lock: Path) -> str:
    """What an environment is made from: this Python and the lock file's content."""
    return hashlib.sha256(sys.version.encode() + lock.read_bytes()).hexdigest()


def run(*command: str) -> None:
    """Run one step of the set-up; its own messages say what went wrong."""
    if subprocess.run(command, check=False).returncode:
        raise SetUpFailed(
            f"'{Path(command[0]).name} {' '.join(command[1:4])} …' failed; its last lines are above. "
            "Without a network, a proxy or a mirror set for pip is needed once. Then type the same command again: "
            "what was fetched is kept"
        )


def install(lock: Path) -> None:
    """Make or renew the environment from `lock`. Nothing is done when this lock was installed before."""
    python = VENV / "bin" / "python"
    stamp = VENV / f"{lock.name}.installed"
    if stamp.exists() and stamp.read_text() == fingerprint(lock) and not moved():
        return
    check_python()
    print(f"Setting up Python packages in {VENV.relative_to(CHECKOUT)} from {lock.name}", flush=True)
    afresh = moved() or not list(VENV.glob("*.installed"))
    run(sys.executable, "-m", "venv", *(["--clear"] if afresh else []), str(VENV))
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    run(
        str(python),
        "-m",
        "pip",
        "install",
        *quiet,
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--require-hashes",
        "--requirement",
        str(lock),
    )
    link_checkout(python)
    PLACE.write_text(str(VENV))
    stamp.write_text(fingerprint(lock))


def moved() -> bool:
    """Whether the environment was made for another folder, which its programs name in their first line."""
    return PLACE.exists() and PLACE.read_text() != str(VENV)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One set-up of a checkout at a time; a second one waits."""
    with (VENV.parent / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is at work in this checkout; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def link_checkout(python: Path) -> None:
    """Make `import swordlab` work from any folder, and the names of the services in programs of this environment."""
    query = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
    (packages / "swordlab.pth").write_text(f"{CHECKOUT}\n{NAMES_HOOK}")


def main() -> int:
    """`python3 swordlab/bootstrap.py [test]`."""
    lock = CHECKOUT / ("requirements-test.lock" if "test" in sys.argv[1:] else "requirements.lock")
    try:
        VENV.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(VENV.parent, os.W_OK):
            raise PermissionError(13, "cannot write", str(VENV.parent))
        with alone():
            install(lock)
    except SetUpFailed as failure:
        print(f"Set-up stopped: {failure}.", file=sys.stderr)
        return 2
    except OSError as failure:
        print(
            f"Set-up stopped: {failure.strerror}: {failure.filename}. Free space: "
            f"{shutil.disk_usage(CHECKOUT).free / 1e9:.1f} GB.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Type the same command again to go on where it was.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
