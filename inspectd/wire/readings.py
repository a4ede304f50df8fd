"""How readers with other habits find the fields of an odd head, and what that does to framing.

A head that is plain has one reading. In any other, a Content-Length or a Transfer-Encoding may be a field to one
parser and noise to the next: that is what request smuggling lives on. Each habit here is one that deployed
parsers have or had; it is tried only where the head holds what the habit is about.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from inspectd.wire.facts import FACT_NAMES, facts_of
from inspectd.wire.framing import Alternative, Framing
from inspectd.wire.head import Head, read_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inspectd.wire.facts import Facts
    from inspectd.wire.span import Kind

_INDENTED = re.compile(rb"\n[ \t]++(?=[^ \t\r\n])")
_BARE_CR = re.compile(rb"\r(?!\n)")
_FRAMING_WORD = re.compile(rb"(?i:content-length|transfer-encoding)")
_CONTROLS: Final = bytes(range(32)) + b"\x7f"


def with_other_readings(
    framing: Framing, head: Head, kind: Kind, decide: Callable[[Facts], Framing]
) -> Framing:
    """`framing` with an alternative for each habit under which this head is framed differently.

    `decide` frames the message from the fields that a reader of such habits finds.
    """
    if not _FRAMING_WORD.search(head.data.translate(None, _CONTROLS)):
        return framing
    found: list[Alternative] = []
    for reader, sentence, facts in _habits(head, kind):
        other = decide(facts)
        if (other.length, other.chunked, other.until_close, other.lost) != (
            framing.length, framing.chunked, framing.until_close, framing.lost,
        ):  # fmt: skip
            found.append(Alternative(reader, other.length, f"{sentence} {other.sentence}"))
    return replace(framing, alternatives=(*framing.alternatives, *found)) if found else framing


def _habits(head: Head, kind: Kind) -> Sequence[tuple[str, str, Facts]]:
    """The habits that matter to this head: who has them, how they read, and the fields they find."""
    raw = head.data
    habits: list[tuple[str, str, Facts]] = []
    exact = [field for field in head.fields if field.name_bytes.lower() in FACT_NAMES]
    strict_names = [
        field for field in exact if raw[field.name[1] - head.base : field.name[1] - head.base + 1] == b":"
    ]
    if len(strict_names) < len(exact):
        facts = [(field.name_bytes.lower(), field.value_bytes) for field in strict_names]
        habits.append(
            (
                "a reader that passes over names with white space behind them",
                "To it, white space before the colon makes another field name.",
                facts,
            )
        )
    if _INDENTED.search(raw):
        habits.append(
            (
                "a reader that doesn't know folds",
                "It takes each line that starts with white space for a field of its own.",
                facts_of(read_head(_INDENTED.sub(b"\n", raw), head.base, kind)),
            )
        )
    if _BARE_CR.search(raw):
        habits.append(
            (
                "a reader that ends lines at a bare CR",
                "It sees a field line behind the CR.",
                facts_of(read_head(_BARE_CR.sub(b"\r\n", raw), head.base, kind)),
            )
        )
    if any(field.name_bytes.translate(None, _CONTROLS) != field.name_bytes for field in head.fields):
        facts = [
            (name, field.value_bytes)
            for field in head.fields
            if (name := field.name_bytes.translate(None, _CONTROLS).lower()) in FACT_NAMES
        ]
        habits.append(
            ("a reader that drops control bytes", "It strips control bytes from field names.", facts)
        )
    return habits
