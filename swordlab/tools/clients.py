"""The clients on Java that the report names: hadoop fs, hive (BeeLine) and presto, with this cluster's addresses."""

import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from swordlab import artifacts, endpoints, files
from swordlab.engines import java
from swordlab.engines.hdfs import client_jars
from swordlab.engines.hive import flat_jars
from swordlab.errors import UsageError
from swordlab.places import State


@dataclass(frozen=True)
class Client:
    """One client: what it runs, and what it is given beside what was typed."""

    engine: str
    """The engine that it asks."""
    main: str
    classpath: Callable[[], list[Path]]
    """Jars only: a folder would switch class-data sharing off."""
    arguments: Callable[[list[str]], list[str]]
    """What was typed -> the arguments of `main`."""
    sample: list[str]
    """A harmless call that loads the classes of its class-data archive."""

    @property
    def archive(self) -> Path:
        """Its class-data archive, which halves the time of its start."""
        return java.archive_path(self.main.rsplit(".", 1)[1].lower(), self.classpath())

    def command(self, state: State, typed: list[str]) -> list[str]:
        """The command line for what was typed."""
        # what it remembers of earlier sessions stays in the state folder, not in the user's home
        home = f"-Duser.home={state.folder('home')}"
        command = java.tool_command(state, self.classpath(), self.main, self.arguments(typed), self.archive)
        return [command[0], home, *command[1:]]

    def save_archive(self, state: State) -> None:
        """Make the archive by a call of the sample. Failing costs nothing but speed."""
        scratch = files.unfinished(self.archive)
        command = self.command(state, self.sample)
        command.insert(1, f"-XX:ArchiveClassesAtExit={scratch}")
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode == 0 and scratch.exists():
            scratch.rename(self.archive)
        scratch.unlink(missing_ok=True)


def become(name: str, typed: list[str]) -> NoReturn:
    """Become the client `name`."""
    command = CLIENTS[name].command(State.current(), typed)
    os.execv(command[0], command)


def _hadoop(typed: list[str]) -> list[str]:
    if typed[:1] not in (["fs"], ["dfs"]):
        raise UsageError("of hadoop's commands the lab has one, the file system", "hadoop fs -ls /tmp")
    settings = {"fs.defaultFS": endpoints.url("HDFS_URL"), "dfs.client.use.datanode.hostname": "true"}
    return [*(word for item in settings.items() for word in ("-D", "=".join(item))), *typed[1:]]


def _hadoop_jars() -> list[Path]:
    return [*client_jars(), no_settings()]


def no_settings() -> Path:
    """A jar with an empty core-site.xml: FsShell insists on one, and the settings are arguments here."""

    def write(scratch: Path) -> None:
        with zipfile.ZipFile(scratch, "w") as jar:
            for file in ("core-site.xml", "hdfs-site.xml"):
                jar.writestr(file, "<configuration/>")

    return artifacts.patched("no-settings.jar", write)


def _hive(typed: list[str]) -> list[str]:
    """Rows as the report's hive printed them: values, tabs, no frame."""
    address = f"jdbc:hive2://{endpoints.url('HIVE_HOST')}:{endpoints.url('HIVE_PORT')}/default"
    return ["-u", address, "-n", "root", "--outputformat=tsv2", "--showHeader=false", *typed]


def _hive_jars() -> list[Path]:
    return [*artifacts.jars("beeline"), *flat_jars()]


def _presto(typed: list[str]) -> list[str]:
    """The report's address, or none, stands for this cluster's Presto, whose port may be another."""
    ours = f"{endpoints.url('PRESTO_HOST')}:{endpoints.url('PRESTO_PORT')}"
    rest = list(typed)
    if "--server" in rest[:-1]:
        value = rest.index("--server") + 1
        rest[value] = ours if rest[value] == "presto:8080" else rest[value]
        return rest
    return ["--server", ours, *rest]


def _presto_jars() -> list[Path]:
    return artifacts.jars("presto-cli")


CLIENTS = {
    "hadoop": Client("datanode", "org.apache.hadoop.fs.FsShell", _hadoop_jars, _hadoop, ["fs", "-ls", "/"]),
    "hive": Client(
        "hiveserver2", "org.apache.hive.beeline.BeeLine", _hive_jars, _hive, ["-e", "show databases; select 1"]
    ),
    "presto": Client(
        "presto", "com.facebook.presto.cli.Presto", _presto_jars, _presto, ["--execute", "show catalogs; select 1"]
    ),
}
