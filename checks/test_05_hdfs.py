"""Lab 5: the files that the streams write, as hadoop fs lists them and as the NameNode counts them.

For the listing and the first answers the check puts a file of its own into both folders, for a moment: it has no rows,
two blocks and two copies, so that blocks are not as many as files and the replication is not 1; and a hidden one, which
no reader sees. Then more events go through.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest
import requests

from swordlab import endpoints
from swordlab.grading import parquet, trouble
from swordlab.grading.arrivals import require_arrived
from swordlab.grading.probes import join, purchase
from swordlab.grading.rows import TABLES
from swordlab.grading.verdict import fail, require
from swordlab.work import Finished

FOLDERS = [table.folder for table in TABLES]
LIST, ANSWER = "list_files", "hdfs_answers"
BLOCK = 1 << 20  # bytes, the smallest that the NameNode allows
COPIES = 2
OURS = "-lab-check.snappy.parquet"
"""How the name of the check's own file ends; the rest is of this run, so that a listing of an earlier one lacks it."""
HIDDEN = ".part-00000-lab-check.being-written"
"""A file that is no data: readers skip a name with a dot in front."""
STEADY_TRIES = 4
NAMENODE = "the NameNode's figures"


@dataclass(frozen=True)
class Asked:
    """What the student's program answered, and what the NameNode knew before and after it alike."""

    finished: Finished
    files: dict[str, list[dict]]
    """Folder -> the status of each data file."""
    blocks: dict[str, int]
    note: str = ""
    """What was special about the folders, for a person."""
    missing: str = ""
    """Which of the student's files is missing or empty."""

    def answers(self, folder):
        """The student's answers for a folder; CheckFailed where there are none."""
        found = self.objects().get(folder)
        if not isinstance(found, dict):
            fail(
                expected=f"one JSON object with the keys {' and '.join(FOLDERS)}",
                found=self.finished.output.strip() or "nothing printed",
                where=f"the output of {self.finished.command}",
                cause=self.missing
                or (
                    "the keys are not the folders' whole paths"
                    if self.objects()
                    else "what it prints is no JSON, or more than one object"
                ),
            )
        return found

    def objects(self):
        """The JSON object in the output; warnings around it do no harm."""
        text = self.finished.output
        try:
            found = json.loads(text[text.index("{") : text.rindex("}") + 1])
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def expected(self, folder):
        """The NameNode's figures of a folder."""
        files = self.files[folder]
        return {
            "files": len(files),
            "bytes": sum(file["length"] for file in files),
            "replication": max(file["replication"] for file in files),
            "blocks": self.blocks[folder],
        }


@pytest.fixture(scope="session")
def names_before(work, lab, topic, files, rng):
    """Events on their way, and the files that were there before them; both folders hold some."""
    topic.partitions()
    before = {folder: names(files, folder) for folder in FOLDERS}
    topic.send(*(make(rng) for make in (join, purchase) for _ in range(rng.randrange(3, 9))))
    require_arrived(
        work, lab, lambda: all(names(files, folder) for folder in FOLDERS), f"no file is in {' and '.join(FOLDERS)}"
    )
    return before


@pytest.fixture(scope="session")
def ours(rng):
    """The name of the check's own data file."""
    return f"part-00000-{rng.getrandbits(32):08x}{OURS}"


@pytest.fixture(scope="session")
def listed(work, lab, files, names_before, ours):
    """list_files.sh, run while the check's own file is in both folders: a listing that was kept does not have it."""
    with own_files(files, ours):
        return asked(work, lab, files, LIST)


@pytest.fixture(scope="session")
def answered(work, lab, files, names_before, ours):
    """hdfs_answers.py, run while the check's own file is in both folders."""
    with own_files(files, ours):
        return asked(work, lab, files, ANSWER, f", one of which has 2 blocks and {COPIES} copies: {ours}")


def names(files, folder):
    """The data files of a folder that are complete."""
    complete = (file["pathSuffix"] for file in files.data_files(folder) if file["length"])
    return {name for name in complete if not name.endswith(OURS)}


@contextmanager
def own_files(files, ours) -> Iterator[None]:
    """In each folder a data file that has no rows for any reader, and a hidden one."""
    try:
        for folder, table in zip(FOLDERS, TABLES, strict=True):
            put(f"{folder}/{ours}", parquet.without_rows([*table.columns], padding=BLOCK))
            put(f"{folder}/{HIDDEN}", b"no data")
        yield
    finally:
        for folder in FOLDERS:
            for name in (ours, HIDDEN):
                files.ask("DELETE", f"{folder}/{name}", "DELETE")


def put(path, content):
    """Write a file of small blocks and some copies."""
    requests.put(
        f"{endpoints.url('WEBHDFS_URL')}/webhdfs/v1{path}",
        params={"op": "CREATE", "overwrite": "true", "blocksize": str(BLOCK), "replication": str(COPIES)},
        data=content,
        timeout=10,
    ).raise_for_status()


def asked(work, lab, files, step, note=""):
    """Run a step, again if a stream wrote a file meanwhile."""
    for _ in range(STEADY_TRIES):
        before = {folder: files.data_files(folder) for folder in FOLDERS}
        finished = work.run(lab, lab.step(step).command)
        blocks = {f: sum(files.blocks(f"{f}/{file['pathSuffix']}") for file in before[f]) for f in FOLDERS}
        if before == {folder: files.data_files(folder) for folder in FOLDERS}:
            break
    trouble.require_done(finished, work, lab, expected=f"{lab.step(step).command} ends well")
    return Asked(finished, before, blocks, note, trouble.missing_file(work, lab))


def test_listing_shows_both_folders(listed):
    """list_files.sh shows both folders and each data file that is in them now."""
    shown = {PurePosixPath(word).as_posix() for word in listed.finished.output.split()}
    for folder in FOLDERS:
        require(
            any(folder in word for word in shown),
            expected=f"a line of {folder}",
            found=listed.finished.output.strip() or "nothing printed",
            where=f"the output of {listed.finished.command}",
            cause=f"the script does not list /tmp/ and {folder}",
            next="hadoop fs -ls /tmp/",
        )
        there = [file["pathSuffix"] for file in listed.files[folder]]
        missing = sorted(name for name in there if not is_listed(listed, folder, name))
        require(
            not missing,
            expected=f"{len(there)} data files of {folder}",
            found=f"{len(there) - len(missing)} of them; missing: {', '.join(missing)}",
            where=f"the output of {listed.finished.command}",
            cause=f"the script does not list {folder} now, or shows only some of its lines",
            next=f"hadoop fs -ls {folder}",
        )


def is_listed(listed, folder, name):
    """Whether a file is in the listing: with its folder, or as often as there are files of that name in both."""
    times = sum(file["pathSuffix"] == name for each in FOLDERS for file in listed.files[each])
    return f"{folder}/{name}" in listed.finished.output or listed.finished.output.count(name) >= times


def require_answer(asked, key, causes):
    """The answer to one key is the NameNode's in both folders; `causes` names a wrong number's."""
    for folder in FOLDERS:
        found, expected = asked.answers(folder).get(key), asked.expected(folder)[key]
        require(
            found == expected,
            expected=f"{key} of {folder}: {expected} ({len(asked.files[folder])} data files{asked.note})",
            found=f"{key}: {found}",
            where=NAMENODE,
            cause=causes(folder, found) if type(found) is int else f"the answer to {key} is missing, or is no number",
            next="make hint-5",
        )


def test_data_files_are_counted(answered, files):
    """hdfs_answers.py counts the data files of each folder as the NameNode does."""

    def cause(folder, found):
        if found > answered.expected(folder)["files"]:
            return "Spark's notes (_spark_metadata, names with _ or . in front) or folders are counted too"
        return "not every data file is counted, or the number is typed in"

    require_answer(answered, "files", cause)


def test_bytes_are_added_up(answered):
    """hdfs_answers.py gives the bytes of the data files of each folder."""

    def cause(folder, found):
        lengths = [file["length"] for file in answered.files[folder]]
        if found == sum(file["length"] * file["replication"] for file in answered.files[folder]):
            return "every copy of a file is counted, not the file once"
        if found in lengths:
            return "that is one file's length: add them all up"
        return "the lengths of the data files are not added up" if found else "nothing is added up yet"

    require_answer(answered, "bytes", cause)


def test_replication_is_the_files(answered):
    """hdfs_answers.py gives the replication of the files."""
    require_answer(
        answered, "replication", lambda *_: "the number is typed in, or is not the largest replication of the files"
    )


def test_blocks_are_counted(answered):
    """hdfs_answers.py counts the blocks of the data files of each folder."""

    def cause(folder, found):
        if found == len(answered.files[folder]):
            return "every file is taken for one block: ask the NameNode for the blocks of each file"
        return "the blocks are computed from the bytes, or not asked for each file" if found else "no block is counted"

    require_answer(answered, "blocks", cause)


def test_answers_follow_new_events(work, lab, files, names_before, answered):
    """After more events the answers are those of the new files."""
    require_arrived(
        work,
        lab,
        lambda: all(names(files, folder) - names_before[folder] for folder in FOLDERS),
        "no new file came of new events",
    )
    later = asked(work, lab, files, ANSWER)
    for folder in FOLDERS:
        wrong = {key: value for key, value in later.expected(folder).items() if later.answers(folder).get(key) != value}
        require(
            not wrong,
            expected=f"{folder}: {wrong}",
            found=f"{folder}: { ({key: later.answers(folder).get(key) for key in wrong}) }",
            where=NAMENODE,
            cause="the answers are as before the new files: they are typed in, or kept from an earlier run"
            if later.answers(folder) == answered.answers(folder)
            else "the same as in the claims above",
        )
