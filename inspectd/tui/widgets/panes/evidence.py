"""What the client did with a crafted answer: a line for each time it asked for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.text.safe import safe
from inspectd.tui.widgets.panes.prose import GAP, Block, Paragraph
from inspectd.tui.widgets.panes.times import count, duration
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from inspectd.capture.model import EvidenceRow
    from inspectd.tui.subject import Attempt, Subject

_HOW: Final = {"fin": "FIN", "rst": "RST", "timeout": "a time-out", "error": "an error"}


def evidence_blocks(subject: Subject) -> list[Block]:
    """The attempts, the oldest first, and which of them is looked at; nothing for an answer that wasn't crafted."""
    attempts = subject.attempts
    if not attempts or subject.row is None:
        return []
    many = f", {count(len(attempts), 'attempt')}" if len(attempts) > 1 else ""
    blocks: list[Block] = [GAP, Paragraph(Run(f"What the client did{many}", "heading"))]
    for attempt in attempts:
        here = attempt.evidence.exchange == subject.row.id
        blocks.append(Paragraph(*_runs(attempt, here=here), indent=1, hang=6))
    blocks.append(GAP)
    return blocks


def _runs(attempt: Attempt, *, here: bool) -> list[Run]:
    """One attempt: when and on which connection, how much of the answer arrived, and who ended it."""
    evidence, exchange = attempt
    runs = [
        Run("▸ " if here else "  ", "brand"),
        Run(f"{evidence.attempt}  ", "strong"),
        Run(f"#{evidence.exchange}", "target" if here else "plain"),
    ]
    if exchange is not None:
        runs.append(Run(f" on connection {exchange.connection}", "plain"))
        runs.append(Run(", reused" if evidence.reused else ", new", "dim"))
    if evidence.gap_ns is not None:
        runs.append(Run(f"  ↺ after {duration(evidence.gap_ns)}", "reading"))
    if exchange is not None and exchange.status:
        runs += [Run("  "), Run(safe(exchange.status), f"status-{safe(exchange.status)}")]
    runs += [Run("  "), *_delivered(evidence), Run("  "), _ending(evidence)]
    return runs


def _delivered(evidence: EvidenceRow) -> list[Run]:
    """How many of the planned bytes were sent, and how many of those the client's kernel has."""
    sent, planned = evidence.sent, evidence.planned
    if not sent and not planned:
        return [Run("not a byte sent", "warning")]
    whole = planned is not None and sent >= planned
    if whole and evidence.acked is not None and evidence.acked >= sent:
        return [Run(f"all {count(sent, 'byte')} acknowledged", "good")]
    if planned is None or whole:
        runs = [Run(f"{'all ' if whole else ''}{count(sent, 'byte')} sent", "good" if whole else "plain")]
    else:
        runs = [Run(f"{sent:,} of {count(planned, 'byte')} sent", "warning")]
    if evidence.acked is None:
        runs.append(Run(", not known how many arrived", "dim"))
    elif evidence.acked >= sent:
        runs.append(Run(", all acknowledged" if sent else "", "dim"))
    else:
        runs.append(Run(f", {evidence.acked:,} acknowledged", "warning"))
    return runs


def _ending(evidence: EvidenceRow) -> Run:
    """Who ended the connection with this exchange, how, and how long after its last byte."""
    if evidence.ended_by is None:
        return Run("the connection stayed open", "dim")
    who = "the client" if evidence.ended_by == "client" else "inspectd"
    how = _HOW.get(evidence.how or "", safe(evidence.how or "nobody knows what"))
    after = evidence.after_ns
    if after is None:
        when = ""
    elif after < 0:
        when = f" {duration(-after)} before the last byte"
    else:
        when = f" {duration(after)} later" if evidence.sent else f" {duration(after)} after the request"
    early = evidence.ended_by == "client" and (after or 0) < 0
    return Run(f"{how} by {who}{when}", "error" if early or evidence.how == "rst" else "plain")
