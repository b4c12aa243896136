"""What every engine is: a JVM program with a classpath, a configuration, storage to prepare and a probe."""

import json
import os
import socket
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from xml.sax.saxutils import escape

from swordlab import endpoints, files
from swordlab.places import State

PROBE_TIMEOUT = 2.0  # seconds


class NotReady(Exception):
    """The engine does not answer its own protocol yet; the text says what it did instead."""


@dataclass(frozen=True)
class Engine(ABC):
    """One engine of one cluster. Subclasses say how it is configured, started and asked."""

    state: State
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    name: ClassVar[str]
    main: ClassVar[str]
    """The Java class that is started."""
    heap: ClassVar[int]
    """The largest heap, in MiB."""
    niceness: ClassVar[int] = 0
    """How much the others go first where there are more of them than cores, as `nice` counts it."""
    ports: ClassVar[tuple[str, ...]]
    """The variables (endpoints.PORTS) of the ports it listens on."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Engines that must answer before this one is started."""
    opens: ClassVar[tuple[str, ...]] = ()
    """Packages of java.base that it reaches into, which Java 17 closes by default."""

    @abstractmethod
    def classpath(self) -> list[Path]:
        """The jars, in order. No folder: a folder would switch class-data sharing off."""

    @abstractmethod
    def configure(self) -> list[str]:
        """Write the configuration files; return the arguments of the program."""

    @abstractmethod
    def probe(self) -> None:
        """Ask the engine something in its own protocol; raise NotReady or OSError while it does not answer."""

    def prepare(self) -> tuple[str, list[str]] | None:
        """The class and arguments that format fresh storage, or None when it is formatted."""
        return None

    def options(self) -> list[str]:
        """Options of the JVM beside those that every engine gets."""
        return []

    def environment(self) -> dict[str, str]:
        """Variables beside those of the service."""
        return {}

    def port(self, variable: str) -> int:
        """The port called `variable` in this cluster."""
        return endpoints.ports(self.environ)[variable]

    @property
    def bind(self) -> str:
        """The address to listen on: loopback, or every address of a container."""
        return self.endpoint("BIND")

    def endpoint(self, variable: str) -> str:
        """The address called `variable` in this cluster."""
        return endpoints.environment(self.environ)[variable]

    def get_json(self, port: int, path: str) -> Any:
        """One request to the engine's own web server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PROBE_TIMEOUT) as answer:
            return json.load(answer)

    def connection(self, port: int) -> socket.socket:
        """A connection to the engine on loopback."""
        return socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT)


def properties(path: Path, values: Mapping[str, object]) -> Path:
    """Write a Java properties file."""
    lines = (f"{key}={str(value).replace(chr(92), chr(92) * 2)}\n" for key, value in values.items())
    return files.write(path, "".join(lines))


def site_xml(path: Path, values: Mapping[str, object]) -> Path:
    """Write a Hadoop configuration file."""
    entries = "".join(
        f"  <property><name>{key}</name><value>{escape(str(value))}</value></property>\n"
        for key, value in values.items()
    )
    return files.write(path, f"<configuration>\n{entries}</configuration>\n")
