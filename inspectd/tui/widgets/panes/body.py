"""Pane 3: the content of a message, decoded and laid out, or its raw octets.

Reads a bounded part of a message and says how much of it that is; more only when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from inspectd.text.coding import Decoded, decode_content
from inspectd.text.pretty import pretty
from inspectd.text.safe import safe
from inspectd.tui.subject import LONGEST_PARSED
from inspectd.tui.widgets.panes.hexrows import HexRows
from inspectd.tui.widgets.panes.image import image_of
from inspectd.tui.widgets.panes.pane import TextPane, nothing_yet, sentence_page
from inspectd.tui.widgets.panes.prose import GAP, Block, Folded, Page, Paragraph
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from inspectd.tui.subject import Side, SideBytes, Subject
    from inspectd.tui.widgets.wireview import LineSource
    from inspectd.wire import Message

_FIRST: Final = 1024 * 1024
"""Bytes of a message that are read for its content without asking."""
_FIRST_CHUNKED: Final = 256 * 1024
"""The same for chunked content, which takes longer to read."""
_DECODED_MOST: Final = 1024 * 1024


class Body(TextPane):
    """The content."""

    title = "Body"
    sided = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "raw", "decoded ⇄ raw", id="body.raw"),
        Binding("l", "more", "load more", show=False, id="body.more"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._raw = False

    def page(self, subject: Subject, side: Side) -> LineSource:
        """The content, or why there is none."""
        bytes_ = subject.side(side)
        if not bytes_.prefix:
            return sentence_page(nothing_yet(subject, side))
        message = bytes_.message
        if message is None:
            return sentence_page("These bytes are no HTTP message: 1 Anatomy and 4 Hex show them.")
        chunked = _field(message, b"transfer-encoding")
        most = _FIRST_CHUNKED if chunked else _FIRST
        if message.head.complete and len(bytes_.prefix) < most and bytes_.load(message.head_end + most):
            message = bytes_.message or message
        octets = content_of(bytes_, message)
        if not octets:
            return Page(
                [
                    GAP,
                    Paragraph(
                        Run("No content.  ", "strong"), Run(safe(message.framing.sentence), "dim"), indent=1
                    ),
                ]
            )
        return self._content(bytes_, message, octets)

    def _content(self, bytes_: SideBytes, message: Message, octets: bytes) -> LineSource:
        content_type, coding = _field(message, b"content-type"), _field(message, b"content-encoding")
        facts = [
            Run(safe(content_type) if content_type else "no Content-Type", "value" if content_type else "dim")
        ]
        facts.append(Run(f"  {len(octets):,} octets of content", "plain"))
        if _field(message, b"transfer-encoding"):
            facts.append(Run(", taken out of its chunks", "dim"))
        notes: list[Block] = []
        if bytes_.truncated:
            way = "l reads more, " if len(bytes_.prefix) < LONGEST_PARSED else ""
            text = f"read so far: the first {len(bytes_.prefix):,} of the message's {bytes_.total:,} bytes; "
            text += f"{way}4 Hex shows all"
            notes.append(Paragraph(Run(text, "warning")))
        elif not message.complete:
            notes.append(
                Paragraph(Run("not complete: the message ends before its framing says so", "warning"))
            )
        decoded = decode_content(octets, coding, limit=_DECODED_MOST) if coding else Decoded(octets)
        if coding:
            facts += _coding_facts(coding, decoded)
        if decoded.error:
            notes.append(Paragraph(Run("decoding  ", "heading"), Run(safe(decoded.error), "warning")))
        if decoded.truncated:
            notes.append(
                Paragraph(Run(f"only the first {len(decoded.data):,} decoded octets are shown", "warning"))
            )
        image = image_of(decoded.data)
        if image is not None:
            size = (
                f", {image.width:,} × {image.height:,} pixels"
                if image.width is not None and image.height is not None
                else ""
            )
            facts.append(Run(f"  {image.kind} image{size}", "strong"))
        header: list[Block] = [Paragraph(*facts, hang=2), *notes]
        if self._raw:
            header.append(Paragraph(Run("raw octets · b shows them decoded", "dim")))
            return _dump(header, octets)
        laid_out = pretty(decoded.data, content_type)
        if laid_out.kind == "binary":
            header.append(Paragraph(Run("shown in hexadecimal", "dim")))
            return _dump(header, decoded.data)
        header += [Paragraph(Run(safe(note), "dim")) for note in laid_out.notes]
        header.append(Paragraph(Run(f"shown as {laid_out.kind} · b shows the raw octets", "dim")))
        return Page([*header, GAP, *(Folded(line) for line in laid_out.lines)])

    def action_raw(self) -> None:
        """Between decoded and raw."""
        self._raw = not self._raw
        self.show(self._subject, side=self._side)

    def action_more(self) -> None:
        """Read four times as much of the message."""
        subject, side = self._subject, self._side
        if subject is not None and subject.side(side).load(len(subject.side(side).prefix) * 4):
            self.show(subject, side=side)

    def selected_value(self) -> tuple[str, bytes] | None:
        """The content octets that were read, decoded unless the raw ones are shown."""
        subject, side = self._subject, self._side
        message = subject.side(side).message if subject is not None else None
        if subject is None or message is None:
            return None
        octets = content_of(subject.side(side), message)
        coding = _field(message, b"content-encoding")
        if self._raw or not coding:
            return f"content of the {side}", octets
        return f"decoded content of the {side}", decode_content(octets, coding, limit=_DECODED_MOST).data


def content_of(bytes_: SideBytes, message: Message) -> bytes:
    """The content octets of a message, without chunk framing, as far as they were read."""
    data = bytes_.prefix
    return b"".join(data[start:end] for start, end in message.content)


def _dump(header: list[Block], octets: bytes) -> HexRows:
    """The octets in hexadecimal under the header's rows."""
    return HexRows(lambda offset, limit: octets[offset : offset + limit], len(octets), notes=[*header, GAP])


def _field(message: Message, name: bytes) -> bytes:
    return b", ".join(message.head.get(name))


def _coding_facts(coding: bytes, decoded: Decoded) -> list[Run]:
    taken = " then ".join(decoded.steps)
    return [
        Run("  Content-Encoding ", "dim"),
        Run(safe(coding), "value"),
        Run(f" → {len(decoded.data):,} octets decoded" + (f" by {taken}" if taken else ""), "plain"),
    ]
