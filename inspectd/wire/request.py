"""Requests as they arrive.

The hot path is one expression, a *certificate*: when it matches, the head is plain grammatical CRLF (RFC 9112
§2.1, §3, §5 without the obsolete parts) and needs no second look. Other heads are read by `inspectd.wire.head`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.wire.arrived import ArrivedHead, MessageEnd
from inspectd.wire.facts import FACTS, facts_of, framing_values, is_http_1_0, persists
from inspectd.wire.framing import NO_BODY_REQUEST, SIMPLE_REQUEST, has_option, request_framing
from inspectd.wire.head import SIMPLE_REQUEST_LINE, TOKEN, read_head
from inspectd.wire.reader import BETWEEN, CLOSED, HEAD_END, SWITCHED, MessageReader
from inspectd.wire.readings import with_other_readings

if TYPE_CHECKING:
    from inspectd.wire.arrived import Event
    from inspectd.wire.facts import Facts
    from inspectd.wire.span import Kind

# method SP request-target SP HTTP-version CRLF *( field-name ":" *( HTAB / SP / VCHAR ) CRLF ) CRLF
# The target holds only characters of RFC 3986 §2 without "#", which a request target may not have.
_PLAIN_LINE = rb"(" + TOKEN + rb") ([!$-;=?-Z_a-z~\[\]]++) (HTTP/1\.[01])\r\n"
_PLAIN_REQUEST_LINE = re.compile(_PLAIN_LINE)
_PLAIN_REQUEST = re.compile(_PLAIN_LINE + rb"(?:" + TOKEN + rb":[\t -~]*+\r\n)*+\r\n")

# A client repeats itself: request after request has the same field lines. What the certificate and the search for
# facts found in such a section is remembered by its bytes.
_known_sections: dict[bytes, Facts] = {}
_SECTIONS: Final = 512
_SECTION_SIZE: Final = 4096
_KEEP_ALIVE_ONLY: Final[tuple[Facts, ...]] = (
    [(b"Connection", b"keep-alive")],
    [(b"connection", b"keep-alive")],
    [],
)
_CR: Final = 13


def _certify(data: bytes, after_line: int, section: bytes) -> Facts | None:
    """The facts in the field section that ends `data`, when certificate and head end there; else None."""
    found = _PLAIN_REQUEST.match(data)
    if found is None or found.end() != len(data):
        return None
    facts: Facts = FACTS.findall(data, after_line - 1)
    if len(section) <= _SECTION_SIZE:
        if len(_known_sections) >= _SECTIONS:
            _known_sections.clear()
        _known_sections[section] = facts
    return facts


def is_plain_request(raw: bytes) -> bool:
    """Whether the whole head `raw` of a request has the certificate that `ArrivedHead.plain` tells of."""
    return _PLAIN_REQUEST.fullmatch(raw) is not None


class RequestReader(MessageReader):
    """Reads what a client sends.

    `max_head` and `max_request_line` (without its line end) are caps in bytes: a head that passes one is
    reported as `TooLarge`, and from then on nothing is read as a message. Chunk lines and trailer sections are
    held to `max_head` as well: past it, framing is lost. None lifts a cap.

    >>> reader = RequestReader()
    >>> [type(event).__name__ for event in reader.feed(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")]
    ['ArrivedHead', 'MessageEnd']
    """

    __slots__ = ()
    kind: Kind = "request"

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and say what they settled."""
        # The most frequent read by far is exactly one plain head without content.
        if (
            self._state <= BETWEEN
            and not self._pending
            and self._trace is None
            and type(data) is bytes
            and len(data) <= self._small
        ):
            line = _PLAIN_REQUEST_LINE.match(data)
            if line is not None:
                section = data[line.end() :]
                facts = _known_sections.get(section)
                if facts is None:
                    facts = _certify(data, line.end(), section)
                if facts is not None:
                    start = self.offset
                    self.offset = start + len(data)
                    events: list[Event] = []
                    self._plain_head(line, data, start, facts, section, events)
                    return events
        return super().feed(data)

    def _plain_head(
        self, line: re.Match[bytes], raw: bytes, start: int, facts: Facts, section: bytes, events: list[Event]
    ) -> None:
        method, target, version = line.groups()
        head = ArrivedHead(start, start + len(raw), raw, True, method, target, version)  # noqa: FBT003
        head.section = section
        if facts in _KEEP_ALIVE_ONLY and method != b"CONNECT":
            if version != b"HTTP/1.1" and not facts:
                head.keep_alive = False
        else:
            self._decide(head, [(name.lower(), value.rstrip(b"\t ")) for name, value in facts])
        self._start_message(head, events)

    def _start_message(self, head: ArrivedHead, events: list[Event]) -> None:
        self._last_kept = head.keep_alive
        self._upgrade = head.upgrade is not None
        if self._trace is not None:
            self._trace.head(head)
        events.append(head)
        if head.framing is NO_BODY_REQUEST and self._trace is None:
            events.append(MessageEnd(head.end, True))  # noqa: FBT003
            self._state = (SWITCHED if self._upgrade else BETWEEN) if head.keep_alive else CLOSED
            self._scan = 0
        else:
            self._begin_content(head.framing, head.end, events)

    @staticmethod
    def _decide(head: ArrivedHead, facts: Facts) -> None:
        """Settle framing and persistence from the fields of lower-case name that bear on them."""
        codings, lengths = framing_values(facts)
        options = [value for name, value in facts if name == b"connection"]
        upgrades = [value for name, value in facts if name == b"upgrade"]
        framing = request_framing(head.method, head.version, codings, lengths)
        head.framing = framing
        head.length = framing.length
        head.chunked = framing.chunked
        head.keep_alive = persists(head.version, options) and not framing.lost
        if codings and is_http_1_0(head.version):
            head.keep_alive = False  # RFC 9112 §6.1: the framing is faulty, so close after it
        if is_http_1_0(head.version):
            return  # where a server must heed neither Expect nor Upgrade (RFC 9110 §10.1.1, §7.8)
        head.expects_continue = any(
            name == b"expect" and has_option([value], b"100-continue") for name, value in facts
        )
        if upgrades and has_option(options, b"upgrade"):
            head.upgrade = b", ".join(upgrades)

    def _read_head(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        found = _PLAIN_REQUEST.match(data, at)
        if found is not None and found.end() - at <= self._small:
            end = found.end()
            facts = FACTS.findall(data, found.end(3), end)
            raw = data if at == 0 and end == len(data) else data[at:end]
            self._plain_head(found, raw, base + at, facts, data[found.end(3) + 2 : end], events)
            return end
        line_feed = data.find(b"\n", at + self._scan if not self._line_seen else at)
        if line_feed < 0:
            return self._wait_for_head(data, at, base, line_feed, events)
        line_end = line_feed - 1 if line_feed > at and data[line_feed - 1] == _CR else line_feed
        if line_end - at > self.max_request_line:
            return self._too_large("request-line", data, at, base, events)
        simple = SIMPLE_REQUEST_LINE.match(data, at, line_feed + 1)
        if simple is not None and not simple[1].upper().startswith(b"HTTP/"):
            if simple.end() - at > self.max_head:
                return self._too_large("head", data, at, base, events)
            head = ArrivedHead(base + at, base + simple.end(), simple[0], False, b"GET", simple[1], b"")  # noqa: FBT003
            head.framing = SIMPLE_REQUEST
            head.keep_alive = False
            self._start_message(head, events)
            return simple.end()
        closing = HEAD_END.search(data, max(line_feed, at + self._scan - 2))
        if closing is None:
            return self._wait_for_head(data, at, base, line_feed, events)
        if closing.end() - at > self.max_head:
            return self._too_large("head", data, at, base, events)
        self._odd_head(data[at : closing.end()], base + at, events)
        return closing.end()

    def _odd_head(self, raw: bytes, start: int, events: list[Event]) -> None:
        """A head without a certificate: read it whole, and take the facts from its fields."""
        parts = read_head(raw, start, "request")
        head = ArrivedHead(
            start,
            start + len(raw),
            raw,
            False,  # noqa: FBT003
            parts.text(parts.method),
            parts.text(parts.target),
            parts.text(parts.version),
        )
        head.whole = parts
        self._decide(head, facts_of(parts))
        head.framing = with_other_readings(
            head.framing,
            parts,
            "request",
            lambda facts: request_framing(head.method, head.version, *framing_values(facts)),
        )
        self._start_message(head, events)
