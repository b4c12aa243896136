"""Spark: how a driver is submitted. No server runs; each driver is a process of its own (local[2])."""

import os
import shlex
import sys
from typing import NoReturn

from swordlab import artifacts, endpoints
from swordlab.engines import java
from swordlab.engines.base import properties
from swordlab.places import State

SHIM = """#!/bin/sh
# drop the module that this Java lacks and Spark only uses when it is there
for a; do shift; [ "$a" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$a"; done
exec {java} "$@"
"""
STREAM_COMMIT = "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"


def environment(state: State) -> dict[str, str]:
    """Write the driver's configuration; return the variables with which spark-submit runs."""
    shim = state.folder("conf/java/bin") / "java"
    shim.write_text(SHIM.format(java=shlex.quote(java.executable())))
    shim.chmod(0o755)
    folder = state.folder("conf/spark")
    properties(folder / "spark-defaults.conf", defaults(state))
    (folder / "log4j2.properties").write_text((state.conf / "log4j2.properties").read_text())
    return {
        "SPARK_HOME": str(artifacts.spark_home()),
        "SPARK_CONF_DIR": str(folder),
        "JAVA_HOME": str(shim.parent.parent),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": str(artifacts.spark_home().parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def defaults(state: State) -> dict[str, object]:
    """spark-defaults.conf."""
    where = endpoints.environment()
    options = [
        *java.names_option(state),
        java.log_option(state),
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    ]
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": "600m",
        "spark.driver.extraJavaOptions": " ".join(options),
        "spark.jars": ",".join(map(str, artifacts.jars("spark-kafka"))),
        "spark.local.dir": state.tmp,
        "spark.sql.shuffle.partitions": 2,
        "spark.ui.port": where["SPARK_UI_PORT"],
        "spark.ui.showConsoleProgress": "false",
        "spark.hadoop.fs.defaultFS": where["HDFS_URL"],
        "spark.hadoop.dfs.client.use.datanode.hostname": "true",
        "spark.hadoop.dfs.replication": 1,
        "spark.hadoop.hive.metastore.uris": where["METASTORE_URI"],
        "spark.sql.warehouse.dir": "/user/hive/warehouse",
        # the file sink writes aside and renames at commit, so that Hive and Presto never read half a file, and a
        # batch that is repeated after a crash overwrites its own files (SPARK-30462)
        "spark.sql.streaming.commitProtocolClass": STREAM_COMMIT,
        "spark.sql.streaming.fileStreamSink.ignoreMetadata": "true",
    }


def submit_command() -> str:
    """The real spark-submit."""
    return str(artifacts.spark_home() / "bin" / "spark-submit")


def become_submit(arguments: list[str]) -> NoReturn:
    """`spark-submit` of the lab: the real one, with the lab's configuration."""
    os.environ.update(environment(State.current()))
    os.execv(submit_command(), [submit_command(), *arguments])
