"""Rules that never answer, because one before them takes all that they match.

Only what is certain is said: a rule is told of when each condition of the earlier one follows from its own. Whether one
regular expression covers another is not asked, and rules are compared until `MOST` pairs have been: a file of many
thousands whose paths have nothing in common to look them up by is not gone through to its end.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from inspectd.rules.conditions import Method, MethodOrPreflight, Path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inspectd.rules.conditions import Condition
    from inspectd.rules.match import Matcher
    from inspectd.rules.patterns import PathGlob
    from inspectd.rules.rule import Rule


MOST: Final = 300_000
"""Pairs of rules that are compared at most: a second or two."""


def never_answering(rules: Sequence[Rule]) -> list[tuple[Rule, Rule]]:
    """The rules that never answer, each with the first one that takes its requests, in their order."""
    found: list[tuple[Rule, Rule]] = []
    exact: dict[bytes, list[int]] = defaultdict(list)
    below: dict[bytes, list[int]] = defaultdict(list)
    left = MOST
    for number, rule in enumerate(rules):
        glob = rule.matcher.glob
        path = b"" if glob is None else glob.prefix if glob.literal is None else glob.literal
        before = [place for prefix in _prefixes(path) for place in below.get(prefix, ())]
        if glob is not None and glob.literal is not None:
            before += exact[glob.literal]
        left -= len(before)
        if left < 0:
            break
        taking = [place for place in before if _covers(rules[place], rule)]
        if taking:
            found.append((rule, rules[min(taking)]))
        elif not rule.answers.yields:
            (below if glob is None or glob.literal is None else exact)[path].append(number)
    return found


def _prefixes(path: bytes) -> Iterator[bytes]:
    """What a glob that includes this path may begin with: each part of it that ends with a slash, and nothing."""
    yield b""
    end = path.find(b"/")
    while end >= 0:
        yield path[: end + 1]
        end = path.find(b"/", end + 1)


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
