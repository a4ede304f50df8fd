"""The desk where exchanges wait for a person, or a test, to decide how they are answered.

A request is held because its rule says so or because somebody asked for the next ones. Whoever decides hands over a
program; when nobody does before the time is over, the client gets the answer it would have got anyway. Everything
here runs in the engine's loop, and nothing of it is on the way of a request while nobody holds.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from inspectd.capture.answered import BY_HAND
from inspectd.errors import InspectdError
from inspectd.rules.program import Close, Program, Reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.program import LiveProgram
    from inspectd.rules.request import Request

HOLD_TIMEOUT: Final = 300.0
"""Seconds that an exchange is held when nothing else is said."""
DROPPED: Final = Program((Close(),), "dropped by hand: closed without a byte", rule=BY_HAND)
RESET: Final = Program((Reset(),), "reset by hand: not a byte was sent", rule=BY_HAND)


class UnknownHold(InspectdError):  # noqa: N818  what it is, as in FileExistsError
    """Nothing is held under this id (any more)."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"exchange {number} is not held",
            "it was released, its time was over, or its client has gone; see what is held now",
        )


@dataclass(slots=True, eq=False)
class Held:
    """An exchange that waits. `id` is the exchange's, `timeout` is in seconds from `since_ns` (since the epoch) on.

    `program` is the answer it gets when nobody decides otherwise. `client_gone` says that the client has sent FIN
    meanwhile: most have given up by then, some only said that they will send no more. `owner` is whoever asked for
    it, `rule` the rule that did.
    """

    id: int
    connection: int
    number: int
    since_ns: int
    timeout: float
    request: Request
    program: Program | LiveProgram
    owner: str = ""
    rule: str = ""
    client_gone: bool = False
    _answer: Callable[[Program | LiveProgram], None] = field(repr=False, kw_only=True)
    _timer: asyncio.TimerHandle = field(repr=False, kw_only=True)

    @property
    def seconds(self) -> float:
        """How long it has been held."""
        return (time.time_ns() - self.since_ns) / 1e9


class HoldDesk:
    """What is held now, and how many of the next requests shall be.

    `on_change` functions are called with `"held"`, `"gone"` (the client sent FIN) or `"released"`, with what is held,
    and with how a release came about: `"released"` (the normal answer), `"answered"` (another one), `"dropped"`,
    `"reset"`, `"timeout"`, `"stopped"` (the engine) or `"lost"` (the connection ended).
    """

    def __init__(self) -> None:
        self.next_count: int | None = 0
        """How many of the next requests are held; None means every one."""
        self.timeout = HOLD_TIMEOUT
        self.owner = ""
        self.on_change: list[Callable[[str, Held, str], object]] = []
        self._held: dict[int, Held] = {}

    # -- what front ends ask for

    def hold_next(self, count: int | None, *, timeout: float = HOLD_TIMEOUT, owner: str = "") -> None:
        """Hold the next `count` requests, every one with None, no more with 0; each for `timeout` seconds at most."""
        self.next_count = count if count is None else max(count, 0)
        self.timeout = timeout
        self.owner = owner

    @property
    def held(self) -> list[Held]:
        """What is held now, the oldest first."""
        return list(self._held.values())

    def get(self, number: int) -> Held:
        """What is held under the id of an exchange; raises UnknownHold."""
        try:
            return self._held[number]
        except KeyError:
            raise UnknownHold(number) from None

    def release(self, number: int, program: Program | LiveProgram | None = None) -> None:
        """Answer with `program`, or with the normal answer. Raises UnknownHold."""
        held = self.get(number)
        if program is None:
            self._let_go(held, held.program, "released")
        else:
            self._let_go(held, by_hand(program), "answered")

    def drop(self, number: int) -> None:
        """End the connection with FIN and without a byte of an answer. Raises UnknownHold."""
        self._let_go(self.get(number), DROPPED, "dropped")

    def reset(self, number: int) -> None:
        """End the connection with RST. Raises UnknownHold."""
        self._let_go(self.get(number), RESET, "reset")

    def release_all(self, owner: str | None = None, *, outcome: str = "released") -> int:
        """Give everything its normal answer, or what this owner asked to hold, and hold nothing more of it.

        Returns how many were released.
        """
        if owner is None or owner == self.owner:
            self.next_count = 0
        chosen = [held for held in self.held if owner is None or held.owner == owner]
        for held in chosen:
            self._let_go(held, held.program, outcome)
        return len(chosen)

    # -- what connections report

    def take(
        self,
        number: int,
        request: Request,
        program: Program | LiveProgram,
        answer: Callable[[Program | LiveProgram], None],
    ) -> Held:
        """Hold an exchange; `answer` is called once with the program it is released with, unless it gets lost."""
        if program.hold is not None:
            timeout, owner = program.hold, ""
        else:
            timeout, owner = self.timeout, self.owner
            if self.next_count:
                self.next_count -= 1
        timer = asyncio.get_running_loop().call_later(timeout, self._expire, number)
        held = self._held[number] = Held(
            number,
            request.connection,
            request.number,
            time.time_ns(),
            timeout,
            request,
            program,
            owner,
            program.rule,
            _answer=answer,
            _timer=timer,
        )
        self._tell("held", held, "")
        return held

    def client_left(self, held: Held) -> None:
        """The client sent FIN while this waits."""
        held.client_gone = True
        self._tell("gone", held, "")

    def lose(self, held: Held) -> None:
        """The connection ended while this waits."""
        if self._remove(held):
            self._tell("released", held, "lost")

    # -- ends of a hold

    def _expire(self, number: int) -> None:
        held = self._held.get(number)
        if held is not None:
            self._let_go(held, held.program, "timeout")

    def _let_go(self, held: Held, program: Program | LiveProgram, outcome: str) -> None:
        if self._remove(held):
            held._answer(program)  # noqa: SLF001  the desk's own
            self._tell("released", held, outcome)

    def _remove(self, held: Held) -> bool:
        held._timer.cancel()  # noqa: SLF001
        return self._held.pop(held.id, None) is not None

    def _tell(self, kind: str, held: Held, outcome: str) -> None:
        for listener in list(self.on_change):
            listener(kind, held, outcome)


def by_hand(program: Program | LiveProgram) -> Program | LiveProgram:
    """The program as somebody's decision: evidence names its rule, or that it was held."""
    return replace(program, label=program.label or "answered by hand", rule=program.rule or BY_HAND)
