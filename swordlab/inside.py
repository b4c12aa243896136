"""In a container: run a command for as long as whoever asked for it is there.

`docker exec` leaves a command running when its own process ends, but closes the command's standard input. So this
process watches its standard input, and ends all that the command started when that closes, or when the command ends.
Standard library only, and no other module of the lab's: it starts once for every command.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): a process whose parent has ended becomes this process's child
CHUNK = 65536


def main() -> int:
    """`python -m swordlab.inside [--log FILE] [--make FOLDER] -- COMMAND…`; the exit status is the command's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, help="a file that gets what the command prints as well")
    parser.add_argument("--make", type=Path, action="append", default=[], help="a folder to make first")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    for folder in arguments.make:
        folder.mkdir(parents=True, exist_ok=True)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        return run(arguments.command, arguments.log)
    except OSError as error:
        print(f"{arguments.command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def run(command: list[str], log: Path | None) -> int:
    """Run the command; end what it has left behind."""
    output = subprocess.PIPE if log else None
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT if log else None
    )
    threading.Thread(target=end_with_asker, daemon=True).start()
    if log and child.stdout:
        copy(child.stdout.fileno(), log)
    status = child.wait()
    end_descendants()
    return 128 - status if status < 0 else status


def copy(source: int, log: Path) -> None:
    """What the command prints, to standard output and into the log, which begins anew with each start."""
    with log.open("wb", buffering=0) as file:
        while chunk := os.read(source, CHUNK):
            file.write(chunk)
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def end_with_asker() -> None:
    """Wait until standard input closes, then end everything."""
    while os.read(0, CHUNK):
        pass
    end_descendants()
    os._exit(128 + signal.SIGKILL)


def end_descendants() -> None:
    """Kill all that this process has started, directly or not, until nothing is left."""
    while found := descendants():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def descendants() -> list[int]:
    """The processes below this one that have not ended."""
    parents = dict(filter(None, map(parent_of, Path("/proc").glob("[0-9]*/stat"))))
    found, queue = [], [os.getpid()]
    while queue:
        above = queue.pop()
        below = [pid for pid, parent in parents.items() if parent == above]
        found += below
        queue += below
    return found


def parent_of(stat: Path) -> tuple[int, int] | None:
    """A process and its parent; None for one that has ended."""
    with contextlib.suppress(OSError):
        state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        return None if state == "Z" else (int(stat.parent.name), int(parent))
    return None


if __name__ == "__main__":
    sys.exit(main())
