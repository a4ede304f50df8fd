"""An answer whose words are templates: status line, field lines and content, made anew for each call.

A field line that comes out empty is left out, so that a template can decide whether there is one.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from inspectd.rules.answer import AnswerError, file_state, parse_status
from inspectd.rules.behaviour import saying
from inspectd.rules.behaviour.template import LARGEST_TEMPLATE
from inspectd.rules.behaviour.words import WordsError, gathered
from inspectd.rules.draft import CraftError
from inspectd.rules.paths import below
from inspectd.rules.tables import RawLine
from inspectd.rules.units import UnitError, hex_bytes, size
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.rules.behaviour.template import Templates
    from inspectd.rules.behaviour.words import Text
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.tables import AnswerTable


def step(table: AnswerTable, templates: Templates, base: Path) -> Step:
    """The step that says what the table says. Raises `CraftProblems`."""
    makes: list[Callable[[], Any]] = [
        partial(_status, table.respond, templates),
        partial(_content, table, templates, base),
        *(partial(_field, f"headers[{index}]", line, templates) for index, line in enumerate(table.headers)),
    ]
    status, content, *lines = gathered(makes)

    def fill(call: Call, draft: Draft) -> Draft:
        if status is not None:
            draft.status_line = status(call)
        rendered = [said for line in lines for said in line(call) if said]
        saying.without(draft, frozenset(map(saying.name_of, rendered)))
        draft.fields[:0] = rendered
        if content is not None:
            draft.content = content(call)
        return draft

    return fill


def _status(text: str | None, templates: Templates) -> Text | None:
    if text is None:
        return None
    if "{" not in text:
        line = saying.status("respond", text)
        return lambda call: line  # noqa: ARG005
    rendered = templates.line("respond", text)

    def status(call: Call) -> bytes:
        said = rendered(call)
        try:
            return parse_status(said.decode("utf-8", "surrogateescape"))
        except AnswerError as error:
            raise WordsError(
                f"the template of respond made {safe(said)!r}, which is no status", error.mend
            ) from None

    return status


def _field(key: str, line: str | RawLine, templates: Templates) -> Any:
    if not isinstance(line, RawLine):
        rendered = templates.line(key, line)
        return lambda call: (rendered(call),)
    rendered = templates.raw_line(f"{key}.raw", line.raw)
    try:
        length = size(line.length)
    except UnitError as error:
        raise CraftError(f"{key}.length", error.what, error.mend) from None
    return lambda call: (rendered(call).ljust(length, b"a"),) * line.times


def _content(table: AnswerTable, templates: Templates, base: Path) -> Text | None:
    if table.body is not None:
        return templates.text("body", table.body)
    if table.json is not msgspec.UNSET:
        value = templates.json("json", table.json)
        return lambda call: _encoded(value(call))
    if table.body_file is not None:
        return _File(below("body-file", table.body_file, base), templates)
    if table.body_hex is not None:
        try:
            return templates.bytes("body-hex", hex_bytes(table.body_hex))
        except UnitError as error:
            raise CraftError("body-hex", error.what, error.mend) from None
    return None


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


class _File:
    """A template in a file, read again when it has changed."""

    def __init__(self, path: Path, templates: Templates) -> None:
        self._path = path
        self._templates = templates
        try:
            self._state = file_state(path)
            self._text = self._read()
        except AnswerError as error:
            raise CraftError("body-file", error.what, error.mend) from None

    def __call__(self, call: Call) -> bytes:
        state = file_state(self._path)
        if state != self._state:
            self._text = self._read()
            self._state = state
        return self._text(call)

    def _read(self) -> Text:
        try:
            with self._path.open("rb") as file:
                source = file.read(LARGEST_TEMPLATE + 1)
        except OSError as error:
            raise AnswerError(
                f"can't read {safe(str(self._path))}: {error.strerror}", "Name a file that can be read."
            ) from None
        if len(source) > LARGEST_TEMPLATE:
            raise AnswerError(
                f"{safe(str(self._path))} is larger than 1 MiB", "A template has to be smaller."
            )
        return self._templates.bytes("body-file", source)
