"""What the folders of the labs must hold, read from the files alone: no engine runs."""

import ast
import os
import re
import subprocess
import sys

import pytest

from swordlab import endpoints, labs
from swordlab.cluster import compose
from swordlab.cluster.local import COMPOSE_FILE, LocalCluster
from swordlab.errors import UsageError
from swordlab.places import State
from swordlab.work import Work

LABS = list(labs.all_labs().values())
NOT_EDITED = {"README.md", "lab.toml", "__pycache__", "out"}
TODO = re.compile(r"TODO[ _](\d+)")
CHECK_LINE = re.compile(r"^- `(test_\w+)`: (.+)$", re.MULTILINE)
WORDS_A_MINUTE = 200
MINUTES = 10

each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.folder)


def files(tree, lab):
    return {path.name for path in (tree / lab.folder).iterdir()} - NOT_EDITED


def lesson(lab):
    return (labs.LABS / lab.folder / "README.md").read_text("utf-8")


def what_the_check_asks(lab):
    """Check function -> its sentence, as the lesson lists them."""
    section = lesson(lab).split("\n## What the check asks\n")[1].split("\n## ")[0]
    return dict(CHECK_LINE.findall(section))


def todos(tree, lab):
    """The numbers of the gaps, by file."""
    return {
        name: [int(number) for number in TODO.findall((tree / lab.folder / name).read_text("utf-8"))]
        for name in lab.edits
    }


@each_lab
def test_a_lab_is_worth_ten_points_in_four_to_ten_checks(lab):
    assert lab.max_points == 10
    assert 4 <= len(lab.points) <= 10


@each_lab
def test_a_lab_has_hints_that_give_away_more_and_more(lab):
    assert len(lab.hints) >= 3
    assert len(set(lab.hints)) == len(lab.hints)


@each_lab
def test_a_lab_stands_on_earlier_labs_and_on_services_of_the_cluster(lab):
    assert all(other < lab.number for other in lab.after)
    assert set(lab.services) | {program.service for program in lab.programs} <= set(compose.read(COMPOSE_FILE, {}))


@each_lab
def test_a_command_names_only_endpoints_and_files_that_there_are(lab):
    for each in (*lab.programs, *lab.steps):
        assert set(re.findall(r"\$\{(\w+)\}", each.command)) <= set(endpoints.environment())
        named = set(re.findall(r"\w+\.(?:py|sh|hql|sql)\b", f"{each.command} {getattr(each, 'environment', '')}"))
        assert named <= set(lab.edits)


@each_lab
def test_starters_and_solutions_are_the_files_that_the_student_edits(lab):
    assert files(labs.LABS, lab) == files(labs.SOLUTIONS, lab) == set(lab.edits)


@each_lab
def test_the_gaps_are_numbered_in_the_starters_and_closed_in_the_solution(lab):
    found = todos(labs.LABS, lab)
    assert all(found.values()), found
    numbers = {number for file in found.values() for number in file}
    assert numbers == set(range(1, len(numbers) + 1))
    assert not any(todos(labs.SOLUTIONS, lab).values())


@each_lab
def test_the_lesson_speaks_of_the_first_and_the_last_gap(lab):
    numbers = {number for file in todos(labs.LABS, lab).values() for number in file}
    mentioned = {int(number) for number in TODO.findall(lesson(lab))}
    assert {min(numbers), max(numbers)} <= mentioned <= numbers


@each_lab
def test_a_python_starter_compiles(lab):
    for name in lab.edits:
        if name.endswith(".py"):
            ast.parse((labs.LABS / lab.folder / name).read_text("utf-8"))


@each_lab
def test_the_lesson_begins_with_title_and_aim(lab):
    assert lesson(lab).startswith(f"# Lab {lab.number}: {lab.title}\n\n{lab.aim}\n")


@each_lab
def test_the_lesson_has_its_parts_in_order(lab):
    assert re.findall(r"^## (.+)$", lesson(lab), re.MULTILINE) == [
        "Where we are",
        "The idea",
        "Steps",
        "How to check",
        "What the check asks",
        "What can go wrong",
        "Go further",
    ]
    assert f"\nmake lab-{lab.number}\n" in lesson(lab)
    assert f"\nmake check-{lab.number}\n" in lesson(lab)


@each_lab
def test_the_lesson_lists_the_checks_of_the_manifest(lab):
    assert list(what_the_check_asks(lab)) == list(lab.points)


@pytest.mark.parametrize("lab", [lab for lab in LABS if lab.check_file.exists()], ids=lambda lab: lab.folder)
def test_a_checks_docstring_is_the_lessons_sentence(lab):
    module = ast.parse(lab.check_file.read_text("utf-8"))
    found = {node.name: ast.get_docstring(node) for node in module.body if isinstance(node, ast.FunctionDef)}
    assert {name: text for name, text in found.items() if name.startswith("test_")} == what_the_check_asks(lab)


@each_lab
def test_a_lesson_is_read_in_ten_minutes(lab):
    assert len(lesson(lab).split()) <= MINUTES * WORDS_A_MINUTE


def test_the_starter_of_lab_1_is_refused_with_the_line_of_its_first_gap():
    with pytest.raises(UsageError, match=r"docker-compose\.yml:\d+: spark waits for a healthy cloudera"):
        compose.read(labs.LABS / "01-cluster" / "docker-compose.yml", {})


def test_the_solution_of_lab_1_is_the_clusters_own_file():
    assert (labs.SOLUTIONS / "01-cluster" / "docker-compose.yml").resolve() == COMPOSE_FILE


def test_the_starter_of_lab_1_differs_from_the_clusters_file_in_its_gaps_only():
    # Outside the head, whatever a line of the starter adds belongs to a TODO.
    whole = COMPOSE_FILE.read_text().splitlines()
    starter = (labs.LABS / "01-cluster" / "docker-compose.yml").read_text().splitlines()
    body = starter[starter.index("x-lab: &lab") :]
    added = [number for number, line in enumerate(body) if line not in whole]
    assert all("TODO" in body[number] or "TODO" in body[number - 1] for number in added)


@pytest.mark.parametrize(
    ("environ", "is_noticed"),
    [
        ({}, True),
        ({"SWORDLAB_STATE": "this"}, True),
        ({"SWORDLAB_STATE": "another"}, False),
        ({"SWORDLAB_PROGRAM": "supervised"}, False),
    ],
)
def test_a_program_that_was_started_by_hand_is_noticed(environ, is_noticed, tmp_path):
    lab = labs.lab(4)
    program, file = lab.programs[0], tmp_path / "labs" / lab.folder / lab.edits[0]
    file.parent.mkdir(parents=True)
    file.write_text("import time\ntime.sleep(60)\n")
    work = Work(LocalCluster(State(tmp_path / "this")), tmp_path / "labs")
    where = {name: str(tmp_path / value) for name, value in environ.items()}
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("SWORDLAB")}
    running = subprocess.Popen([sys.executable, file.name], cwd=file.parent, env=surroundings | where)
    try:
        found = [process.pid for process in work.started_by_hand(lab, program)]
    finally:
        running.kill()
        running.wait()
    assert found == ([running.pid] if is_noticed else [])
