"""Read docker-compose.yml: the subset of the Compose format that describes this cluster.

A key that is not known is refused by name and line; nothing is ignored silently. What only means something on
Docker (an image, a memory limit) is listed in DOCKER_ONLY and has no effect on local processes.
Format: https://docs.docker.com/reference/compose-file/
"""

import difflib
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from swordlab import endpoints
from swordlab.engines import ENGINES
from swordlab.errors import UsageError

TOP_LEVEL = {"services", "volumes", "networks", "version", "name"}
SERVICE = {"command", "environment", "ports", "depends_on", "healthcheck"}
DOCKER_ONLY = {
    "build",
    "cap_drop",
    "container_name",
    "expose",
    "hostname",
    "image",
    "init",
    "logging",
    "mem_limit",
    "networks",
    "read_only",
    "restart",
    "security_opt",
    "stdin_open",
    "stop_grace_period",
    "tmpfs",
    "tty",
    "user",
    "volumes",
}
VARIABLES = {
    *endpoints.environment({}),
    "FLASK_RUN_PORT",
    "HIVE_THRIFTSERVER",
    *(
        f"KAFKA_{name}"
        for name in (
            "ADVERTISED_LISTENERS",
            "AUTO_CREATE_TOPICS_ENABLE",
            "INTER_BROKER_LISTENER_NAME",
            "LISTENERS",
            "LISTENER_SECURITY_PROTOCOL_MAP",
            "LOG_RETENTION_HOURS",
            "NUM_PARTITIONS",
            "OFFSETS_TOPIC_REPLICATION_FACTOR",
        )
    ),
}
"""What a service's environment may set. Any other could lead an engine to files or code outside the lab, and the file
may be a stranger's (lab 1)."""
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_started", "service_healthy"}
VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?::?(?P<operator>[-?])(?P<text>[^}]*))?\}|(?P<bare>\w+)|(?P<bad>))"
)
PORT = re.compile(r"(?:(?P<address>[\d.]+):)?(?P<published>\d+):(?P<target>\d+)(?:/tcp)?")


@dataclass(frozen=True)
class Service:
    """One service of the file, with its variables filled in."""

    name: str
    command: tuple[str, ...]
    """The program and its arguments: `swordlab engine NAME…` or `swordlab toolbox`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    """Published port -> port inside the service."""
    depends_on: Mapping[str, str] = field(default_factory=dict)
    """Name of another service -> the condition that it must meet first."""
    health: tuple[str, ...] = ()
    """The engines that the health check asks; empty without a health check."""

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that the service runs, none for a toolbox."""
        return self.command[2:] if self.command[1] == "engine" else ()


def read(path: Path, environ: Mapping[str, str] | None = None) -> dict[str, Service]:
    """The services of a compose file, by name. Raises UsageError with file, line and key for what it cannot read."""
    return Reader(path, os.environ if environ is None else environ).services()


@dataclass(frozen=True)
class Reader:
    """One file being read: where it is, and the variables that fill its gaps."""

    path: Path
    environ: Mapping[str, str]

    def services(self) -> dict[str, Service]:
        """Read, check and convert the whole file."""
        document = self._document()
        self._known(document, TOP_LEVEL, "at the top level")
        listed = document.get("services")
        if not isinstance(listed, CommentedMap) or not listed:
            raise self._error(document, "services", "there is no list of services")
        services = {name: self._service(listed, name) for name in listed}
        self._check_dependencies(listed, services)
        return services

    def _document(self) -> CommentedMap:
        try:
            document = YAML(typ="rt").load(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(f"{self.path} is missing", "bring it back: git checkout docker-compose.yml") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path}: not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise UsageError(
                f"{self.path}:{line}: not valid YAML: {error.problem}",
                "look at that line and the one above it: indentation, a colon, a quote",
            ) from None
        except YAMLError as error:
            raise UsageError(f"{self.path}: not valid YAML: {error}") from None
        if not isinstance(document, CommentedMap):
            raise UsageError(f"{self.path}: empty, or not a mapping", "it must begin with 'services:'")
        return document

    def _service(self, listed: CommentedMap, name: str) -> Service:
        body = listed[name]
        if not isinstance(body, CommentedMap):
            raise self._error(listed, name, f"service {name} has no keys")
        self._known(body, SERVICE | DOCKER_ONLY, f"in service {name}")
        return Service(
            name,
            self._command(body, name),
            self._environment(body),
            self._ports(body, name),
            self._depends_on(body, name),
            self._health(body, name),
        )

    def _command(self, body: CommentedMap, name: str) -> tuple[str, ...]:
        command = self._words(body, "command")
        if command[:2] == ("swordlab", "toolbox") and len(command) == 2:
            return command
        if command[:2] != ("swordlab", "engine") or len(command) < 3:
            raise self._error(
                body,
                "command",
                f"service {name} must run 'swordlab engine NAME…' or 'swordlab toolbox', not '{' '.join(command)}'",
            )
        self._engines(body, "command", command[2:])
        return command

    def _engines(self, body: CommentedMap, key: str, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in ENGINES:
                raise self._error(body, key, f"there is no engine '{name}'{_suggest(name, ENGINES)}")

    def _environment(self, body: CommentedMap) -> dict[str, str]:
        given = body.get("environment") or {}
        if isinstance(given, list):
            pairs = [str(entry).partition("=")[::2] for entry in given]
        elif isinstance(given, dict):
            pairs = [(str(key), _text(value)) for key, value in given.items()]
        else:
            raise self._error(body, "environment", "environment must be a mapping or a list of NAME=value")
        for key, _ in pairs:
            if key not in VARIABLES:
                raise self._error(body, "environment", f"variable '{key}' is not known{_suggest(key, VARIABLES)}")
        return {key: self._filled(body, "environment", value) for key, value in pairs}

    def _ports(self, body: CommentedMap, name: str) -> dict[int, int]:
        ports = {}
        for entry in body.get("ports") or []:
            text = self._filled(body, "ports", str(entry))
            match = PORT.fullmatch(text)
            if not match:
                raise self._error(
                    body, "ports", f"port '{text}' of {name} is not of the form 127.0.0.1:PUBLISHED:TARGET"
                )
            if match["address"] not in ("127.0.0.1", None):
                raise self._error(
                    body, "ports", f"port '{text}' of {name} would be open to the network: publish on 127.0.0.1"
                )
            ports[int(match["published"])] = int(match["target"])
        return ports

    def _depends_on(self, body: CommentedMap, name: str) -> dict[str, str]:
        given = body.get("depends_on") or {}
        if isinstance(given, list):
            return {str(other): "service_started" for other in given}
        conditions = {}
        for other in given:
            self._known(given[other], {"condition"}, f"in depends_on of {name}")
            condition = str(given[other].get("condition", "service_started"))
            if condition not in CONDITIONS:
                raise self._error(
                    given, other, f"condition '{condition}' is not known{_suggest(condition, CONDITIONS)}"
                )
            conditions[str(other)] = condition
        return conditions

    def _health(self, body: CommentedMap, name: str) -> tuple[str, ...]:
        check = body.get("healthcheck")
        if check is None:
            return ()
        self._known(check, HEALTHCHECK, f"in healthcheck of {name}")
        words = self._words(check, "test")
        if words[:1] in (("CMD",), ("CMD-SHELL",)):
            words = words[1:]
        elif isinstance(check["test"], list):
            raise self._error(check, "test", f"the list that tests {name} must begin with CMD or CMD-SHELL")
        words = tuple(shlex.split(words[0])) if len(words) == 1 else words
        words = words[:-3] if words[-3:] == ("||", "exit", "1") else words
        if words[:2] != ("swordlab", "healthy") or len(words) < 3:
            raise self._error(check, "test", f"the health check of {name} must be 'swordlab healthy NAME…'")
        self._engines(check, "test", words[2:])
        return words[2:]

    def _check_dependencies(self, listed: CommentedMap, services: Mapping[str, Service]) -> None:
        for service in services.values():
            for other, condition in service.depends_on.items():
                if other not in services:
                    raise self._error(
                        listed[service.name],
                        "depends_on",
                        f"{service.name} depends on '{other}', which is not a service{_suggest(other, services)}",
                    )
                if condition == "service_healthy" and not services[other].health:
                    raise self._error(
                        listed[service.name],
                        "depends_on",
                        f"{service.name} waits for a healthy {other}, which has no healthcheck",
                    )
            if _reaches(service.name, service.name, services):
                raise self._error(listed[service.name], "depends_on", f"{service.name} depends on itself in a circle")

    def _words(self, body: CommentedMap, key: str) -> tuple[str, ...]:
        given = body.get(key)
        if given is None:
            raise self._error(body, key, f"'{key}' is missing")
        words = [str(word) for word in given] if isinstance(given, list) else shlex.split(str(given))
        return tuple(self._filled(body, key, word) for word in words)

    def _filled(self, body: CommentedMap, key: str, text: str) -> str:
        """`text` with ${NAME}, ${NAME:-default}, ${NAME:?message} and $$ replaced."""

        def value(match: re.Match[str]) -> str:
            if match["escaped"]:
                return "$"
            name = match["name"] or match["bare"]
            if name is None:
                raise self._error(body, key, f"'{text}': a $ must begin a variable ${{NAME}} or be written $$")
            found = self.environ.get(name, "")
            if not found and match["operator"] == "?":
                raise self._error(body, key, f"variable {name} is not set: {match['text']}")
            return found or (match["text"] if match["operator"] == "-" else "")

        return VARIABLE.sub(value, text)

    def _known(self, mapping: Any, known: set[str], where: str) -> None:
        if not isinstance(mapping, CommentedMap):
            raise UsageError(f"{self.path}: {where}: a mapping (key: value) was expected, found {mapping!r}")
        for key in mapping:
            if key not in known and not str(key).startswith("x-"):
                raise self._error(mapping, key, f"unknown key '{key}' {where}{_suggest(str(key), known)}")

    def _error(self, mapping: Any, key: str, message: str) -> UsageError:
        try:
            line = mapping.lc.key(key)[0] + 1
        except (KeyError, AttributeError, TypeError):
            line = mapping.lc.line + 1
        return UsageError(f"{self.path}:{line}: {message}", "change that line")


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _suggest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, [str(key) for key in known], 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _reaches(name: str, target: str, services: Mapping[str, Service], seen: frozenset[str] = frozenset()) -> bool:
    return any(
        other == target or (other not in seen and _reaches(other, target, services, seen | {other}))
        for other in services[name].depends_on
        if other in services
    )
