"""Pane 6: when each thing happened, as bars on one time line and as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.tui.widgets.panes.pane import TextPane, sentence_page
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Page, Paragraph, clipped
from inspectd.tui.widgets.panes.times import clock, count, duration, since
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.capture.model import ExchangeRow, Read
    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.wireview import LineSource

_LABEL: Final = 26
_NUMBERS: Final = 12
_CROSSINGS_FIRST: Final = 100
_CROSSINGS_LAST: Final = 20
_GAP_NS: Final = 1_000_000


class Phase(NamedTuple):
    """A stretch of time: nanoseconds since the epoch, and the style of its bar."""

    label: str
    start: int
    end: int
    style: str
    open: bool = False
    """Whether it isn't over."""


class Bar:
    """One phase drawn to scale: label, start, length, bar."""

    __slots__ = ("_first", "_last", "phase")

    def __init__(self, phase: Phase, first: int, last: int) -> None:
        self.phase = phase
        self._first = first
        self._last = last

    def height(self, width: int) -> int:  # noqa: ARG002
        """One."""
        return 1

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The row."""
        phase = self.phase
        length = duration(phase.end - phase.start) if phase.end > phase.start else "at once"
        length += "…" if phase.open else ""
        runs = [
            Run(f"{phase.label:<{_LABEL}}", "plain"),
            Run(f"{since(phase.start, self._first):>{_NUMBERS}} ", "dim"),
            Run(f"{length:>{_NUMBERS}}  ", "strong"),
        ]
        room = width - _LABEL - 2 * _NUMBERS - 3
        if room < 4:
            return [clipped(runs, width)]
        whole = max(1, self._last - self._first)
        left = min(room - 1, (phase.start - self._first) * room // whole)
        size = min(room - left, max(1, round((phase.end - phase.start) * room / whole)))
        rest = max(0, room - left - size)
        return [[*runs, Run("·" * left, "faint"), Run("━" * size, phase.style), Run("·" * rest, "faint")]]


class Timing(TextPane):
    """The time line."""

    title = "Timing"
    short = "Time"

    def page(self, subject: Subject, side: Side) -> LineSource:  # noqa: ARG002
        """Bars first, then every read and write."""
        requests, responses = subject.side("request").reads, subject.side("response").reads
        phases = phases_of(subject, requests)
        times = [time for phase in phases for time in (phase.start, phase.end)]
        times += [each.ns for each in (*requests[:1], *requests[-1:], *responses[:1], *responses[-1:])]
        if not times:
            return sentence_page("No times are known.")
        first, last = min(times), max(times)
        blocks: list[Block] = [
            Line(
                Run(f"{'':<{_LABEL}}{'after':>{_NUMBERS}} {'takes':>{_NUMBERS}}  ", "heading"),
                Run(f"{clock(first)} → {clock(last)}, {duration(last - first)}", "dim"),
            )
        ]
        blocks += [Bar(phase, first, last) for phase in phases]
        blocks += _round_trip(subject)
        blocks += [
            GAP,
            Line(Run("Reads and writes", "heading"), Run("  ← from the client  → to the client", "dim")),
        ]
        blocks += crossings(requests, responses, first)
        return Page(blocks)


def phases_of(subject: Subject, requests: Sequence[Read]) -> list[Phase]:
    """The stretches of an exchange, or of a connection that had none."""
    row, connection = subject.row, subject.connection
    phases: list[Phase] = []
    if row is None:
        if connection is not None:
            first = connection.first_in_ns
            last = max(
                each or connection.opened_ns
                for each in (connection.closed_ns, connection.last_in_ns, connection.last_out_ns, first)
            )
            phases.append(
                Phase("connection open", connection.opened_ns, last, "bar", connection.closed_ns is None)
            )
            if first is not None:
                phases.append(Phase("waiting for a byte", connection.opened_ns, first, "bar-wait"))
                phases.append(Phase("bytes arrive", first, connection.last_in_ns or first, "bar"))
        return phases
    if connection is not None and row.number == 1:
        phases.append(Phase("accepted, no byte yet", connection.opened_ns, row.started_ns, "bar-wait"))
    elif (before := _before(subject, row)) is not None:
        phases.append(Phase("since the answer before", before, row.started_ns, "bar-wait"))
    head = _head_complete(row, requests)
    if head is not None:
        phases.append(Phase("request head arrives", row.started_ns, head, "bar"))
        if row.received_ns is not None and (row.req_len or 0) > row.req_head:
            phases.append(Phase("request content arrives", head, row.received_ns, "bar"))
    elif row.received_ns is not None:
        phases.append(Phase("request arrives", row.started_ns, row.received_ns, "bar"))
    ready = row.received_ns or head
    forward = subject.forward
    if forward is not None:
        phases += [
            Phase(f"server: {word}", start, start + length, "bar-wait" if word == "wait" else "bar-out")
            for word, start, length in forward.phases()
        ]
    if row.answered_ns is not None and ready is not None:
        if row.answered_ns >= ready:
            phases.append(Phase("until the answer begins", ready, row.answered_ns, "bar-wait"))
        if row.finished_ns is not None and row.finished_ns > row.answered_ns:
            phases.append(Phase("answer is written", row.answered_ns, row.finished_ns, "bar-out"))
    return phases


def _before(subject: Subject, row: ExchangeRow) -> int | None:
    """When the exchange before this one on the same connection was answered, if it was before this one began."""
    found = next((each for each in subject.siblings if each.number == row.number - 1), None)
    return (
        found.finished_ns
        if found is not None and (found.finished_ns or row.started_ns) < row.started_ns
        else None
    )


def _head_complete(row: ExchangeRow, requests: Sequence[Read]) -> int | None:
    """When the read came that completed the head."""
    return next((each.ns for each in requests if each.offset + each.length >= row.req_head), None)


def _round_trip(subject: Subject) -> list[Block]:
    connection = subject.connection
    if connection is None:
        return []
    if connection.rtt_us is None:
        return [Paragraph(Run("round trip  not known on this system or kind of socket", "dim"))]
    return [
        Paragraph(
            Run("round trip  ", "heading"),
            Run(duration(connection.rtt_us * 1000), "strong"),
            Run("  as the kernel measured it during the handshake", "dim"),
        )
    ]


def crossings(requests: Sequence[Read], responses: Sequence[Read], start: int) -> list[Block]:
    """Every read and write in order of time, with the gaps between them; the middle of a long list is left out."""
    merged = sorted(
        [(each.ns, "←", each) for each in requests] + [(each.ns, "→", each) for each in responses],
        key=lambda entry: (entry[0], entry[1], entry[2].offset),
    )
    blocks: list[Block] = []
    left_out = len(merged) - _CROSSINGS_FIRST - _CROSSINGS_LAST
    before = start
    for number, (ns, arrow, each) in enumerate(merged):
        if left_out > 0 and _CROSSINGS_FIRST <= number < len(merged) - _CROSSINGS_LAST:
            if number == _CROSSINGS_FIRST:
                blocks.append(Line(Run(f"  … {left_out:,} reads and writes in between", "dim")))
            before = ns
            continue
        gap = ns - before
        runs = [
            Run(f"{since(ns, start):>{_NUMBERS}}  ", "dim"),
            Run(f"{arrow} ", "good" if arrow == "←" else "target"),
            Run(f"{count(each.length, 'byte'):>14}", "plain"),
            Run(f"  {each.offset:04x}–{each.offset + each.length:04x}", "faint"),
        ]
        if gap >= _GAP_NS and number:
            runs.append(Run(f"  after a gap of {duration(gap)}", "warning"))
        blocks.append(Line(*runs))
        before = ns
    if not merged:
        blocks.append(Line(Run("  none", "dim")))
    return blocks
