"""Every key and element that tomllib finds in a text has a position, and it points there."""

from __future__ import annotations

import string
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.locate import Position, locate

if TYPE_CHECKING:
    from collections.abc import Iterator


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path to everything inside a value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield (*path, number)
            yield from paths(item, (*path, number))


def offset(text: str, position: Position) -> int:
    """Where in the text a position is."""
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: position.line - 1]) + position.column - 1


def name_at(text: str, position: Position) -> str:
    """The simple key that stands at a position, read by tomllib."""
    rest = text[offset(text, position) :]
    if rest[0] in "\"'":
        end = 1
        while rest[end] != rest[0]:
            end += 2 if rest[end] == "\\" and rest[0] == '"' else 1
        token = rest[: end + 1]
    else:
        token = rest[: next((at for at, sign in enumerate(rest) if sign not in BARE), len(rest))]
    return next(iter(tomllib.loads(f"{token} = 0")))


BARE = string.ascii_letters + string.digits + "-_"

_CHARACTERS = st.characters(codec="utf-8")
_SCALARS = st.one_of(
    st.text(_CHARACTERS, max_size=12),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.datetimes(),
    st.dates(),
    st.sampled_from(['"', "'", "#", "]]", "a = 1\nb = 2", '"""', "'''", "\\", "\r\n", "{}", "[x]"]),
)
_KEYS = st.one_of(
    st.text(BARE, min_size=1, max_size=6),
    st.text(_CHARACTERS, max_size=6),
    st.sampled_from(["", "a.b", '"', "'", "\n", "#", "ä", "=", "[", "\\"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)
_DOCUMENTS = st.dictionaries(_KEYS, _VALUES, max_size=6)


@given(document=_DOCUMENTS, multiline=st.booleans(), crlf=st.booleans())
def test_each_key_that_tomllib_finds_has_a_position_that_points_at_it(
    document: dict[str, Any], multiline: bool, crlf: bool
) -> None:
    text = tomli_w.dumps(document, multiline_strings=multiline)
    if crlf:
        text = text.replace("\n", "\r\n")
    found = locate(text)
    seen = text.replace("\r\n", "\n")
    for path in paths(tomllib.loads(text)):
        assert path in found, path
        if isinstance(path[-1], str):
            assert name_at(seen, found[path]) == path[-1]


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    locate(text)


@given(
    st.lists(
        st.sampled_from(
            [
                "[",
                "]",
                "[[",
                "]]",
                "{",
                "}",
                ",",
                "=",
                ".",
                "a",
                '"',
                '"""',
                "'",
                "'''",
                "\\",
                "\n",
                "#",
                " ",
                "1",
            ]
        ),
        max_size=40,
    )
)
def test_no_pieces_of_toml_make_it_raise(pieces: list[str]) -> None:
    locate("".join(pieces))


BY_HAND = '''\
# a comment with [brackets] and "quotes"
seed = 5   # another

[[rule]]
match = { method = "POST", path = "/pay/*", header.Accept = "*json*" } # ]]
each = [
  "503 Busy",  # one
  # two
  { respond = "200 OK", json = { ok = [1, 2, { deep = 3 }] } },
  "a # b", 'c ] d',
]
  fault.at = "body+50%"
fault . do = "reset"

[[rule]]
raw = """
a = 1
\\"""quoted\\""" and ""two"" [x]
"""""
body = \'\'\'
[[rule]]
''x\'\'\'
"quoted key" = 1
'literal.key' = 2

[rule.match]
path = "/x"
[rule.match.header]
"X-Ä" = true
[[rule.fault]]
do = "close"
[[rule.fault]]
do = "stall"
[rule.pace]
before = 1979-05-27 07:32:00
[accept]
do = "reset"
'''

EXPECTED = {
    ("seed",): (2, 1),
    ("rule",): (4, 3),
    ("rule", 0): (4, 3),
    ("rule", 0, "match"): (5, 1),
    ("rule", 0, "match", "method"): (5, 11),
    ("rule", 0, "match", "path"): (5, 28),
    ("rule", 0, "match", "header"): (5, 45),
    ("rule", 0, "match", "header", "Accept"): (5, 52),
    ("rule", 0, "each"): (6, 1),
    ("rule", 0, "each", 0): (7, 3),
    ("rule", 0, "each", 1): (9, 3),
    ("rule", 0, "each", 1, "respond"): (9, 5),
    ("rule", 0, "each", 1, "json"): (9, 25),
    ("rule", 0, "each", 1, "json", "ok"): (9, 34),
    ("rule", 0, "each", 1, "json", "ok", 0): (9, 40),
    ("rule", 0, "each", 1, "json", "ok", 1): (9, 43),
    ("rule", 0, "each", 1, "json", "ok", 2): (9, 46),
    ("rule", 0, "each", 1, "json", "ok", 2, "deep"): (9, 48),
    ("rule", 0, "each", 2): (10, 3),
    ("rule", 0, "each", 3): (10, 12),
    ("rule", 0, "fault"): (12, 3),
    ("rule", 0, "fault", "at"): (12, 9),
    ("rule", 0, "fault", "do"): (13, 9),
    ("rule", 1): (15, 3),
    ("rule", 1, "raw"): (16, 1),
    ("rule", 1, "body"): (20, 1),
    ("rule", 1, "quoted key"): (23, 1),
    ("rule", 1, "literal.key"): (24, 1),
    ("rule", 1, "match"): (26, 7),
    ("rule", 1, "match", "path"): (27, 1),
    ("rule", 1, "match", "header"): (28, 13),
    ("rule", 1, "match", "header", "X-Ä"): (29, 1),
    ("rule", 1, "fault"): (30, 8),
    ("rule", 1, "fault", 0): (30, 8),
    ("rule", 1, "fault", 0, "do"): (31, 1),
    ("rule", 1, "fault", 1): (32, 8),
    ("rule", 1, "fault", 1, "do"): (33, 1),
    ("rule", 1, "pace"): (34, 7),
    ("rule", 1, "pace", "before"): (35, 1),
    ("accept",): (36, 2),
    ("accept", "do"): (37, 1),
}


def test_a_text_with_everything_in_it() -> None:
    assert set(paths(tomllib.loads(BY_HAND))) == set(EXPECTED)
    assert dict(locate(BY_HAND)) == EXPECTED


def test_columns_count_characters() -> None:
    assert locate('a = { "äöü€😀" = 1, b = 2 }')[("a", "b")] == (1, 20)


@pytest.mark.parametrize("ends", ['"""', '""""', '"""""'])
def test_quotes_at_the_end_of_a_string_belong_to_it(ends: str) -> None:
    text = f'a = """x{ends}\nb = 1\n'
    tomllib.loads(text)
    assert locate(text)[("b",)] == (2, 1)


def test_time_grows_with_the_size_of_the_text_only() -> None:
    """A megabyte each of what could be gone over again and again; a quadratic walk would take hours."""
    for piece in ("a", '"', "\\n", "''", "[", "{a=", "a.", "#", "1,"):
        locate(f'x = """{piece * (1 << 19)}"""\ny = [{piece * (1 << 19)}')
