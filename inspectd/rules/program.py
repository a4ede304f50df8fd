"""A compiled answer: the exact steps that will be played on the socket, known before the first one runs.

A program is data. It can be shown on a time line, measured, stored and compared; only the engine's player
gives it a life. Nothing is repaired here: what an answer says is what a program sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendFile:
    """Write `length` bytes of a file from `offset` on, read while they are sent so that memory stays flat."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until somebody opens the gate of this name."""

    gate: str


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send FIN and go on reading."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in the ordinary way: FIN after the last byte."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Abort the connection: RST, and whatever is unsent is lost."""


Op: TypeAlias = Send | SendFile | Wait | Hold | HalfClose | Close | Reset


@dataclass(frozen=True, slots=True)
class Program:
    """The steps of one answer.

    `added` lists the field lines that inspectd put in by itself, as text (`"Date: ..."`).
    `label` says in a few words where the answer came from (`"mirror"`, `"answer 503 Busy"`).
    """

    ops: tuple[Op, ...]
    label: str = ""
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveProgram:
    """A program whose steps become known only while it plays, such as a stream of events."""

    ops: AsyncIterator[Op]
    label: str = ""
    added: tuple[str, ...] = ()
