"""A server's answer on its way through a rule: what the client gets of it.

Strategy: bytes come in with the events of the reader that understood them, and go out as they came but for what the
rule changes. A head is kept until it is complete; content streams, unless words in it are to be replaced: that is
kept up to a limit, and beyond it passes as it is. Faults are put in last, at places of what the client gets.
Warning: nothing here does I/O, and nothing a server sends may raise. Framing follows RFC 9112 §6.3.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.engine.summary import VALUE_KEPT, shown
from inspectd.rules.answer import status_code
from inspectd.rules.faults import ANSWER_END, Breaker, Layout
from inspectd.rules.patch import HeadPatch, name_glob, patch_head
from inspectd.rules.program import Send
from inspectd.text.coding import decode_content
from inspectd.wire import ArrivedResponseHead, ContentData, MessageEnd, TooLarge
from inspectd.wire.head import read_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inspectd.rules.faults import Item
    from inspectd.rules.passing import Pass
    from inspectd.rules.patch import Change, Patch
    from inspectd.rules.program import Op
    from inspectd.wire import Event

REPLACED: Final = 8 << 20
"""Bytes of content, as sent, decoded and with other words, that words are replaced in at most."""

_WITHOUT_CONTENT: Final = frozenset({"204", "304"})
# text/*, and what is text by its nature or its suffix (RFC 6839)
_TEXT: Final = re.compile(
    rb"text/|application/(?:[^;\s]*\+)?(?:json|xml|javascript|ecmascript|yaml|toml|x-www-form-urlencoded|graphql)"
    rb"(?:[;\s]|\Z)|image/svg\+xml|application/(?:x-javascript|manifest|x-ndjson)",
    re.IGNORECASE,
)
_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
_FRAMING: Final = tuple(name_glob(name) for name in ("transfer-encoding", "trailer"))
_CODING: Final = name_glob("content-encoding")
_NO_FRAMING: Final = HeadPatch(remove=(name_glob("content-length"), *_FRAMING))


class Given(NamedTuple):
    """What the client gets now: bytes, where the final head ends in them, and what is done instead of all the rest."""

    data: bytes
    head: int | None = None
    instead: tuple[Op, ...] = ()


class Patching:
    """One answer. `changes` lists what was changed of it so far; `status` is what the client's head says."""

    __slots__ = (
        "_arrived",
        "_breaker",
        "_content",
        "_dropping",
        "_from",
        "_gathering",
        "_held",
        "_length",
        "_method",
        "_out",
        "_patch",
        "_streams",
        "changes",
        "reason",
        "status",
    )

    def __init__(self, told: Pass, method: bytes) -> None:
        self.changes: list[Change] = []
        self.status: str | None = None
        self.reason: str | None = None
        patch = told.patch
        self._patch: Patch | None = patch if patch is not None and patch.of_response else None
        self._method = method
        self._breaker = Breaker(told.faults, None) if told.faults else None
        self._held = bytearray()  # what came and is not given yet
        self._from = 0  # the offset of its first byte
        self._out = 0  # bytes given so far
        self._streams = False  # what comes goes on at once,
        self._dropping = False  # or stays here: other content went instead,
        self._gathering = False  # or is kept to replace words in it
        self._arrived: ArrivedResponseHead | None = None
        self._content = bytearray()
        self._length = 0  # bytes of content that came

    def feed(self, data: bytes, at: int, events: Iterable[Event]) -> Given:
        """Take bytes of the answer, the first of which lies at offset `at`, and what they settled."""
        if not self._held:
            self._from = at
        self._held += data
        return self._give(self._taken(events))

    def end(self, events: Iterable[Event]) -> Given:
        """The server sent its last byte; these events it settled."""
        return self._give([*self._taken(events), *self._rest()])

    def broken(self) -> Given:
        """The answer broke off: what was kept of it."""
        return self._give(self._rest())

    # -- what becomes of the bytes

    def _taken(self, events: Iterable[Event]) -> Iterator[Item | Layout]:
        for event in events:
            if isinstance(event, ArrivedResponseHead):
                yield from self._on_head(event)
            elif isinstance(event, TooLarge):
                self._note("the answer", "unchanged: its head is too long to be understood")
                self._streams = True
            elif isinstance(event, ContentData):
                yield from self._on_content(event)
            elif isinstance(event, MessageEnd) and self._arrived is not None:
                yield from self._on_end(event)
                break  # what follows is not of this answer
        if self._streams:
            yield Send(self._take())
        elif self._dropping:
            self._take()

    def _take(self, end: int | None = None) -> bytes:
        """The bytes that are held, up to offset `end`."""
        length = len(self._held) if end is None else max(0, end - self._from)
        data = bytes(self._held[:length])
        del self._held[:length]
        self._from += len(data)
        return data

    def _rest(self) -> Iterator[Item | Layout]:
        """What is still held goes as it came."""
        if self._gathering:
            yield from self._as_it_came("it broke off")
        if not self._dropping:
            yield Send(self._take())

    def _on_head(self, head: ArrivedResponseHead) -> Iterator[Item | Layout]:
        yield Send(self._take(head.start))
        if head.interim:
            yield Send(self._take(head.end))
            return
        self._arrived = head
        if not head.raw:
            if self._patch is not None:
                self._note("the answer", "unchanged: it is not HTTP/1")
            self._streams = True
            return
        self._take(head.end)
        patch = self._patch
        if patch is None or head.framing.tunnel:
            yield from self._head(head, ())
            self._streams = True
        elif patch.replace and self._has_content(head) and not self._without_content(head):
            self._gathering = self._may_replace(head)
            if not self._gathering:
                yield from self._head(head, ())
                self._streams = True
        else:
            yield from self._framed(head, patch)

    def _framed(self, head: ArrivedResponseHead, patch: Patch) -> Iterator[Item | Layout]:
        """The head, with framing that fits what follows it, and other content when there is any."""
        body = patch.body if isinstance(patch.body, bytes) else None
        if self._without_content(head):
            drops = self._has_content(head)
            yield from self._head(head, (_NO_FRAMING,) if drops else ())
            self._dropping, self._streams = drops, not drops
            if drops:
                self._note("content", "none: this status has no content")
            elif body is not None:
                self._note("content", "unchanged: this status has no content")
        elif body is not None:
            yield from self._head(head, _other_content(len(body), patch.content_type))
            self._note("content", f"{len(body):,} bytes")
            self._dropping = True
            if self._method != b"HEAD":
                yield Send(body)
        elif self._method != b"HEAD" and head.status in (b"204", b"304"):
            yield from self._head(head, (_length(0),))
            self._streams = True
        else:
            yield from self._head(head, ())
            self._streams = True

    def _head(self, arrived: ArrivedResponseHead, before: Sequence[HeadPatch]) -> Iterator[Item | Layout]:
        """The head that the client gets. What the rule says comes last: it may be wrong on purpose."""
        raw = arrived.raw
        patches = before if self._patch is None else (*before, self._patch.head)
        for patch in patches:
            raw, changes = patch_head(raw, "response", patch)
            self.changes += changes
        if self.changes:
            head = read_head(raw, 0, "response")
            self.status = shown(head.text(head.status)[:VALUE_KEPT]) or None
            self.reason = shown(head.text(head.reason)[:VALUE_KEPT])
        line_end = raw.find(b"\n") + 1
        yield Layout(0, line_end, len(raw), None)
        yield Send(raw)

    def _has_content(self, head: ArrivedResponseHead) -> bool:
        framing = head.framing
        return framing.chunked or framing.until_close or bool(framing.length) or framing.lost

    def _without_content(self, head: ArrivedResponseHead) -> bool:
        """Whether the head that the client gets says by its status that no content follows (RFC 9110 §6.4.1)."""
        if self._method == b"HEAD":
            return False
        code = head.status.decode("latin-1")
        if self._patch is not None and self._patch.head.start_line is not None:
            code = str(status_code(self._patch.head.start_line) or code)
        return code in _WITHOUT_CONTENT or (len(code) == 3 and code.startswith("1"))

    # -- content

    def _on_content(self, event: ContentData) -> Iterator[Item | Layout]:
        self._length += len(event.data)
        if self._gathering:
            self._content += event.data
            if max(len(self._content), len(self._held)) > REPLACED:
                yield from self._as_it_came(f"it is longer than {REPLACED:,} bytes")

    def _on_end(self, event: MessageEnd) -> Iterator[Item | Layout]:
        if self._gathering:
            if event.complete:
                yield from self._replaced()
            else:
                yield from self._as_it_came("it broke off")
        for note in self.changes:
            if note["what"] == "content" and note["from"] is None:
                note["from"] = f"{self._length:,} bytes"
        if event.complete:
            if self._dropping:
                self._take(event.end)
            else:
                yield Send(self._take(event.end))
            yield ANSWER_END

    def _may_replace(self, head: ArrivedResponseHead) -> bool:
        kind = b", ".join(head.head.get("content-type"))
        if not _TEXT.match(kind):
            self._note("content", f"unchanged: it is {kind.decode('latin-1') or 'of no type that is named'}")
        elif _words(kind, "") is None:
            self._note("content", f"unchanged: its characters are {kind.decode('latin-1')}")
        else:
            return True
        return False

    def _as_it_came(self, why: str) -> Iterator[Item | Layout]:
        """No word is replaced after all."""
        arrived = self._arrived
        assert arrived is not None
        self._gathering, self._streams = False, True
        self._content.clear()
        self._note("content", f"unchanged: {why}")
        yield from self._head(arrived, ())

    def _replaced(self) -> Iterator[Item | Layout]:
        """All of the content is there: replace the words in it."""
        arrived, patch = self._arrived, self._patch
        assert arrived is not None
        assert patch is not None
        coding = b", ".join(arrived.head.get("content-encoding"))
        decoded = decode_content(bytes(self._content), coding, limit=REPLACED)
        if decoded.error or decoded.truncated:
            yield from self._as_it_came(decoded.error or f"decoded, it is longer than {REPLACED:,} bytes")
            return
        kind = b", ".join(arrived.head.get("content-type"))
        text = decoded.data
        for find, instead in patch.replace:
            before, after = _words(kind, find), _words(kind, instead)
            if before and after is not None:
                if len(text) + text.count(before) * (len(after) - len(before)) > REPLACED:
                    yield from self._as_it_came(f"with other words, it is longer than {REPLACED:,} bytes")
                    return
                text = text.replace(before, after)
        if text == decoded.data:
            yield from self._as_it_came("the words aren't in it")
            return
        self._gathering, self._dropping = False, True
        self._content.clear()
        yield from self._head(arrived, _other_content(len(text), None))
        self._note("content", f"{len(text):,} bytes, with other words")
        yield Send(text)

    def _note(self, what: str, to: str) -> None:
        self.changes.append({"what": what, "from": None, "to": to})

    # -- what goes out

    def _give(self, items: Iterable[Item | Layout]) -> Given:
        out: list[bytes] = []
        head: int | None = None
        length = 0
        breaker = self._breaker
        for item in items:
            if isinstance(item, Layout):
                start = self._out + length
                head = length + item.head
                if breaker is not None:
                    breaker.know(Layout(start, start + item.status_line, start + item.head, None))
            elif breaker is None:
                if isinstance(item, Send):
                    out.append(item.data)
                    length += len(item.data)
            else:
                ops = list(breaker.feed(item))
                for number, op in enumerate(ops):
                    if not isinstance(op, Send):
                        return Given(b"".join(out), _within(head, length), tuple(ops[number:]))
                    out.append(op.data)
                    length += len(op.data)
        self._out += length
        return Given(b"".join(out), _within(head, length))


def _within(head: int | None, length: int) -> int | None:
    """Where the head ends, when that much of it was given."""
    return head if head is not None and head <= length else None


def _length(length: int) -> HeadPatch:
    return HeadPatch(set=(b"Content-Length: %d" % length,), remove=_FRAMING)


def _other_content(length: int, kind: bytes | None) -> tuple[HeadPatch, ...]:
    """What has to be different of a head when other content follows it."""
    lines = (b"Content-Length: %d" % length,) + ((b"Content-Type: " + kind,) if kind is not None else ())
    return (HeadPatch(set=lines, remove=(*_FRAMING, _CODING)),)


def _words(kind: bytes, text: str) -> bytes | None:
    """A text in the characters that content of this type has; None when they are none that bytes can be found in."""
    found = _CHARSET.search(kind)
    name = found[1].decode("latin-1") if found is not None else "utf-8"
    try:
        codec = codecs.lookup(name).name
        if codec.startswith(("utf-16", "utf-32", "utf-7")) or len("a".encode(codec)) != 1:
            return None
        return text.encode(codec)
    except (LookupError, ValueError, TypeError):
        return None
