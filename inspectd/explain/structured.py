"""Structured fields taken apart by http-sf, with where each part stands (RFC 9651).

The library decides what an item is and where it ends; here its cursor is read between the parts. A value with a
mistake is ignored as a whole by those who follow the grammar: its last part says where the mistake is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from inspectd.explain.registered import structured_type
from inspectd.explain.shapes import looked_up, part, said
from inspectd.explain.splitting import MOST_PARTS, Slice, whole

if TYPE_CHECKING:
    from http_sf.state import ParserState

    from inspectd.explain.model import Explanation, Part
    from inspectd.explain.registry import FieldEntry

LONGEST: Final = 8192
"""Characters of a value that are parsed; more of them is cut into no parts."""

_OPEN, _CLOSE, _SEMICOLON, _EQUALS, _COMMA, _SP, _HTAB = b"();=, \t"


def structured(entry: FieldEntry, value: str) -> list[Part]:
    """The members, items and parameters of a structured value; the top-level type is the field's own."""
    piece = whole(value)
    kind = structured_type(entry.explanation.title)
    if not piece.text or not kind or len(piece.text) > LONGEST:
        return [part(piece, entry.label, None)] if piece.text else []
    return _Walk(entry, piece).parts(kind)


class _Walk:
    """One pass over a value, which notes each part as the parser leaves it."""

    def __init__(self, entry: FieldEntry, piece: Slice) -> None:
        from http_sf.state import ParserState

        self._entry = entry
        self._piece = piece
        self._state: ParserState = ParserState(piece.text.encode("latin-1", "replace"))
        self._found: list[Part] = []

    def parts(self, kind: str) -> list[Part]:
        """All parts up to the first mistake, and that."""
        from http_sf import StructuredFieldError

        try:
            if kind == "item":
                self._item("")
                self._blank()
                if self._next() is not None:
                    self._state.fail("Trailing characters after the item")
            else:
                self._members(keyed=kind == "dictionary")
        except StructuredFieldError as problem:
            size = len(self._piece.text)
            place = self._state.cursor if problem.position is None else problem.position
            at = max(min(place, size - 1), self._end())
            if at < size:
                why = said("structured-mistake", self._piece.text[at:], place=str(at + 1))
                self._add(at, size, "mistake", why)
            elif self._found:
                last = self._found.pop()
                why = said("structured-unfinished", self._piece.text[last.start - self._piece.start :])
                self._found.append(replace(last, label="mistake", explanation=why))
        return self._found[:MOST_PARTS]

    def _end(self) -> int:
        return self._found[-1].end - self._piece.start if self._found else 0

    def _members(self, *, keyed: bool) -> None:
        from http_sf.util import parse_key

        while len(self._found) < MOST_PARTS:
            key = ""
            if keyed:
                start = self._state.cursor
                key = parse_key(self._state)
                self._add(start, self._state.cursor, "key", looked_up(self._entry.values, key))
                if self._next() == _EQUALS:
                    self._state.cursor += 1
                    self._member(key)
                else:
                    self._parameters()
            else:
                self._member("")
            self._blank()
            if self._next() is None:
                return
            if self._next() != _COMMA:
                self._state.fail("A comma belongs between the members")
            self._state.cursor += 1
            self._blank()

    def _member(self, key: str) -> None:
        """An item, or an inner list of them."""
        if self._next() != _OPEN:
            self._item(key)
            return
        self._state.cursor += 1
        self._blank()
        while self._next() != _CLOSE and len(self._found) < MOST_PARTS:
            self._item(key)
            if self._next() not in (_SP, _CLOSE):
                self._state.fail("A space belongs between the items")
            self._blank()
        self._state.cursor += 1
        self._parameters()

    def _item(self, key: str) -> None:
        from http_sf.bare_item import parse_bare_item

        start = self._state.cursor
        bare = parse_bare_item(self._state)
        text = self._piece.text[start : self._state.cursor]
        known = looked_up(self._entry.values, f"{key}={text}", text) if key else None
        known = known or looked_up(self._entry.values, text.strip('"'), text)
        self._add(
            start,
            self._state.cursor,
            self._entry.label if not key else _kind(bare),
            known or _said(bare, text),
        )
        self._parameters()

    def _parameters(self) -> None:
        from http_sf.bare_item import parse_bare_item
        from http_sf.util import parse_key

        while self._next() == _SEMICOLON and len(self._found) < MOST_PARTS:
            self._state.cursor += 1
            while self._next() == _SP:
                self._state.cursor += 1
            start = self._state.cursor
            key = parse_key(self._state)
            meaning = looked_up(self._entry.parameters, key)
            if self._next() == _EQUALS:
                self._state.cursor += 1
                at = self._state.cursor
                bare = parse_bare_item(self._state)
                meaning = meaning or _said(bare, self._piece.text[at : self._state.cursor])
            text = self._piece.text[start : self._state.cursor]
            self._add(start, self._state.cursor, "parameter", meaning and replace(meaning, title=text[:60]))

    def _next(self) -> int | None:
        state = self._state
        return state.data[state.cursor] if state.cursor < len(state.data) else None

    def _blank(self) -> None:
        while self._next() in (_SP, _HTAB):
            self._state.cursor += 1

    def _add(self, start: int, end: int, label: str, meaning: Explanation | None) -> None:
        base = self._piece.start
        self._found.append(part(Slice(base + start, base + end, self._piece.text[start:end]), label, meaning))


def _kind(bare: Any) -> str:
    """What RFC 9651 §3.3 calls a bare item."""
    from datetime import datetime

    from http_sf import DisplayString, Token

    named = (
        (Token, "token"),
        (DisplayString, "display string"),
        (bool, "boolean"),
        (int, "integer"),
        (bytes, "byte sequence"),
        (datetime, "date"),
        (str, "string"),
    )
    return next((name for kind, name in named if isinstance(bare, kind)), "decimal")


def _said(bare: Any, text: str) -> Explanation | None:
    """What a bare item is, where no vocabulary knows its value and its kind alone says something."""
    kind = _kind(bare)
    if kind == "boolean":
        return said("structured-true" if bare else "structured-false", text)
    if kind == "byte sequence":
        return said("structured-bytes", text, count=f"{len(bare)} {'byte' if len(bare) == 1 else 'bytes'}")
    if kind == "date":
        return said("structured-date", text, date=f"{bare:%Y-%m-%d %H:%M:%S}")
    return None
