"""Who answers: a responder turns a request into a program. It never touches a socket and never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
