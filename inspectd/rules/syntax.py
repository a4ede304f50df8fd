"""What `tomllib` says of a text that is no TOML, in words that lead to the place to mend."""

from __future__ import annotations

import re
from typing import Final

from inspectd.text.safe import clip, safe

_KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_.\- ]|"[^"]*"|'[^']*')+?)\s*=""")
_TWICE: Final = re.compile(r"Cannot declare \((.*)\) twice")
_ESCAPES: Final = (
    "TOML knows \\n \\r \\t \\\\ \\\" \\uXXXX; a byte is \\u00NN. In '...' a backslash is itself."
)
_QUOTES: Final = 'Text stands in quotes: respond = "200 OK".'


def explained(said: str, text: str, line: int | None) -> tuple[str, str]:
    """What is wrong, and how to mend it, both in safe text. `said` is without its place, `line` counts from 1."""
    if "escape" in said:
        return safe(said), _ESCAPES
    if said == r"Illegal character '\n'":
        return (
            "a text without its closing quote",
            'Close it on its line; text of several lines stands in """...""".',
        )
    if said == "Cannot overwrite a value":
        key = _key(text, line)
        return f"{key or 'a key'} is there twice in its table", "Take one of the two out."
    if found := _TWICE.fullmatch(said):
        name = ".".join(part.strip(" '\"") for part in found[1].rstrip(",").split(","))
        mend = (
            "Write [[rule]], in two brackets." if name == "rule" else "Put what is in both into one of them."
        )
        return f"the table [{clip(safe(name), 60)}] is there twice", mend
    if said == "Invalid value":
        return "no value that TOML knows", _QUOTES
    if said.startswith("Expected newline or end of document"):
        return "something follows a value on its line", _QUOTES
    return safe(said), ""


def _key(text: str, line: int | None) -> str:
    """The key that a line gives a value; empty when nobody can tell."""
    lines = text.replace("\r\n", "\n").split("\n")
    found = _KEY.match(lines[line - 1]) if line is not None and line <= len(lines) else None
    return f"'{clip(safe(found[1]), 60)}'" if found else ""
