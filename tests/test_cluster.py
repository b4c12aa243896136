"""The real engines: their own protocols, the demo's figures, restarts."""

import os
import signal
import socket

import pytest
from conftest import swordlab

from bench.surroundings import own_ports
from swordlab.cluster.supervisor import Program
from swordlab.grading.live import Hive, Presto
from swordlab.grading.verdict import wait_for
from swordlab.labs import all_labs
from swordlab.work import Work

pytestmark = pytest.mark.cluster


def wait_until_up(cluster, seconds=120):
    assert wait_for(cluster.is_up, seconds), cluster.status()


def wait_until(condition, what, seconds=60):
    assert wait_for(condition, seconds), f"{what}: not within {seconds} s"


def test_the_demo_prints_the_reports_figures_twice(cluster):
    for _ in range(2):
        done = swordlab("demo")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All figures are the report's." in done.stdout


def test_hive_runs_jobs_and_counts_what_presto_counts(cluster):
    sql = "select count(*) from guild_joins"
    assert Hive().rows(sql) == Presto().rows(sql) == [(100,)]


def test_presto_answers_as_soon_as_it_is_called_ready(cluster):
    os.kill(cluster.supervisor.info()["presto"].pid, signal.SIGKILL)
    wait_until_up(cluster)
    assert Presto().rows("select count(*) from guild_joins") == [(100,)]


@pytest.mark.parametrize("name", ["kafka", "namenode", "datanode", "metastore", "hiveserver2", "presto"])
def test_an_engine_that_is_killed_comes_back(cluster, name):
    before = cluster.supervisor.info()[name].pid
    os.kill(before, signal.SIGKILL)
    wait_until_up(cluster)
    assert cluster.supervisor.info()[name].pid != before


def ends_once(folder):
    """A program that fails five seconds after its first start, and works when it is started again."""
    script = f"echo run >> {folder}/runs; [ $(wc -l < {folder}/runs) -gt 1 ] || {{ sleep 5; exit 1; }}; sleep 600"
    return Program(folder.name, ("bash", "-c", script), "mids", restart_always=False)


def test_what_runs_while_an_engine_dies_is_started_again_and_nothing_else(cluster, tmp_path):
    supervisor = cluster.supervisor
    folders = [tmp_path / "before", tmp_path / "during"]
    for folder in folders:
        folder.mkdir()
        supervisor.define(supervisor.programs() | {folder.name: ends_once(folder)})
    try:
        supervisor.start("before")
        wait_until(lambda: supervisor.info()["before"].gave_up, "the program ended")
        supervisor.start("during")
        wait_until((tmp_path / "during" / "runs").exists, "the program runs")
        os.kill(supervisor.info()["presto"].pid, signal.SIGKILL)
        wait_until(lambda: supervisor.info()["during"].gave_up, "the program ended")
        wait_until(lambda: supervisor.info()["during"].is_up, "the program started again")
        assert supervisor.info()["before"].gave_up
        wait_until_up(cluster)
    finally:
        supervisor.forget(["before", "during"])


def test_a_program_that_failed_is_started_again_when_it_is_needed(cluster, tmp_path):
    lab, game = all_labs()[2], tmp_path / "02-flask" / "game_api.py"
    game.parent.mkdir()
    game.write_text(f"import os, sys, time\nos.path.exists('{tmp_path}/topic') or sys.exit(3)\ntime.sleep(600)\n")
    work = Work(cluster, tmp_path)
    try:
        assert work.ensure_running([lab]) in (["flask: started"], ["flask: changed, so it was started anew"])
        wait_until(lambda: cluster.supervisor.info()["flask"].gave_up, "the program ended")
        (tmp_path / "topic").touch()
        [note] = work.ensure_running([lab])
        assert "had ended with status" in note
        assert cluster.supervisor.info()["flask"].is_up
        assert work.ensure_running([lab]) == []
    finally:
        cluster.supervisor.forget(["flask"])


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
