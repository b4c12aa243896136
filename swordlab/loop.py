"""The student's loop: make lab-N, check-N, hint-N, watch-N, reset-N, solution-N, catch-up-N, progress, check.

No file that a student wrote is lost: whatever would replace one keeps it aside first, in .swordlab/kept.
"""

import filecmp
import json
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path

from rich.markup import escape

from swordlab import cluster, console, hosts
from swordlab.cluster.local import COMPOSE_FILE
from swordlab.errors import LabError, UsageError
from swordlab.grading import results as store
from swordlab.grading import run, terminal
from swordlab.grading.results import PASS, LabResult
from swordlab.labs import LABS, SOLUTIONS, Lab, all_labs, lab, needed
from swordlab.places import CHECKOUT
from swordlab.work import Work, digest, fill

OWN = CHECKOUT / ".swordlab"
KEPT = OWN / "kept"
STARTERS = OWN / "starters"
PROGRESS = OWN / "progress.json"
HINTS = OWN / "hints.json"
WATCH_POLL = 0.3  # seconds


# lab-N


def begin(number: int) -> int:
    """Bring up what a lab needs and print its card."""
    chosen = lab(number)
    work = working(LABS)
    if not chosen.compose:  # that lab's check starts the cluster from the lab's own file
        bring_up(work)
        for note in work.ensure_running([*needed(chosen), chosen]):
            console.say(f"  {note}")
    card(chosen)
    return 0


def working(tree: Path) -> Work:
    """The work of a tree on the cluster in use."""
    keep_starters()
    hosts.install()
    return Work(cluster.current(), tree.resolve())


def bring_up(work: Work) -> None:
    """Start the cluster of docker-compose.yml, or leave it when it runs."""
    with console.Steps() as steps:
        work.cluster.up(COMPOSE_FILE, steps)
    work.cluster.save_class_data_later()


def card(chosen: Lab) -> None:
    """The aim, the files, commands to try, how to check."""
    folder, environ = f"labs/{chosen.folder}", cluster.current().environment()
    console.out.print(f"\n[bold]Lab {chosen.number}: {escape(chosen.title)}[/]\n{escape(chosen.aim)}\n")
    rows = [
        ("read", f"{folder}/README.md"),
        *(("edit", f"{folder}/{name}") for name in chosen.edits),
        *(
            ("runs", f"{fill(program.command, environ)}   (for you: make logs SERVICE={program.name})")
            for program in chosen.programs
        ),
        *(("try", f"{fill(step.command, environ)}   (in make shell, in {folder})") for step in chosen.steps),
        ("check", f"make check-{chosen.number}   (or make watch-{chosen.number}: again whenever you save)"),
        ("stuck?", f"make hint-{chosen.number}"),
    ]
    for what, text in rows:
        console.say(f"  {what:<7} {text}")


# check-N, watch-N, progress


def check(numbers: list[int], tree: Path, json_file: Path | None, junit: Path | None) -> int:
    """Check these labs, or all; exit status 0 all pass, 1 one failed, 2 one could not be checked."""
    labs = all_labs()
    chosen = [lab(number) for number in numbers] or list(labs.values())
    work, seed = working(tree), run.new_seed()
    found = [check_one(each, work, seed) for each in chosen]
    if json_file:
        store.save(found, json_file)
    if junit:
        store.save_junit(found, junit)
    if tree == LABS:
        console.say("  " + terminal.short_progress(labs, remember(found)))
    return run.total(found)


def check_one(chosen: Lab, work: Work, seed: int) -> LabResult:
    """Check one lab and print what was found."""
    terminal.heading(chosen, seed)
    told: list[store.Result] = []

    def tell(result: store.Result) -> None:
        told.append(result)
        terminal.line(result)

    found = run.check(chosen, work, seed=seed, tell=tell)
    for result in found.results:
        if result not in told:
            terminal.line(result)
    terminal.details(found)
    return found


def watch(number: int) -> int:
    """Check a lab now and whenever a file of it is saved; Ctrl-C ends it."""
    chosen, work = lab(number), working(LABS)
    try:
        while True:
            seen = digest(work.folder(chosen))
            remember([check_one(chosen, work, run.new_seed())])
            console.say(f"\nWatching labs/{chosen.folder}: save a file and it is checked again. Ctrl-C ends.")
            while digest(work.folder(chosen)) == seen:
                time.sleep(WATCH_POLL)
    except KeyboardInterrupt:
        console.say("")
        return 0


def remember(found: list[LabResult]) -> dict[int, LabResult]:
    """Keep the last result of each lab; return all that are kept."""
    kept = {result.number: result for result in [*store.load(PROGRESS), *found]}
    store.save(list(kept.values()), PROGRESS)
    return kept


def progress() -> int:
    """Print the last result of each lab."""
    terminal.progress(all_labs(), {result.number: result for result in store.load(PROGRESS)})
    return 0


# hint-N


def hint(number: int) -> int:
    """Print the hints seen so far and one more."""
    chosen = lab(number)
    seen: dict[str, int] = json.loads(HINTS.read_text()) if HINTS.exists() else {}
    count = min(seen.get(str(number), 0) + 1, len(chosen.hints))
    OWN.mkdir(exist_ok=True)
    HINTS.write_text(json.dumps(seen | {str(number): count}))
    for index, text in enumerate(chosen.hints[:count], 1):
        console.say(f"Hint {index} of {len(chosen.hints)}: {text}\n")
    console.say("That was the last one." if count == len(chosen.hints) else f"One more: make hint-{number}")
    return 0


# reset-N, solution-N, catch-up-N


def reset(number: int) -> int:
    """Bring the starter back; the student's files are kept aside."""
    chosen = lab(number)
    keep_starters()
    put(chosen, STARTERS / chosen.folder)
    return 0


def solution(number: int, *, ask: bool) -> int:
    """Put the reference solution in place of the student's files, which are kept aside; asks first."""
    chosen = lab(number)
    keep_starters()
    question = (
        f"Put the solution of lab {number} in place of your {', '.join(chosen.edits)}? (They are kept aside.) [y/N] "
    )
    if ask and not agreed(question):
        console.say("Nothing was changed.")
        return 1
    put(chosen, SOLUTIONS / chosen.folder)
    return 0


def catch_up(number: int) -> int:
    """Let the solutions of the labs before N run, where the student's own did not pass, so that one can begin at N."""
    chosen = lab(number)
    work = working(LABS)
    passed = {result.number for result in store.load(PROGRESS) if result.verdict == PASS}
    bring_up(work)
    below = needed(chosen)
    beside = [each for each in all_labs().values() if each.number < chosen.number and each not in below]
    for earlier in (*below, *beside):
        console.say(f"Lab {earlier.number}")
        if earlier.number not in passed:
            put(earlier, SOLUTIONS / earlier.folder)
        try:
            work.perform([earlier], lambda line: console.say(f"  {line}"))
        except LabError as error:
            if earlier in below:
                raise
            console.say(f"  {error}\n  (lab {chosen.number} does not stand on it)")
    card(chosen)
    return 0


def put(chosen: Lab, source: Path) -> None:
    """Copy a lab's files from `source` into labs/; what is there and differs is kept aside first."""
    kept = KEPT / chosen.folder / datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")
    for name in chosen.edits:
        target, wanted = LABS / chosen.folder / name, source / name
        if not wanted.is_file():
            raise LabError(f"{wanted} is missing", "bring it back from the lab's repository, or fetch the lab anew")
        if target.is_file() and filecmp.cmp(target, wanted, shallow=False):
            continue
        if target.exists() or target.is_symlink():
            kept.mkdir(parents=True, exist_ok=True)
            shutil.move(target, kept / name)
            console.say(f"  {name}: yours is kept in {kept.relative_to(CHECKOUT)}")
        shutil.copy(wanted, target)
        console.say(f"  {name}: put in place")


def keep_starters() -> None:
    """Keep a copy of the starter files, once, before a student has changed them: what `make reset-N` brings back."""
    for each in all_labs().values():
        folder = STARTERS / each.folder
        if not folder.exists():
            scratch = folder.with_name(f"{each.folder}.part")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            for name in each.edits:
                if (LABS / each.folder / name).is_file():
                    shutil.copy(LABS / each.folder / name, scratch / name)
            scratch.rename(folder)


def agreed(question: str) -> bool:
    """Ask a person; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        raise UsageError("this asks first, and there is nobody to ask", "say YES=1 to go on without the question")
    return input(question).strip().lower() in ("y", "yes")
