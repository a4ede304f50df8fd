"""A Python function as one more condition of a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inspectd.rules.match import Matcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.subject import Subject
    from inspectd.testing.rule import Rule
    from inspectd.testing.seen import SeenRequest
    from inspectd.testing.server import Inspectd


class Where:
    """Holds when the function says so. One that raises holds for nothing, and fails the test."""

    def __init__(self, server: Inspectd, rule: Rule, function: Callable[[SeenRequest], Any]) -> None:
        self._server = server
        self._rule = rule
        self._function = function
        self._name = getattr(function, "__name__", type(function).__name__)

    def holds(self, subject: Subject) -> bool:
        """Whether the function returns something true."""
        seen = self._server.seen_of(subject.request)
        try:
            return bool(self._function(seen))
        except Exception as error:  # noqa: BLE001  it is the test's function, and the test hears of it
            self._server.failed(seen, self._rule, error)
            return False

    def why_not(self, subject: Subject) -> str:  # noqa: ARG002  the function gives no reason
        """What kept it from holding."""
        return f"its condition {self._name} does not hold"


def with_where(matcher: Matcher, where: Where) -> Matcher:
    """A matcher with one condition more, which may look at the content."""
    content = matcher.dynamic[len(matcher.on_head) :]
    return Matcher(f"{matcher.text} where", matcher.static, matcher.on_head, (*content, where))
