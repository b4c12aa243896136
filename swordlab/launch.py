"""Become a program: `swordlab run NAME` (what supervisord starts) and `swordlab engine NAME…` (a service's command)."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NoReturn

from swordlab import endpoints, engines
from swordlab.cluster.supervisor import Program, Supervisor
from swordlab.engines import Engine, java
from swordlab.errors import LabError, UsageError
from swordlab.places import State

POLL = 0.1  # seconds between two probes
PATIENCE = 300.0  # seconds to wait for what an engine needs
PR_SET_PDEATHSIG = 1  # prctl(2)


def run(name: str) -> NoReturn:
    """Become the program `name` of this cluster's definitions."""
    state = State.current()
    program = Supervisor(state).programs().get(name)
    if program is None:
        raise UsageError(f"no program '{name}' is defined in {state.root}")
    os.environ.update(program.environment)
    os.environ["SWORDLAB_PROGRAM"] = name
    os.chdir(program.folder)
    end_with_parent()
    if program.engine:  # the same process: a second Python start is CPU time
        start_engine(engines.engine(program.engine, state))
    os.execvp(program.command[0], program.command)


def end_with_parent() -> None:
    """Let the kernel end this process when supervisord dies, even by kill -9 (Linux; elsewhere `make up` looks)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start_engine(engine: Engine) -> NoReturn:
    """Wait for what the engine needs, format fresh storage, then become the engine."""
    for name in engine.needs:
        wait_for(engines.engine(name, engine.state, engine.environ))
    os.chdir(engine.state.root)
    os.environ.update(engine.environment())
    format_storage(engine)
    command = java.command(engine)
    os.nice(engine.niceness)
    os.execv(command[0], command)


def wait_for(engine: Engine) -> None:
    """Poll until the engine answers."""
    deadline = time.monotonic() + PATIENCE
    while reason := engines.unready(engine):
        if time.monotonic() > deadline:
            raise LabError(f"{engine.name} did not answer within {PATIENCE:.0f} s: {reason}")
        time.sleep(POLL)


def format_storage(engine: Engine) -> None:
    """Format the engine's storage when it is fresh."""
    if step := engine.prepare():
        main, arguments = step
        done = subprocess.run(java.tool_command(engine.state, engine.classpath(), main, arguments), check=False)
        if done.returncode:
            raise LabError(f"the storage of {engine.name} could not be formatted", "its log says why, above")


def run_engines(names: list[str]) -> NoReturn:
    """A service's command in a container: one engine as this process, several under a supervisor."""
    state = State.current()
    if len(names) == 1:
        start_engine(engines.engine(names[0], state))
    environment = dict(os.environ) | endpoints.environment()
    supervise(state, {name: engine_program(name, "", environment) for name in names})


def toolbox() -> NoReturn:
    """The command of a service in which programs are run from outside: it only has to be there."""
    os.execvp("sleep", ["sleep", "infinity"])


def supervise(state: State, programs: Mapping[str, Program]) -> NoReturn:
    """Become a supervisor in the foreground: process 1 of a container."""
    supervisor = Supervisor(state)
    supervisor.define(programs, foreground=True)
    command = supervisor.daemon_command()
    os.execv(command[0], command)


def engine_program(name: str, service: str, environment: Mapping[str, str] | None = None) -> Program:
    """The supervised program of one engine."""
    return Program(name, ("swordlab", "engine", name), service, environment or endpoints.environment())
