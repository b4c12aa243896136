"""Taking a submission in: folders and archives of strangers, and the pages made of what they hold."""

import io
import json
import tarfile
import zipfile

import pytest

from swordlab.grading import classes, formats, slices, submission
from swordlab.grading.results import FAIL, PASS, LabResult, Result
from swordlab.grading.submission import BadSubmission, take_in

GAME = "labs/02-flask/game_api.py"


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def taken(source, tmp_path):
    tree = tmp_path / "tree"
    notes = take_in(source, tree)
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}, notes


def test_lab_files_are_taken_however_deep_the_folder_lies(tmp_path):
    for above in ("", "labs/", "smith-main/labs/", "a/b/c/"):
        archive = zipped(tmp_path / "x.zip", {f"{above}02-flask/game_api.py": "x = 1\n"})
        assert taken(archive, tmp_path)[0] == {"02-flask/game_api.py": b"x = 1\n"}


def test_a_tar_and_a_folder_are_taken_too(tmp_path):
    folder = tmp_path / "folder"
    (folder / "labs/02-flask").mkdir(parents=True)
    (folder / GAME).write_text("x = 1\n")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(folder, "work")
    assert (
        taken(folder, tmp_path)[0] == taken(tmp_path / "x.tar.gz", tmp_path)[0] == {"02-flask/game_api.py": b"x = 1\n"}
    )


def test_only_the_students_files_are_taken(tmp_path):
    hostile = {
        GAME: "mine",
        "Makefile": "evil",
        "conftest.py": "evil",
        "checks/test_02_flask.py": "evil",
        "docker-compose.yml": "evil",
        ".git/hooks/post-checkout": "evil",
        "labs/02-flask/conftest.py": "evil",
        "labs/02-flask/sitecustomize.py": "evil",
        "labs/02-flask/x.pth": "evil",
        "labs/02-flask/lab.toml": "evil",
        "labs/02-flask/docker-compose.yml": "evil",
        "solutions/02-flask/game_api.py": "evil",
        "../../labs/02-flask/../02-flask/game_api.py": "evil",
        "/labs/02-flask/game_api.py": "evil",
        "labs/02-flask/helper.py": "a helper",
    }
    files, _ = taken(zipped(tmp_path / "x.zip", hostile), tmp_path)
    assert files == {"02-flask/game_api.py": b"mine", "02-flask/helper.py": b"a helper"}


def test_links_are_left_out(tmp_path):
    folder = tmp_path / "folder"
    (folder / "labs/02-flask").mkdir(parents=True)
    (folder / GAME).symlink_to("/etc/passwd")
    (folder / "labs/03-kafka").symlink_to("/etc")
    (folder / "labs/04-spark").mkdir()
    (folder / "labs/04-spark/write_guild_stream.py").write_text("x\n")
    files, notes = taken(folder, tmp_path)
    assert list(files) == ["04-spark/write_guild_stream.py"]
    assert any("game_api.py was left out: it is a link" in note for note in notes)

    archive = tmp_path / "links.tar"
    with tarfile.open(archive, "w") as opened:
        for kind, name in ((tarfile.SYMTYPE, GAME), (tarfile.LNKTYPE, "labs/03-kafka/create_topic.py")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            opened.addfile(member)
        content = tarfile.TarInfo("labs/06-hive/create_tables.hql")
        content.size = 2
        opened.addfile(content, io.BytesIO(b"x\n"))
    assert list(taken(archive, tmp_path / "again")[0]) == ["06-hive/create_tables.hql"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"PK nonsense"), "neither a folder nor a .zip"),
        (lambda path: path.write_bytes(b""), "neither a folder nor a .zip"),
        (lambda path: zipped(path, {}), "no file of a lab is in it"),
        (lambda path: zipped(path, {"readme.txt": "hello"}), "no file of a lab is in it"),
        (lambda path: zipped(path, {f"junk/{n}": "" for n in range(10_000)}), "more than 2000 files"),
        (lambda path: zipped(path, {f"labs/02-flask/{n}.py": "x" * 1_900_000 for n in range(12)}), "larger than 20 MB"),
        (lambda path: path.mkdir(), "no file of a lab is in it"),
    ],
)
def test_what_cannot_be_graded_is_said(tmp_path, make, says):
    path = tmp_path / "submission.zip"
    make(path)
    with pytest.raises(BadSubmission, match=says):
        take_in(path, tmp_path / "tree")


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(GAME, b"0" * 300_000_000)
        archive.writestr("labs/03-kafka/create_topic.py", "x\n")
    files, notes = taken(path, tmp_path)
    assert list(files) == ["03-kafka/create_topic.py"]
    assert any("larger than 2 MB" in note for note in notes)


def test_a_truncated_archive_is_said(tmp_path):
    path = zipped(tmp_path / "x.zip", {GAME: "x" * 5000})
    broken = bytearray(path.read_bytes())
    broken[60:90] = b"\0" * 30
    path.write_bytes(broken)
    with pytest.raises(BadSubmission):
        take_in(path, tmp_path / "tree")


def test_windows_line_ends_are_changed_and_said(tmp_path):
    files, notes = taken(zipped(tmp_path / "x.zip", {"labs/03-kafka/watch_events.sh": "a\r\nb\r\n"}), tmp_path)
    assert files["03-kafka/watch_events.sh"] == b"a\nb\n"
    assert any("Windows line ends" in note for note in notes)


def mark(found, name="x"):
    results = [
        Result("test_a", "A claim", PASS, 3),
        Result("test_b", "Another claim", FAIL, 2, "1", found, "there", "a cause", "look"),
    ]
    return formats.Mark(name, [LabResult(2, "Flask", results, 7, 1.0)], [], 0.0, 5.0)


def test_marks_in_the_systems_formats(tmp_path):
    formats.write(mark("2"), tmp_path)
    gradescope = json.loads((tmp_path / "results.json").read_text())
    assert gradescope["score"] == 3
    assert [test["max_score"] for test in gradescope["tests"]] == [3, 2]
    assert [test["status"] for test in gradescope["tests"]] == ["passed", "failed"]
    classroom = json.loads((tmp_path / "result.json").read_text())
    assert (classroom["schema"], classroom["score"], classroom["max-score"]) == ("classroom50/result/v1", 3, 5)
    assert classroom["submission"].startswith("submit/")
    assert 'failures="1"' in (tmp_path / "results.xml").read_text()
    assert "3 of 5" in (tmp_path / "report.html").read_text()


EVIL = "\x1b[2J<script>alert(1)</script>\n::set-output name=x::y\n![x](http://evil)"


def test_what_a_student_printed_acts_on_nobody(tmp_path):
    formats.write(mark(EVIL, EVIL), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page
    assert "\x1b" not in page
    summary = (tmp_path / "summary.md").read_text()
    assert "<script>" not in summary
    assert not any(line.startswith("::") for line in summary.splitlines())
    assert "\x1b" not in (tmp_path / "results.json").read_text()
    for line in formats.annotations(mark(EVIL).results):
        assert line.count("::") == 2
        assert "\n" not in line


def test_the_csv_holds_no_formula(tmp_path):
    answers = [
        classes.Answer("=cmd|' /C calc'!A0", 3, 5, [], "", 0, 1.0),
        classes.Answer("broken", None, 0, [], "it is no archive", 1, 0.0),
    ]
    classes.write_csv(answers, tmp_path / "grades.csv")
    lines = (tmp_path / "grades.csv").read_text().splitlines()
    assert lines[0] == "Student,ID,SIS User ID,SIS Login ID,Section,Swordlab"
    assert lines[1] == "Points Possible,,,,,5"
    assert lines[2].startswith("'=cmd")
    assert lines[3] == "broken,,,broken,,"


def test_nearly_the_same_work_is_found(tmp_path):
    own = "".join(f"my_own_name_{n} = {n}\n" for n in range(30))
    for name, text in {
        "one": own,
        "two": own.replace("_7 ", "_seven "),
        "three": own.replace("my_own", "their"),
    }.items():
        zipped(tmp_path / f"{name}.zip", {GAME: text})
    pairs = classes.similar(classes.submissions_in(tmp_path))
    assert [pair[:2] for pair in pairs] == [("one", "two")]


def test_a_slice_is_a_part_of_the_class():
    class_list = list(range(10))
    parts = [slices.sliced(class_list, f"{n}/3") for n in (1, 2, 3)]
    assert sorted(number for part in parts for number in part) == class_list
    with pytest.raises(Exception, match="not understood"):
        slices.sliced(class_list, "4/3")


def test_names_are_printable():
    assert submission.printable("a\x1b[31mb\n") == "a?[31mb?"
