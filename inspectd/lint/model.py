"""What a finding is: an id, the bytes it is about, and, in the catalogue under that id, everything else to say of it.

Findings are computed from bytes and never change what is recorded or answered.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

import msgspec


class Severity(IntEnum):
    """How bad it is. The names in lower case are those of the filter, the outputs and the catalogue."""

    GOOD = 0
    """As it should be, and worth saying so."""
    INFO = 1
    """Worth showing."""
    WARNING = 2
    """Breaks a SHOULD, is obsolete, or parsers differ about it."""
    ERROR = 3
    """Breaks the grammar or a MUST."""

    @property
    def word(self) -> str:
        """`good`, `info`, `warning` or `error`."""
        return self.name.lower()


class Risk(StrEnum):
    """What it may lead to."""

    NONE = ""
    FRAMING = "framing"
    """Parsers differ about where the message ends: request smuggling, response splitting."""
    DIFFERENTIAL = "differential"
    """Two parsers read it differently: routing, access control, caches."""
    SECURITY = "security"
    """Dangerous in another way."""


class Finding(NamedTuple):
    """One finding about a message: bytes `start` up to, not including, `end`, counted from the first byte of the data.

    `detail` says what is particular to this case, in a few words; what it quotes of the wire has gone through
    `inspectd.text.safe`. `also` holds further ranges that belong to it.
    """

    id: str
    start: int
    end: int
    detail: str = ""
    also: tuple[tuple[int, int], ...] = ()


class Context(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What bytes alone don't tell. Whoever knows nothing of it leaves it out, and nothing is said about it."""

    seconds: float | None = None
    """How long the first head took to arrive, from its first byte to its last."""
    answered: tuple[int, ...] | None = None
    """For each message but interim ones: how many bytes of the data had arrived when its answer began."""
    tls: bool | None = None
    """Whether the connection is encrypted."""
    loopback: bool = False
    """Nobody but this machine sees the bytes."""
    closed: bool | None = None
    """Whether the sender closed the connection after the last message."""


NO_CONTEXT: Final = Context()


class Example(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Bytes that have the finding: the smallest message that shows it. Each character up to U+00FF is that byte."""

    data: str
    """`…` (U+2026) stands for the text of `fill`."""
    at: tuple[tuple[int, int], ...]
    """Where the finding lies in them: the first range is `Finding.start` and `.end`, the others `also`."""
    eof: bool = True
    """Nothing follows."""
    request: str | None = None
    """The request that a response answers, where that matters."""
    fill: tuple[str, int] | None = None
    """What `…` stands for: a text, and how often it comes. It keeps miles of bytes out of the file."""
    context: Context = NO_CONTEXT

    @property
    def wire(self) -> bytes:
        """The bytes of the example."""
        text, times = self.fill or ("", 0)
        return self.data.replace("…", text * times).encode("latin-1")


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What the catalogue says of an id."""

    id: str
    kind: str
    """`request`, `response`, or `message` for both."""
    severity: str
    """A word of `Severity`."""
    risk: Risk = Risk.NONE
    summary: str
    """One line, without a full stop."""
    text: str
    """A paragraph in plain words: what is there, who reads it how, what to do."""
    spec: str
    """The section: `RFC 9112 §2.2`."""
    example: Example
    verdicts: str = ""
    """Which servers accept or refuse such bytes, as a sentence, with the date of the run."""
    see: tuple[str, ...] = ()
    """Related ids."""

    @property
    def level(self) -> Severity:
        """`severity` as a number to compare."""
        return Severity[self.severity.upper()]
