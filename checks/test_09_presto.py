"""Lab 9: each .sql file, asked of Presto, against a count of the rows that Python makes.

All files are asked twice: now, and when the events that the check sends have landed. Among these are players who join
twice, in one guild or in two, players who purchase again, and members who purchase nothing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from prestodb.exceptions import PrestoQueryError

from swordlab.grading.arrivals import deliver, require_tables, require_tables_true
from swordlab.grading.probes import GUILDS, host, join, purchase
from swordlab.grading.rows import GUILD_JOINS, SWORD_PURCHASES, TABLES, Rows
from swordlab.grading.sql import NoQuestion, ask, statements
from swordlab.grading.verdict import CheckFailed, require

SHOW, GUILD_COLUMNS, SWORD_COLUMNS = (
    "9_2_show_tables.sql",
    "9_3_describe_guild_joins.sql",
    "9_4_describe_sword_purchases.sql",
)
HOSTS, GUILD_MEMBERS, NUM_SWORDS, SWORDS = "9_5_hosts.sql", "9_6_guilds.sql", "9_7_num_swords.sql", "9_8_swords.sql"
REVENUE, REPEAT = "revenue_by_guild.sql", "repeat_buyers.sql"
HERMITS = "Hermits"
"""The guild of the checks' members who purchase nothing."""
ODD_SWORD = "claymore"
"""A sword that the game does not have."""
ESTIMATES = re.compile(r"approx_\w+", re.IGNORECASE)
STEADY_TRIES = 4
TYPES = {"string": "varchar", "int": "integer"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
"""Presto's decimals come as text."""
STATEMENT = re.compile(r'"(\w+)" (\w+)')
"""A column in what show create table prints."""
OTHER_NUMBER = "it is another number than the rows'"
NOT_JOINS, NOT_SWORDS, NOT_COINS = (
    "these are not the joins of each guild",
    "these are not number and coins of each sword",
    "these are not the coins of each guild's members",
)
FEWER_GUILDS = "not every guild is there: group by guild, without a limit"
FEWER_SWORDS = "not every sword is there: group by sword_type, without a limit"
FEWER_BUYERS = "players are missing: more than one sword begins with two, and there is no limit"
STANDING_STILL = {OTHER_NUMBER, NOT_JOINS, NOT_SWORDS, NOT_COINS, FEWER_GUILDS, FEWER_SWORDS, FEWER_BUYERS}
"""Causes that say less than that an answer has not moved."""


@dataclass(frozen=True)
class Mistake:
    """Why an answer is wrong."""

    expected: Any
    found: Any
    cause: str


@dataclass(frozen=True)
class Moment:
    """The rows at one moment, and what each file answered then: rows, or the reason why there are none."""

    joins: Sequence[tuple[str, str]]
    """Host and guild."""
    purchases: Sequence[tuple[str, str, int]]
    """Host, sword and cost."""
    answers: Mapping[str, Sequence[tuple[Any, ...]] | Mistake]

    @property
    def spent(self):
        """Host -> coins."""
        coins = Counter()
        for buyer, _, cost in self.purchases:
            coins[buyer] += cost or 0
        return coins


@dataclass(frozen=True)
class Moments:
    """Before and after the check's events."""

    before: Moment
    after: Moment

    def require_right(self, file, judge):
        """CheckFailed unless the file's answer is right now; where nothing better is known, one that did not move is so
        named."""
        answer = self.after.answers[file]
        mistake = answer if isinstance(answer, Mistake) else judge(self.after, answer)
        if mistake is None:
            return
        cause = mistake.cause
        if cause in STANDING_STILL and answer == self.before.answers[file]:
            new = len(self.after.joins) + len(self.after.purchases)
            new -= len(self.before.joins) + len(self.before.purchases)
            cause = f"the answer is as it was before {new} new rows: the figures are typed in, not counted, or a "
            cause += "where leaves the new ones out"
        raise wrong_answer(file, mistake, cause)


def wrong_answer(file, mistake, cause):
    """The failure of one file."""
    try:
        require(False, expected=mistake.expected, found=mistake.found, where=f"{file}, asked of Presto", cause=cause)
    except CheckFailed as failed:
        return failed


@pytest.fixture(scope="session")
def moments(work, lab, topic, files, hive, presto, rng):
    """All answers before and after new events have landed."""
    topic.partitions()
    rows = Rows(hive=hive, files=files)
    require_tables(work, lab, presto)
    before = moment(work, lab, presto, rows)
    hosts = deliver(work, lab, topic, rows, players(rng))
    require_tables_true(presto, rows, hosts)
    return Moments(before, moment(work, lab, presto, rows))


def players(rng):
    """Events of players who join and purchase not just once each."""
    twice, wanderer, buyer, saver = (host(rng) for _ in range(4))
    one, other = rng.sample(GUILDS, 2)
    joins = [(twice, one), (twice, one), (wanderer, one), (wanderer, other), (saver, HERMITS)]
    return [
        *({**join(rng, Host=name), "guild": guild} for name, guild in joins),
        *(join(rng) for _ in range(rng.randrange(2, 6))),
        *(purchase(rng, Host=twice) for _ in range(2)),
        *(purchase(rng, Host=wanderer) for _ in range(rng.randrange(2, 5))),
        *(purchase(rng, Host=buyer) for _ in range(3)),
        {**purchase(rng), "sword_type": ODD_SWORD, "sword_cost": 15},
        *(purchase(rng) for _ in range(rng.randrange(2, 6))),
    ]


def moment(work, lab, presto, rows):
    """Every answer, at a time when no row comes."""
    for _ in range(STEADY_TRIES):
        joins, purchases = read(rows)
        answers = {name: answer(work.folder(lab) / name, presto) for name in lab.edits}
        if (len(joins), len(purchases)) == tuple(rows.count(table) for table in TABLES):
            break
    return Moment(joins, purchases, answers)


def read(rows):
    """What the questions are about, of every row."""
    return (
        rows.columns(GUILD_JOINS, "host", "guild"),
        rows.columns(SWORD_PURCHASES, "host", "sword_type", "sword_cost"),
    )


def answer(path, presto):
    """What Presto answers to a file's last question, or why there is no answer."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Mistake("a question to Presto", "no such file", f"{path.name} is missing")
    except (OSError, UnicodeDecodeError):
        return Mistake("a question to Presto", "the file cannot be read", f"{path.name} is not UTF-8 text")
    if estimate := ESTIMATES.search("; ".join(statements(text))):
        cause = f"{estimate[0]} is an estimate, which may be wrong by some per cent: count(distinct …) counts"
        return Mistake("a query that counts", estimate[0], cause)
    try:
        return ask(presto, text)
    except NoQuestion as error:
        return Mistake("a question: select, with, show or describe", error, f"{path.name} holds no question: {error}")
    except PrestoQueryError as error:
        message = error.message.splitlines()[0]
        return Mistake("an answer of Presto", message, f"Presto refuses the query: {message}")


def numbers(row):
    """The numbers of a row, whatever their type."""
    values = [Decimal(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value for value in row]
    return [value for value in values if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)]


def by_name(rows):
    """Name -> the numbers beside it, in the order of the rows; NULL is no name, and as a number 0."""
    found = {}
    for row in rows:
        names = [value for value in row if isinstance(value, str) and not NUMBER.fullmatch(value)]
        if names:
            found[names[0]] = numbers([0 if value is None else value for value in row])
    return found


# 9.2 to 9.4


def test_tables_are_shown(moments):
    """9.2 shows both tables."""
    moments.require_right(SHOW, right_tables)


def right_tables(_, rows):
    """Both names are shown."""
    shown = {value for row in rows for value in row}
    missing = [table.name for table in TABLES if table.name not in shown]
    if missing:
        return Mistake(
            ", ".join(t.name for t in TABLES), listed(rows), "the query shows something else than the tables"
        )
    return None


def test_tables_are_described(moments):
    """9.3 and 9.4 describe the columns of both tables."""
    for file, table in ((GUILD_COLUMNS, GUILD_JOINS), (SWORD_COLUMNS, SWORD_PURCHASES)):
        moments.require_right(file, right_columns(table))


def right_columns(table):
    """Name and type of each column are shown, and of no other table."""

    def judge(_, rows):
        wanted = [(name, TYPES[kind]) for name, kind in table.columns.items()]
        shown = [{str(value).lower() for value in row} for row in rows]
        shown += [{*pair} for row in rows for value in row for pair in STATEMENT.findall(str(value))]
        missing = [pair for pair in wanted if not any({*pair} <= each for each in shown)]
        foreign = [
            name
            for other in TABLES
            for name in other.columns
            if name not in table.columns and any(name in each for each in shown)
        ]
        if not missing and not foreign:
            return None
        return Mistake(
            ", ".join(" ".join(pair) for pair in wanted),
            listed(rows),
            "it is another table"
            if foreign
            else "these are rows of the table, not its columns"
            if len(rows) < len(wanted)
            else "name and type of each column are wanted: describe",
        )

    return judge


def listed(rows):
    """Rows as one line."""
    return "; ".join(", ".join(str(value) for value in row) for row in rows) or "no rows"


# 9.5 to 9.8


def test_hosts_are_counted_once_each(moments):
    """9.5 counts each host that joined a guild once."""
    moments.require_right(HOSTS, right_hosts)


def right_hosts(moment, rows):
    """The number of different hosts."""
    hosts = [name for name, _ in moment.joins if name is not None]
    causes = {
        len(hosts): "count(host) counts rows; a host that joined twice is one host: count(distinct host)",
        len({name for name, *_ in moment.purchases}): "those are the hosts of the purchases",
    }
    return one_number(rows, len({*hosts}), causes)


def test_guilds_have_their_members(moments):
    """9.6 gives each guild its number of members, the most popular first."""
    moments.require_right(GUILD_MEMBERS, right_guilds)


def right_guilds(moment, rows):
    """Joins of each guild, or its different hosts, and the largest first."""
    joins = Counter(guild for _, guild in moment.joins if guild is not None)
    members = Counter(guild for _, guild in set(moment.joins) if guild is not None)
    found = by_name(rows)
    wanted = next((each for each in (joins, members) if has(found, each)), None)
    if wanted is None:
        causes = [
            (not found, "no row holds the name of a guild beside its number"),
            (found and all(figures == [1] for figures in found.values()), "count(distinct guild) is 1 in each group"),
            (len(found) < len(joins), FEWER_GUILDS),
        ]
        return Mistake(as_text(joins), listed(rows), first(causes, NOT_JOINS))
    figures = [wanted[name] for name in found if name in wanted]
    if figures != sorted(figures, reverse=True):
        return Mistake(
            as_text(wanted), listed(rows), "the largest number is not first: order by the number, descending"
        )
    return None


def test_swords_are_counted(moments):
    """9.7 counts the swords that were purchased."""
    moments.require_right(NUM_SWORDS, right_num_swords)


def right_num_swords(moment, rows):
    """The number of purchases."""
    swords = [sword for _, sword, _ in moment.purchases if sword is not None]
    causes = {
        len({*swords}): "count(distinct sword_type) counts kinds, not swords",
        len({name for name, *_ in moment.purchases}): "those are buyers: who purchased twice has two swords",
        sum(moment.spent.values()): "those are the coins",
    }
    return one_number(rows, len(swords), causes)


def one_number(rows, wanted, causes):
    """The answer is one row with this number; `causes` names other numbers."""
    if len(rows) == 1 and wanted in numbers(rows[0]):
        return None
    if len(rows) != 1:
        return Mistake(
            f"one row: {wanted}", f"{len(rows)} rows", "the whole table is one row: an aggregate without group by"
        )
    found = numbers(rows[0])
    cause = next((causes[number] for number in found if number in causes), OTHER_NUMBER)
    return Mistake(wanted, listed(rows), cause)


def test_swords_have_number_and_revenue(moments):
    """9.8 gives each sword its number of purchases and its revenue."""
    moments.require_right(SWORDS, right_swords)


def right_swords(moment, rows):
    """Number and coins of each sword."""
    wanted = defaultdict(lambda: [0, 0])
    for _, sword, cost in moment.purchases:
        if sword is not None:
            wanted[sword][0] += 1
            wanted[sword][1] += cost or 0
    found = by_name(rows)
    if has(found, wanted):
        return None
    counts = all(figures and set(figures) == {wanted[name][0]} for name, figures in found.items() if name in wanted)
    causes = [
        (not found.keys() >= wanted.keys(), FEWER_SWORDS),
        (counts, "revenue is the sum of the costs, not a count: sum(sword_cost)"),
    ]
    return Mistake(as_text(wanted), listed(rows), first(causes, NOT_SWORDS))


# of one's own level


def test_guilds_have_their_revenue(moments):
    """revenue_by_guild gives each guild what its members spent, each player's coins once."""
    moments.require_right(REVENUE, right_revenue)


def right_revenue(moment, rows):
    """What the different members of each guild spent."""
    spent, joins = moment.spent, [pair for pair in moment.joins if pair[1] is not None]
    wanted, doubled, bought = Counter(), Counter(), Counter()
    purchases = Counter(buyer for buyer, *_ in moment.purchases)
    for member, guild in {*joins}:
        wanted[guild] += spent[member] if member is not None else 0
        bought[guild] += purchases[member] if member is not None else 0
    for member, guild in joins:
        doubled[guild] += spent[member] if member is not None else 0
    found = by_name(rows)
    if has(found, wanted):
        return None
    figures = {name: numbers for name, numbers in found.items() if name in wanted}
    wrong = not has(figures, {name: wanted[name] for name in figures})
    causes = [
        (wrong and has(figures, {name: doubled[name] for name in figures}),
         "a player with two joins pays twice: join the tables on distinct hosts"),
        (wrong and has(figures, {name: bought[name] for name in figures}),
         "those are purchases, not coins: sum(sword_cost)"),
        (not figures, "no row holds a guild and its coins: look at what is joined (host), and group by guild"),
        (len(figures) < len(wanted), "a guild whose members bought nothing is missing: its revenue is 0 (left join)"),
    ]  # fmt: skip
    return Mistake(as_text(wanted), listed(rows), first(causes, NOT_COINS))


def test_repeat_buyers_are_found(moments):
    """repeat_buyers gives each player with more than one sword, the number and the coins."""
    moments.require_right(REPEAT, right_repeat_buyers)


def right_repeat_buyers(moment, rows):
    """Number and coins of each host with more than one purchase."""
    counts = Counter(buyer for buyer, *_ in moment.purchases if buyer is not None)
    wanted = {buyer: (count, moment.spent[buyer]) for buyer, count in counts.items() if count > 1}
    found = by_name(rows)
    more, fewer = sorted(found.keys() - wanted.keys()), sorted(wanted.keys() - found.keys())
    if not more and has(found, wanted):
        return None
    one = (more or fewer or [name for name in wanted if not has(found, {name: wanted[name]})])[0]
    causes = [
        (len(found) == len(counts), "every buyer is shown: a condition on groups is having count(*) > 1"),
        (more, "a player is shown who has one sword, or none"),
        (fewer, FEWER_BUYERS),
    ]
    expected = f"{one}: {wanted[one]}" if one in wanted else f"no row of {one}, who has {counts[one]} sword"
    return Mistake(
        expected, f"{one}: {found.get(one, 'no row')}", first(causes, "number or coins of a player are wrong")
    )


def has(found, wanted):
    """Whether beside each name its numbers stand, and no other name is there."""
    if found.keys() != wanted.keys():
        return False
    figures = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in wanted.items()}
    return all(not Counter(figures[name]) - Counter(found[name]) for name in wanted)


def first(causes, otherwise):
    """The first cause whose condition holds."""
    return next((cause for condition, cause in causes if condition), otherwise)


def as_text(wanted):
    """Names with their numbers, the largest first."""
    pairs = sorted(wanted.items(), key=lambda pair: pair[1], reverse=True)
    return "; ".join(f"{name}: {value}" for name, value in pairs)


JUDGES = {
    HOSTS: right_hosts,
    GUILD_MEMBERS: right_guilds,
    NUM_SWORDS: right_num_swords,
    SWORDS: right_swords,
    REVENUE: right_revenue,
    REPEAT: right_repeat_buyers,
}


def test_answers_follow_new_events(moments):
    """After more events every answer is that of the new rows."""
    for file, judge in JUDGES.items():
        moments.require_right(file, judge)
