import textwrap

import pytest

from swordlab import endpoints
from swordlab.cluster import compose
from swordlab.cluster.local import COMPOSE_FILE
from swordlab.errors import UsageError

KAFKA = "services:\n  kafka:\n    command: swordlab engine kafka\n"


def read(tmp_path, text, environ=None):
    file = tmp_path / "docker-compose.yml"
    file.write_text(textwrap.dedent(text))
    return compose.read(file, environ or {})


def test_the_labs_own_file_has_the_reports_services():
    assert set(compose.read(COMPOSE_FILE, {})) == set(endpoints.HOSTS)


def test_published_ports_are_the_endpoints_defaults():
    published = {port for service in compose.read(COMPOSE_FILE, {}).values() for port in service.ports}
    assert published <= set(endpoints.PORTS.values())


def test_a_port_variable_moves_the_port():
    assert 18080 in compose.read(COMPOSE_FILE, {"PRESTO_PORT": "18080"})["presto"].ports


def test_variables_defaults_and_escapes(tmp_path):
    services = read(
        tmp_path, KAFKA + "    environment: {BIND: '${X:-1}', HIVE_HOST: '${Y}', PRESTO_HOST: '$$Y'}\n", {"Y": "2"}
    )
    assert services["kafka"].environment == {"BIND": "1", "HIVE_HOST": "2", "PRESTO_HOST": "$Y"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (
            "services:\n  kafka:\n    comand: x\n",
            3,
            "unknown key 'comand' in service kafka; did you mean 'command'?",
        ),
        ("service:\n  kafka: {}\n", 1, "unknown key 'service' at the top level"),
        (KAFKA + "    privileged: true\n", 4, "unknown key 'privileged'"),
        ("services:\n  kafka:\n    command: swordlab engine kafak\n", 3, "did you mean 'kafka'?"),
        ("services:\n  kafka:\n    command: rm -rf /\n", 3, "must run 'swordlab engine NAME…'"),
        (KAFKA + "    ports: ['0.0.0.0:1:1']\n", 4, "open to the network"),
        (KAFKA + "    depends_on: [presto]\n", 4, "is not a service"),
        (KAFKA + "    depends_on: [kafka]\n", 4, "in a circle"),
        (KAFKA + "    environment: {JAVA_TOOL_OPTIONS: -javaagent:x}\n", 4, "'JAVA_TOOL_OPTIONS' is not known"),
        (KAFKA + "    environment: {BIND: '${X:?say X}'}\n", 4, "say X"),
        ("services:\n  kafka:\n   command: [a\n", 4, "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused_by_line_and_key(tmp_path, text, line, says):
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert f"docker-compose.yml:{line}: " in error.value.message
    assert says in error.value.message


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UsageError, match="is missing"):
        compose.read(tmp_path / "none.yml")
