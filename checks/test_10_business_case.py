"""Lab 10: the report, made before and after new events, against a count of the rows that Python makes.

Where it takes no more than a few hundred events, these make the second the first, so that a claim has to change too.
"""

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from prestodb.exceptions import PrestoQueryError

from swordlab.grading import trouble
from swordlab.grading.arrivals import deliver, require_tables, require_tables_true
from swordlab.grading.probes import SWORDS, host, join, purchase
from swordlab.grading.rows import GUILD_JOINS, SWORD_PURCHASES, Rows
from swordlab.grading.sql import NoQuestion, ask
from swordlab.grading.verdict import fail, require

PLAYERS, MEMBERS, SOLD, BY_TYPE, REVENUE = FIGURES = (
    "players",
    "guild_members",
    "swords_sold",
    "swords_by_type",
    "revenue_by_sword",
)
SUBJECTS = {"most_popular_guild": MEMBERS, "most_sold_sword": BY_TYPE, "top_revenue_sword": REVENUE}
"""Subject of a claim -> the figure that proves it."""
STATED = (PLAYERS, MEMBERS, SOLD, REVENUE)
"""What report.md must state in full."""
MOST_EVENTS = 300  # that are sent so that another is the first
MOST_BYTES = 5_000_000  # of a file of the report
STEADY_TRIES = 4
SHAPES = ("rect", "path", "circle", "polygon", "polyline", "line", "ellipse")
NUMBER = re.compile(r"\d[\d,\u2009\u202f\u00a0' ]*(?:\.\d+)?")
MARKS = re.compile(r"^\s*>|[*_`]", re.MULTILINE)
SHOWS_PLOT = re.compile(r"!\[[^\]]*\]\([^)]*plot\.svg|<(?:img|object|embed)[^>]*plot\.svg", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """One run of report.py: its three files, and the true figures at that time."""

    claims_file: Mapping[str, Any]
    markdown: str
    plot: bytes
    true: Mapping[str, Any]
    """Figure -> number, or name -> number."""

    @property
    def figures(self):
        """The figures of claims.json; empty where there are none."""
        found = self.claims_file.get("figures")
        return found if isinstance(found, dict) else {}

    @property
    def claims(self):
        """Subject -> claim."""
        found = self.claims_file.get("claims")
        listed = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        return {each.get("subject"): each for each in listed}


@dataclass(frozen=True)
class Reports:
    """The reports before and after the check's events."""

    before: Report
    after: Report
    answers: Mapping[str, Any]
    """Figure -> what the first report's query of it answered at the time of the second, or why nothing."""

    def stayed(self, part):
        """What to say of a part that is the same in both reports though the rows are not; else empty."""
        if part(self.before) == part(self.after):
            return "it is the same before and after new events: typed in, or kept from an earlier run"
        return ""


@pytest.fixture(scope="session")
def reports(work, lab, topic, files, hive, presto, rng):
    """Both reports."""
    trouble.require_files(work, lab, expected="a program to run")
    topic.partitions()
    rows = Rows(hive=hive, files=files)
    require_tables(work, lab, presto)
    if not is_telling(true_figures(rows)):
        deliver(work, lab, topic, rows, [join(rng), *unequal_purchases(rng)])
    before = made(work, lab, rows)
    events = some(rng)
    hosts = deliver(work, lab, topic, rows, [*events, *overtaking(rng, before.true, events)])
    require_tables_true(presto, rows, hosts)
    after = made(work, lab, rows)
    queries = before.claims_file.get("sql")
    answers = {name: answer(presto, queries.get(name) if isinstance(queries, dict) else None) for name in FIGURES}
    return Reports(before, after, answers)


def is_telling(true):
    """Whether there are members, and swords in different numbers: then a number of the wrong sword shows."""
    return bool(true[MEMBERS]) and len(set(true[BY_TYPE].values())) > 1


def unequal_purchases(rng):
    """One purchase of a sword and two of another."""
    one, two = rng.sample(sorted(SWORDS), 2)
    return [{**purchase(rng), "sword_type": sword, "sword_cost": SWORDS[sword]} for sword in (one, two, two)]


def some(rng):
    """A few events of each kind."""
    events = [make(rng) for make in (join, purchase) for _ in range(rng.randrange(3, 7))]
    return [*events, {**purchase(rng), "sword_cost": rng.randrange(60, 90)}]  # a price that no list of prices has


def overtaking(rng, true, events):
    """Events by which, after these, the second of a figure becomes the first, where few are enough."""
    joiner, buyer = host(rng), host(rng)
    members, revenue = Counter(true[MEMBERS]), Counter(true[REVENUE])
    first = {figure: max(true[figure], key=true[figure].get) for figure in (MEMBERS, REVENUE)}
    for event in events:
        members.update([event["guild"]] if "guild" in event else [])
        revenue.update({event["sword_type"]: event["sword_cost"]} if "sword_type" in event else {})
    guild, count = overtaker(members, first[MEMBERS])
    if count <= MOST_EVENTS:
        yield from ({**join(rng, Host=joiner), "guild": guild} for _ in range(count))
    sword, coins = overtaker(revenue, first[REVENUE])
    count = -(-coins // SWORDS.get(sword, 1))  # rounded up
    if count <= MOST_EVENTS:
        event = purchase(rng, Host=buyer)
        yield from ({**event, "sword_type": sword, "sword_cost": SWORDS.get(sword, 1)} for _ in range(count))


def overtaker(counts, first):
    """The largest beside `first`, and how much it needs to be the largest of all; 0 when it is already."""
    others = {name: count for name, count in counts.items() if name != first}
    best = max(others, key=others.get, default=first)
    return best, max(0, counts[first] - counts[best] + 1)


def made(work, lab, rows):
    """Run report.py into a fresh folder, at a time when no row comes."""
    program = lab.step("report").command.removesuffix(" out")
    for _ in range(STEADY_TRIES):
        true = true_figures(rows)
        with fresh_folder(work) as folder:
            finished = work.run(lab, program, str(folder))
            trouble.require_done(finished, work, lab, expected=f"{program} FOLDER ends well")
            markdown, plot, claims = (content(folder, name) for name in ("report.md", "plot.svg", "claims.json"))
        if true == true_figures(rows):
            break
    return Report(as_json(claims), markdown.decode(errors="replace"), plot, true)


@contextmanager
def fresh_folder(work) -> Iterator[Path]:
    """An empty folder into which a program may write."""
    folder = Path(tempfile.mkdtemp(prefix="report-", dir=work.sandbox.scratch if work.sandbox else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def content(folder, name):
    """A file that the report wrote into the folder."""
    path = folder / name
    there = ", ".join(sorted(each.name for each in folder.iterdir())) or "an empty folder"
    require(
        path.is_file() and not path.is_symlink(),
        expected=f"{name} in the folder that is the program's argument",
        found=there,
        where="python report.py FOLDER",
        cause="the report is written somewhere else, or not all of it",
    )
    require(
        0 < path.stat().st_size <= MOST_BYTES,
        expected=f"{name} of at most {MOST_BYTES // 10**6} MB",
        found=f"{path.stat().st_size} bytes",
        where="python report.py FOLDER",
        cause="the file is empty, or endless",
    )
    return path.read_bytes()


def as_json(text):
    """claims.json; CheckFailed where it is no object."""
    try:
        found = json.loads(text)
    except ValueError as error:
        found = error
    require(
        isinstance(found, dict),
        expected="claims.json with the keys figures, sql and claims",
        found=found,
        where="claims.json",
        cause="it is no JSON object",
    )
    return found


def true_figures(rows):
    """The figures as Python counts them from the rows of the files."""
    joins = rows.columns(GUILD_JOINS, "host", "guild")
    purchases = rows.columns(SWORD_PURCHASES, "sword_type", "sword_cost")
    coins = Counter()
    for sword, cost in purchases:
        coins[sword] += cost or 0
    coins.pop(None, None)
    return {
        PLAYERS: len({name for name, _ in joins} - {None}),
        MEMBERS: dict(Counter(guild for _, guild in joins if guild is not None)),
        SOLD: sum(sword is not None for sword, _ in purchases),
        BY_TYPE: dict(Counter(sword for sword, _ in purchases if sword is not None)),
        REVENUE: dict(coins),
    }


def answer(presto, query):
    """What a query of claims.json answers: a number, name -> number, or an error."""
    if not isinstance(query, str):
        return NoQuestion("there is none")
    try:
        found = ask(presto, query)
    except (NoQuestion, PrestoQueryError) as error:
        return error
    if found and len(found[0]) == 1:
        return found[0][0]
    return {row[0]: row[1] for row in found if len(row) > 1 and row[0] is not None}


# the claims of the checks; each judges one report


def test_figures_are_todays(reports):
    """The figures of claims.json equal those counted from the rows now."""
    require_figures(reports.before, reports.stayed)


def require_figures(report, stayed):
    """Each figure is the true one."""
    for name in FIGURES:
        found, true = report.figures.get(name), report.true[name]
        require(
            found == true,
            expected=f"{name}: {true}",
            found=f"{name}: {found}",
            where="figures of claims.json",
            cause=stayed(lambda each, name=name: each.figures.get(name)) or wrong_figure(name, found, report.true),
        )


def wrong_figure(name, found, true):
    """Why a figure is wrong."""
    if found is None:
        return "it is missing, or under another name"
    if type(found) is not type(true[name]):
        return "a query of one column gives a number, one of two columns name and number"
    if name == PLAYERS and found == sum(true[MEMBERS].values()):
        return "joins are counted: a host that joined twice is one player"
    if name == REVENUE and found == true[BY_TYPE]:
        return "revenue is the sum of sword_cost, not the number of swords"
    return "its query asks for something else, or the figure is typed in"


def test_each_figure_comes_from_its_query(reports):
    """The query beside each figure gives that figure."""
    for name in FIGURES:
        found = reports.answers[name]
        shown = f"{type(found).__name__}: {found}" if isinstance(found, Exception) else found
        require(
            found == reports.after.true[name] and name in reports.after.figures,
            expected=f"{name}: {reports.after.true[name]}",
            found=f"{name}: {shown}",
            where=f"sql of claims.json, asked of Presto: {name}",
            cause="the query is missing or cannot be asked"
            if isinstance(found, Exception)
            else "the query asks for something else, or the figure does not come from it",
        )


def test_claims_are_true(reports):
    """The three claims are true of today's rows."""
    for report in (reports.before, reports.after):
        require_claims(report, reports.stayed)


def require_claims(report, stayed):
    """Each claim names the first, and no number that is not the row's."""
    for subject, figure in SUBJECTS.items():
        claim, true = report.claims.get(subject), report.true[figure]
        require(
            claim,
            expected=f"a claim with the subject {subject}",
            found=", ".join(map(str, report.claims)) or "no claims",
            where="claims of claims.json",
            cause="the claim is missing, or its subject is spelled otherwise",
        )
        most = max(true.values())
        winners = sorted(name for name, number in true.items() if number == most)
        require(
            claim.get("value") in winners,
            expected=f"{subject}: {winners[0]} ({most})",
            found=f"{subject}: {claim.get('value')} ({true.get(claim.get('value'), 'no such name')})",
            where="claims of claims.json",
            cause=stayed(lambda each, subject=subject: (each.claims.get(subject), each.figures))
            or "the figures contradict it: the first is the one with the largest number",
        )
        text = str(claim.get("text", ""))
        total = sum(true.values())
        ahead = most - max(sorted(true.values())[:-1], default=0)
        allowed = {most, total, ahead, round(100 * most / total), int(100 * most / total)}
        require(
            claim["value"] in text and (not numbers(text) or numbers(text) & allowed),
            expected=f"a text that names {claim['value']}, with {most} of {total} if it names numbers",
            found=text or "no text",
            where=f"claim {subject} of claims.json",
            cause=stayed(lambda each, subject=subject: each.claims.get(subject))
            or "the text says something else than the figures",
        )


def numbers(text):
    """The whole numbers in a text, also with separators between thousands."""
    found = set()
    for match in NUMBER.finditer(text):
        whole = match[0].strip()
        found |= {float(re.sub(r"[^\d.]", "", whole).rstrip("."))}
        found |= {float(part) for part in re.findall(r"\d+", whole)}
    return found


def test_report_states_figures_and_claims(reports):
    """report.md states the figures and the claims of claims.json and shows the plot."""
    require_stated(reports.before, reports.stayed)


def require_stated(report, stayed):
    """The report as one reads it says the same as claims.json."""
    text = plain(report.markdown)
    there, rest = numbers(text), text
    for claim in report.claims.values():
        rest = re.sub(in_any_lines(claim), "", rest)

    def beside(key):
        """The numbers in the lines of a name, the claims left out, if one is of a table; otherwise all."""
        lines = [line for line in rest.splitlines() if plain(key) in line]
        return set().union(*map(numbers, lines)) if any("|" in line and numbers(line) for line in lines) else there

    for name in STATED:
        true = report.true[name]
        pairs = true.items() if isinstance(true, dict) else [(name, true)]
        missing = [
            f"{number}" if key == name else f"{key} {number}"
            for key, number in pairs
            if number not in there or (isinstance(true, dict) and (plain(key) not in text or number not in beside(key)))
        ]
        require(
            not missing,
            expected=f"{name}: {missing[0] if missing else ''}",
            found=report.markdown,
            where="report.md",
            cause=stayed(lambda each: each.markdown) or f"{name} is not stated, or is another number than today's",
        )
    for subject, claim in report.claims.items():
        require(
            re.search(in_any_lines(claim), text),
            expected=claim.get("text"),
            found=report.markdown,
            where="report.md",
            cause=f"the claim {subject} is not in it",
        )
    require(
        SHOWS_PLOT.search(report.markdown),
        expected="![…](plot.svg)",
        found=report.markdown,
        where="report.md",
        cause="the plot is not shown",
    )


def plain(text):
    """Markdown without the marks of quotes, bold and italic text and code."""
    return MARKS.sub("", text)


def in_any_lines(claim):
    """A pattern of a claim's text, whatever the lines are."""
    return r"\s+".join(map(re.escape, plain(str(claim.get("text"))).split()))


def test_plot_is_of_todays_data(reports):
    """plot.svg is a picture and draws today's purchases and revenue."""
    require_plot(reports.before, reports.stayed)


def require_plot(report, stayed):
    """The picture has shapes, the swords' names, and both numbers of each."""
    root = picture(report.plot)
    text, shapes = words_of(root), sum(local(element) in SHAPES for element in root.iter())
    require(
        shapes >= 2 * len(report.true[BY_TYPE]),
        expected=f"bars of {len(report.true[BY_TYPE])} swords",
        found=f"{shapes} shapes",
        where="plot.svg",
        cause="nothing is drawn",
    )
    there, bars = numbers(text), numbers_of_bars(root)
    for figure in (BY_TYPE, REVENUE):
        for sword, number in report.true[figure].items():
            require(
                sword in text and number in there,
                expected=f"{figure} of {sword}: {number}",
                found=" ".join(text.split()),
                where="the texts of plot.svg",
                cause=stayed(lambda each: words_of(picture(each.plot)))
                or "the plot is of other numbers, or does not print its values",
            )
            require(
                sword not in bars or number in bars[sword],
                expected=f"{figure} of {sword}: {number}",
                found=f"bars of {sword}: {', '.join(f'{each:g}' for each in sorted(bars.get(sword, ())))}",
                where="the bars of plot.svg",
                cause="the bars are in another order than the swords' names: look each number up by the sword's name",
            )


def numbers_of_bars(root):
    """Name -> the numbers of its bars, where the picture says which bar is whose, as pygal's do."""
    found = {}
    for bar in root.iter():
        said = {each.get("class"): each.text or "" for each in bar if local(each) == "desc"}
        if said.get("x_label"):
            found.setdefault(said["x_label"].strip(), set()).update(numbers(said.get("value", "")))
    return found


def picture(content):
    """The root of an SVG; CheckFailed where it is none."""
    try:
        root = None if b"<!ENTITY" in content else ElementTree.fromstring(content)  # noqa: S314  no entities, no more than 5 MB
    except ElementTree.ParseError as error:
        fail(expected="an SVG picture", found=error, where="plot.svg", cause="it is no SVG")
    require(
        root is not None and local(root) == "svg",
        expected="an SVG picture",
        found=content[:80],
        where="plot.svg",
        cause="it is no SVG",
    )
    return root


def local(element):
    """The name of an element, without its namespace."""
    return str(element.tag).rpartition("}")[2]


def words_of(root):
    """All texts of a picture, a line each; not its style sheets and programs."""
    texts = [element.text for element in root.iter() if local(element) not in ("style", "script")]
    return "\n".join(text.strip() for text in texts if text and text.strip())


def test_report_follows_new_events(reports):
    """After more events a new report has the new figures, claims and plot."""
    report = reports.after
    require_figures(report, reports.stayed)
    require_claims(report, reports.stayed)
    require_stated(report, reports.stayed)
    require_plot(report, reports.stayed)
