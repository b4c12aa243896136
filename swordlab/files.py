"""Files that others may be reading while they are written."""

import secrets
from pathlib import Path


def write(path: Path, text: str) -> Path:
    """Write a file in one step: a reader, or a Ctrl-C, finds the old text or the new one, never half of it."""
    try:
        if path.read_text("utf-8") == text:
            return path
    except (OSError, ValueError):
        pass
    scratch = unfinished(path)
    scratch.write_text(text, "utf-8")
    scratch.replace(path)
    return path


def unfinished(path: Path) -> Path:
    """A name beside `path` for what will be it, which no other process uses, in whatever container or box it runs."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}")
