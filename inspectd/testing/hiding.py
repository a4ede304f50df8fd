"""Which frames of ours a report of pytest leaves out: those between the line of a test and what is wrong with it.

A module that assigns `hidden` to `__tracebackhide__` asks for it; pytest looks for that name in a frame's globals too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from typing import Protocol

    class Raised(Protocol):
        """What pytest knows of an exception."""

        @property
        def value(self) -> BaseException: ...


def hidden(raised: Raised) -> bool:
    """True for mistakes and checks of a test; when we fail ourselves, every frame is of interest."""
    return isinstance(raised.value, (InspectdError, AssertionError))


def leave_to_function(error: BaseException) -> None:
    """Take the calls that led to a function of the test from the traceback of what it raised.

    Where no function was called it is we who failed, and every call stays, but for a mistake that its words tell.
    """
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("inspectd."):
        trace = trace.tb_next
    if trace is not None or isinstance(error, InspectdError):
        error.__traceback__ = trace
