"""What has come to a server of a test so far, for the test's thread to look at and to wait for.

The engine's thread writes, any other one reads: whoever waits is woken by the request it waits for.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.testing.seen import SeenRequest

_LOOK_AGAIN: Final = 0.02
"""Seconds between two looks at what no request announces: a connection that ends."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A request that no rule is for, and why the rules that come near aren't, in safe text."""

    request: SeenRequest
    explanation: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A Python function that was to answer and failed."""

    request: SeenRequest
    rule: str
    error: BaseException

    def __str__(self) -> str:
        return f"a function of the rule {self.rule} failed on {self.request}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a test did not provide for; false when there is nothing of the kind."""

    failed: list[Failed]
    unmatched: list[Unmatched]

    def __bool__(self) -> bool:
        return bool(self.failed or self.unmatched)

    @property
    def lines(self) -> list[str]:
        """What is to be said of each, as safe text; once of those that are alike."""
        lines = [f"{each}: {_said(each.error)}" for each in self.failed]
        lines += [each.explanation for each in self.unmatched]
        return [
            line if times == 1 else f"{line}\n  ({times} times)" for line, times in Counter(lines).items()
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _said(error: BaseException) -> str:
    return safe(f"{type(error).__name__}: {error}", newline=True, doubling=False)


class Log:
    """Requests in the order of their answers, those without a rule, and functions that failed."""

    def __init__(self) -> None:
        self.requests: list[SeenRequest] = []
        self.unmatched: list[Unmatched] = []
        self.failed: list[Failed] = []
        self._changed = threading.Condition()
        self._changes = 0

    def add(self, request: SeenRequest) -> None:
        """A request is being answered."""
        with self._changed:
            self.requests.append(request)
            self._tell()

    def note(self, problem: Unmatched | Failed) -> None:
        """Something that must not pass silently."""
        with self._changed:
            if isinstance(problem, Failed):
                self.failed.append(problem)
            else:
                self.unmatched.append(problem)
            self._tell()

    def changed(self) -> None:
        """Something else that somebody may wait for has happened."""
        with self._changed:
            self._tell()

    def _tell(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self.requests = []
            self.unmatched = []
            self.failed = []

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition holds, for so many seconds at most; whether it does.

        It is looked at when something has come, and now and then: it may ask the engine, so no lock is held meanwhile.
        """
        until = time.monotonic() + timeout
        while True:
            with self._changed:
                known = self._changes
            if condition():
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                if self._changes == known:
                    self._changed.wait(min(left, _LOOK_AGAIN))
