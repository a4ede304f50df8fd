"""What a line says of a crafted answer beside its status: that it was cut off, that it came again, by which rule.

`✗ reset`, `↺ 2`, `half of 1,122 bytes, rule api.toml:4`: the marks of the screen, as text. All of it is safe text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.capture.answered import BY_HAND, client_left, decision
from inspectd.capture.model import State
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.capture.model import EvidenceRow, ExchangeRow

_GLYPHS: Final = str.maketrans({"✗": "x", "↺": "~", "·": "-"})
"""What stands for a glyph where none can be written."""


def mark(row: ExchangeRow, evidence: EvidenceRow | None, *, cut: bool, ascii_only: bool = False) -> str:
    """That an answer was not whole and how it ended, and which attempt it was. `cut`: not all of it was sent."""
    parts = [part for part in (_end(row, evidence, cut=cut), _again(evidence)) if part]
    return _written(" ".join(parts), ascii_only=ascii_only)


def sign(row: ExchangeRow, evidence: EvidenceRow | None, *, cut: bool, ascii_only: bool = False) -> str:
    """The same in two cells, for a narrow terminal: the cross before the number of the attempt."""
    end = _end(row, evidence, cut=cut)[:1]
    return _written(end or _again(evidence).replace(" ", ""), ascii_only=ascii_only)


def _written(text: str, *, ascii_only: bool) -> str:
    return text.translate(_GLYPHS) if ascii_only else text


def _end(row: ExchangeRow, evidence: EvidenceRow | None, *, cut: bool) -> str:
    if client_left(row, evidence):
        return "· client left"
    if row.state & State.ABORTED:
        return "✗ cut short"
    if evidence is None:
        return ""
    if evidence.how == "rst":
        return "✗ reset" if evidence.ended_by == "server" else "✗ RST came"
    if evidence.ended_by == "server" and not evidence.sent:
        return "✗ dropped"
    if not cut:
        return ""
    return "✗ closed" if evidence.ended_by == "server" else "✗ cut"


def _again(evidence: EvidenceRow | None) -> str:
    return f"↺ {evidence.attempt}" if evidence is not None and evidence.attempt > 1 else ""


def missing(row: ExchangeRow, evidence: EvidenceRow | None, length: int | None) -> str:
    """How much of the content was sent, of the `length` that its head says, when it isn't all: `half of 40 bytes`."""
    over = row.state & (State.RESPONSE_COMPLETE | State.ABORTED)
    if evidence is None or not over or length is None or row.res_len is None:
        return ""
    if row.method == "HEAD" or row.status in {"204", "304"}:
        return ""
    sent = row.res_len - (row.res_head or 0)
    if sent >= length:
        return ""
    part = "half" if length > 1 and abs(2 * sent - length) <= 1 else f"{sent:,}"
    return f"{part} of {length:,} bytes"


def author(row: ExchangeRow, evidence: EvidenceRow | None) -> str:
    """Who made the answer: `rule api.toml:4`, `by hand`; empty for one that wasn't crafted."""
    if evidence is None or not evidence.rule:
        return ""
    if evidence.rule != BY_HAND:
        return f"rule {safe(evidence.rule)}"
    return "" if decision(evidence.rule, row.label) is None else "by hand"
