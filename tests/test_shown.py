"""What a version of the student's files has shown is kept, for that version and that claim alone."""

from swordlab.cluster.local import LocalCluster
from swordlab.grading import shown
from swordlab.labs import SOLUTIONS
from swordlab.places import State
from swordlab.work import Work


def test_only_what_this_version_has_shown_counts(tmp_path):
    work = Work(LocalCluster(State(tmp_path)), SOLUTIONS)
    assert not shown.before(work, "survived-restart", "abc")
    shown.remember(work, "survived-restart", "abc")
    assert shown.before(work, "survived-restart", "abc")
    assert not shown.before(work, "survived-restart", "ab")
    assert not shown.before(work, "ran", "abc")


def test_it_is_kept_once(tmp_path):
    work = Work(LocalCluster(State(tmp_path)), SOLUTIONS)
    for _ in range(2):
        shown.remember(work, "ran", "abc")
    assert (tmp_path / shown.RECORD).read_text() == "ran abc\n"
