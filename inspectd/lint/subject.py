"""What checkers look at: a message that has been read once, with its fields by name, its lines and what surrounds it.

Nothing here reads bytes a second time: heads, framings and spans are those of `inspectd.wire.read`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from inspectd.lint.model import NO_CONTEXT, Context, Finding
from inspectd.text.safe import safe
from inspectd.wire import Role
from inspectd.wire.framing import list_members
from inspectd.wire.request import is_plain_request
from inspectd.wire.response import is_plain_response

if TYPE_CHECKING:
    from inspectd.wire import Field, Framing, Head, Kind, Message, Span, Stream

Range: TypeAlias = tuple[int, int]

_SHOWN: Final = 40
_CHUNK_LINE: Final = frozenset(
    {Role.OWS, Role.CHUNK_SIZE, Role.LAST_CHUNK, Role.CHUNK_EXT, Role.CHUNK_EXT_NAME, Role.CHUNK_EXT_VALUE}
)


class ChunkLine(NamedTuple):
    """The first line of a chunk: `start` to `stop` without its line end, which reaches to `end`."""

    start: int
    stop: int
    end: int
    size: Range | None
    """The digits, when the line spells a size."""
    extensions: tuple[Span, ...]


class Subject:
    """One message of a stream. Offsets count from the first byte of the data.

    `whole` says that nothing follows the data, so that what is unfinished stays so. `request` is what a response
    answers, when that is known; `previous` the message before this one.
    """

    def __init__(
        self,
        stream: Stream,
        message: Message,
        *,
        whole: bool = True,
        request: Subject | None = None,
        previous: Subject | None = None,
        context: Context = NO_CONTEXT,
    ) -> None:
        self.stream = stream
        self.message = message
        self.whole = whole
        self.request = request
        self.previous = previous
        self.context = context
        self.data: bytes = stream.data
        self.kind: Kind = message.kind
        self.head: Head = message.head
        self.framing: Framing = message.framing
        self.start: int = message.start
        self.head_end: int = message.head_end
        self.end: int = message.end

    # -- the start line

    @cached_property
    def method(self) -> bytes:
        """The method as sent, empty when there is none. Of a response: the method of what it answers, or empty."""
        if self.kind == "response":
            return self.request.method if self.request is not None else b""
        return self.head.text(self.head.method)

    @cached_property
    def target(self) -> bytes:
        """The request target as sent, empty when there is none."""
        return self.head.text(self.head.target)

    @cached_property
    def version(self) -> bytes:
        """The version as sent, empty when there is none."""
        return self.head.text(self.head.version)

    @cached_property
    def status(self) -> bytes:
        """The digits of a response's status code, empty when there are none."""
        return self.head.text(self.head.status)

    # -- the head

    @cached_property
    def plain(self) -> bool:
        """Whether the head has the certificate: syntactic checks have nothing to find in it."""
        certified = is_plain_request if self.kind == "request" else is_plain_response
        return certified(self.head.data)

    @cached_property
    def written(self) -> int:
        """How far the head is settled: a line that is still arriving may become anything."""
        if self.head.complete or self.whole:
            return self.head_end
        return self.data.rfind(b"\n", self.start, self.head_end) + 1

    @property
    def line_settled(self) -> bool:
        """Whether the start line is there as a whole."""
        return self.written > self.head.start_line[1] or self.head.complete or self.whole

    @property
    def settled(self) -> bool:
        """Whether no field line can come any more, so that what is absent stays so."""
        return self.head.complete or self.whole

    @cached_property
    def fields(self) -> dict[bytes, list[Field]]:
        """The settled field lines by lower-case name, in order."""
        found: dict[bytes, list[Field]] = {}
        written = self.written
        for field in self.head.fields:
            if field.end <= written:
                found.setdefault(field.name_bytes.lower(), []).append(field)
        return found

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields of this lower-case name."""
        return [field.value_bytes for field in self.fields.get(name, ())]

    def members(self, name: bytes) -> list[bytes]:
        """The members of a list field, white space and empty ones left out."""
        return list_members(self.values(name)) if name in self.fields else []

    def tokens(self, name: bytes) -> set[bytes]:
        """The members of a list field in lower case."""
        return {member.lower() for member in self.members(name)}

    def first(self, name: bytes) -> Field | None:
        """The first field of this lower-case name."""
        found = self.fields.get(name)
        return found[0] if found else None

    # -- content

    @cached_property
    def content(self) -> bytes:
        """The content that is there, with the chunked coding taken off."""
        return self.stream.content(self.message)

    @cached_property
    def chunk_lines(self) -> list[ChunkLine]:
        """The first lines of the chunks, in order; a line that spells no size is none of them."""
        return list(_chunk_lines(self.message.spans)) if self.framing.chunked else []

    @property
    def broken_off(self) -> int | None:
        """Where the chunks stop making sense, or None. Nothing after it can be read."""
        message = self.message
        if not self.framing.chunked or message.complete or self.end >= len(self.data):
            return None
        return self.end


class Surroundings(NamedTuple):
    """A whole stream and its messages: what lies around and between them."""

    stream: Stream
    subjects: list[Subject]
    whole: bool
    context: Context


Checker: TypeAlias = Callable[[Subject], Iterator[Finding]]
"""Looks at one message. Never raises; its time is linear in the bytes."""

StreamChecker: TypeAlias = Callable[[Surroundings], Iterator[Finding]]
"""Looks at what lies around and between messages."""


def value_range(field: Field) -> Range:
    """Where the value of a field lies, folds included; of an empty one, where its name lies."""
    return (field.value[0][0], field.value[-1][1]) if field.value else field.name


def line_range(field: Field) -> Range:
    """A whole field line, name to line end."""
    return field.start, field.end


def of_value(name: str, field: Field, detail: str = "") -> Finding:
    """A finding about the value of a field."""
    return Finding(name, *value_range(field), detail)


def of_name(name: str, field: Field, detail: str = "") -> Finding:
    """A finding about the name of a field."""
    return Finding(name, *field.name, detail)


def line_end(data: bytes, start: int) -> int:
    """Where the line that `start` lies in ends, its line feed included."""
    line_feed = data.find(b"\n", start)
    return len(data) if line_feed < 0 else line_feed + 1


def quoted(data: bytes) -> str:
    """Bytes of the wire for a detail: shortened, and safe for a terminal."""
    return f'"{safe(data[:_SHOWN])}..."' if len(data) > _SHOWN else f'"{safe(data)}"'


def _chunk_lines(spans: list[Span]) -> Iterator[ChunkLine]:
    start: int | None = None
    size: Range | None = None
    extensions: list[Span] = []
    for span in spans:
        role = span.role
        if role is Role.CHUNK_SIZE or role is Role.LAST_CHUNK:
            start = span.start if start is None else start
            size = span.start, span.end
        elif size is None:
            # White space before a size belongs to its line.
            start = span.start if role is Role.OWS else None
        elif role is Role.CRLF or role is Role.LF:
            yield ChunkLine(
                size[0] if start is None else start, span.start, span.end, size, tuple(extensions)
            )
            start, size, extensions = None, None, []
        elif role in _CHUNK_LINE or role is Role.GARBAGE:
            extensions.append(span)
