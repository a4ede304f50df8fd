"""Rules that were compiled before: a test that runs once for each of its parameters says the same every time.

Only rules are kept that look at nothing but their own words: no file and no behaviour with a memory of its own.
"""

from __future__ import annotations

import marshal
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from inspectd.rules.sequence import State
from inspectd.testing.hiding import hidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.book import Rule as BookRule

__tracebackhide__ = hidden

_WORDS: Final = frozenset(
    {
        "match",
        "name",
        "respond",
        "headers",
        "auto",
        "body",
        "body-hex",
        "json",
        "raw",
        "close",
        "pace",
        "fault",
    }
)
_MOST: Final = 256
_compiled: dict[tuple[bytes, object], BookRule] = {}


def compiled_once(table: dict[str, Any], place: object, compile_it: Callable[[], BookRule]) -> BookRule:
    """What `compile_it` makes of a table at a place, or made of it before; always with calls of its own."""
    words = _exactly(table)
    if words is None:
        return compile_it()
    found = _compiled.get((words, place))
    if found is None:
        if len(_compiled) >= _MOST:
            _compiled.clear()
        found = _compiled[words, place] = compile_it()
    return replace(found, state=State())


def _exactly(table: dict[str, Any]) -> bytes | None:
    """Bytes that only this very table has; None when it isn't made of plain words."""
    if not table.keys() <= _WORDS:
        return None
    try:
        return marshal.dumps(table, 2)  # this version has no references: what is equal looks equal
    except ValueError:
        return None
