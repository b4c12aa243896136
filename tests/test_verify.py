"""`make verify` as part of the tests: each lab's solution, starter, right variants and mutants on the real engines."""

import os
import tempfile
from pathlib import Path

import pytest
from conftest import swordlab

from swordlab.grading import variants
from swordlab.grading.results import FAIL, PASS
from swordlab.labs import SOLUTIONS, all_labs

LABS = all_labs().values()
VARIANTS = [variant for lab in LABS for variant in variants.read(lab)]
VARIANTS_TOO = ["--slice", os.environ["VERIFY_SLICE"]] if "VERIFY_SLICE" in os.environ else ["--only", "the s"]
"""With VERIFY_SLICE=1/6 a part of the variants too; else the solution and the starter. `make verify` judges all."""
LONGEST = 3600  # seconds for one lab, on a machine that has other things to do

each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.folder)


@each_lab
@pytest.mark.cluster
def test_the_course_is_proven(lab, cluster):
    done = swordlab("verify", "--lab", lab.number, *VARIANTS_TOO, timeout=LONGEST)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_lab_after_the_other_is_laid_into_the_same_tree(tmp_path):
    for lab in LABS:
        variants.overlay(lab, SOLUTIONS / lab.folder, tmp_path / "tree")
        own = [path.name for path in (tmp_path / "tree").iterdir() if not path.is_symlink()]
        assert own == [lab.folder]


def test_there_are_forty_right_variants_and_sixty_mutants():
    assert sum(variant.verdict == PASS for variant in VARIANTS) >= 40
    assert sum(variant.verdict == FAIL for variant in VARIANTS) >= 60


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: f"{variant.lab.number}-{variant.name}")
def test_a_variant_fits_its_solution(variant):
    with tempfile.TemporaryDirectory() as folder:
        variants.write([variant], Path(folder) / "tree")
    if variant.verdict == FAIL:
        assert variant.check in variant.lab.points
        assert variant.cause


@each_lab
def test_each_check_has_a_mutant_that_it_catches(lab):
    caught = {variant.check for variant in variants.read(lab)}
    assert not set(lab.points) - caught
