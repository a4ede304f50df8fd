"""One rule as the answer to every request, whether it matches or not: what a person picks instead of a status line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.rules.draft import Call
from inspectd.rules.sequence import chance_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request
    from inspectd.rules.rule import Rule


class Alone:
    """Answers by this rule. Its calls and places count on; where its answers are used up, the last one stays."""

    status_line = ""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @property
    def description(self) -> str:
        """`rule busy twice`."""
        return f"rule {self.rule.id}"

    @property
    def forwards(self) -> bool:
        """Whether requests may be left to a server."""
        return self.rule.forwards

    def follow(self, rules: Iterable[Rule]) -> None:
        """Take the rule as it is now: by its name, or one without a name as long as its text is the same.

        When it is no longer there, it answers as it did last.
        """
        mine = self.rule
        for rule in rules:
            if rule.source == mine.source and (
                rule.name == mine.name if mine.name else rule.table == mine.table
            ):
                self.rule = rule
                return

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        """Its next answer."""
        rule = self.rule
        reply = rule.answers.take(request, rule.state) or rule.answers.replies[-1]
        rule.state.calls += 1
        return reply.program(self._call(request, now, rule.state.calls, persist=persist))

    def preview(self, request: Request, *, now: float) -> Program | LiveProgram:
        """The same, without taking it."""
        rule = self.rule
        reply = rule.answers.peek(request, rule.state) or rule.answers.replies[-1]
        return reply.program(self._call(request, now, rule.calls + 1, persist=True))

    def _call(self, request: Request, now: float, count: int, *, persist: bool) -> Call:
        captured = self.rule.matcher.test(request) or {}
        return Call(request, now, persist, count, captured, chance_of(self.rule.seed, count))
