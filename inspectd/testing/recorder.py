"""Between the engine and the rules of a test: it notes every request before the rules answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.rules.book import RuleBook
from inspectd.testing.log import Log, Unmatched
from inspectd.testing.seen import SeenRequest
from inspectd.testing.unmatched import NoRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request
    from inspectd.rules.responder import Plan
    from inspectd.testing.record import Record

CONTENT_KEPT: Final = 1 << 20
"""Octets of the content of a request that are kept in memory; all of them are in the capture."""


class Recorder:
    """A responder that remembers. `prepare` is called before the rules are asked: what the test said last counts."""

    content_kept = CONTENT_KEPT
    description = "a test"
    status_line = ""

    def __init__(self, prepare: Callable[[], None]) -> None:
        self.log = Log()
        self.record: Record
        self._prepare = prepare
        self._seen: dict[tuple[int, int], SeenRequest] = {}
        self._fallback = NoRule()
        self.book = RuleBook(self._fallback, unmatched=self._unmatched)

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        """The answer of the rules; a request that comes is seen before its answer leaves."""
        self._prepare()
        seen = self.seen_of(request)
        seen.at = now
        program = self.book.respond(request, now=now, persist=persist)
        seen.rule = program.rule
        self.log.add(seen)
        return program

    def plan(self, request: Request) -> Plan:
        """When the rules want to answer."""
        self._prepare()
        return self.book.plan(request)

    @property
    def forwards(self) -> bool:
        """Whether a rule may leave requests to a server."""
        self._prepare()
        return self.book.forwards

    def seen_of(self, request: Request) -> SeenRequest:
        """The same request, as the test sees it: there is one for each."""
        key = (request.connection, request.number)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = SeenRequest(request, self.record)
        else:
            seen.update(request)
        return seen

    def clear(self) -> None:
        """Forget what came."""
        self._seen.clear()
        self.log.clear()

    def _unmatched(self, request: Request, explanation: str) -> None:
        self._fallback.explanation = explanation
        self.log.note(Unmatched(self.seen_of(request), explanation))
