"""The business case: ask Presto, then write report.md, claims.json and plot.svg into a folder (default: out).

claims.json holds the figures, the SQL that each came from, and three claims that the figures prove:

    {"figures": {"players": 100,                                  hosts that joined a guild
                 "guild_members": {"Blueblades": 25, …},          joins of each guild
                 "swords_sold": 100,
                 "swords_by_type": {"templer": 83, …},
                 "revenue_by_sword": {"templer": 415, …}},
     "sql":     {"players": "select …", …},                       one for each figure
     "claims":  [{"subject": "most_popular_guild", "value": "Blueblades", "text": "…"},
                 {"subject": "most_sold_sword",    "value": "templer",    "text": "…"},
                 {"subject": "top_revenue_sword",  "value": "templer",    "text": "…"}]}

Where two are equally popular, the first in the alphabet is named.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import prestodb
import pygal

SQL = {
    "players": "select count(distinct host) from guild_joins",
    "guild_members": "select guild, count(*) from guild_joins"
    " where guild is not null group by guild order by 2 desc, 1",
    "swords_sold": "select count(sword_type) from sword_purchases",
    "swords_by_type": "select sword_type, count(*) from sword_purchases"
    " where sword_type is not null group by sword_type order by 2 desc, 1",
    "revenue_by_sword": "select sword_type, coalesce(sum(sword_cost), 0) from sword_purchases"
    " where sword_type is not null group by sword_type order by 2 desc, 1",
}


def query(sql: str) -> list[list[Any]]:
    """Presto's rows."""
    connection = prestodb.dbapi.connect(
        host=os.environ.get("PRESTO_HOST", "presto"),
        port=int(os.environ.get("PRESTO_PORT", "8080")),
        user="report",
        catalog="hive",
        schema="default",
    )
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor.fetchall()


def ask_figures() -> dict[str, Any]:
    """Each figure of SQL: a number, or a dict of name to number, the largest first."""
    figures: dict[str, Any] = {}
    for name, sql in SQL.items():
        rows = query(sql)
        figures[name] = rows[0][0] if rows and len(rows[0]) == 1 else dict(rows)
    return figures


def claim(subject: str, counts: dict[str, int], text: str) -> dict[str, str]:
    """A claim about the largest of `counts`; `text` is told its name, its number and the total."""
    name = next(iter(counts))
    return {
        "subject": subject,
        "value": name,
        "text": text.format(name=name, number=counts[name], total=sum(counts.values())),
    }


def make_claims(figures: dict[str, Any]) -> list[dict[str, str]]:
    """Three claims that follow from the figures."""
    return [
        claim("most_popular_guild", figures["guild_members"],
              "{name} is the most popular guild: {number} of {total} joins. Ask for experience to enter it."),
        claim("most_sold_sword", figures["swords_by_type"],
              "{name} is the most sold sword: {number} of {total} purchases."),
        claim("top_revenue_sword", figures["revenue_by_sword"],
              "{name} brings in the most: {number} of {total} coins. Promote the others."),
    ]  # fmt: skip


def markdown(figures: dict[str, Any], claims: list[dict[str, str]]) -> str:
    """The report as one reads it."""
    players, swords = figures["players"], figures["swords_sold"]
    lines = ["# Business case", "", f"{players} players, {swords} swords sold.", ""]
    lines += [f"- {claim['text']}" for claim in claims]
    for title, name in (("Guild", "guild_members"), ("Sword", "revenue_by_sword")):
        lines += ["", f"| {title} | {name.replace('_', ' ')} |", "|---|---:|"]
        lines += [f"| {key} | {number} |" for key, number in figures[name].items()]
    return "\n".join([*lines, "", "![Revenue by sword](plot.svg)", ""])


def plot(figures: dict[str, Any], file: Path) -> None:
    """Draw sales and revenue of each sword."""
    chart = pygal.Bar(title="Swords: purchases and revenue", x_title="sword", print_values=True)
    chart.x_labels = list(figures["revenue_by_sword"])
    chart.add("purchases", [figures["swords_by_type"][sword] for sword in chart.x_labels])
    chart.add("revenue", list(figures["revenue_by_sword"].values()))
    chart.render_to_file(str(file))


def main(folder: Path) -> None:
    """Ask once, and write all three files from the same figures."""
    figures = ask_figures()
    if not figures["guild_members"] or not figures["swords_by_type"]:
        sys.exit("There is nothing to report yet: send events (lab 7) and give Spark ten seconds.")
    claims = make_claims(figures)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"figures": figures, "sql": SQL, "claims": claims}
    (folder / "claims.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / "report.md").write_text(markdown(figures, claims), "utf-8")
    plot(figures, folder / "plot.svg")
    print(f"Wrote report.md, claims.json and plot.svg into {folder}.")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "out"))
    except (prestodb.exceptions.Error, prestodb.exceptions.PrestoQueryError, OSError) as error:
        sys.exit(f"No report: {error}")
