"""The answers of one rule, in their order or by chance, and who has come how far.

Places are kept for the 10,000 that came last: a client that sends a new name each time fills no memory. The same
requests in the same order get the same answers, chance included.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.draft import Call
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request

PLACES: Final = 10_000
"""How many places of one rule are remembered."""

_LISTED: Final = 4
"""So many answers are named in a few words."""

Place: TypeAlias = int | str | bytes | None
Then: TypeAlias = Literal["last", "cycle", "next", "after"]

_SPREAD: Final = (
    0x9E3779B97F4A7C15  # an odd number with its bits well mixed: 2^64 divided by the golden ratio
)


class Reply(Protocol):
    """One answer, compiled as far as it can be without a request."""

    @property
    def label(self) -> str:
        """A few words: `503 Busy`, `raw 41 bytes`. Not yet safe for a terminal."""

    def program(self, call: Call) -> Program | LiveProgram:
        """The steps that answer a request. Doesn't raise for anything that a request can be."""


@dataclass(slots=True)
class State:
    """What a rule remembers between requests: how often it was called, and the places in its answers."""

    calls: int = 0
    places: OrderedDict[Place, int] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a rule.

    `then` says what follows the last one: `after` is the reply for it where that is an answer of its own. `per` names
    who has a place: `rule`, `connection`, `client` or `header:NAME`. With `weights` chance decides instead.
    """

    replies: tuple[Reply, ...]
    then: Then = "last"
    after: Reply | None = None
    per: str = "rule"
    weights: tuple[float, ...] | None = None
    seed: int = 0

    def take(self, request: Request, state: State) -> Reply | None:
        """The answer to this request, and a step forward. None leaves the request to the next rule."""
        if self.endless and len(self.replies) == 1:
            return self.replies[0]
        place = place_of(request, self.per)
        taken = state.places.pop(place, 0)
        reply = self._at(taken)
        state.places[place] = taken + 1
        if len(state.places) > PLACES:
            state.places.popitem(last=False)
        return reply

    def peek(self, request: Request, state: State) -> Reply | None:
        """The answer that `take` would give now."""
        return self._at(state.places.get(place_of(request, self.per), 0))

    @property
    def endless(self) -> bool:
        """Whether there is always an answer that is one of `replies`, the last one again and again."""
        return self.then == "last"

    @property
    def yields(self) -> bool:
        """Whether a request may be left to the next rule."""
        return self.then == "next"

    def _at(self, taken: int) -> Reply | None:
        replies = self.replies
        if self.weights is not None:
            chance = random.Random(chance_of(self.seed, taken))  # noqa: S311  repeatable, not a secret
            return chance.choices(replies, self.weights)[0]
        if taken < len(replies):
            return replies[taken]
        match self.then:
            case "last":
                return replies[-1]
            case "cycle":
                return replies[taken % len(replies)]
            case "after":
                return self.after
            case _:
                return None


def chance_of(seed: int, count: int) -> int:
    """A number to seed with, other for each count, the same for the same one."""
    return (seed + count * _SPREAD) & 0xFFFFFFFFFFFFFFFF


def place_of(request: Request, per: str) -> Place:
    """Who has a place of their own: None is everybody's."""
    if per == "rule":
        return None
    if per == "connection":
        return request.connection
    if per == "client":
        return request.peer.rpartition(":")[0]
    name = per.partition(":")[2]
    value = request.head.get(name.encode("utf-8", "replace"))
    # What a client sends is kept: not all of it.
    if value is not None and len(value) > 64:
        return blake2b(value, digest_size=16).digest()
    return value if value is not None else "without"


def labels(replies: Sequence[Reply], manners: Sequence[str]) -> str:
    """The answers in a few words, each with how it is sent: `503 Busy, 200 OK (held), 200 OK`."""
    each = zip(replies[:_LISTED], manners[:_LISTED], strict=True)
    shown = [f"{reply.label} ({how})" if how else reply.label for reply, how in each]
    if len(replies) > _LISTED:
        shown.append(f"… {len(replies)} in all")
    return ", ".join(shown)
