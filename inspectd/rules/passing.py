"""Answers that are left to a real server, plainly or with changes, and the responder that leaves all of them.

The program of such an answer has no steps. A connection that can forward knows it by its type and does that instead of
playing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from inspectd.rules.program import Program

if TYPE_CHECKING:
    from inspectd.rules.faults import Fault
    from inspectd.rules.patch import Patch
    from inspectd.rules.request import Request


@dataclass(frozen=True, slots=True)
class Pass(Program):
    """Forward the request, and pass the server's answer on.

    `origin` is the URL of the server, None for the one that the mode would ask; `host` the value of Host that it is
    sent. `before` is how many seconds the request waits here first. `faults` happen at places of the answer that the
    client gets, and `closes` ends the connection behind it.
    """

    origin: str | None = None
    host: bytes | None = None
    patch: Patch | None = None
    before: float = 0.0
    faults: tuple[Fault, ...] = ()
    closes: bool = False

    @property
    def sentence(self) -> str:
        """What happens, in words. Not yet safe for a terminal."""
        server = self.origin or "the server that the request is for"
        said = f"Asks {server}"
        if self.host is not None:
            said += f" (Host: {self.host.decode('utf-8', 'backslashreplace')})"
        said += " and passes its answer on"
        if self.patch is not None:
            said += f", patched: {self.patch.sentence}"
        for fault in self.faults:
            late = f" after {fault.after:g} s" if fault.after else ""
            said += f"; {fault.do} at {fault.place.text}{late}"
        return f"{said}."


PASS: Final = Pass((), "the server's answer")
"""Forward the request as the mode says, and change nothing."""


@runtime_checkable
class Passer(Protocol):
    """A responder that may leave requests to a server."""

    @property
    def forwards(self) -> bool:
        """Whether it may now: connections have to be able to forward then."""

    def passes(self, request: Request) -> bool:
        """Whether `request`, of which only the head is there, is certain to be forwarded: then nobody waits for more.

        Nothing is consumed. When it isn't certain, `respond` decides, and may still answer with `PASS`.
        """


PASSING_ON: Final = "passing requests on to "
"""How its description begins, which is no answer's."""


class Passing:
    """Forwards every request. `server` names where to, for people."""

    status_line = ""
    forwards = True
    """Its connections have to be able to forward."""

    def __init__(self, server: str) -> None:
        self.description = f"{PASSING_ON}{server}"

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:  # noqa: ARG002
        """`PASS`."""
        return PASS

    def passes(self, request: Request) -> bool:  # noqa: ARG002
        """Always."""
        return True
