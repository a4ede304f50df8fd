"""Exchanges that wait for a person, as the screen knows them: bytes instead of base64, and how long they wait."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from inspectd.control.traffic_messages import HeldShown, HoldsShown

SECOND: Final = 1_000_000_000
_TARGET_CELLS: Final = 40


@dataclass(frozen=True, slots=True)
class Waiting:
    """One exchange that is held. `answer` is the beginning of its normal answer, of `answer_length` bytes.

    `answer_length` is None while nobody knows where the answer ends, `timeout` are seconds from `since_ns` on.
    """

    id: int
    method: str
    target: str
    since_ns: int
    timeout: float
    client_gone: bool
    rule: str
    head: bytes
    answer: bytes
    answer_length: int | None
    label: str

    @property
    def name(self) -> str:
        """What it is, in a few safe words: `POST /pay`."""
        words = f"{self.method} {self.target}".strip()
        return clip(safe(words, doubling=False) or "a request", _TARGET_CELLS)

    @property
    def whole(self) -> bool:
        """Whether `answer` is all of the normal answer."""
        return self.answer_length is not None and len(self.answer) >= self.answer_length

    def waited(self, now_ns: int) -> int:
        """Nanoseconds since it came."""
        return max(0, now_ns - self.since_ns)


@dataclass(frozen=True, slots=True)
class Holds:
    """What is held, the oldest first, and how many of the next requests will be (None: all of them)."""

    next: int | None = 0
    held: tuple[Waiting, ...] = ()

    def get(self, exchange: int | None) -> Waiting | None:
        """The one with this id."""
        return next((each for each in self.held if each.id == exchange), None)

    @property
    def words(self) -> str:
        """What the header says of it; empty when nothing is held and nothing will be."""
        parts = []
        if self.next is None:
            parts.append("holding all")
        elif self.next:
            parts.append(f"holding next {self.next}")
        if self.held:
            parts.append(f"{len(self.held)} waiting")
        return " · ".join(parts)

    @classmethod
    def of(cls, shown: HoldsShown) -> Self:
        """What the engine said."""
        return cls(shown.next, tuple(_waiting(each) for each in shown.held))


def _waiting(shown: HeldShown) -> Waiting:
    return Waiting(
        id=shown.id,
        method=shown.method or "",
        target=shown.target or "",
        since_ns=shown.since_ns,
        timeout=shown.timeout,
        client_gone=shown.client_gone,
        rule=shown.rule,
        head=_bytes(shown.request_head),
        answer=_bytes(shown.answer),
        answer_length=shown.answer_length,
        label=shown.label,
    )


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


NOTHING_HELD: Final = Holds()
