"""An answer on its way from a rule's table to a program: what it says, before anything is encoded, paced or broken.

The steps of a rule (template, credentials, ranges, CORS, ...) each take a draft and hand on a draft. When they are
done, `assemble` turns it into bytes. So each step knows content and field lines only, and one place knows framing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from inspectd.errors import InspectdError
from inspectd.rules.answer import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from inspectd.rules.inbox import Inbox
    from inspectd.rules.program import Hold, Op, Send, Stall, Wait
    from inspectd.rules.request import Request


class CraftError(InspectdError):
    """A key of an answer's table can't be used as it is written: which, what is wrong with it, how to mend it."""

    def __init__(self, key: str, what: str, mend: str = "") -> None:
        super().__init__(what, mend, exit_code=2)
        self.key = key


class CraftProblems(InspectdError):  # noqa: N818  it holds errors
    """Everything in an answer's table that can't be used."""

    def __init__(self, problems: Sequence[CraftError]) -> None:
        super().__init__("\n".join(f"{problem.key}: {problem}" for problem in problems), exit_code=2)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class FileSlice:
    """`length` bytes of a file from `offset` on."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Script:
    """Content that takes time: pieces with pauses between them. Each `Send` is one chunk where chunks are wanted."""

    steps: tuple[Send | Wait | Hold | Stall, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """Content without a known end. The function is called once for each answer."""

    steps: Callable[[], AsyncIterator[Send | Wait | Hold | Stall]]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What follows a change of protocol. What the client sends comes to `inbox`.

    `shown` is what is sent as far as that is known beforehand: if the client says nothing.
    """

    steps: Callable[[], AsyncIterator[Op]]
    inbox: Inbox
    shown: tuple[Op, ...] = ()


Content: TypeAlias = bytes | FileSlice | Script | Live | Conversation


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a rule answers.

    `now` is in seconds since the epoch, `persist` as a responder gets it. `count` says how often the rule has been
    called, this time included. `captured` are the parts of the path that the matcher's `{name}` and `*` stood for
    (`"**"` is the key of the last `**`). `chance` is a number to seed with: the same for the same call of a rule.
    """

    request: Request
    now: float
    persist: bool
    count: int = 1
    captured: Mapping[str, str] = field(default_factory=dict)
    chance: int = 0


@dataclass(slots=True)
class Draft:
    """What is going to be said. `fields` are whole lines without their ends; steps change it in place.

    `added` lists what a step put in by itself beyond the words of the rule. `closes` asks for the end of the
    connection after the answer, `final` skips the steps that are left (a challenge, a 304). `before` runs ahead of the
    head: the wait of a long poll. When a hold in it comes to the end of its time, `otherwise` is the answer instead of
    this one, if there is an `otherwise`.
    """

    status_line: bytes
    fields: list[bytes] = field(default_factory=list)
    content: Content = b""
    auto: frozenset[str] = AUTOMATIC
    added: list[str] = field(default_factory=list)
    closes: bool = False
    before: tuple[Wait | Hold, ...] = ()
    final: bool = False
    otherwise: Draft | None = None

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of this name (in lower case), without the white space around it."""
        for line in self.fields:
            found, colon, value = line.partition(b":")
            if colon and found.strip().lower() == name:
                return value.strip()
        return None

    def put(self, line: bytes) -> None:
        """Add a field line."""
        self.fields.append(line)


Step: TypeAlias = Callable[["Call", "Draft"], "Draft"]
"""One behaviour of a rule."""
