"""A student's query, asked by the check itself: one question, within a time, and nothing that changes a table."""

import re
from typing import Any

from swordlab.grading.live import Presto

MOST_ROWS = 50_000
LIMITS = {"query_max_run_time": "25s"}
QUESTIONS = ("select", "with", "show", "describe", "desc", "values", "table", "(")
PIECES = re.compile(r"--[^\n]*|/\*.*?\*/|;|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^;'\"/-]+|.", re.DOTALL)
"""Comments, semicolons, quoted text, and what is between them."""


class NoQuestion(Exception):
    """The text holds no query, or one that does not ask."""


def ask(presto: Presto, text: str) -> list[tuple[Any, ...]]:
    """Presto's answer to the last query of a text. Raises NoQuestion, or PrestoQueryError as Presto words it."""
    asked = [statement for statement in statements(text) if not statement.lower().startswith("use ")]
    if not asked:
        raise NoQuestion("it is empty")
    for statement in asked:
        if not statement.lower().startswith(QUESTIONS):
            raise NoQuestion(f"it begins with {statement.split()[0]}")
    return presto.rows(asked[-1], LIMITS, MOST_ROWS)


def statements(text: str) -> list[str]:
    """The statements of a text, without comments; a semicolon in quotes does not end one."""
    parts = [""]
    for piece in PIECES.findall(text):
        if piece == ";":
            parts.append("")
        else:
            parts[-1] += " " if piece.startswith(("--", "/*")) else piece
    return [part.strip() for part in parts if part.strip()]
