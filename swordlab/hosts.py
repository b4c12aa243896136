"""Names such as kafka and cloudera on a machine whose hosts file does not know them.

The JVMs read `hosts_file` (jdk.net.hosts.file). The lab's own Python (flask, kafka-python, PyHive, …) has `install`
run at its start by a .pth file in the virtual environment whenever SWORDLAB_HOSTS lists names. On Docker the
network resolves them and neither is used.
"""

import os
import socket
from pathlib import Path
from typing import Any

from swordlab import files

LOOPBACK = "127.0.0.1"
VARIABLE = "SWORDLAB_HOSTS"


def write_hosts_file(path: Path, names: tuple[str, ...]) -> Path:
    """Write a hosts file with every name on loopback; the JVM then asks nothing else."""
    return files.write(path, f"{LOOPBACK} localhost {' '.join(names)} {socket.gethostname()}\n")


def install() -> None:
    """Let this process resolve the names in SWORDLAB_HOSTS (separated by spaces) to loopback."""
    names = frozenset(os.environ.get(VARIABLE, "").split())
    resolve, by_name = socket.getaddrinfo, socket.gethostbyname

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return resolve(LOOPBACK if name in names else host, *args, **kwargs)

    def gethostbyname(name: str) -> str:
        return LOOPBACK if name in names else by_name(name)

    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = gethostbyname
