"""`make shell`: a shell in which the report's commands work as typed.

On Linux it has an /etc/hosts of its own, which knows kafka, cloudera, presto, mids and spark: a mount namespace,
made without root where the kernel allows it. It ends with the shell, and the machine's own file is never touched.
"""

import ctypes
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from swordlab import cluster, console, endpoints, files, hosts
from swordlab.cluster.docker import Container
from swordlab.places import State, path_with_tools

HOSTS_FILE = Path("/etc/hosts")
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000  # unshare(2)
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000  # mount(2)
NAMES_KNOWN = "SWORDLAB_NAMES_KNOWN"
"""Set in a shell in which every program knows the names; bin/kafkacat then takes a real kafkacat."""
RC = """\
[ -f ~/.bashrc ] && . ~/.bashrc
export PATH="$SWORDLAB_PATH"
PS1='swordlab:\\w\\$ '
trap 'exit 0' EXIT  # a last command that failed is no failure of the shell's, which make would report
"""


def become_shell() -> NoReturn:
    """Become the shell; what one must know before typing is said on standard error first."""
    state = State.current()
    if isinstance(box := cluster.current().box("mids"), Container):
        command = box.shell()
        os.execvp(command[0], command)
    names_known = own_hosts_file(state)
    introduce(names_known)
    path = path_with_tools()
    os.environ.update(cluster.current().environment())
    os.environ.update(PATH=path, SWORDLAB_PATH=path, FLASK_RUN_PORT=endpoints.url("FLASK_PORT"))
    if names_known:
        os.environ[NAMES_KNOWN] = "yes"
    shell = shutil.which("bash")
    if shell is None:
        os.execvp("sh", ["sh"])
    os.execv(shell, [shell, *(["--rcfile", str(files.write(state.conf / "bashrc", RC))] if sys.stdin.isatty() else [])])


def own_hosts_file(state: State) -> bool:
    """Give this process an /etc/hosts with the names of the services; False where the machine does not allow it."""
    if sys.platform != "linux":
        return False
    line = f"{hosts.LOOPBACK} {' '.join(endpoints.HOSTS)}\n"
    file = files.write(state.conf / "shell-hosts", line + HOSTS_FILE.read_text().replace(line, ""))
    libc = ctypes.CDLL(None)
    user, group = os.getuid(), os.getgid()
    if user == 0 and libc.unshare(CLONE_NEWNS) == 0:
        pass
    elif libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    else:
        return False
    # private first: as root the machine's own /etc/hosts would change along
    if libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        return False
    return not libc.mount(bytes(file), bytes(HOSTS_FILE), None, MS_BIND, None)


def introduce(names_known: bool) -> None:
    """Which cluster this is, and what differs from the report."""
    tell = console.err.print
    tell("The report's commands work here: flask, kafkacat, spark-submit, hadoop fs, hive, presto, curl, ab. End: exit")
    if not cluster.current().is_up():
        tell("The cluster is not up: make up starts it.")
    port = endpoints.ports()
    if any(port[name] != endpoints.PORTS[name] for name in ("FLASK_PORT", "KAFKA_PORT")):
        tell(
            "Its ports are not the report's (make status): write $KAFKA_BOOTSTRAP_SERVERS for kafka:29092 "
            f"({endpoints.url('KAFKA_BOOTSTRAP_SERVERS')} here) and $FLASK_URL for http://localhost:5000 "
            f"({endpoints.url('FLASK_URL')} here)."
        )
    if not names_known:
        tell(
            "This machine allows no /etc/hosts of one's own without root: only the lab's tools and its Python know "
            f"{', '.join(endpoints.HOSTS)}; elsewhere write localhost."
        )
