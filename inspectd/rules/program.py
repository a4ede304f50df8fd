"""A compiled answer: the exact steps that will be played on the socket, known before the first one runs.

A program is data. It can be shown on a time line, measured, stored and compared; only the engine's player
gives it a life. Nothing is repaired here: what an answer says is what a program sends.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from inspectd.rules.inbox import Inbox


@dataclass(frozen=True, slots=True)
class Pace:
    """How bytes trickle: `piece` of them at a time, with a pause between two pieces.

    A pause lasts `seconds`, more or less by up to the fraction `jitter` of it. The same `seed` gives the same pauses.
    """

    piece: int
    seconds: float
    jitter: float = 0.0
    seed: int = 0

    def pauses(self) -> Iterator[float]:
        """The pauses in seconds, one after the other, without an end."""
        chance = random.Random(self.seed)  # noqa: S311  a repeatable tremble, not a secret
        while True:
            yield self.seconds * (1 + self.jitter * chance.uniform(-1, 1))


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes, all at once or at a pace."""

    data: bytes
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class SendFile:
    """Write `length` bytes of a file from `offset` on, read while they are sent so that memory stays flat."""

    path: Path
    offset: int
    length: int
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until somebody opens the gate of this name, or `timeout` seconds are over.

    When the time is over and there is an `otherwise`, those steps are played instead of all that would follow.
    """

    gate: str
    timeout: float | None = None
    otherwise: tuple[Op, ...] | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing more and leave the connection open, until the client or the engine's stop ends it."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send FIN and go on reading."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in the ordinary way: FIN after the last byte."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Abort the connection: RST, and whatever is unsent is lost."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait until the client says something, or leaves, or the engine stops, or `seconds` are over."""

    inbox: Inbox
    seconds: float | None = None


Op: TypeAlias = Send | SendFile | Wait | Hold | Stall | HalfClose | Close | Reset | Listen


@dataclass(frozen=True, slots=True)
class Program:
    """The steps of one answer.

    `added` lists the field lines that inspectd put in by itself, as text (`"Date: ..."`).
    `label` says in a few words where the answer came from (`"mirror"`, `"answer 503 Busy"`). `rule` is the id of the
    rule it comes from: what a client does with a crafted answer is kept as evidence. With `hold` the exchange waits for
    a person before the first step, and for so many seconds at most. `idle` says in sentences of safe text what of the
    rule does nothing in this answer, such as a fault behind its end.
    """

    ops: tuple[Op, ...]
    label: str = ""
    added: tuple[str, ...] = ()
    rule: str = ""
    hold: float | None = None
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveProgram:
    """A program whose steps become known only while it plays, such as a stream of events.

    With an `inbox` the connection leaves HTTP with this answer, and what the client sends from then on lies there.
    `shown` is what it does as far as that is known: if the client says nothing.
    """

    ops: AsyncIterator[Op]
    label: str = ""
    added: tuple[str, ...] = ()
    rule: str = ""
    hold: float | None = None
    inbox: Inbox | None = None
    shown: tuple[Op, ...] = ()
