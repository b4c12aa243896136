"""The command line behind the Makefile: parse, call, print. Exit status: 0 done, 1 used wrongly or not passed,
2 the lab or the machine is not as it must be, 130 stopped by Ctrl-C."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from swordlab import endpoints
from swordlab.errors import LabError
from swordlab.places import State, on_docker

SURROUNDINGS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a disk or a folder can say at any step; anything else is a fault of the lab's own."""

Command = Callable[[argparse.Namespace], int]

LOOP = {
    "lab": "bring up what a lab needs and say what to do",
    "hint": "one hint more",
    "watch": "check again whenever a file is saved",
    "reset": "bring the starter back; your file is kept aside",
    "solution": "put the solution in place; your file is kept aside",
    "catch-up": "let the solutions of the earlier labs run, to begin at this lab",
}
"""The commands of the student's loop that take the number of a lab."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; every failure that is foreseen is one message without a traceback."""
    arguments = parser().parse_args(argv)
    try:
        endpoints.adopt(State.current().root)
        return int(arguments.run(arguments))
    except LabError as error:
        print(f"swordlab: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in SURROUNDINGS:
            raise
        print(f"swordlab: {error.strerror}: {error.filename or 'a file'}\n  What to do: make doctor", file=sys.stderr)
        return LabError.status
    except KeyboardInterrupt:
        print("\nStopped. What was done so far is kept; type the same command to go on.", file=sys.stderr, flush=True)
        os._exit(130)  # a thread that waits for the network would be waited for


def parser() -> argparse.ArgumentParser:
    """All commands. Imports stay inside the commands: `swordlab engine` starts once for every engine."""
    top = argparse.ArgumentParser(prog="swordlab", description="The commands behind the Makefile.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    add("fetch", fetch, "fetch the engines into the cache, and make the jars of the lab's own")
    sub = add("up", up, "start the cluster")
    sub.add_argument("--file", type=Path, help="another docker-compose.yml")
    add("down", down, "stop the cluster; data stays")
    add("status", status, "service, health, port, memory, uptime")
    sub = add("logs", logs, "follow the log of one service or program")
    sub.add_argument("name", help="kafka, cloudera, presto, an engine such as namenode, or a program such as flask")
    sub = add("clean", clean, "stop the cluster and delete its data")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    sub = add("demo", demo, "run the whole pipeline and print the report's section 9")
    sub.add_argument("--tree", type=Path, default=Path("solutions"), help="labs or solutions")
    for name, text in LOOP.items():
        sub = add(name, loop_command, text)
        sub.set_defaults(name=name)
        sub.add_argument("number", type=int)
    commands.choices["solution"].add_argument("--yes", action="store_true", help="do not ask")
    sub = add("check", check, "check labs (all when none is named)")
    sub.add_argument("numbers", nargs="*", type=int)
    sub.add_argument("--tree", type=Path, default=Path("labs"), help="labs, solutions, or another folder of labs")
    sub.add_argument("--json", type=Path, help="write the results as JSON")
    sub.add_argument("--junitxml", type=Path, help="write the results as JUnit XML")
    sub = add("verify", verify, "prove the course: solutions pass, starters fail, variants are judged as they must be")
    sub.add_argument("--lab", type=int, help="one lab only")
    sub.add_argument("--only", default="", help="only what has this text in its name")
    sub.add_argument("--slice", default="", help="1/4: the first of four parts of the variants")
    sub = add("grade", grade, "grade one submission")
    sub.add_argument("submission", type=Path, help="a folder, a .zip or a .tar.gz")
    sub.add_argument("--out", type=Path, default=Path("grades"), help="where the results go")
    sub = add("grade-class", grade_class, "grade every submission in a folder")
    sub.add_argument("submissions", type=Path)
    sub.add_argument("--out", type=Path, default=Path("grades"), help="where the results go")
    sub.add_argument("--graders", type=int, help="how many at a time (as many as fit)")
    sub.add_argument("--slice", default="", help="3/20: the third of twenty parts")
    sub = add("gradescope", gradescope, "build the zip of a Gradescope autograder")
    sub.add_argument("--out", type=Path, default=Path("autograder.zip"))
    sub = add("grader", grader, "grade what standard input names: what grade and grade-class start")
    sub.add_argument("state", type=Path)
    sub.add_argument("--number", type=int, default=0)
    sub = add("training-run", training_run, "let the reference's programs run once, for their class-data archives")
    sub.add_argument("state", type=Path)
    add("progress", progress, "the last result of each lab")
    sub = add("engine", engine, "run engines: the command of a service")
    sub.add_argument("names", nargs="+")
    add("toolbox", toolbox, "run a student's programs: the command of a service")
    sub = add("healthy", healthy, "ask engines whether they are ready: a service's health check")
    sub.add_argument("names", nargs="+")
    sub = add("run", run, "become a supervised program")
    sub.add_argument("name")
    sub = add("tool", tool, "run one of the tools that the report names")
    sub.add_argument("name", choices=("hadoop", "hive", "presto", "spark-submit"))
    sub.add_argument("arguments", nargs=argparse.REMAINDER)
    add("shell", shell, "a shell in which the report's commands work as typed")
    add("doctor", doctor, "whether this machine can run the lab, and what to do where it cannot")
    add("lock", lock, "complete the lock files after an edit")
    add("class-data", class_data, "save class-data archives of the running engines, for faster starts")
    return top


def fetch(_: argparse.Namespace) -> int:
    from swordlab import fetch
    from swordlab.engines import hdfs, hive, spark
    from swordlab.tools import clients

    fetch.ensure()
    for make in (hdfs.server_jars, hive.patched_class_jar, spark.committer_jar, clients.no_settings):
        make()
    return 0


def up(arguments: argparse.Namespace) -> int:
    from swordlab import cluster, console
    from swordlab.cluster.local import COMPOSE_FILE

    with console.Steps() as steps:
        cluster.current().up(arguments.file or COMPOSE_FILE, steps)
    cluster.current().save_class_data_later()
    console.say("The cluster is up: make status shows it, make down stops it.")
    return 0


def down(_: argparse.Namespace) -> int:
    from swordlab import cluster, console

    cluster.current().down()
    console.say("The cluster is down. Topics, files and tables are kept: make up brings them back.")
    return 0


def status(_: argparse.Namespace) -> int:
    from swordlab import cluster, report

    return report.print_status(cluster.current().status())


def logs(arguments: argparse.Namespace) -> int:
    from swordlab import cluster

    command = cluster.current().log_command(arguments.name)
    os.execvp(command[0], command)


def clean(arguments: argparse.Namespace) -> int:
    from swordlab import cluster, report

    return report.clean(cluster.current(), ask=not arguments.yes)


def demo(arguments: argparse.Namespace) -> int:
    from swordlab import demo

    return demo.run(arguments.tree.resolve())


def loop_command(arguments: argparse.Namespace) -> int:
    from swordlab import loop

    if arguments.name == "solution":
        return loop.solution(arguments.number, ask=not arguments.yes)
    command: Callable[[int], int] = getattr(
        loop, {"lab": "begin"}.get(arguments.name, arguments.name.replace("-", "_"))
    )
    return command(arguments.number)


def check(arguments: argparse.Namespace) -> int:
    from swordlab import loop

    return loop.check(arguments.numbers, arguments.tree.resolve(), arguments.json, arguments.junitxml)


def verify(arguments: argparse.Namespace) -> int:
    from swordlab.grading import verify

    return verify.verify(arguments.lab, arguments.only, arguments.slice)


def grade(arguments: argparse.Namespace) -> int:
    return int(graders().grade(arguments.submission, arguments.out))


def grade_class(arguments: argparse.Namespace) -> int:
    return int(graders().grade_class(arguments.submissions, arguments.out, arguments.graders, arguments.slice))


def graders() -> ModuleType:
    """What grades: graders on this machine, or in a container where RUNTIME says so."""
    from swordlab.grading import classes, contained

    return contained if on_docker() else classes


def gradescope(arguments: argparse.Namespace) -> int:
    from swordlab.grading import gradescope

    return gradescope.build(arguments.out)


def grader(arguments: argparse.Namespace) -> int:
    from swordlab.grading import grader

    return grader.serve(arguments.state, arguments.number)


def training_run(arguments: argparse.Namespace) -> int:
    from swordlab.grading import grader

    return grader.training_run(arguments.state)


def progress(_: argparse.Namespace) -> int:
    from swordlab import loop

    return loop.progress()


def engine(arguments: argparse.Namespace) -> int:
    from swordlab import launch

    launch.run_engines(arguments.names)


def toolbox(_: argparse.Namespace) -> int:
    from swordlab import launch

    launch.toolbox()


def healthy(arguments: argparse.Namespace) -> int:
    from swordlab import engines

    reasons = {name: engines.unready(engines.engine(name)) for name in arguments.names}
    for name, reason in reasons.items():
        print(f"{name}: {reason or 'ready'}")
    return int(any(reasons.values()))


def run(arguments: argparse.Namespace) -> int:
    from swordlab import launch

    launch.run(arguments.name)


def shell(_: argparse.Namespace) -> NoReturn:
    from swordlab.tools import shell

    shell.become_shell()


def doctor(_: argparse.Namespace) -> int:
    from swordlab import cluster, doctor

    return doctor.run(cluster.current())


def lock(_: argparse.Namespace) -> int:
    from swordlab import lock

    return lock.run()


def class_data(_: argparse.Namespace) -> int:
    from swordlab import cluster

    cluster.current().save_class_data()
    return 0


def tool(arguments: argparse.Namespace) -> NoReturn:
    from swordlab.tools import clients

    if arguments.name in clients.CLIENTS:
        clients.become(arguments.name, arguments.arguments)
    from swordlab.engines import spark

    spark.become_submit(arguments.arguments)
