"""The tools under the report's names, as typed, against the running cluster."""

import os
import subprocess
import urllib.request

import pytest

from swordlab import endpoints
from swordlab.places import CHECKOUT, path_with_tools

BIN = CHECKOUT / "bin"
PRESTO = ("presto", "--server", "presto:8080", "--catalog", "hive", "--schema", "default")


def tool(*command, text="", **environ):
    environ = {**os.environ, "PATH": path_with_tools(), **environ}
    return subprocess.run(command, env=environ, input=text, capture_output=True, text=True, timeout=120, check=False)


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.cluster
def test_hadoop_fs_writes_and_reads(cluster):
    assert tool("hadoop", "fs", "-mkdir", "-p", "/tmp/tools").returncode == 0
    assert tool("hadoop", "fs", "-put", "-f", "-", "/tmp/tools/file", text="a line\n").returncode == 0
    assert tool("hadoop", "fs", "-cat", "/tmp/tools/file").stdout == "a line\n"
    assert "/tmp/tools/file" in tool("hadoop", "fs", "-ls", "/tmp/tools/").stdout


@pytest.mark.cluster
def test_hadoop_fs_fails_where_hadoop_fails(cluster):
    done = tool("hadoop", "fs", "-ls", "/nowhere")
    assert done.returncode == 1
    assert "`/nowhere': No such file or directory" in done.stderr


def test_of_hadoop_there_is_the_file_system():
    done = tool("hadoop", "jar", "job.jar")
    assert done.returncode == 1
    assert "hadoop fs -ls" in done.stderr


@pytest.mark.cluster
def test_hive_runs_a_file_to_its_first_error(cluster, tmp_path):
    file = tmp_path / "statements.hql"
    file.write_text(
        "-- a comment; with a semicolon\n"
        "create external table if not exists default.tools (a int, `timestamp` string)\n"
        '  stored as parquet location \'/tmp/tools_table\' tblproperties ("parquet.compress"="SNAPPY");\n'
        "show tables like 'tools';\n"
        "select 1, 'b';\n"
        "drop table tools;\n"
    )
    done = tool("hive", "-f", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tools\n1\tb\n"
    file.write_text("select 1;\nselect * from nowhere;\nselect 2;\n")
    done = tool("hive", "-f", str(file))
    assert done.returncode != 0
    assert "Table not found 'nowhere'" in done.stderr
    assert done.stdout == "1\n"


@pytest.mark.cluster
def test_hive_runs_what_is_typed(cluster):
    assert tool("hive", "-e", "show databases").stdout == "default\n"
    assert tool("hive", text="show databases;\n").stdout == "default\n"


@pytest.mark.cluster
def test_presto_as_the_report_starts_it(cluster):
    done = tool(*PRESTO, text="select 41 + 1 as answer;\n")
    assert done.returncode == 0, done.stderr
    assert " answer \n--------\n     42 \n" in done.stdout
    done = tool(*PRESTO, "--execute", "select nothing")
    assert done.returncode == 1
    assert "Column 'nothing' cannot be resolved" in done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize("page", ["NAMENODE_HTTP_PORT", "HIVE_HTTP_PORT", "PRESTO_PORT"])
def test_the_pages_answer(cluster, page):
    with urllib.request.urlopen(f"http://127.0.0.1:{endpoints.url(page)}/", timeout=30) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read().lower()


@pytest.mark.parametrize("name", ["ab", "kafkacat"])
def test_the_real_tool_comes_before_the_stand_in(name, tmp_path):
    executable(tmp_path / "real" / name, "#!/bin/sh\necho real $*\n")
    path = f"{BIN}:{BIN}/../bin:{tmp_path / 'real'}:{os.environ['PATH']}"
    assert tool(name, "-x y", PATH=path, SWORDLAB_NAMES_KNOWN="yes").stdout == "real -x y\n"


def test_a_real_kafkacat_that_does_not_know_the_names_is_left_alone(tmp_path):
    executable(tmp_path / "kafkacat", "#!/bin/sh\necho real\n")
    done = tool("kafkacat", PATH=f"{BIN}:{tmp_path}:{os.environ['PATH']}", SWORDLAB_NAMES_KNOWN="")
    assert "stand-in" in done.stderr


def test_kcat_is_kafkacat_under_its_new_name(tmp_path):
    executable(tmp_path / "kcat", "#!/bin/sh\necho kcat $*\n")
    path = f"{BIN}:{tmp_path}:{os.environ['PATH']}"
    assert tool("kafkacat", "-L", PATH=path, SWORDLAB_NAMES_KNOWN="yes").stdout == "kcat -L\n"


def test_flask_is_not_opened_to_the_network(tmp_path):
    lab = tmp_path / "a lab"
    wrapper = executable(lab / "bin" / "flask", (BIN / "flask").read_text())
    executable(lab / ".swordlab" / "venv" / "bin" / "flask", '#!/bin/sh\nprintf "<%s>" "$@"\n')
    done = tool(str(wrapper), "run", "--host", "0.0.0.0", "--extra-files", "a b")
    assert done.stdout == "<run><--host><127.0.0.1><--extra-files><a b>"
    assert "127.0.0.1 in place of 0.0.0.0" in done.stderr
    assert tool(str(wrapper), "run", "--host=0.0.0.0").stdout == "<run><--host=127.0.0.1>"
