"""Responses as they arrive. Their framing depends on the request they answer (RFC 9112 §6.3)."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

from inspectd.wire.arrived import ArrivedResponseHead
from inspectd.wire.facts import FACTS, facts_of, framing_values, persists
from inspectd.wire.framing import response_framing
from inspectd.wire.head import TOKEN, Head, read_head
from inspectd.wire.reader import HEAD_END, MessageReader
from inspectd.wire.readings import with_other_readings

if TYPE_CHECKING:
    from inspectd.wire.arrived import Event
    from inspectd.wire.reader import Trace
    from inspectd.wire.span import Kind

# HTTP-version SP status-code SP [ reason-phrase ] CRLF *( field-line CRLF ) CRLF
_PLAIN_RESPONSE = re.compile(
    rb"(HTTP/1\.[01]) ([0-9]{3}) ([\t -~]*+)\r\n((?:" + TOKEN + rb":[\t -~]*+\r\n)*+)\r\n"
)

# What a status line may look like at its start; anything else is HTTP/0.9 content.
_STATUS_LIKE = re.compile(
    rb"[\x00-\x20]*+(?:"
    rb"[Hh][Tt][Tt][Pp](?:[/ \t\r\n]|\Z)"
    rb"|[A-Za-z]++[/0-9.]*+[ \t]++[0-9]{3}(?![0-9])"
    rb"|[0-9]{3}(?:[ \t\r\n]|\Z)"
    rb")"
)
_NAME: Final = b"HTTP/"
_STATUS_WINDOW: Final = 512


def is_plain_response(raw: bytes) -> bool:
    """Whether the whole head `raw` of a response has the certificate that `ArrivedResponseHead.plain` tells of."""
    return _PLAIN_RESPONSE.fullmatch(raw) is not None


class ResponseReader(MessageReader):
    """Reads what a server sends. Tell it the method of each request, in order: HEAD and CONNECT change framing."""

    __slots__ = ("_judged", "_methods")
    kind: Kind = "response"

    def __init__(self, *, max_head: int | None = 65536, trace: Trace | None = None) -> None:
        super().__init__(max_head=max_head, max_request_line=None, trace=trace)
        self._methods: deque[bytes] = deque()
        self._judged = False  # the head under way is known to open with a status line

    def expect(self, method: bytes) -> None:
        """A request of this method was sent: one final response will answer it."""
        self._methods.append(method)

    def _settles_by_size(self) -> bool:
        # From here on it is known that no status line comes, or that one does and its end must be awaited.
        return len(self._pending) >= _STATUS_WINDOW and not self._judged

    def _read_head(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        found = _PLAIN_RESPONSE.match(data, at)
        if found is not None and found.end() - at <= self.max_head:
            version, status, reason = found.group(1, 2, 3)
            self._decide(data[at : found.end()], base + at, (version, status, reason), events, plain=found)
            return found.end()
        line_feed = data.find(b"\n", at)
        window_end = at + _STATUS_WINDOW if line_feed < 0 else min(line_feed + 1, at + _STATUS_WINDOW)
        if line_feed >= 0 or len(data) - at >= _STATUS_WINDOW or self._ended:
            cut_off = line_feed < 0 and _NAME.startswith(data[at:].lstrip(b" \t").upper())
            if not cut_off and not _STATUS_LIKE.match(data, at, window_end):
                self._start_simple(base + at, events)
                return at
            self._judged = True
        if line_feed < 0:
            return self._wait_for_head(data, at, base, line_feed, events)
        closing = HEAD_END.search(data, max(line_feed, at + self._scan - 2))
        if closing is None:
            return self._wait_for_head(data, at, base, line_feed, events)
        if closing.end() - at > self.max_head:
            return self._too_large("head", data, at, base, events)
        raw = data[at : closing.end()]
        parts = read_head(raw, base + at, "response")
        words = (parts.text(parts.version), parts.text(parts.status), parts.text(parts.reason))
        self._decide(raw, base + at, words, events, parts=parts)
        return closing.end()

    def _start_simple(self, start: int, events: list[Event]) -> None:
        head = ArrivedResponseHead(start, start, b"", b"", b"", b"")
        head.keep_alive = self._last_kept = False
        if self._methods:
            self._methods.popleft()
        if self._trace is not None:
            self._trace.head(head)
        events.append(head)
        self._begin_content(head.framing, start, events)

    def _decide(
        self,
        raw: bytes,
        start: int,
        words: tuple[bytes, bytes, bytes],
        events: list[Event],
        *,
        plain: re.Match[bytes] | None = None,
        parts: Head | None = None,
    ) -> None:
        self._judged = False
        version, status, reason = words
        head = ArrivedResponseHead(start, start + len(raw), raw, version, status, reason)
        head.plain = plain is not None
        head.whole = parts
        facts = (
            facts_of(parts)
            if parts is not None
            else [(name.lower(), value.rstrip(b"\t ")) for name, value in FACTS.findall(raw)]
        )
        options = [value for name, value in facts if name == b"connection"]
        head.interim = len(status) == 3 and status[:1] == b"1" and status != b"101"
        method = self._methods[0] if self._methods else b""
        head.framing = response_framing(method, version, status, *framing_values(facts))
        if parts is not None:
            head.framing = with_other_readings(
                head.framing,
                parts,
                "response",
                lambda others: response_framing(method, version, status, *framing_values(others)),
            )
        head.keep_alive = (
            persists(version, options) and not head.framing.lost and not head.framing.until_close
        )
        if head.interim:
            head.keep_alive = True
        elif self._methods:
            self._methods.popleft()
        self._last_kept = head.keep_alive
        if self._trace is not None:
            self._trace.head(head)
        events.append(head)
        self._begin_content(head.framing, head.end, events)
