"""What arrives: the events that readers report, and heads as far as a server must know them.

Nothing is computed that nobody asked for: a head's whole structure and its less usual fields are read on demand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from inspectd.wire.framing import NO_BODY_REQUEST, SIMPLE_RESPONSE, Framing
from inspectd.wire.head import TOKEN, Head, read_head

if TYPE_CHECKING:
    from inspectd.wire.sniff import Sniff

# The fields that a list of requests shows, found in one more pass when one of them is asked for.
_SHOWN_NAMES: Final = frozenset(
    {b"host", b"user-agent", b"accept", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site"}
)
_SHOWN = re.compile(rb"\n((?i:host|user-agent|accept|sec-fetch-(?:dest|mode|site))):[\t ]*+([\t -~]*+)")
_ALL_FIELDS = re.compile(rb"\n(" + TOKEN + rb"):[\t ]*+([\t -~]*+)")


class ArrivedHead:
    """The head of a request, as far as a server must know it. `raw` is every byte of it.

    `plain` certifies that the head is grammatical with CRLF line ends, token names, visible ASCII values and no
    folds, so that syntactic checks have nothing to find.
    """

    __slots__ = (
        "_values",
        "chunked",
        "end",
        "expects_continue",
        "framing",
        "keep_alive",
        "length",
        "method",
        "plain",
        "raw",
        "section",
        "start",
        "target",
        "upgrade",
        "version",
        "whole",
    )

    def __init__(
        self,
        start: int,
        end: int,
        raw: bytes,
        plain: bool,  # noqa: FBT001 (positional because this is built for every request)
        method: bytes,
        target: bytes,
        version: bytes,
    ) -> None:
        self.start = start
        self.end = end
        self.raw = raw
        self.plain = plain
        self.method = method
        self.target = target
        self.version = version
        """The version as sent, b"" when there is none."""
        self.section: bytes | None = None
        """The field section of a plain head. Clients repeat it, so what is learned from it can be remembered by it."""
        self.framing: Framing = NO_BODY_REQUEST
        self.length: int | None = 0
        """Bytes of content, or None when they can't be counted beforehand (chunked, tunnel, unknown)."""
        self.chunked = False
        self.keep_alive = True
        """Whether the client leaves the connection open for another message."""
        self.expects_continue = False
        self.upgrade: bytes | None = None
        """The protocols the client offers to switch to, when Connection says that it means it."""
        self.whole: Head | None = None
        """The head's structure, when it has been read already; `head` reads it."""
        self._values: dict[bytes, bytes] | None = None

    @property
    def head(self) -> Head:
        """The whole head, read when it is first asked for."""
        if self.whole is None:
            self.whole = read_head(self.raw, self.start, "request")
        return self.whole

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of this name, in any case, or None."""
        values = self._values
        if values is None:
            values = self._values = self._read_values(_SHOWN)
        name = name.lower()
        if name in values:
            return values[name]
        if not self.plain or name in _SHOWN_NAMES:
            return None
        values = self._values = self._read_values(_ALL_FIELDS)
        return values.get(name)

    def _read_values(self, rule: re.Pattern[bytes]) -> dict[bytes, bytes]:
        values: dict[bytes, bytes] = {}
        if self.plain:
            for name, value in rule.findall(self.raw):
                values.setdefault(name.lower(), value.rstrip(b"\t "))
        else:
            for field in self.head.fields:
                values.setdefault(field.name_bytes.lower(), field.value_bytes)
        return values

    def __repr__(self) -> str:
        line = b" ".join((self.method, self.target, self.version))
        return f"ArrivedHead({self.start}, {self.end}, {line!r}, {self.framing.step})"


class ArrivedResponseHead:
    """The head of a response. `interim` marks 1xx heads, after which another head follows."""

    __slots__ = (
        "end",
        "framing",
        "interim",
        "keep_alive",
        "plain",
        "raw",
        "reason",
        "start",
        "status",
        "version",
        "whole",
    )

    def __init__(
        self, start: int, end: int, raw: bytes, version: bytes, status: bytes, reason: bytes
    ) -> None:
        self.start = start
        self.end = end
        self.raw = raw
        self.version = version
        self.status = status
        self.reason = reason
        self.plain = False
        self.interim = False
        self.keep_alive = True
        self.framing: Framing = SIMPLE_RESPONSE
        self.whole: Head | None = None
        """The head's structure, when it has been read already; `head` reads it."""

    @property
    def head(self) -> Head:
        """The whole head, read when it is first asked for."""
        if self.whole is None:
            self.whole = read_head(self.raw, self.start, "response")
        return self.whole

    @property
    def length(self) -> int | None:
        """Bytes of content, or None when they can't be counted beforehand."""
        return self.framing.length

    @property
    def chunked(self) -> bool:
        """Whether the content comes in chunks."""
        return self.framing.chunked


class ContentData(NamedTuple):
    """Bytes of a message after its head: `start` to `end` of the stream, chunk lines and trailers included.

    `data` is the content in them, with the chunked coding taken off.
    """

    start: int
    end: int
    data: bytes


class MessageEnd(NamedTuple):
    """The message ended at this offset, or broke off there when it isn't `complete`."""

    end: int
    complete: bool


class TooLarge(NamedTuple):
    """The head that starts at `start` reached a cap at `offset`; the rest of the stream is not read as messages."""

    what: str
    """"head" or "request-line"."""
    start: int
    offset: int


class Foreign(NamedTuple):
    """The connection opened with another protocol; the rest of the stream is its."""

    start: int
    protocol: str
    sentence: str
    sniff: Sniff


Event: TypeAlias = ArrivedHead | ArrivedResponseHead | ContentData | MessageEnd | TooLarge | Foreign
