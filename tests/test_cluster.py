"""The real engines: their own protocols, the demo's figures, restarts."""

import os
import signal
import socket
import time

import pytest
from conftest import swordlab

from bench.surroundings import own_ports
from swordlab.grading.live import Hive, Presto

pytestmark = pytest.mark.cluster


def wait_until_up(cluster, seconds=120):
    deadline = time.monotonic() + seconds
    while not cluster.is_up():
        assert time.monotonic() < deadline, cluster.status()
        time.sleep(0.2)


def test_the_demo_prints_the_reports_figures_twice(cluster):
    for _ in range(2):
        done = swordlab("demo")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All figures are the report's." in done.stdout


def test_hive_runs_jobs_and_counts_what_presto_counts(cluster):
    sql = "select count(*) from guild_joins"
    assert Hive().rows(sql) == Presto().rows(sql) == [(100,)]


@pytest.mark.parametrize("name", ["kafka", "namenode", "datanode", "metastore", "hiveserver2", "presto"])
def test_an_engine_that_is_killed_comes_back(cluster, name):
    before = cluster.supervisor.info()[name].pid
    os.kill(before, signal.SIGKILL)
    wait_until_up(cluster)
    assert cluster.supervisor.info()[name].pid != before


def test_data_outlives_a_power_cut(cluster):
    os.kill(int(cluster.supervisor.call.getPID()), signal.SIGKILL)
    done = swordlab("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Presto().rows("select count(*) from sword_purchases") == [(100,)]


def test_a_taken_port_is_named_with_its_holder(cluster, tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        environ = own_ports() | {"SWORDLAB_STATE": str(tmp_path / "state"), "PRESTO_PORT": str(holder.getsockname()[1])}
        done = swordlab("up", environ=environ)
    assert done.returncode == 2
    assert f"port {environ['PRESTO_PORT']}, which presto needs, is taken by" in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert "Traceback" not in done.stderr
