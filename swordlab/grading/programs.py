"""The student's programs while they are checked: running today's file, and nobody else's."""

import socket
from contextlib import closing

from swordlab import endpoints
from swordlab.cluster.docker import Container
from swordlab.cluster.local import holder_of, listening
from swordlab.grading import trouble
from swordlab.grading.verdict import CheckFailed, NotChecked, wait_for
from swordlab.labs import Lab, Program
from swordlab.work import Work, family

STARTS_WITHIN = 25.0  # seconds
ENDED_WITHIN = 0.1  # seconds


def require_serving(work: Work, lab: Lab, program: Program, port_variable: str) -> None:
    """Return once the program listens on its port; CheckFailed when it ends or does not, or another one does."""
    trouble.require_files(work, lab, expected="a program to run")
    port = int(endpoints.url(port_variable))
    wait_for(lambda: listens(port) or has_ended(work, program), STARTS_WITHIN)
    if has_ended(work, program) and not work.started_by_hand(lab, program):
        cause = trouble.cause_of(work, lab, program.name)
        if "listens on the port" in cause:
            contained = isinstance(work.box(program.service), Container)
            holder = f"another program in {program.service}" if contained else holder_of(port)
            cause = f"port {port} is taken by {holder}: stop that program"
        raise _not_serving(program, port, "it ended", cause)
    if not listens(port):
        cause = trouble.cause_of(work, lab, program.name) or elsewhere(work, program)
        raise _not_serving(program, port, "it runs, but does not listen there", cause)
    box = work.box(program.service)
    if isinstance(box, Container):
        if box.program_on(port) != program.name:
            raise NotChecked(
                f"port {port} is answered by another program in {program.service} than the supervised {program.name}",
                f"end the one that you started by hand, then make check-{lab.number}",
            )
        return
    owners = own_processes(work, program) | {process.pid for process in work.started_by_hand(lab, program)}
    if not listening().get(port, set()) & owners:
        raise NotChecked(
            f"port {port} is answered by another program than {program.name}: {holder_of(port)}",
            f"stop that program, then make check-{lab.number}",
        )


def _not_serving(program: Program, port: int, found: str, cause: str) -> CheckFailed:
    return CheckFailed(
        f"{program.name} answers on port {port}", found, "the program's log", cause, f"make logs SERVICE={program.name}"
    )


def listens(port: int) -> bool:
    """Whether something takes connections on a loopback port and waits for a request.

    Docker itself takes those of a published port, and ends them at once where nothing in the container listens.
    """
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)):
            return False
        probe.settimeout(ENDED_WITHIN)
        try:
            return bool(probe.recv(1))
        except TimeoutError:
            return True
        except OSError:
            return False


def has_ended(work: Work, program: Program) -> bool:
    """Whether the supervisor has given the program up, or it was stopped for what it took."""
    found = trouble.info_of(work, program.name)
    return found is None or found.gave_up or found.state == "STOPPED"


def own_processes(work: Work, program: Program) -> set[int]:
    """The supervised program's process and all that it started."""
    found = trouble.info_of(work, program.name)
    return {process.pid for process in family(found.pid)} if found and found.pid else set()


def impostors(work: Work) -> list[str]:
    """The engines' ports on which another program listens than the supervised engine."""
    found, info = listening(), work.cluster.supervisor.info()
    return [
        f"{holder_of(port)} on port {port} of {row.program}"
        for row in work.cluster.status()
        for port in row.ports
        if found.get(port, set()) - {process.pid for process in family(info[row.program].pid)}
    ]


def elsewhere(work: Work, program: Program) -> str:
    """Where the program listens instead."""
    pids = own_processes(work, program)
    ports = sorted(port for port, listeners in listening().items() if listeners & pids)
    return f"it listens on port {', '.join(map(str, ports))} instead" if ports else "it has not started to listen yet"
