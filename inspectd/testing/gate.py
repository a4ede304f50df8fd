"""A gate: requests of a rule wait at it until the test decides what becomes of each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Unpack

from inspectd.testing.hiding import hidden
from inspectd.testing.words import WordsError, keys, one_answer

if TYPE_CHECKING:
    from inspectd.engine.holds import Held
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.testing.rule import Rule
    from inspectd.testing.seen import SeenRequest
    from inspectd.testing.server import Inspectd
    from inspectd.testing.words import AnswerWords, Words


__tracebackhide__ = hidden


class Gate:
    """Holds the requests of one rule. What a verb is about is the request that has waited longest."""

    def __init__(self, server: Inspectd, rule: Rule) -> None:
        self._server = server
        self.rule = rule
        """The rule whose requests are held."""

    # -- looking

    @property
    def held(self) -> int:
        """How many requests wait now."""
        return len(self._waiting())

    @property
    def request(self) -> SeenRequest:
        """The request that has waited longest. AssertionError when none waits."""
        waiting = self._waiting()
        if not waiting:
            raise AssertionError(f"no request waits at the gate of the rule {self.rule}")
        return self._server.seen_of(waiting[0].request)

    @property
    def client_gone(self) -> bool:
        """Whether the client of that request has closed its connection meanwhile."""
        waiting = self._waiting()
        return bool(waiting) and waiting[0].client_gone

    def wait_held(self, count: int = 1, timeout: float = 5.0) -> SeenRequest:
        """Wait until a request (or `count` of them) waits here; the one that came first.

        AssertionError when none has come after `timeout` seconds.
        """
        self._wait(count, timeout, "await gate.await_held()")
        return self.request

    async def await_held(self, count: int = 1, timeout: float = 5.0) -> SeenRequest:  # noqa: ASYNC109
        """`wait_held` for tests whose client runs in the event loop of the test."""
        return await asyncio.to_thread(self.wait_held, count, timeout)

    # -- deciding

    def release(
        self,
        words: Words | None = None,
        *,
        raw: bytes | None = None,
        timeout: float = 5.0,
        **more: Unpack[AnswerWords],
    ) -> None:
        """Let the request go: with the rule's answer, or with this one. Waits for a request when none is here."""
        table: dict[str, Any] | None = None
        if raw is not None:
            if words is not None or more:
                raise WordsError(
                    "raw bytes beside other words", "Bytes are the whole answer: give them alone."
                )
            table = one_answer(raw)
        elif words is not None or more:
            table = {**(one_answer(words) if words is not None else {}), **keys(more)}
        held = self._first(timeout)
        program = None if table is None else self._program(held, table)
        self._server.stage.call(self._server.stage.engine.holds.release, held.id, program)

    def drop(self, timeout: float = 5.0) -> None:
        """Close the connection without a byte of an answer: FIN."""
        self._server.stage.call(self._server.stage.engine.holds.drop, self._first(timeout).id)

    def reset(self, timeout: float = 5.0) -> None:
        """Close the connection without a byte of an answer: RST."""
        self._server.stage.call(self._server.stage.engine.holds.reset, self._first(timeout).id)

    def open(self) -> None:
        """Let everything go that waits, and hold nothing any more."""
        self.rule._with(hold=False)  # noqa: SLF001
        desk = self._server.stage.engine.holds

        def release_all() -> None:
            for held in self._held_now():
                desk.release(held.id)

        self._server.stage.call(release_all)

    # -- the desk of the engine

    def _held_now(self) -> list[Held]:
        """In the engine's loop: what waits here."""
        return [held for held in self._server.stage.engine.holds.held if held.rule == self.rule.id]

    def _waiting(self) -> list[Held]:
        return self._server.stage.call(self._held_now)

    def _wait(self, count: int, timeout: float, instead: str) -> None:
        gate = f"at the gate of the rule {self.rule}"
        what = f"until {count} requests wait {gate}" if count > 1 else f"until a request waits {gate}"

        def late() -> str:
            if count == 1:
                return f"no request waits {gate} after {timeout:g} s"
            return f"{self.held} of {count} requests wait {gate} after {timeout:g} s"

        self._server.wait(lambda: self.held >= count, timeout, what, instead, late)

    def _first(self, timeout: float) -> Held:
        self._wait(1, timeout, "await gate.await_held() first")
        return self._waiting()[0]

    def _program(self, held: Held, table: dict[str, Any]) -> Program | LiveProgram:
        reply = self._server.reply_of(table, self.rule.id)
        return reply.program(self._server.call_of(held.request))
