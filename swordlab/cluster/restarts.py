"""A plugin inside supervisord: a program that had worked and then failed, for want of an engine, is started again.

supervisord knows two kinds of programs: started again whatever happens (the lab's engines), or only when a signal
killed them (a student's programs: one with a mistake in it would fail for ever). A stream that has run for a while and
ends with an error is neither: HDFS was away when it wanted to write, and will be back. The same holds for one that runs
while an engine dies, however short it has run.
"""

import time
from collections.abc import Iterator
from typing import Any

from supervisor import events
from supervisor.datatypes import RestartUnconditionally
from supervisor.states import ProcessStates

WORKED = 30.0  # seconds after which a program has shown that it can work
TRIES = 5  # starts without such a time in between
LEFT = "swordlab_starts_left"
"""The starts left to a program that may be started again, kept with supervisord's own object of it, which is not
hashable: one that is defined anew has none."""


class Restarts:
    """Looks at every program each five seconds (supervisord's tick), and whenever an engine dies."""

    def __init__(self, supervisord: Any) -> None:
        self.supervisord = supervisord
        events.subscribe(events.Tick5Event, self._tick)
        events.subscribe(events.ProcessStateExitedEvent, self._ended)

    def _tick(self, _: object) -> None:
        """Note what works; start what had worked and failed."""
        for process in self._processes():
            state = process.get_state()
            if state == ProcessStates.RUNNING and time.time() - process.laststart > WORKED:
                setattr(process, LEFT, TRIES)
            elif state == ProcessStates.EXITED and process.exitstatus != 0 and getattr(process, LEFT, 0):
                setattr(process, LEFT, getattr(process, LEFT) - 1)
                process.spawn()

    def _ended(self, event: Any) -> None:
        """An engine that died may take with it what runs now."""
        if event.process.config.autorestart is RestartUnconditionally:
            for process in self._processes():
                if process.get_state() == ProcessStates.RUNNING:
                    setattr(process, LEFT, TRIES)

    def _processes(self) -> Iterator[Any]:
        for group in self.supervisord.process_groups.values():
            yield from group.processes.values()


def make(supervisord: Any) -> Restarts:
    """What supervisord calls at its start."""
    return Restarts(supervisord)
