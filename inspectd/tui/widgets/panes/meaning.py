"""What the token under the cursor means, as a page of text.

Puts together what `inspectd.explain` says about the token, its field and the whole head, and how the message is framed.
Every text, ours or the wire's, passes through `inspectd.text.safe` before it becomes a run.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from inspectd import explain
from inspectd.text.safe import clip, safe
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Paragraph, Title
from inspectd.tui.widgets.wireview import Run
from inspectd.wire import ArrivedHead, RequestReader
from inspectd.wire.span import Role
from inspectd.wire.strict import refusal
from inspectd.wire.tls import Part as TlsPart
from inspectd.wire.tls import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.explain import Explanation, Part, Reading
    from inspectd.lint import Entry, Finding
    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.panes.document import Stop
    from inspectd.wire import Message, Span

_START_LINE: Final = frozenset(
    {
        Role.METHOD,
        Role.REQUEST_TARGET,
        Role.SCHEME,
        Role.AUTHORITY,
        Role.PATH,
        Role.QUERY,
        Role.FRAGMENT,
        Role.VERSION,
    }
)
_FRAMED: Final = frozenset(
    {
        Role.EMPTY_LINE,
        Role.CONTENT,
        Role.CHUNK_SIZE,
        Role.CHUNK_DATA,
        Role.LAST_CHUNK,
        Role.UNFRAMED,
    }
)
_FRAMING_FIELDS: Final = frozenset({"content-length", "transfer-encoding", "connection", "upgrade"})
_TELLING: Final = ("sec-fetch-", "access-control-request-", "origin", "host")
"""Names of fields that always have to do with what made the request."""
_VALUES: Final = frozenset({Role.FIELD_VALUE, Role.TRAILER_VALUE})
_NAMES: Final = frozenset({Role.FIELD_NAME, Role.TRAILER_NAME})
_LONGEST_SPLIT: Final = 16 * 1024
_PARTS_LISTED: Final = 40
_FOUND_LISTED: Final = 6
_TITLE_CELLS: Final = 200
_LABEL_CELLS: Final = 12


def say(text: str | bytes, style: str = "plain") -> Run:
    """A run of safe text."""
    return Run(safe(text), style)


def said(text: str, style: str = "plain") -> Run:
    """A run of text whose bytes of the wire are written as escapes already: those stay as they are."""
    return Run(safe(text, doubling=False), style)


def explanation_blocks(meaning: Explanation, *, rest: bool = True) -> list[Block]:
    """Sentence and paragraph, each on its own."""
    blocks: list[Block] = [Paragraph(say(meaning.sentence))]
    if rest and meaning.paragraph:
        blocks += [GAP, Paragraph(say(meaning.paragraph))]
    return blocks


FINDING_MARKS: Final = {
    "error": ("✗ ", "error"),
    "warning": ("▲ ", "warning"),
    "info": ("· ", "dim"),
    "good": ("✓ ", "good"),
}


def finding_mark(about: Entry) -> Run:
    """A glyph that says how bad it is, without colours as well."""
    return Run(*FINDING_MARKS[about.severity])


class Meaning:
    """The explanations of one direction of a subject."""

    def __init__(self, subject: Subject, side: Side) -> None:
        self.subject = subject
        self.side: Side = side
        self.bytes = subject.side(side)
        self.spans: Sequence[Span] = self.bytes.stream.spans
        self._parts: dict[int, list[Part]] = {}

    # what a span belongs to

    def text(self, start: int, end: int) -> bytes:
        """The bytes of a range."""
        return self.bytes.prefix[start:end]

    def name_of(self, span: int) -> bytes | None:
        """The name of the field that a span of its line belongs to."""
        while span >= 0:
            role = self.spans[span].role
            if role in _NAMES:
                return self.text(self.spans[span].start, self.spans[span].end)
            if role in (Role.CRLF, Role.LF, Role.EMPTY_LINE):
                return None
            span -= 1
        return None

    def parts(self, span: int) -> list[tuple[int, int]]:
        """The parts of a field value as ranges of the bytes; none when it has fewer than two."""
        start = self.spans[span].start
        return [(start + part.start, start + part.end) for part in self._parts_of(span)]

    def _parts_of(self, span: int) -> list[Part]:
        start, end, role = self.spans[span]
        if role not in _VALUES or end - start > _LONGEST_SPLIT:
            return []
        found = self._parts.get(span)
        if found is None:
            name = self.name_of(span) or b""
            found = explain.value_parts(name.decode("latin-1"), self.text(start, end))
            found = [part for part in found if 0 <= part.start < part.end <= end - start]
            if len(found) < 2 and not (found and (found[0].start, found[0].end) != (0, end - start)):
                found = []
            self._parts[span] = found
        return found

    def message_at(self, offset: int) -> Message | None:
        """The message that holds the byte at `offset`."""
        messages = self.bytes.stream.messages
        return next(
            (each for each in messages if each.start <= offset < each.end), messages[0] if messages else None
        )

    @cached_property
    def readings(self) -> list[Reading]:
        """What the request's head says as a whole."""
        message = self.subject.request_message
        if message is None:
            return []
        head = message.head
        fields = [(field.name_bytes, field.value_bytes) for field in head.fields[:200]]
        data = self.subject.request
        method = data[slice(*head.method)] if head.method else b""
        target = data[slice(*head.target)] if head.target else b""
        version = data[slice(*head.version)] if head.version else b""
        secure = self.subject.tls is not None
        return explain.head(method, target, fields, version=version, secure=secure)

    # the page

    def page(self, stop: Stop) -> list[Block]:
        """Everything about the token at the cursor."""
        role = self.spans[stop.span].role
        start, end = (stop.start, stop.end) if stop.part >= 0 else self.spans[stop.span][:2]
        subject, blocks, meaning = self._subject_of(stop, role)
        where = f"{end - start:,} {'byte' if end - start == 1 else 'bytes'} · {start:04x}–{end:04x}"
        if (start, end) != (stop.start, stop.end):
            where += f" · here {stop.start:04x}–{stop.end:04x}"
        kind = role.value if stop.part < 0 else f"part of {role.value}"
        title = Title(*subject, remark=Run(f"{kind} · {where}", "dim"))
        about_role = explain.role(role)
        grammar = (meaning.grammar if meaning else "") or about_role.grammar
        source = (meaning.source if meaning else "") or about_role.source
        blocks = [title, GAP, *self._found_blocks(stop), *blocks]
        if source:
            blocks.append(Paragraph(say(source, "dim")))
        name = (self.name_of(stop.span) or b"").decode("latin-1").lower() if role not in _START_LINE else ""
        message = self.message_at(start)
        if role in _START_LINE and message is not None:  # what the list marks is the first thing to be said
            blocks += refusal_blocks(message)
            if message.framing.ambiguous:
                blocks += framing_blocks(message)
        blocks += self._reading_blocks(role, name)
        if role in _FRAMED or name in _FRAMING_FIELDS:
            blocks += self._framing_blocks(start)
        if grammar:
            blocks += [GAP, Paragraph(Run("grammar  ", "heading"), say(grammar, "dim"), hang=9)]
        return blocks

    @cached_property
    def noted(self) -> list[tuple[Finding, Entry]]:
        """What is found in these bytes and is more than a good note, with what the catalogue says of it."""
        from inspectd.lint import Severity, entry

        found = [(each, entry(each.id)) for each in self.bytes.findings]
        return [(each, about) for each, about in found if about.level > Severity.GOOD]

    def _found_blocks(self, stop: Stop) -> list[Block]:
        """What is found in the token at the cursor, the worst first."""
        at = [
            (each, about)
            for each, about in self.noted
            if (each.start < stop.end and stop.start < each.end) or stop.start <= each.start < stop.end
        ]
        at.sort(key=lambda found: -found[1].level)
        blocks: list[Block] = []
        for each, about in at[:_FOUND_LISTED]:
            detail = f" ({each.detail})" if each.detail else ""
            blocks.append(
                Paragraph(
                    finding_mark(about), say(f"{about.summary}{detail}  "), Run(about.id, "dim"), hang=2
                )
            )
        if len(at) > _FOUND_LISTED:
            blocks.append(Line(Run(f"  … {len(at) - _FOUND_LISTED} more: 9", "dim")))
        return [*blocks, GAP] if blocks else []

    def _subject_of(self, stop: Stop, role: Role) -> tuple[list[Run], list[Block], Explanation | None]:
        """The title's runs, the explaining blocks, and the explanation whose grammar and source count."""
        data = self.text(stop.start, min(stop.end, stop.start + _TITLE_CELLS))
        shown = clip(safe(data), _TITLE_CELLS)
        if role is Role.METHOD:
            meaning = explain.method(self._whole(stop).decode("latin-1"))
            return [Run(shown, "method")], explanation_blocks(meaning), meaning
        if role in (Role.STATUS_CODE, Role.REASON_PHRASE):
            return self._status(stop, shown, role)
        if role in _NAMES:
            meaning = explain.field(data.decode("latin-1"))
            blocks = explanation_blocks(meaning) + registration_blocks(data.decode("latin-1"))
            return [Run(shown, "name-title")], blocks, meaning
        if role in _VALUES:
            return self._value(stop, shown)
        if self.bytes.tls_pieces and role.value.startswith("tls-"):
            return self._tls(stop, shown)
        meaning = explain.role(role)
        title = [say(meaning.title, "strong")]
        if role in _START_LINE:
            title.append(Run(f"  {shown}", "target"))
        return title, explanation_blocks(meaning) + self._sentence_blocks(), None

    def _sentence_blocks(self) -> list[Block]:
        """What a connection that never became an exchange was."""
        connection = self.subject.connection
        if connection is None or not connection.sentence or self.subject.row is not None:
            return []
        return [GAP, Paragraph(say(connection.sentence, "strong"))]

    def _tls(self, stop: Stop, shown: str) -> tuple[list[Run], list[Block], Explanation]:
        """A piece of a ClientHello or an alert: its name, what it means, and the extension it stands in."""
        piece = self.bytes.tls_pieces[stop.span]
        meaning = explain.tls.piece(piece, self.bytes.prefix)
        title = [say(meaning.title, "value-title")]
        if piece.role is Role.TLS_SERVER_NAME:
            title = [Run(shown, "target")]
        blocks = explanation_blocks(meaning)
        if piece.extension >= 0 and piece.role is not Role.TLS_EXTENSION_TYPE:
            about = explain.tls.extension(piece.extension)
            blocks += [GAP, Paragraph(say(f"{about.title}  ", "name-title"), say(about.sentence, "dim"))]
        if piece.part in (TlsPart.RECORD, TlsPart.MESSAGE, TlsPart.ALERT):
            blocks += self._sentence_blocks()
        return title, blocks, meaning

    @property
    def labels(self) -> dict[int, str]:
        """The lines of a ClientHello: a name for each offset at which a part of it begins."""
        found = self.bytes.tls_pieces
        labels: dict[int, str] = {}
        for unit in units(found):
            if unit.part in (TlsPart.REST, TlsPart.SURPLUS):
                continue
            known = unit.part is TlsPart.EXTENSION and unit.extension >= 0
            name = explain.tls.extension_name(unit.extension) if known else unit.part.value
            labels[found[unit.first].start] = clip(name, _LABEL_CELLS)
        return labels

    def _whole(self, stop: Stop) -> bytes:
        span = self.spans[stop.span]
        return self.text(span.start, min(span.end, span.start + 4096))

    def _status(self, stop: Stop, shown: str, role: Role) -> tuple[list[Run], list[Block], Explanation]:
        code = reason = ""
        message = self.message_at(stop.start)
        if message is not None:
            data = self.bytes.prefix
            code = data[slice(*message.head.status)].decode("latin-1") if message.head.status else ""
            reason = data[slice(*message.head.reason)].decode("latin-1") if message.head.reason else ""
        meaning = explain.status(code, reason)
        blocks: list[Block] = []
        if role is Role.REASON_PHRASE:
            blocks += [*explanation_blocks(explain.role(role)), GAP]
        blocks += explanation_blocks(meaning)
        style = f"status-{safe(code)}"
        title = [Run(shown, style)] if role is Role.REASON_PHRASE else [say(meaning.title, style)]
        return title, blocks, meaning

    def _value(self, stop: Stop, shown: str) -> tuple[list[Run], list[Block], Explanation | None]:
        wire_name = self.name_of(stop.span) or b""
        name, spelled = wire_name.decode("latin-1"), safe(wire_name)
        field = explain.field(name)
        about_field = Paragraph(Run(f"{spelled}  ", "name-title"), say(field.sentence, "dim"))
        parts = self._parts_of(stop.span)
        blocks: list[Block] = []
        if 0 <= stop.part < len(parts):
            part = parts[stop.part]
            title = [Run(shown, "value-title"), say(f"  {part.label} in ", "dim"), Run(spelled, "name")]
            if part.explanation is not None:
                blocks = explanation_blocks(part.explanation)
            else:
                blocks = [Paragraph(say(f"A part of the value: {part.label}."))]
            return title, [*blocks, GAP, about_field], part.explanation or field
        title = [Run(f"{spelled}: ", "name-title"), Run(shown, "value-title")]
        meaning = explain.value(name, self._whole(stop))
        if meaning is not None:
            told = any(part.explanation and part.explanation.sentence in meaning.paragraph for part in parts)
            blocks = explanation_blocks(meaning, rest=not told)  # what the parts say stands with the parts
        if parts:
            blocks += [GAP] if blocks else []
            blocks += self._part_lines(stop, parts)
        blocks = [*blocks, GAP, about_field] if blocks else explanation_blocks(field)
        return title, blocks, meaning or field

    def _part_lines(self, stop: Stop, parts: Sequence[Part]) -> list[Block]:
        begin = self.spans[stop.span].start
        lines: list[Block] = []
        for part in parts[:_PARTS_LISTED]:
            text = clip(safe(self.text(begin + part.start, begin + part.end)), 60)
            said = part.explanation.sentence if part.explanation else part.label
            lines.append(Paragraph(Run(f"{text}  ", "value"), say(said, "dim"), indent=1, hang=3))
        if len(parts) > _PARTS_LISTED:
            lines.append(Line(Run(f" … {len(parts) - _PARTS_LISTED} parts more", "dim")))
        return lines

    def _reading_blocks(self, role: Role, name: str) -> list[Block]:
        """What made this request, where the token is part of the evidence."""
        if self.side != "request":
            return []
        blocks: list[Block] = []
        for number, reading in enumerate(self.readings):
            concerned = role in _START_LINE or role is Role.EMPTY_LINE or name.startswith(_TELLING)
            if not concerned and not (name and any(name in because.lower() for because in reading.because)):
                continue
            blocks += [GAP, *reading_blocks(reading, self.subject, first=number == 0)]
        return blocks

    def _framing_blocks(self, offset: int) -> list[Block]:
        message = self.message_at(offset)
        return framing_blocks(message) if message is not None else []


def registration_blocks(name: str) -> list[Block]:
    """What registries and browsers say of a field, in a line; nothing where they say nothing."""
    known = explain.registration(name)
    facts = [f"{known.state} at IANA"] if known.state else []
    facts += [f"a structured {known.structured}"] if known.structured else []
    facts += [each.words for each in known.support]
    return [GAP, Paragraph(say(" · ".join(facts), "dim"))] if facts else []


def reading_blocks(reading: Reading, subject: Subject, *, first: bool) -> list[Block]:
    """A reading with its evidence, and whether the answer says what it must."""
    heading = "What made this request" if first else "Also"
    if reading.kind.startswith("no-fetch-metadata"):
        heading = "No Sec-Fetch-* fields"
    title = reading.title.removeprefix("No Sec-Fetch-*").removeprefix(":").strip()
    blocks: list[Block] = [Paragraph(Run(f"{heading}  ", "heading"), say(title, "reading"), hang=2)]
    if reading.because:
        blocks.append(
            Paragraph(Run("because ", "heading"), say(" + ".join(reading.because)), indent=2, hang=10)
        )
    blocks.append(Paragraph(say(reading.paragraph), indent=2))
    if reading.must:
        blocks += [GAP, Line(Run("Your answer must say", "heading"))]
        message = subject.response_message
        if message is None:
            blocks += [Paragraph(say(each.line), indent=2, hang=4) for each in reading.must]
        else:
            fields = [(field.name_bytes, field.value_bytes) for field in message.head.fields[:200]]
            code = subject.response[slice(*message.head.status)] if message.head.status else b""
            status = int(code) if code.isdigit() and len(code) < 9 else 0
            for check in explain.check_answer(reading.must, status, fields):
                verdict = Run("✓ sent", "good") if check.met else say(f"✗ {check.note}", "bad")
                blocks.append(Paragraph(say(f"{check.requirement.line}  "), verdict, indent=2, hang=4))
    if reading.source:
        blocks.append(Paragraph(say(reading.source, "dim"), indent=2))
    return blocks


def refusal_blocks(message: Message) -> list[Block]:
    """Why a strict server would refuse a request, and with `--strict` this one does."""
    if message.kind != "request":
        return []
    events = RequestReader(max_head=None, max_request_line=None).feed(message.head.data)
    reason = next((refusal(event) for event in events if isinstance(event, ArrivedHead)), None)
    if reason is None:
        return []
    return [GAP, Paragraph(Run("A strict server answers 400  ", "heading"), say(reason, "warning"), hang=2)]


def framing_blocks(message: Message) -> list[Block]:
    """How the end of the content is found, and who would find another one."""
    framing = message.framing
    blocks: list[Block] = [
        GAP,
        Paragraph(Run("Framing  ", "heading"), say(framing.sentence), hang=2),
    ]
    if not message.complete:
        blocks.append(
            Paragraph(Run("not complete: the message ends before its framing says so", "warning"), indent=2)
        )
    blocks += [
        Paragraph(say(f"{other.reader}  ", "warning"), say(other.sentence), indent=2, hang=4)
        for other in framing.alternatives
    ]
    return blocks
