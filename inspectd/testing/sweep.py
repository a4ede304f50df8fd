"""One answer, cut at each of its places in turn: what does a client make of the part that arrives?

The answer of the marker is compiled once, at collection. What is swept is its exact bytes, without Date and Connection
unless they are given, so that the places are the same in every run and in every worker.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import msgspec

from inspectd.rules.craft import compile_reply
from inspectd.rules.draft import Call
from inspectd.rules.passing import Pass
from inspectd.rules.program import Close, Program, Send, SendFile
from inspectd.rules.request import Request
from inspectd.rules.tables import AnswerTable
from inspectd.testing.words import Do, WordsError, keys, one_answer
from inspectd.wire import ArrivedHead, RequestReader, read
from inspectd.wire.span import Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from inspectd.rules.book import Rule as BookRule
    from inspectd.rules.sequence import Reply
    from inspectd.testing.rule import Rule
    from inspectd.testing.seen import SeenRequest
    from inspectd.testing.server import Inspectd

Places: TypeAlias = "list[tuple[str, int]]"
"""The id of each place, and how many bytes are sent before it."""

_AUTO: Final = ["content-length", "transfer-encoding", "content-type"]
_KINDS: Final = ("every-byte", "every-line", "every-chunk", "every-token")
_ASKED: Final = b"GET / HTTP/1.1\r\nHost: sweep\r\n\r\n"
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Cut:
    """One case of a sweep: `place` bytes of `whole` are sent, then `do` happens."""

    id: str
    place: int
    do: Do
    whole: bytes
    match: str = "*"
    closes: bool = False
    """Whether the whole answer ends with the end of its connection."""


class Sweep:
    """A server whose answer is cut at one place."""

    def __init__(self, server: Inspectd, cut: Cut) -> None:
        self.server = server
        """The server: the fixture `inspectd` of the same test."""
        self.cut = cut
        """Which case this is."""
        table = {
            "name": f"sweep {cut.id}",
            **one_answer(cut.whole),
            "close": cut.closes,
            "fault": [{"do": cut.do, "at": f"byte {cut.place}"}],
        }
        self.rule: Rule = server.on(cut.match)._with(**table)  # noqa: SLF001  all at once: it is compiled once
        """The rule that answers, at first for every request."""

    @property
    def whole(self) -> bytes:
        """The whole answer."""
        return self.cut.whole

    @property
    def sent(self) -> bytes:
        """The part of it that a client gets."""
        return self.cut.whole[: self.cut.place]

    @property
    def complete(self) -> bool:
        """Whether that is all of it."""
        return self.cut.place == len(self.cut.whole)

    @property
    def part(self) -> str:
        """What the place lies in: `start`, `status-line`, `head`, `body` or `whole`."""
        if self.complete:
            return "whole"
        if not self.cut.place:
            return "start"
        line, head = _landmarks(self.cut.whole)
        if self.cut.place < line:
            return "status-line"
        return "head" if self.cut.place < head else "body"

    @property
    def content(self) -> bytes:
        """The part of the content that a client gets, with the chunked coding taken off."""
        stream = read(self.sent, "response", eof=False)
        return stream.content(stream.messages[-1]) if stream.messages else b""

    def url(self, path: str = "/") -> str:
        """The URL of a path of the server."""
        return self.server.url(path)

    @property
    def requests(self) -> list[SeenRequest]:
        """The requests that came."""
        return self.server.requests

    def __repr__(self) -> str:
        return f"<{self.cut.do} after {self.cut.place} of {len(self.whole)} bytes>"


def cuts_of(mark: pytest.Mark, *, base: Path) -> list[Cut]:
    """The cases that a marker asks for. Raises InspectdError for one that asks for what can't be."""
    given = dict(zip(("cut", "do"), mark.args, strict=False)) | dict(mark.kwargs)
    kind = given.pop("cut", "every-byte")
    do = given.pop("do", "close")
    step = given.pop("step", 1)
    whole_too = given.pop("whole", False)
    match = given.pop("match", "*")
    ways = (do,) if isinstance(do, str) else tuple(do)
    for way in ways:
        if way not in get_args(Do):
            raise WordsError(f"no sweep does {way!r}", f"Choose among {', '.join(get_args(Do))}.")
    whole, closes = _whole(given, base)
    if not isinstance(step, int) or step < 1:
        raise WordsError(f"a sweep with step={step!r}", "Give how many places to go on each time: step=10.")
    places = _places(kind, whole)[::step]
    if whole_too:
        places.append(("whole", len(whole)))
    if len(places) * len(ways) > _MOST:
        raise WordsError(
            f"{len(places) * len(ways)} places are more than the {_MOST} that one test is run for",
            "Take every-line, a shorter answer, or step=100.",
        )
    return [
        Cut(name if len(ways) == 1 else f"{name}-{way}", place, way, whole, match, closes)
        for way, (name, place) in itertools.product(ways, places)
    ]


def _places(kind: str | Iterable[int], whole: bytes) -> Places:
    total = len(whole)
    if not isinstance(kind, str):
        return [(f"byte-{_within(place, total)}", _within(place, total)) for place in kind]
    match kind:
        case "every-byte":
            return [(f"byte-{place}", place) for place in range(total)]
        case "every-line":
            ends = [at + 1 for at, byte in enumerate(whole) if byte == 0x0A]
        case "every-chunk":
            ends = _chunk_ends(whole)
        case "every-token":
            ends = [span.end for span in read(whole, "response").spans]
        case _:
            raise WordsError(
                f"no sweep cuts {kind!r}", f"Choose among {', '.join(_KINDS)}, or give numbers of bytes."
            )
    name = kind.removeprefix("every-")
    return [(f"{name}-{number}", end) for number, end in enumerate([0, *ends]) if end < total]


def _within(place: int, total: int) -> int:
    found = place + total if place < 0 else place
    if not 0 <= found <= total:
        raise WordsError(f"no byte {place} in an answer of {total} bytes", f"Give numbers from 0 to {total}.")
    return found


def _chunk_ends(whole: bytes) -> list[int]:
    """Where the head ends, and where each chunk does."""
    spans = read(whole, "response").spans
    ends = [_landmarks(whole)[1]]
    pairs = list(itertools.pairwise(spans))
    ends += [after.end for span, after in pairs if span.role is Role.CHUNK_DATA]
    ends += [after.end for span, after in pairs if span.role is Role.LAST_CHUNK]
    if len(ends) == 1:
        raise WordsError("the answer of the sweep has no chunks", "Give it chunked={'sizes': [10]}.")
    return ends


def _landmarks(whole: bytes) -> tuple[int, int]:
    """Where the status line and the head of the final response end."""
    from inspectd.rules.faults import landmarks

    found = landmarks(whole)
    return found.status_line, found.head


def _whole(given: dict[str, Any], base: Path) -> tuple[bytes, bool]:
    """The bytes of the answer that a marker describes, and whether the connection ends after them."""
    rule = given.pop("rule", None)
    if rule is not None:
        if given:
            raise WordsError("a rule and an answer in one sweep", "Give one of them.")
        return _bytes(_first(rule, base).answers.replies[0])
    answer, status, raw = given.pop("answer", None), given.pop("status", None), given.pop("raw", None)
    if raw is not None and (given or answer or status or not isinstance(raw, bytes)):
        raise WordsError(
            "raw of a sweep is bytes, and nothing beside them", "Give raw=b'HTTP/1.1 200 OK...'."
        )
    whole = answer if raw is None else raw
    if isinstance(whole, bytes):
        return whole, False
    table = {"auto": _AUTO, **(one_answer(whole) if whole is not None else {}), **keys(given)}
    if status is not None:
        table["respond"] = str(status)
    if "raw" in table:
        del table["auto"]
    try:
        words = msgspec.convert(table, AnswerTable)
    except msgspec.ValidationError as error:
        raise WordsError(str(error)) from None
    return _bytes(compile_reply(words, base=base))


def _first(rule: str | Path, base: Path) -> BookRule:
    """The rule in some TOML text, or the first one of a file."""
    from inspectd.rules.file import load_file, load_text

    text = isinstance(rule, str) and "[[" in rule
    loaded = load_text(str(rule), source="sweep", base=base) if text else load_file(base / rule)
    if not loaded.rules:
        raise WordsError("no rule to sweep", "Give a [[rule]] with an answer.")
    return loaded.rules[0]


def _bytes(reply: Reply) -> tuple[bytes, bool]:
    program = reply.program(Call(_request(), now=0.0, persist=True))
    if not isinstance(program, Program) or isinstance(program, Pass):
        raise WordsError(
            "an answer that is made up as it goes can't be swept", "Give one with fixed content."
        )
    parts: list[bytes] = []
    for op in program.ops:
        if isinstance(op, Send):
            parts.append(op.data)
        elif isinstance(op, SendFile):
            with op.path.open("rb") as file:
                file.seek(op.offset)
                parts.append(file.read(op.length))
    return b"".join(parts), any(isinstance(op, Close) for op in program.ops)


def _request() -> Request:
    """The request that the answer is compiled for."""
    (head,) = [event for event in RequestReader().feed(_ASKED) if isinstance(event, ArrivedHead)]
    return Request(head, b"", 0, True, 1, 1, "127.0.0.1:1", "127.0.0.1:80")  # noqa: FBT003
