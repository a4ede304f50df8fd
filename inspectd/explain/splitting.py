"""Cuts field values into pieces by offset, in linear time and never more than `MOST_PARTS` of them.

Quoted strings (RFC 9110 §5.6.4), and in Link the angle brackets, hide delimiters. Nothing here knows what a piece
means, and nothing raises: an unclosed quote reaches to the end of the value.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

MOST_PARTS = 200
"""Pieces of one value that are looked at."""

LONGEST_VALUE = 65_536
"""Characters of one value that are looked at."""

WHITE = " \t"


class Slice(NamedTuple):
    """A piece of a value: its text and where it stands."""

    start: int
    end: int
    text: str


class Pair(NamedTuple):
    """`name=value` in a value; `value` is None when there is no equals sign."""

    name: Slice
    value: Slice | None


@lru_cache(maxsize=16)
def _runs(delimiter: str, *, angles: bool) -> re.Pattern[str]:
    """Return the expression for what stands between two delimiters."""
    # quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE ; URI-Reference in Link stands between < and >
    quoted = r'"(?:[^"\\]++|\\.)*+"?+'
    if angles:
        return re.compile(rf'(?:[^"<{delimiter}]++|{quoted}|<[^>]*+>?+)++', re.DOTALL)
    return re.compile(rf'(?:[^"{delimiter}]++|{quoted})++', re.DOTALL)


def cut(text: str, start: int, end: int) -> Slice:
    """Return the piece between two offsets without the white space around it."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip(WHITE))
    trimmed = piece.strip(WHITE)
    return Slice(start + left, start + left + len(trimmed), trimmed)


def whole(text: str) -> Slice:
    """Return the whole value without the white space around it."""
    return cut(text, 0, len(text))


def elements(text: str, delimiter: str = ",", *, angles: bool = False) -> list[Slice]:
    """Return what stands between the delimiters outside quoted strings; empty elements are left out."""
    found = islice(_runs(delimiter, angles=angles).finditer(text), MOST_PARTS)
    return [piece for match in found if (piece := cut(text, match.start(), match.end())).text]


def inner(outer: Slice, delimiter: str, *, angles: bool = False) -> list[Slice]:
    """Return the elements of a piece, with offsets into the value the piece is from."""
    return [
        Slice(outer.start + piece.start, outer.start + piece.end, piece.text)
        for piece in elements(outer.text, delimiter, angles=angles)
    ]


def pair(piece: Slice) -> Pair:
    """Return a piece as name and value, cut at its first equals sign."""
    at = piece.text.find("=")
    if at < 0:
        return Pair(piece, None)
    return Pair(
        _within(piece, 0, at),
        _within(piece, at + 1, len(piece.text)),
    )


def words(piece: Slice) -> list[Slice]:
    """Return the words of a piece that white space separates."""
    found = islice(re.finditer(r"[^ \t]++", piece.text), MOST_PARTS)
    return [Slice(piece.start + word.start(), piece.start + word.end(), word.group()) for word in found]


def products(text: str) -> list[Slice]:
    """Return the products and comments of a User-Agent, Server or Via value; a comment keeps its parentheses."""
    # product = token ["/" product-version] ; comment = "(" *( ctext / quoted-pair / comment ) ")"
    found: list[Slice] = []
    depth = 0
    opened = 0
    for token in re.finditer(r"[^ \t()]++|[()]", text):
        mark = token.group()
        if mark == "(":
            if depth == 0:
                opened = token.start()
            depth += 1
        elif mark == ")":
            depth = max(0, depth - 1)
            if depth == 0 and text[opened : opened + 1] == "(":
                found.append(Slice(opened, token.end(), text[opened : token.end()]))
                opened = len(text)
        elif depth == 0:
            found.append(Slice(token.start(), token.end(), mark))
        if len(found) >= MOST_PARTS:
            return found
    if depth:
        found.append(Slice(opened, len(text), text[opened:]))
    return found


def unquoted(text: str) -> str:
    """Return the text a quoted string stands for, or the text itself."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def _within(piece: Slice, start: int, end: int) -> Slice:
    found = cut(piece.text, start, end)
    return Slice(piece.start + found.start, piece.start + found.end, found.text)
