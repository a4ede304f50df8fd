"""Who answers: a responder turns a request into a program. It never touches a socket and never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from inspectd.rules.answer import AnswerError, compile_answer, problem_answer

if TYPE_CHECKING:
    from inspectd.rules.answer import Answer
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request


class Responder(Protocol):
    """Answers every request it is given. `respond` runs on the data path and must not raise."""

    @property
    def description(self) -> str:
        """A few words for a header bar: `mirror`, `503 Back Soon`. Not yet safe for a terminal."""

    @property
    def status_line(self) -> str:
        """The status line of every answer, or an empty string when it depends on the request."""

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        """The answer to `request`. `now` is in seconds since the epoch.

        `persist` says whether the connection may serve another request afterwards: False when the client
        asked to close, or can't do otherwise, or the engine is stopping.
        """


class Plan(NamedTuple):
    """When a request is answered, known from its head.

    `answer_at` is the number of octets of content to wait for: None waits for the end of the request, 0 answers at
    once. `invite` says whether `Expect: 100-continue` is answered with an interim 100.
    """

    answer_at: int | None = None
    invite: bool = True


ORDINARY = Plan()


@runtime_checkable
class Planner(Protocol):
    """A responder that may answer before a request is complete, or wants much of its content."""

    content_kept: int
    """Octets of content that its requests carry at most."""

    def plan(self, request: Request) -> Plan:
        """When to answer `request`, of which only the head is there. Nothing is consumed: `respond` follows."""


class Fixed:
    """The same answer to every request."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    @property
    def description(self) -> str:
        """The status line, without the version where it is the usual one."""
        return self.status_line.removeprefix("HTTP/1.1 ")

    @property
    def status_line(self) -> str:
        """The status line, undecodable bytes as surrogate escapes."""
        return self.answer.status_line.decode("utf-8", "surrogateescape")

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        """The answer; when its body file can't be read any more, a 500 that says so."""
        try:
            return compile_answer(self.answer, request, now=now, persist=persist)
        except AnswerError as error:
            problem = problem_answer(500, error.what, error.mend)
            return compile_answer(problem, request, now=now, persist=persist)
