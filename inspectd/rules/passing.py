"""The responder that leaves the answer to a real server: what stands behind the rules of a proxy.

Its program has no steps. A connection that can forward knows it by its identity and does that instead of playing it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from inspectd.rules.program import Program

if TYPE_CHECKING:
    from inspectd.rules.request import Request

PASS: Final = Program((), "the server's answer")
"""Forward the request."""


@runtime_checkable
class Passer(Protocol):
    """A responder that may leave requests to a server."""

    def passes(self, request: Request) -> bool:
        """Whether `request`, of which only the head is there, is certain to be forwarded: then nobody waits for more.

        Nothing is consumed. When it isn't certain, `respond` decides, and may still answer with `PASS`.
        """


class Passing:
    """Forwards every request. `server` names where to, for people."""

    status_line = ""

    def __init__(self, server: str) -> None:
        self.description = f"passing on to {server}"

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:  # noqa: ARG002
        """`PASS`."""
        return PASS

    def passes(self, request: Request) -> bool:  # noqa: ARG002
        """Always."""
        return True
