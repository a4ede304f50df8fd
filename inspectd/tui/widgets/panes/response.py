"""Pane 5: the answer as it was sent, where it came from, and what inspectd added to it by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from inspectd import explain
from inspectd.capture.answered import answerer
from inspectd.capture.model import State
from inspectd.text.safe import safe
from inspectd.tui.widgets.panes.evidence import evidence_blocks
from inspectd.tui.widgets.panes.meaning import framing_blocks
from inspectd.tui.widgets.panes.pane import TextPane, nothing_yet
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Page, Paragraph
from inspectd.tui.widgets.panes.times import count, duration
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from inspectd.capture.model import ExchangeRow
    from inspectd.explain import Reading
    from inspectd.tui.subject import Side, SideBytes, Subject
    from inspectd.tui.widgets.wireview import LineSource
    from inspectd.wire import Message

_FIELDS_SHOWN: Final = 200
_LONGEST_LINE: Final = 4000


class Response(TextPane):
    """The answer."""

    title = "Response"
    short = "Answer"

    def page(self, subject: Subject, side: Side) -> LineSource:  # noqa: ARG002
        """Status line, fields, what was added, framing."""
        bytes_ = subject.side("response")
        row = subject.row
        blocks: list[Block] = []
        if row is not None and row.label:
            mine = (each.evidence.rule for each in subject.attempts if each.evidence.exchange == row.id)
            rule = next(mine, "")
            who = answerer(rule, row.label)
            blocks.append(
                Paragraph(
                    Run(f"{who.how} ", "heading"),
                    *(
                        [Run(safe(who.name, doubling=False), "target" if who.what else "strong")]
                        if who.name
                        else []
                    ),
                    *(
                        [
                            Run(" · " if who.name else "· ", "dim"),
                            Run(safe(who.what, doubling=False), "strong"),
                        ]
                        if who.what
                        else []
                    ),
                )
            )
        blocks += evidence_blocks(subject)
        if not bytes_.prefix:
            return Page([*blocks, GAP, Paragraph(Run(nothing_yet(subject, "response"), "dim"), indent=1)])
        if not bytes_.stream.messages:
            sentence = f"{count(bytes_.total, 'byte')} were sent that are no HTTP response"
            return Page([*blocks, Paragraph(Run(sentence, "warning"))])
        added = added_lines(row)
        for message in bytes_.stream.messages:
            blocks += _message_blocks(bytes_, message, added)
        blocks += _reading_blocks(subject)
        if added:
            names = ", ".join(line.partition(":")[0] for line in added)
            blocks += [
                GAP,
                Paragraph(
                    Run("+  ", "reading"), Run(f"added by inspectd itself: {safe(names)}", "plain"), hang=3
                ),
            ]
        elif row is not None:
            blocks += [GAP, Paragraph(Run("inspectd added nothing by itself", "dim"))]
        if row is not None:
            blocks += _life(row)
        return Page(blocks)

    def selected_value(self) -> tuple[str, bytes] | None:
        """The page has no cursor: the status line."""
        if self._subject is None or self._subject.response_message is None:
            return None
        start, end = self._subject.response_message.head.start_line
        return "status line", self._subject.response[start:end]


def added_lines(row: ExchangeRow | None) -> tuple[str, ...]:
    """The field lines that inspectd put into the answer by itself."""
    if row is None or not row.added:
        return ()
    try:
        lines = json.loads(row.added)
    except ValueError:
        return ()
    return tuple(str(line) for line in lines) if isinstance(lines, list) else ()


def _message_blocks(bytes_: SideBytes, message: Message, added: tuple[str, ...]) -> list[Block]:
    data = bytes_.prefix
    head = message.head
    code = data[slice(*head.status)].decode("latin-1") if head.status else ""
    reason = data[slice(*head.reason)].decode("latin-1") if head.reason else ""
    start, end = head.start_line
    meaning = explain.status(code, reason)
    blocks: list[Block] = [
        Paragraph(
            Run(safe(data[start : min(end, start + _LONGEST_LINE)]), f"status-{safe(code)}"),
            *([Run("  interim response", "dim")] if message.interim else []),
        ),
        Paragraph(Run(safe(meaning.sentence), "plain"), indent=2),
    ]
    waiting = list(added)
    for field in head.fields[:_FIELDS_SHOWN]:
        line = field.name_bytes + b": " + field.value_bytes
        mine = line.decode("utf-8", "surrogateescape") in waiting
        if mine:
            waiting.remove(line.decode("utf-8", "surrogateescape"))
        blocks.append(
            Paragraph(
                Run("+ " if mine else "  ", "reading"),
                Run(safe(field.name_bytes[:_LONGEST_LINE]), "name"),
                Run(": ", "name"),
                Run(safe(field.value_bytes[:_LONGEST_LINE]), "value"),
                hang=4,
            )
        )
    if len(head.fields) > _FIELDS_SHOWN:
        blocks.append(Line(Run(f"  … {len(head.fields) - _FIELDS_SHOWN:,} fields more: 2 Headers", "dim")))
    blocks += framing_blocks(message)
    if not message.interim:
        blocks.append(
            Paragraph(
                Run(
                    f"{count(message.head_end - message.start, 'byte')} of head, "
                    f"{count(bytes_.total - message.head_end, 'byte')} after it",
                    "dim",
                ),
                indent=2,
            )
        )
    return blocks


def _reading_blocks(subject: Subject) -> list[Block]:
    """Whether the answer may be cached, and whether the connection stays open after it, each with its reason."""
    request, response = subject.request_message, subject.response_message
    if response is None or response.interim or response.head.status is None or response.framing.tunnel:
        return []
    fields = _pairs(response)
    code = subject.response[slice(*response.head.status)]
    status = int(code) if code.isdigit() and len(code) < 9 else 0
    readings: list[Reading | None] = []
    if request is not None and status:
        method = subject.request[slice(*request.head.method)] if request.head.method else b""
        shown = method[:_LONGEST_LINE].decode("latin-1")
        readings.append(explain.cacheability(shown, _pairs(request), status, fields))
    version = subject.response[slice(*response.head.version)] if response.head.version else b""
    asked = None
    if request is not None and request.head.version is not None:
        asked = explain.persistence(subject.request[slice(*request.head.version)], _options(request))
    if asked is not None and asked.kind == "connection-close":
        readings.append(asked)
    else:
        ends = response.framing.until_close
        readings.append(explain.persistence(version, _options(response), kind="response", until_close=ends))
    blocks: list[Block] = []
    for reading in filter(None, readings):
        blocks += [
            GAP,
            Paragraph(Run(safe(reading.title), "reading")),
            Paragraph(
                Run("because ", "heading"), Run(safe(" + ".join(reading.because)), "plain"), indent=2, hang=10
            ),
            Paragraph(Run(safe(reading.paragraph), "dim"), indent=2),
            Paragraph(Run(safe(reading.source), "dim"), indent=2),
        ]
    return blocks


def _pairs(message: Message) -> list[tuple[bytes, bytes]]:
    return [(field.name_bytes, field.value_bytes) for field in message.head.fields[:_FIELDS_SHOWN]]


def _options(message: Message) -> list[str]:
    return [value.decode("latin-1") for name, value in _pairs(message) if name.lower() == b"connection"]


def _life(row: ExchangeRow) -> list[Block]:
    """How far the answer came."""
    if row.answered_ns is None:
        return []
    text = f"first byte {duration(row.answered_ns - row.started_ns)} after the request began"
    if row.finished_ns is not None and row.state & State.RESPONSE_COMPLETE:
        later = row.finished_ns - row.answered_ns
        text += f", last byte {duration(later)} later" if later else ", and all of it at once"
        return [Paragraph(Run(text, "dim"))]
    ended = "the connection ended before the answer did" if row.state & State.ABORTED else "still being sent"
    return [Paragraph(Run(text, "dim"), Run(f"; {ended}", "warning"))]
