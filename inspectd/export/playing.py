"""A capture that answers: each request gets the very bytes that were recorded for one like it.

Answers stay in the capture and are read when they are asked for, the long ones while they are sent, so memory stays
flat whatever was recorded. Nothing here raises: bytes that are gone from the capture become a 500 that says so.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from inspectd.capture.model import OUTGOING
from inspectd.errors import InspectdError
from inspectd.export.likeness import Asked, match_for, surroundings, told_apart
from inspectd.export.recorded import LeftOut, Recorded, answer_bytes, recorded, rows_of
from inspectd.export.redact import Found, Redaction
from inspectd.rules.answer import compile_for, problem_answer
from inspectd.rules.book import Rule, RuleBook
from inspectd.rules.match import compile_match
from inspectd.rules.passing import Passing
from inspectd.rules.program import Close, LiveProgram, Program, Reset, Send, Stall, Wait
from inspectd.rules.responder import ORDINARY, Plan
from inspectd.rules.sequence import Answers
from inspectd.rules.subject import split_target
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from inspectd.capture.reader import Capture
    from inspectd.export.likeness import Likeness
    from inspectd.rules.draft import Call
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request
    from inspectd.rules.sequence import Then

AT_ONCE: Final = 1 << 20
"""Bytes of an answer that are sent in one piece; what is longer is read while it is sent."""
REMEMBERED: Final = 1000
"""Different requests that are remembered because nothing was recorded for them."""
NEAR: Final = 3
"""Recorded requests that are named as the nearest ones."""

_CREDENTIALS: Final = Redaction()
_LOOKED_AT: Final = 20_000
_COMPARED: Final = 100
_MOST_PAUSES: Final = 1000
_SHORTEST_PAUSE: Final = 1_000_000  # ns

Repeat: TypeAlias = Literal["last", "cycle", "404"]
"""After the last recorded answer: that one again, all from the first on, or none."""
_THEN: Final[dict[Repeat, Then]] = {"last": "last", "cycle": "cycle", "404": "next"}


class RecordedReply:
    """One recorded answer."""

    def __init__(self, capture: Capture, one: Recorded, *, timing: bool) -> None:
        self.label = f"recorded answer {one.id}"
        self._capture = capture
        self._one = one
        self._timing = timing

    def program(self, call: Call) -> Program | LiveProgram:
        """Its bytes and its end, or a 500 that says why they can't be had."""
        one = self._one
        try:
            if one.length > AT_ONCE:
                first = self._capture.exchange(one.id)
                if first is None:
                    raise InspectdError(f"the capture holds no exchange {one.id} any more")
                return LiveProgram(self._long(), self.label)
            data = b"".join(answer_bytes(self._capture, one))
            return Program((*self._before(), *self._pieces(data), *_end(one)), self.label)
        except InspectdError as error:
            answer = problem_answer(500, error.what, error.mend)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a file, its client gets an answer
            answer = problem_answer(500, f"The recording can't be read: {type(error).__name__}: {error}")
        head = call.request.head
        return compile_for(
            answer, now=call.now, method=head.method, version=head.version, persist=call.persist
        )

    def _before(self) -> tuple[Op, ...]:
        return (Wait(self._one.wait_ns / 1e9),) if self._timing and self._one.wait_ns else ()

    def _pieces(self, data: bytes) -> list[Op]:
        """The bytes, with the pauses between them where those are wanted."""
        if not self._timing or not data:
            return [Send(data)] if data else []
        row = self._capture.exchange(self._one.id)
        if row is None or row.res_offset is None:
            return [Send(data)]
        start = row.res_offset + self._one.skip
        reads = self._capture.reads(row.connection, OUTGOING, start, start + len(data))
        ops: list[Op] = []
        sent = 0
        before = reads[0].ns if reads else 0
        for read in reads[:_MOST_PAUSES]:
            at = read.offset - start
            if read.ns - before >= _SHORTEST_PAUSE and at > sent:
                ops += [Send(data[sent:at]), Wait((read.ns - before) / 1e9)]
                sent = at
            before = read.ns
        return [*ops, Send(data[sent:])]

    async def _long(self) -> AsyncIterator[Op]:
        for op in self._before():
            yield op
        for piece in answer_bytes(self._capture, self._one):
            yield Send(piece)
        for op in _end(self._one):
            yield op


def _end(one: Recorded) -> tuple[Op, ...]:
    match one.ending:
        case "close":
            return (Close(),)
        case "reset":
            return (Reset(),)
        case "stall":
            return (Stall(),)
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How a capture is played: what is compared, what follows the last answer, and whether time passes as it did."""

    like: Likeness
    repeat: Repeat = "last"
    timing: bool = False


class Playback(RuleBook):
    """Answers from a capture. What was not recorded is `otherwise`'s, or gets an answer that says so.

    `left_out` counts exchanges that hold no answer; `missed` requests that there was no answer for, as safe text.
    Raises `InspectdError` when the capture holds no answer at all.
    """

    def __init__(self, capture: Capture, manner: Manner, otherwise: Passing | None = None) -> None:
        self._unrecorded = Unrecorded(self)
        super().__init__(otherwise or self._unrecorded)
        self._capture = capture
        self.left_out = LeftOut()
        found = list(recorded(capture, rows_of(capture), manner.like, self.left_out))
        if not found:
            why = self.left_out.sentence
            raise InspectdError(
                f"{capture.path}: no answer is recorded in it{': ' + why if why else ''}",
                f"inspectd list {capture.path}",
            )
        self.answers = len(found)
        around = surroundings((one.asked for one in found), exact=True)
        groups: dict[Asked, list[Recorded]] = defaultdict(list)
        for one in found:
            groups[told_apart(one.asked, around)].append(one)
        rules: list[tuple[int, Rule]] = []
        for asked, answers in groups.items():
            match, general = match_for(asked, around)
            replies = tuple(RecordedReply(capture, one, timing=manner.timing) for one in answers)
            early = all(one.early for one in answers) and not manner.like.wants_content
            rule = Rule(
                f"exchange {answers[0].id}",
                None,
                "recorded",
                0,
                None,
                compile_match(match),
                Answers(replies, _THEN[manner.repeat]),
                Plan(0) if early else ORDINARY,
            )
            rules.append((general, rule))
        rules.sort(key=lambda each: each[0])
        self.replace("recorded", [rule for _, rule in rules])
        self._by_path: dict[bytes, list[Rule]] = defaultdict(list)
        for _, rule in rules:
            glob = rule.matcher.glob
            if glob is not None and glob.literal is not None:
                self._by_path[glob.literal].append(rule)

    @property
    def missed(self) -> dict[str, int]:
        """What there was no answer for, and how often it was asked for."""
        return self._unrecorded.missed

    @property
    def description(self) -> str:
        """`41 recorded answers of demo.inspectd`."""
        count = self.answers
        return f"{count:,} recorded answer{'s' * (count != 1)} of {self._capture.path.name}"

    def nearest(self, request: Request) -> list[str]:
        """The recorded requests that came nearest and why they are others, a line of safe text each."""
        path, _ = split_target(request.head.target)
        rules = self._by_path.get(path, [])[:_COMPARED]
        if len(rules) < NEAR:
            # Comparing is dear: only those are compared whose paths begin most like this one.
            known = {id(rule) for rule in rules}
            others = heapq.nlargest(
                _COMPARED,
                (rule for rule in self.rules[:_LOOKED_AT] if id(rule) not in known),
                key=lambda rule: _same_begin(path[:200], _path_of(rule)),
            )
            rules = rules + others
        near = heapq.nlargest(NEAR, rules, key=lambda rule: rule.matcher.closeness(request))
        if any(_path_of(rule) == path for rule in near):
            near = [rule for rule in near if _path_of(rule) == path]
        return [f"{safe(rule.id)} ({_named(rule)}): {_why(rule, request)}" for rule in near]


def _path_of(rule: Rule) -> bytes:
    glob = rule.matcher.glob
    return (glob.literal or b"") if glob is not None else b""


def _same_begin(one: bytes, other: bytes) -> int:
    """How many bytes are the same from the first one on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _named(rule: Rule) -> str:
    """What a rule holds for in a few words of safe text, without credentials, and the ? that stands for no query."""
    text = _CREDENTIALS.target(rule.match.removesuffix("?").encode("utf-8", "surrogateescape"), Found())
    return clip(safe(text), 80)


def _why(rule: Rule, request: Request) -> str:
    """Why it doesn't hold; what was recorded of queries and fields that have credentials is not told to strangers."""
    found = Found()
    _CREDENTIALS.target(rule.match.encode("utf-8", "surrogateescape"), found)
    reasons = [
        f"{what} is another one"
        if is_ and ((found.secrets and "=" in how) or _of_credentials(what))
        else reason
        for reason in rule.matcher.why_not(request)
        for what, is_, how in [reason.partition(" is ")]
    ]
    return "; ".join(reasons) or "its answers are used up"


def _of_credentials(what: str) -> bool:
    """Whether this is the name of a field, or of a query parameter, whose values are credentials."""
    kind, _, name = what.rpartition(" ")
    name = name.strip("'")
    return (kind == "the field" and _CREDENTIALS.hides(name)) or (
        kind == "the query parameter" and _CREDENTIALS.names(name)
    )


class Unrecorded:
    """Answers requests for which nothing was recorded: 501, with the recorded ones that came nearest."""

    status_line = ""
    description = "nothing recorded"

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self.missed: dict[str, int] = {}

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        """Say what was recorded instead, and note the request."""
        head = request.head
        asked = clip(safe(head.method[:200] + b" " + head.target[:1000]), 120)
        if asked in self.missed or len(self.missed) < REMEMBERED:
            self.missed[asked] = self.missed.get(asked, 0) + 1
        near = self._playback.nearest(request)
        mend = "The nearest of what was:\n" + "".join(f"  {line}\n" for line in near) if near else ""
        answer = problem_answer(501, f"Nothing was recorded for {asked}.", mend)
        answer = replace(answer, label="not recorded")
        return compile_for(answer, now=now, method=head.method, version=head.version, persist=persist)


def play(capture: Capture, manner: Manner, server: str | None = None) -> Playback:
    """What plays a capture; `server` names who answers what was not recorded. Raises `InspectdError`."""
    return Playback(capture, manner, None if server is None else Passing(server))
