"""What the lab prints: colour and live progress on a terminal, plain lines in a pipe or with NO_COLOR."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """One line for the person at the keyboard."""
    out.print(text, style=style or None, markup=False)
    sys.stdout.flush()


def problem(text: str) -> None:
    """What went wrong, on standard error."""
    err.print(text, style="red", markup=False)


@contextmanager
def transfer(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Progress of a download of `total` bytes: bytes, rate, time left. Yields the function that counts bytes."""
    if out.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=out) as progress:
            task = progress.add_task(title, total=total)
            yield lambda count: progress.advance(task, count)
    else:
        yield plain_transfer(title, total)


def plain_transfer(title: str, total: int) -> Callable[[int], None]:
    """The same as a line for every tenth of the way."""
    begin, done, told = time.monotonic(), 0, 0
    say(f"{title}: {total / 1e6:.0f} MB")

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        tenth = done * 10 // total if total else 10
        if tenth > told:
            told = tenth
            seconds = max(time.monotonic() - begin, 0.001)
            left = (total - done) / (done / seconds) if done else 0
            say(f"  {done / 1e6:6.0f} of {total / 1e6:.0f} MB, {done / 1e6 / seconds:.1f} MB/s, {left:.0f} s left")

    return advance


class Steps:
    """Progress of things that go on side by side: one line each, renewed in place on a terminal."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.lines: dict[str, str] = {}
        self.live = Live(console=out, refresh_per_second=8, transient=False) if out.is_terminal else None

    def __enter__(self) -> "Steps":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, name: str, what: str) -> None:
        """`name` is now at `what`."""
        self.lines[name] = what
        if self.live:
            self.live.update(self._table())
        elif what != "starting":
            say(f"  {name:<12} {what}")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, what in self.lines.items():
            table.add_row(" ", name, Text(what, style="green" if what.startswith("ready") else "yellow"))
        return table
