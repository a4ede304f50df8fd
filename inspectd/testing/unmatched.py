"""What a client gets, and what a test is told, when no rule of the test is for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.rules.answer import Answer, compile_answer

if TYPE_CHECKING:
    from inspectd.rules.program import Program
    from inspectd.rules.request import Request

STATUS: Final = "404 No Rule Matches"
_PROBLEM: Final = "The test that this server belongs to fails for this, unless it allows unmatched requests."


class NoRule:
    """The answer to what no rule is for: a 404 that says so, and which rules come near."""

    description = STATUS
    status_line = f"HTTP/1.1 {STATUS}"

    def __init__(self) -> None:
        self.explanation = ""
        """Why nothing matched, in safe text: it is told right before the answer is asked for."""

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        """The 404 for this request."""
        answer = Answer(
            self.status_line.encode(),
            (b"Content-Type: text/plain; charset=utf-8", b"Cache-Control: no-store"),
            f"inspectd: {self.explanation}\n\n{_PROBLEM}\n".encode("utf-8", "backslashreplace"),
            label="no rule matches",
        )
        return compile_answer(answer, request, now=now, persist=persist)
