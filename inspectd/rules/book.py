"""A book of rules: which rule answers a request, found fast, and exchanged as a whole while requests come in.

The first rule that matches answers, from the top down. The rules of a file, of the control API or of a test are a
*source* each, and sources stand in an order too. A snapshot of all of them is immutable: `replace` and `remove`, from
any thread, make another one and swap it in, so that no request sees half of a change. What a rule remembers (calls,
places in its answers) outlives the change when its table does.

Finding a rule costs the same with one rule and with a thousand: which rules can match a method and a target is
looked up by path, and remembered. Nothing here touches a socket or waits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.rules.draft import Call
from inspectd.rules.passing import Passer
from inspectd.rules.problems import RuleProblems
from inspectd.rules.request import CONTENT_PREFIX
from inspectd.rules.responder import ORDINARY, Plan
from inspectd.rules.rule import Rule, make_rule, reply_rule
from inspectd.rules.sequence import State, chance_of
from inspectd.rules.subject import Subject
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from inspectd.rules.conditions import Condition
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request
    from inspectd.rules.responder import Responder

__all__ = ["Rule", "RuleBook", "RuleProblems", "Verdict", "make_rule", "reply_rule"]

CONTENT_KEPT: Final = 1 << 20
"""Octets of content that requests carry when a rule looks at it."""

_REMEMBERED: Final = 4096
_REMEMBERED_TARGET: Final = 1024


class Candidate(NamedTuple):
    """A rule that matches a method and a target, and what is left to be tested."""

    rule: Rule
    captured: Mapping[str, str]
    conditions: tuple[Condition, ...]

    def holds(self, subject: Subject) -> bool:
        """Whether the rest holds as well."""
        return all(condition.holds(subject) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one rule for one request.

    `why_not` has a sentence, in safe text, for each thing that kept it from answering; none when it matches.
    `closeness` says from 0 to 1 how near the request came.
    """

    rule: Rule
    matched: bool
    captured: Mapping[str, str]
    why_not: tuple[str, ...]
    closeness: float


class _Snapshot:
    """Rules that don't change, and where to find them by path."""

    def __init__(self, sources: Mapping[str, tuple[Rule, ...]]) -> None:
        self.sources = dict(sources)
        self.rules = tuple(rule for rules in sources.values() for rule in rules)
        self.plans = any(rule.plan is not ORDINARY for rule in self.rules)
        self.forwards = any(rule.forwards for rule in self.rules)
        self.wants_content = any(rule.wants_content for rule in self.rules)
        self._exact: dict[bytes, list[int]] = defaultdict(list)
        self._below: dict[bytes, list[int]] = defaultdict(list)
        self._anywhere: list[int] = []
        self._depth = 0
        """So many slashes have the prefixes in `_below` at most."""
        self._found: dict[tuple[bytes, bytes], tuple[Candidate, ...]] = {}
        for place, rule in enumerate(self.rules):
            glob = rule.matcher.glob
            if glob is not None and glob.literal is not None:
                self._exact[glob.literal].append(place)
            elif glob is not None and glob.prefix:
                self._below[glob.prefix].append(place)
                self._depth = max(self._depth, glob.prefix.count(b"/"))
            else:
                self._anywhere.append(place)

    def candidates(self, request: Request) -> tuple[Candidate, ...]:
        """The rules that may answer, in order, up to the first that certainly does."""
        head = request.head
        key = (head.method, head.target)
        found = self._found.get(key)
        if found is None:
            found = tuple(self._search(request))
            if len(head.target) <= _REMEMBERED_TARGET and len(head.method) <= _REMEMBERED_TARGET:
                if len(self._found) >= _REMEMBERED:
                    self._found.clear()
                self._found[key] = found
        return found

    def _search(self, request: Request) -> Iterator[Candidate]:
        subject = Subject(request)
        for place in self._places(subject.path):
            rule = self.rules[place]
            captured = rule.matcher.captured(subject)
            if captured is None:
                continue
            yield Candidate(rule, captured, rule.matcher.dynamic)
            if not rule.matcher.dynamic and not rule.answers.yields:
                return

    def _places(self, path: bytes) -> list[int]:
        """Where the rules stand that this path may fit, in order."""
        places = self._anywhere + self._exact.get(path, [])
        end = -1
        for _ in range(self._depth):
            end = path.find(b"/", end + 1)
            if end < 0:
                break
            places += self._below.get(path[: end + 1], ())
        places.sort()
        return places


class RuleBook:
    """Answers by the first rule that matches, and by `fallback` when none does.

    `unmatched` is called with each request that no rule matches, and with a few sentences in safe text about the rules
    that came nearest.
    """

    def __init__(
        self, fallback: Responder, *, unmatched: Callable[[Request, str], None] | None = None
    ) -> None:
        self.fallback = fallback
        self.unmatched = unmatched
        self.content_kept = CONTENT_PREFIX
        """Octets of content that requests carry: more when a rule looks at it."""
        self._snapshot = _Snapshot({})
        self._changing = Lock()

    # -- the rules

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in the order in which they are tried."""
        return self._snapshot.rules

    @property
    def sources(self) -> list[tuple[str, tuple[Rule, ...]]]:
        """The sources in their order, each with its rules."""
        return list(self._snapshot.sources.items())

    def replace(self, source: str, rules: Sequence[Rule], *, first: bool = False, anew: bool = False) -> None:
        """Exchange all rules of a source at once.

        A new source goes behind the others, or before them with `first`; a known one stays where it is. A rule whose
        table is that of a rule that goes keeps its calls and places, unless all of them begin `anew`.
        """
        with self._changing:
            sources = dict(self._snapshot.sources)
            going = sources.get(source, ())
            sources[source] = ()
            taken = {rule.id for others in sources.values() for rule in others}
            own = _with_own_ids(rules, taken, going)
            coming = tuple(own) if anew else _with_state(going, own)
            if first:
                sources = {source: coming} | {name: kept for name, kept in sources.items() if name != source}
            else:
                sources[source] = coming
            self._swap(sources)

    def remove(self, source: str) -> None:
        """Take a source and its rules out; nothing happens when there is none of this name."""
        with self._changing:
            self._swap({name: rules for name, rules in self._snapshot.sources.items() if name != source})

    def _swap(self, sources: Mapping[str, tuple[Rule, ...]]) -> None:
        snapshot = _Snapshot(sources)
        self.content_kept = CONTENT_KEPT if snapshot.wants_content else CONTENT_PREFIX
        self._snapshot = snapshot

    # -- answering

    @property
    def description(self) -> str:
        """`12 rules of api.toml`, or what the fallback says when there are no rules."""
        snapshot = self._snapshot
        if not snapshot.rules:
            return self.fallback.description
        names = [name for name, rules in snapshot.sources.items() if rules]
        count = len(snapshot.rules)
        return f"{count} rule{'s' if count > 1 else ''} of {', '.join(names)}"

    @property
    def forwards(self) -> bool:
        """Whether requests may be left to a server: then connections have to be able to forward them."""
        return self._snapshot.forwards or bool(getattr(self.fallback, "forwards", False))

    @property
    def status_line(self) -> str:
        """Empty while there are rules: it depends on the request."""
        return "" if self._snapshot.rules else self.fallback.status_line

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        """The answer of the first rule that matches, else the fallback's."""
        subject: Subject | None = None  # one for all rules: its content is read as JSON once
        for candidate in self._snapshot.candidates(request):
            if candidate.conditions:
                subject = subject or Subject(request)
                if not candidate.holds(subject):
                    continue
            rule = candidate.rule
            state = rule.state
            reply = rule.answers.take(request, state)
            if reply is not None:
                state.calls += 1
                count = state.calls
                return reply.program(
                    Call(request, now, persist, count, candidate.captured, chance_of(rule.seed, count))
                )
        if self.unmatched is not None:
            self.unmatched(request, self.explain(request))
        return self.fallback.respond(request, now=now, persist=persist)

    def plan(self, request: Request) -> Plan:
        """When to answer a request of which the head is there: what the rule that will answer says.

        While it is open whether a rule matches that looks at the content, its request is waited for.
        """
        snapshot = self._snapshot
        if not snapshot.plans:
            return ORDINARY
        subject = Subject(request)
        for rule, _, _ in snapshot.candidates(request):
            if not all(condition.holds(subject) for condition in rule.matcher.on_head):
                continue
            if rule.matcher.needs_content:
                return ORDINARY
            if not rule.answers.yields or rule.answers.peek(request, rule.state) is not None:
                return rule.plan
        return ORDINARY

    def passes(self, request: Request) -> bool:
        """Whether no rule can answer this request, of which only the head is there, and the fallback forwards it."""
        fallback = self.fallback
        if not isinstance(fallback, Passer):
            return False
        subject: Subject | None = None
        for rule, _, _ in self._snapshot.candidates(request):
            subject = subject or Subject(request)
            if not all(condition.holds(subject) for condition in rule.matcher.on_head):
                continue
            if not rule.answers.yields or rule.answers.peek(request, rule.state) is not None:
                return False
        return fallback.passes(request)

    # -- explaining, without consuming anything

    def find(self, request: Request) -> tuple[Rule, Mapping[str, str]] | None:
        """The rule that would answer, and what the wild parts of its path stand for."""
        subject = Subject(request)
        for candidate in self._snapshot.candidates(request):
            rule = candidate.rule
            if candidate.holds(subject) and rule.answers.peek(request, rule.state) is not None:
                return rule, candidate.captured
        return None

    def preview(self, request: Request, *, now: float) -> tuple[Rule | None, Program | LiveProgram]:
        """What `respond` would answer, and by which rule; None stands for the fallback."""
        found = self.find(request)
        if found is None:
            return None, self.fallback.respond(request, now=now, persist=True)
        rule, captured = found
        reply = rule.answers.peek(request, rule.state)
        count = rule.calls + 1
        if reply is None:  # another thread took the last one in this moment
            return None, self.fallback.respond(request, now=now, persist=True)
        call = Call(request, now, True, count, captured, chance_of(rule.seed, count))  # noqa: FBT003
        return rule, reply.program(call)

    def trial(self, request: Request) -> list[Verdict]:
        """What becomes of each rule for this request, in order. The first that matched is the one that answers."""
        return [_verdict(rule, request) for rule in self._snapshot.rules]

    def near_misses(self, request: Request, limit: int = 3) -> list[Verdict]:
        """The rules that came nearest without matching, the nearest first."""
        missed = [verdict for verdict in self.trial(request) if not verdict.matched]
        missed.sort(key=lambda verdict: -verdict.closeness)
        return missed[:limit]

    def explain(self, request: Request) -> str:
        """Why no rule matches a request, as lines of safe text."""
        head = request.head
        asked = clip(safe(head.method[:200] + b" " + head.target[:1000]), 120)
        lines = [f"no rule matches {asked}"]
        for verdict in self.near_misses(request):
            rule = verdict.rule
            named = f"{safe(rule.id)} ({clip(safe(rule.match), 80)})"
            lines.append(f"  {named}: {'; '.join(verdict.why_not)}")
        if not self._snapshot.rules:
            lines.append("  there are no rules")
        return "\n".join(lines)


def _verdict(rule: Rule, request: Request) -> Verdict:
    captured = rule.matcher.test(request)
    if captured is None:
        why_not = tuple(rule.matcher.why_not(request))
        return Verdict(rule, False, {}, why_not, rule.matcher.closeness(request))  # noqa: FBT003
    if rule.answers.peek(request, rule.state) is None:
        used = "its answers are used up, and then comes the next rule"
        return Verdict(rule, False, captured, (used,), 1.0)  # noqa: FBT003
    return Verdict(rule, True, captured, (), 1.0)  # noqa: FBT003


def _with_own_ids(rules: Sequence[Rule], taken: set[str], going: Sequence[Rule]) -> list[Rule]:
    """The rules, each with an id that no other has. Those that were there keep theirs, others are made again."""
    there = {id(rule) for rule in going}
    taken = taken | {rule.id for rule in rules if id(rule) in there}
    own: list[Rule] = []
    for rule in rules:
        if id(rule) in there:
            own.append(rule)
            continue
        name, number = rule.id, 1
        while name in taken:
            number += 1
            name = f"{rule.id}#{number}"
        taken.add(name)
        own.append(rule if name == rule.id else _renamed(rule, name))
    return own


def _renamed(rule: Rule, name: str) -> Rule:
    if rule.table is None or rule.base is None:
        rule.id = name
        return rule
    again = make_rule(
        rule.table, source=rule.source, line=rule.line, base=rule.base, name=name, seed=rule.file_seed
    )
    again.state = rule.state
    return again


def _with_state(going: Sequence[Rule], coming: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that come, with the state of those that go and are the same, the one by its order among equals."""
    states: dict[str, list[State]] = defaultdict(list)
    staying = {id(rule) for rule in coming}
    for rule in reversed(going):
        if rule.table is not None and id(rule) not in staying:
            states[repr(rule.table)].append(rule.state)
    known = {id(rule) for rule in going}
    for rule in coming:
        if rule.table is not None and id(rule) not in known:
            same = states.get(repr(rule.table))
            if same:
                rule.state = same.pop()
    return tuple(coming)
