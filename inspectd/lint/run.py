"""The findings of a stream: every message is read once, and each checker looks at it.

Nothing here raises, whatever the bytes are; the time is linear in them, and the number of findings is bounded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.lint.model import NO_CONTEXT, Context, Finding, Severity
from inspectd.lint.subject import Subject, Surroundings
from inspectd.wire import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inspectd.lint.subject import Checker, StreamChecker
    from inspectd.wire import ArrivedHead, Kind, Span, Stream

MOST: Final = 500
"""Findings at most in all; the worst are kept."""

OF_AN_ID: Final = 20
"""Findings of one id at most."""

EXAMINED: Final = 4 * 1024 * 1024
"""Bytes that are read at most; of what comes behind them nothing is said."""


def findings(
    data: bytes,
    kind: Kind,
    *,
    eof: bool = True,
    request: bytes | None = None,
    context: Context = NO_CONTEXT,
    stream: Stream | None = None,
) -> list[Finding]:
    """What is noteworthy about the messages in `data`, in the order of the bytes.

    `eof` says that nothing follows. `request` are the bytes of the request that a response answers, as far as they
    are known. Each finding begins and ends on a border of `inspectd.wire.spans`; where it is about fewer bytes than
    its span has, these are the first range of `also`. At most `OF_AN_ID` of an id are told, and `MOST` in all.
    `stream` are the same bytes as somebody has read them already, with the same `eof`.
    """
    examined = data[:EXAMINED]
    whole = eof and len(examined) == len(data)
    asked = _asked(request) if kind == "response" and request is not None else []
    if stream is None or len(stream.data) != len(examined):
        stream = read(examined, kind, eof=whole, methods=[subject.method for subject in asked])
    found = _told(_look(stream, kind, asked, whole=whole, context=context))
    found = [_on_borders(finding, stream.spans, len(examined)) for finding in found]
    found.sort(key=lambda finding: (finding.start, finding.end))
    return found


def subjects(
    stream: Stream, asked: list[Subject], *, whole: bool, context: Context = NO_CONTEXT
) -> Iterator[Subject]:
    """The messages of a stream with what surrounds them; `asked` are the requests that its responses answer."""
    answers = iter(asked)
    request = next(answers, None)
    previous: Subject | None = None
    for message in stream.messages:
        subject = Subject(stream, message, whole=whole, request=request, previous=previous, context=context)
        yield subject
        previous = subject
        if not message.interim:
            request = next(answers, None)


def _asked(request: bytes) -> list[Subject]:
    stream = read(request[:EXAMINED], "request")
    return list(subjects(stream, [], whole=True))


def _look(
    stream: Stream, kind: Kind, asked: list[Subject], *, whole: bool, context: Context
) -> Iterator[Finding]:
    checks = _checkers(kind)
    looked = list(subjects(stream, asked, whole=whole, context=context))
    around = Surroundings(stream, looked, whole, context)
    for look_around in checks.stream:
        yield from look_around(around)
    for subject in looked:
        if not subject.line_settled:
            continue
        if not subject.plain:
            for check in checks.syntax:
                yield from check(subject)
        for check in checks.meaning:
            yield from check(subject)
        if subject.settled:
            for check in checks.settled:
                yield from check(subject)


class _Checkers(NamedTuple):
    """The lists of `inspectd.lint.requests` or `inspectd.lint.responses`, which say what each is."""

    stream: tuple[StreamChecker, ...]
    syntax: tuple[Checker, ...]
    meaning: tuple[Checker, ...]
    settled: tuple[Checker, ...]


def _checkers(kind: Kind) -> _Checkers:
    """The checkers for messages of this kind; those of the other kind aren't even imported."""
    if kind == "request":
        from inspectd.lint import requests

        return _Checkers(requests.STREAM, requests.SYNTAX, requests.MEANING, requests.SETTLED)
    from inspectd.lint import responses

    return _Checkers(responses.STREAM, responses.SYNTAX, responses.MEANING, responses.SETTLED)


def _told(found: Iterable[Finding]) -> list[Finding]:
    """The findings without repetitions, and of each id, and in all, no more than are told."""
    from inspectd.lint.catalogue import levels

    severity = levels()
    times: Counter[str] = Counter()
    kept: dict[Finding, None] = {}
    for finding in found:
        if times[finding.id] < OF_AN_ID and finding not in kept:
            times[finding.id] += 1
            kept[finding] = None
    if len(kept) <= MOST:
        return list(kept)
    return sorted(kept, key=lambda finding: -severity.get(finding.id, Severity.INFO))[:MOST]


def _on_borders(finding: Finding, spans: list[Span], size: int) -> Finding:
    """The finding widened to whole spans. What it was about exactly is its first further range then."""
    if not spans:
        return finding
    start, end = min(finding.start, size), min(finding.end, size)
    first = spans[bisect_right(spans, start, key=lambda span: span.start) - 1]
    wide_start = first.start if start < first.end else start
    wide_end = wide_start
    if end > start:
        last = spans[bisect_right(spans, end - 1, key=lambda span: span.start) - 1]
        wide_end = last.end
    elif wide_start < start:
        wide_end = first.end
    if (wide_start, wide_end) == (finding.start, finding.end):
        return finding
    return finding._replace(start=wide_start, end=wide_end, also=((start, end), *finding.also))


class Quick(NamedTuple):
    """What is told of a head when it arrives: the ids of its findings, and the worst severity (GOOD: none)."""

    ids: tuple[str, ...]
    worst: Severity


def quick(head: ArrivedHead) -> Quick:
    """The findings of a request's head alone, cheaply: for the moment it arrives.

    Nothing is said about content. Clients repeat their field lines, so what was found in those is remembered.
    """
    from inspectd.lint.arrival import findings_of_head

    return findings_of_head(head)
