"""Spark: how a driver is submitted. No server runs; each driver is a process of its own (local[2])."""

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NoReturn

from swordlab import artifacts, endpoints, files
from swordlab.engines import java
from swordlab.engines.base import properties
from swordlab.errors import LabError
from swordlab.places import State

SHIM = """#!/bin/sh
# Drop the module that this Java lacks and Spark only uses when it is there; and the configuration's folder from the
# classpath, where nothing is read from it: a folder there would switch class-data sharing off.
folder=":$SPARK_CONF_DIR/:"
for a; do
    shift
    case "$a" in
        --add-modules=jdk.incubator.vector) ;;
        *"$folder"*) set -- "$@" "${{a%%"$folder"*}}:${{a#*"$folder"}}" ;;
        *) set -- "$@" "$a" ;;
    esac
done
exec {java} "$@"
"""
COMMIT_PROTOCOL = "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"
COMMITTER = "BatchCommitter"
COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"  # of Janino, which Spark brings: this Java has no javac
DRIVER = "org.apache.spark.deploy.SparkSubmit"
"""The class by which a driver's process is known."""


def environment(state: State) -> dict[str, str]:
    """Write the driver's configuration; return the variables with which spark-submit runs."""
    shim = files.write(state.folder("conf/java/bin") / "java", SHIM.format(java=shlex.quote(java.executable())))
    shim.chmod(0o755)
    folder = state.folder("conf/spark")
    properties(folder / "spark-defaults.conf", defaults(state))
    files.write(folder / "log4j2.properties", (state.conf / "log4j2.properties").read_text())
    return {
        "SPARK_HOME": str(artifacts.spark_home()),
        "SPARK_CONF_DIR": str(folder),
        "JAVA_HOME": str(shim.parent.parent),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": str(artifacts.spark_home().parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        # spark-submit splits this at every space, so an option with one cannot be given
        "SPARK_LAUNCHER_OPTS": " ".join(option for option in java.tool_options() if " " not in option),
    }


def defaults(state: State) -> dict[str, object]:
    """spark-defaults.conf."""
    where = endpoints.environment()
    options = [*java.names_option(state), java.log_option(state), *java.lean(), java.YOUNG, *java.sharing(archive())]
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": "600m",
        "spark.driver.extraJavaOptions": shlex.join(options),
        "spark.driver.extraClassPath": ":".join(map(str, driver_jars())),
        "spark.local.dir": state.tmp,
        "spark.sql.shuffle.partitions": 2,
        "spark.ui.port": where["SPARK_UI_PORT"],
        "spark.ui.showConsoleProgress": "false",
        "spark.hadoop.fs.defaultFS": where["HDFS_URL"],
        "spark.hadoop.dfs.client.use.datanode.hostname": "true",
        "spark.hadoop.dfs.replication": 1,
        # a driver waits for a NameNode that is being started again, and does not end at once: 15 tries, a second apart
        "spark.hadoop.dfs.client.retry.policy.enabled": "true",
        "spark.hadoop.dfs.client.retry.policy.spec": "1000,15",
        "spark.hadoop.hive.metastore.uris": where["METASTORE_URI"],
        "spark.sql.warehouse.dir": "/user/hive/warehouse",
        # the file sink writes aside and renames at commit, so that Hive and Presto never read half a file; a batch that
        # is repeated after a crash replaces its own files (SPARK-30462, and BatchCommitter.java for the rest)
        "spark.sql.streaming.commitProtocolClass": COMMIT_PROTOCOL,
        "spark.sql.parquet.output.committer.class": f"swordlab.{COMMITTER}",
        "spark.sql.streaming.fileStreamSink.ignoreMetadata": "true",
    }


def driver_jars() -> list[Path]:
    """What a driver has on its classpath beside Spark's own jars: the Kafka source and the lab's committer."""
    return [*artifacts.jars("spark-kafka"), committer_jar()]


def archive() -> Path:
    """The class-data archive of the drivers."""
    return java.archive_path("spark", [artifacts.spark_home(), *driver_jars()])


def committer_jar() -> Path:
    """A jar with the lab's committer, compiled on first use."""
    source = Path(__file__).with_name(f"{COMMITTER}.java")
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:16]

    def write(scratch: Path) -> None:
        jars = ":".join(map(str, artifacts.spark_jars("*.jar")))
        compiler = [java.executable(), *java.tool_options(), "-cp", jars, COMPILER]
        name = f"swordlab/{COMMITTER}.class"
        with tempfile.TemporaryDirectory() as folder:
            compile_it = [*compiler, "-d", folder, "-classpath", jars, str(source)]
            done = subprocess.run(compile_it, check=False, capture_output=True, text=True)
            if not (Path(folder) / name).exists():
                raise LabError(f"{source.name} could not be compiled: {done.stdout}{done.stderr}")
            with zipfile.ZipFile(scratch, "w") as jar:
                jar.write(Path(folder) / name, name)

    return artifacts.patched(f"{COMMITTER}-{key}.jar", write)


def submit_command() -> str:
    """The real spark-submit."""
    return str(artifacts.spark_home() / "bin" / "spark-submit")


def become_submit(arguments: list[str]) -> NoReturn:
    """`spark-submit` of the lab: the real one, with the lab's configuration."""
    os.environ.update(environment(State.current()))
    os.execv(submit_command(), [submit_command(), *arguments])
