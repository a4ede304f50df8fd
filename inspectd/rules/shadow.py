"""Rules that never answer, because one before them takes all that they match.

Only what is certain is said: a rule is told of when each condition of the earlier one follows from its own. Whether one
regular expression covers another is not asked.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from inspectd.rules.conditions import Method, MethodOrPreflight, Path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.conditions import Condition
    from inspectd.rules.match import Matcher
    from inspectd.rules.patterns import PathGlob
    from inspectd.rules.rule import Rule


def never_answering(rules: Sequence[Rule]) -> list[tuple[Rule, Rule]]:
    """The rules that never answer, each with the first one that takes its requests, in their order."""
    found: list[tuple[Rule, Rule]] = []
    exact: dict[bytes, list[Rule]] = defaultdict(list)
    others: list[Rule] = []
    order = {id(rule): number for number, rule in enumerate(rules)}
    for rule in rules:
        literal = rule.matcher.glob.literal if rule.matcher.glob is not None else None
        before = others if literal is None else [*exact[literal], *others]
        taking = [earlier for earlier in before if _covers(earlier, rule)]
        if taking:
            found.append((rule, min(taking, key=lambda earlier: order[id(earlier)])))
        elif not rule.answers.yields:
            (others if literal is None else exact[literal]).append(rule)
    return found


def _covers(earlier: Rule, later: Rule) -> bool:
    """Whether every request that the later rule matches is one that the earlier one matches."""
    if earlier.table is not None and later.table is not None and earlier.table.match == later.table.match:
        return not later.table.cors or bool(earlier.table.cors)
    return all(_follows(condition, later.matcher) for condition in earlier.matcher.conditions)


def _follows(condition: Condition, matcher: Matcher) -> bool:
    """Whether a condition holds for every request that the matcher matches."""
    if condition in matcher.conditions:
        return True
    if isinstance(condition, Path):
        return matcher.glob is not None and _includes(condition.glob, matcher.glob)
    if isinstance(condition, Method):
        return any(
            isinstance(other, Method) and set(other.methods) <= set(condition.methods)
            for other in matcher.conditions
        )
    if isinstance(condition, MethodOrPreflight):
        return any(
            isinstance(other, (Method, MethodOrPreflight))
            and set(_methods(other)) <= set(condition.method.methods)
            for other in matcher.conditions
        )
    return False


def _methods(condition: Method | MethodOrPreflight) -> tuple[bytes, ...]:
    return condition.methods if isinstance(condition, Method) else condition.method.methods


def _includes(wide: PathGlob, narrow: PathGlob) -> bool:
    """Whether every path that fits the narrow glob fits the wide one."""
    if wide.text == narrow.text:
        return True
    if narrow.literal is not None:
        return wide.match(narrow.literal) is not None
    return wide.text.encode() == wide.prefix + b"**" and narrow.prefix.startswith(wide.prefix)
