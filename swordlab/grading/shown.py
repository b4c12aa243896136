"""What a version of the student's files has shown on this cluster, so that an unchanged lab is checked in seconds."""

from contextlib import suppress

from swordlab.work import Work

RECORD = "shown-before"
"""The file in the cluster's state folder: a line for each claim that a version has met."""


def before(work: Work, claim: str, version: str) -> bool:
    """Whether this version has met the claim on this cluster."""
    with suppress(FileNotFoundError):
        return f"{claim} {version}" in (work.cluster.state.root / RECORD).read_text().splitlines()
    return False


def remember(work: Work, claim: str, version: str) -> None:
    """Keep that this version has met the claim."""
    if not before(work, claim, version):
        with (work.cluster.state.root / RECORD).open("a") as file:
            file.write(f"{claim} {version}\n")
