"""`make shell`, with commands on its standard input."""

import os
import subprocess
import sys

import pytest

from swordlab import endpoints
from swordlab.places import CHECKOUT, State
from swordlab.tools import shell


def type_in(text, **environ):
    return subprocess.run(
        [sys.executable, "-m", "swordlab", "shell"],
        cwd=CHECKOUT,
        env={**os.environ, **environ},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


def names_are_known():
    """Whether this machine lets a shell have its own /etc/hosts, asked in a child process."""
    code = "from swordlab.places import State; from swordlab.tools import shell; "
    code += "raise SystemExit(not shell.own_hosts_file(State.current()))"
    return subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0


@pytest.mark.cluster
def test_the_reports_commands_work_as_typed(cluster):
    done = type_in(
        """
        hadoop fs -mkdir -p /tmp/shell && hadoop fs -ls -d /tmp/shell
        hive -e 'select 6 * 7'
        presto --server presto:8080 --catalog hive --schema default --execute 'select 43'
        echo '{"event_type": "shell"}' | kafkacat -P -b $KAFKA_BOOTSTRAP_SERVERS -t shell
        kafkacat -C -b $KAFKA_BOOTSTRAP_SERVERS -t shell -o beginning -e
        spark-submit --version 2>&1 | grep -o 'version 4[0-9.]*' | head -n 1
        env FLASK_APP=solutions/02-flask/game_api.py flask run --host 0.0.0.0 2>/dev/null &
        for attempt in $(seq 100); do curl -s $FLASK_URL/ && break; sleep 0.1; done
        ab -n 1 -H 'Host: user1.comcast.com' $FLASK_URL/ 2>/dev/null | grep Complete
        kill %1
        exit 7
        """
    )
    assert done.returncode == 7, done.stderr
    for line in ("/tmp/shell", "42", '"43"', '{"event_type": "shell"}', "version 4.2.0", "Complete requests:      1"):
        assert line in done.stdout, done.stdout + done.stderr
    assert "This is the default response!" in done.stdout
    assert "write $KAFKA_BOOTSTRAP_SERVERS for kafka:29092" in done.stderr


@pytest.mark.cluster
def test_every_program_knows_the_names(cluster):
    if not names_are_known():
        pytest.skip("this machine allows no mount namespace")
    before = shell.HOSTS_FILE.read_text()
    done = type_in("curl -s http://presto:$PRESTO_PORT/v1/info; cat /etc/hosts; id -u")
    assert '"starting":false' in done.stdout, done.stdout + done.stderr
    assert before in done.stdout
    assert done.stdout.splitlines()[-1] == str(os.getuid())
    assert shell.HOSTS_FILE.read_text() == before


def test_what_differs_is_said_at_the_start(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("SWORDLAB_STATE", str(tmp_path))
    for name, port in endpoints.PORTS.items():
        monkeypatch.setenv(name, str(port))
    shell.introduce(names_known=False)
    said = capfd.readouterr().err
    assert "The cluster is not up: make up starts it." in said
    assert "only the lab's tools and its Python know" in said
    assert "KAFKA_BOOTSTRAP_SERVERS" not in said


def test_a_second_shell_inside_the_first_keeps_the_hosts_file(tmp_path):
    if not names_are_known():
        pytest.skip("this machine allows no mount namespace")
    inner = f"{sys.executable} -m swordlab shell <<< 'cat /etc/hosts' 2>/dev/null"
    done = type_in(inner, SWORDLAB_STATE=str(tmp_path))
    assert done.stdout.count("kafka cloudera presto mids spark") == 1
    assert State(tmp_path).conf.is_dir()
