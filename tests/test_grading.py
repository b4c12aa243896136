"""Whole submissions graded as an instructor does it: names that say what the marks must be."""

import csv
import json
import os
import subprocess
import zipfile

import made_up_class
import pytest
from conftest import swordlab

from swordlab.engines import spark
from swordlab.grading import sandbox
from swordlab.labs import all_labs
from swordlab.places import CHECKOUT

pytestmark = pytest.mark.cluster
LABS = all_labs()
CLASS = ["all-right", "lab-4-wrong", "hostile", "empty", "broken-archive", "no-archive"]
FULL = sum(lab.max_points for lab in LABS.values())


@pytest.fixture(scope="module", autouse=True)
def boxed():
    if not sandbox.is_available():
        (pytest.fail if os.environ.get("SWORDLAB_CI") else pytest.skip)("no sandbox: sudo apt install bubblewrap")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The class, graded once."""
    folder = tmp_path_factory.mktemp("class")
    made_up_class.write(folder / "submissions", CLASS)
    done = swordlab("grade-class", folder / "submissions", "--out", folder / "grades", timeout=2400)
    print(done.stdout, done.stderr)
    assert (folder / "grades" / "grades.csv").exists(), done.stdout + done.stderr
    return folder, done


def points(folder, name):
    """Points by lab, of one submission."""
    results = json.loads((folder / "grades" / name / "checks.json").read_text())
    return {
        lab["number"]: sum(check["points"] for check in lab["results"] if check["verdict"] == "pass") for lab in results
    }


def test_right_work_gets_every_point(graded):
    assert sum(points(graded[0], "all-right").values()) == FULL


def test_the_reference_ran_first_so_that_all_others_start_faster(graded):
    assert spark.archive().exists()


def test_one_mistake_costs_one_lab(graded):
    found = points(graded[0], "lab-4-wrong")
    assert found[4] < LABS[4].max_points
    assert {n: p for n, p in found.items() if n != 4} == {n: lab.max_points for n, lab in LABS.items() if n != 4}


def test_a_hostile_submission_gets_no_point_for_what_it_prints_or_plants(graded):
    found = points(graded[0], "hostile")
    python = {2, 3, 4, 8, 10}  # the labs whose work is a Python program
    assert all(found[number] < LABS[number].max_points for number in python), found


def test_what_cannot_be_graded_has_no_mark_and_stops_nobody(graded):
    folder, _ = graded
    rows = {row[0]: row[-1] for row in csv.reader((folder / "grades" / "grades.csv").open())}
    assert {name: rows[name] for name in ("empty", "broken-archive", "no-archive")} == dict.fromkeys(
        ("empty", "broken-archive", "no-archive"), ""
    )
    assert rows["all-right"] == rows["Points Possible"] == str(FULL)
    assert "neither a folder nor a .zip" in (folder / "grades" / "overview.html").read_text()


def test_unchanged_submissions_are_not_graded_again(graded):
    folder, _ = graded
    done = swordlab("grade-class", folder / "submissions", "--out", folder / "grades", timeout=600)
    assert done.stdout.count("(unchanged)") == 3


def test_the_gradescope_zip_grades_in_a_clean_folder(tmp_path):
    """Unpacked as Gradescope does it, with a submission whose only work is lab 1."""
    done = swordlab("gradescope", "--out", tmp_path / "autograder.zip")
    assert done.returncode == 0, done.stderr
    root = tmp_path / "autograder"
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        archive.extractall(root / "source")
    submission = root / "submission" / "01-cluster"
    submission.mkdir(parents=True)
    (submission / "docker-compose.yml").write_bytes((CHECKOUT / "docker-compose.yml").read_bytes())
    scripts = root / "source"
    environ = os.environ | {"AUTOGRADER": str(root)}
    for script in ("setup.sh", "run_autograder"):
        done = subprocess.run(
            ["bash", scripts / script], env=environ, capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((root / "results" / "results.json").read_text())
    assert results["score"] == LABS[1].max_points
    assert sum(test["max_score"] for test in results["tests"]) == FULL
