"""Where each key and each array element of a TOML text stands, to say where a rule is wrong.

Only for text that `tomllib` has read already: that is the judge of TOML (v1.0), this only walks along. It never
raises; where it can't follow, what lies behind has no position.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.rules.problems import KeyPath


DEEPEST: Final = 64
"""Levels of tables and arrays whose keys are told apart: a key of ten thousand dots shall not fill memory."""


class Position(NamedTuple):
    """A line and a column, both from 1. Columns count characters."""

    line: int
    column: int


# white space, line ends and comments
_BLANK: Final = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_SPACE: Final = re.compile(r"[ \t]*+")
_REST_OF_LINE: Final = re.compile(r"[ \t]*+(?:#[^\n]*+)?+")
# simple-key = quoted-key / unquoted-key
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'""")
# A multi-line string may end in up to two quotes of its own: five in a row close it.
_STRING: Final = re.compile(
    r'''"""(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'''
    r"""|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"""
    r'''|"(?:[^"\\\n]++|\\.)*+"'''
    r"""|'[^'\n]*+'"""
)
# What is neither a string nor a container: numbers, booleans, dates (which may hold a space).
_PLAIN: Final = re.compile(r"[^,\[\]{}#\n]++")


def locate(text: str) -> Mapping[KeyPath, Position]:
    """The positions of keys and array elements, by the path to them: `("rule", 2, "fault", "do")`.

    A key stands where its name begins (the first time it is written), an element where its value does.
    """
    walker = _Walker(text.replace("\r\n", "\n"))
    with suppress(_LostError, RecursionError):
        walker.document()
    return walker.positions()


def longest_key(text: str) -> int:
    """How many names the longest dotted key has: `a.b.c` has three. Looks only where a line has that many dots."""
    if max(map(_dots, text.split("\n"))) < DEEPEST:
        return 0
    walker = _Walker(text.replace("\r\n", "\n"))
    with suppress(_LostError, RecursionError):
        walker.document()
    return walker.longest_key


def _dots(line: str) -> int:
    return line.count(".")


class _LostError(Exception):
    """The text is not as TOML is."""


class _Walker:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, int] = {}
        self.longest_key = 0
        self.lengths: dict[KeyPath, int] = {}
        """How many tables each array of tables has so far."""

    def positions(self) -> dict[KeyPath, Position]:
        """What was found, as lines and columns."""
        starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        located = {}
        for key, offset in self.found.items():
            line = bisect_right(starts, offset)
            located[key] = Position(line, offset - starts[line - 1] + 1)
        return located

    def document(self) -> None:
        table: KeyPath = ()
        while True:
            self.skip(_BLANK)
            if self.at >= len(self.text):
                return
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)
            self.skip(_REST_OF_LINE)

    def header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`: the path of the table that begins."""
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self.dotted()
        self.expect("]]" if array else "]")
        path: KeyPath = ()
        for number, (name, offset) in enumerate(keys):
            path = self.note(path, name, offset)
            if number < len(keys) - 1 and path in self.lengths:
                path = (*path, self.lengths[path] - 1)
        if array:
            count = self.lengths.get(path, 0)
            self.lengths[path] = count + 1
            path = self.note(path, count, keys[-1][1])
        return path

    def pair(self, table: KeyPath) -> None:
        """`a.b = value`."""
        path = table
        for name, offset in self.dotted():
            path = self.note(path, name, offset)
        self.expect("=")
        self.skip(_SPACE)
        self.value(path)

    def dotted(self) -> list[tuple[str, int]]:
        """The names of a dotted key, and where each begins."""
        names = []
        while True:
            self.skip(_SPACE)
            found = _KEY.match(self.text, self.at)
            if found is None:
                raise _LostError
            names.append((_name(found[0]), self.at))
            self.at = found.end()
            self.skip(_SPACE)
            if not self.text.startswith(".", self.at):
                self.longest_key = max(self.longest_key, len(names))
                return names
            self.at += 1

    def note(self, path: KeyPath, name: str | int, offset: int) -> KeyPath:
        """Note where something in a container stands, and return the path to it; below `DEEPEST`, to what is there."""
        if len(path) < DEEPEST:
            path = (*path, name)
            self.found.setdefault(path, offset)
        return path

    def value(self, path: KeyPath) -> None:
        """Any value; what is inside it is noted."""
        sign = self.text[self.at : self.at + 1]
        if sign == "[":
            self.array(path)
        elif sign == "{":
            self.inline_table(path)
        else:
            found = (_STRING if sign in {'"', "'"} else _PLAIN).match(self.text, self.at)
            if found is None:
                raise _LostError
            self.at = found.end()

    def array(self, path: KeyPath) -> None:
        self.at += 1
        number = 0
        while True:
            self.skip(_BLANK)
            if self.text.startswith("]", self.at):
                self.at += 1
                return
            self.value(self.note(path, number, self.at))
            number += 1
            self.skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1

    def inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while True:
            self.skip(_BLANK)
            if self.text.startswith("}", self.at):
                self.at += 1
                return
            self.pair(path)
            self.skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1

    def skip(self, rule: re.Pattern[str]) -> None:
        found = rule.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def expect(self, sign: str) -> None:
        self.skip(_SPACE)
        if not self.text.startswith(sign, self.at):
            raise _LostError
        self.at += len(sign)


def _name(token: str) -> str:
    """The name that a simple key stands for."""
    if token[0] == "'":
        return token[1:-1]
    if token[0] != '"':
        return token
    if "\\" not in token:
        return token[1:-1]
    try:
        return next(iter(tomllib.loads(f"{token} = 0")))
    except tomllib.TOMLDecodeError:
        raise _LostError from None
