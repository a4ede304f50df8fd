"""Faults at places in an answer: what is sent up to the place, and what happens there.

A place counts the bytes that the program sends, interim responses included; `status-line` and `head` mean those of the
final response (RFC 9112 §4, §6). The bytes before a place are never changed, and pace never moves one.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from inspectd.rules.program import Close, HalfClose, Hold, Reset, Send, SendFile, Stall, Wait
from inspectd.rules.tables import FaultTable
from inspectd.rules.units import UnitError, duration, size, wire_bytes
from inspectd.text.safe import safe
from inspectd.wire.head import head_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inspectd.rules.program import Op

_NUMBER: Final = r"[0-9]{1,15}"
_PLACE: Final = re.compile(
    rf"(?P<part>start|status-line|head|body)"
    rf"|(?P<into>status-line|head|body) *\+ *(?:(?P<bytes>{_NUMBER})|(?P<percent>{_NUMBER}(?:\.{_NUMBER})?) *%)"
    rf"|byte +(?P<byte>{_NUMBER})"
    rf"|chunk +(?P<chunk>{_NUMBER})"
    rf"|\+? *(?P<share>{_NUMBER}(?:\.{_NUMBER})?) *%"
)
_MEND: Final = (
    'Write "start", "status-line", "head", "body", "byte 100", "head+10", "body+50%", "50%" or "chunk 2".'
)
_LONGEST_GARBAGE: Final = 16 << 20
_DEFAULTS: Final = FaultTable(do="close")

_INTERIM: Final = re.compile(rb"[^ \r\n]++ ++1(?!01)[0-9][0-9](?![^ \r\n])")


class Mark(NamedTuple):
    """Something between two steps that a place may name: the end of a `chunk`, or the `end` of the answer."""

    what: str


CHUNK_END: Final = Mark("chunk")
ANSWER_END: Final = Mark("end")
Item: TypeAlias = "Op | Mark"


class PlaceError(UnitError):
    """A place that can't be understood, or that an answer doesn't have."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place as it was written. `amount` counts bytes, percent or chunks."""

    text: str
    part: str
    amount: float = 0
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a place, after `after` seconds. `garbage` are the bytes to put in there."""

    do: str
    place: Place
    after: float = 0.0
    garbage: bytes = b""
    per_connection: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of an answer are, in bytes from its first one.

    The final head goes from `start` to `head`, and its first line to `status_line`, each with its line end. `total` is
    None when nobody knows it.
    """

    start: int
    status_line: int
    head: int
    total: int | None


def parse_place(text: str) -> Place:
    """The place that `text` names. Raises `PlaceError`."""
    found = _PLACE.fullmatch(text.strip(" "))
    if found is None:
        raise PlaceError(f"not a place in an answer: {text!r}", _MEND)
    if part := found["part"]:
        return Place(text, part)
    if into := found["into"]:
        if found["bytes"]:
            return Place(text, f"{into}+", int(found["bytes"]))
        return _percent(text, f"{into}+", found["percent"])
    if found["byte"]:
        return Place(text, "byte", int(found["byte"]))
    if found["chunk"]:
        if int(found["chunk"]) == 0:
            raise PlaceError(
                "chunks are counted from 1", 'Write "head" for the place before the first chunk.'
            )
        return Place(text, "chunk", int(found["chunk"]))
    return _percent(text, "all+", found["share"])


def _percent(text: str, part: str, share: str) -> Place:
    if float(share) > 100:
        raise PlaceError(f"more than 100 %: {text!r}", _MEND)
    return Place(text, part, float(share), percent=True)


def compile_fault(table: FaultTable) -> tuple[Fault | None, list[tuple[str, UnitError]]]:
    """What a table says, and every problem in it with its key."""
    problems: list[tuple[str, UnitError]] = []
    place: Place | None = None
    after = 0.0
    garbage = b""
    try:
        place = parse_place(table.at)
    except PlaceError as problem:
        problems.append(("at", problem))
    try:
        after = duration(table.after)
    except UnitError as problem:
        problems.append(("after", problem))
    if table.do == "garbage":
        try:
            garbage = _garbage(table)
        except UnitError as problem:
            problems.append(("length" if table.bytes is None else "bytes", problem))
    else:
        problems += [
            (key, UnitError(f"{table.do!r} sends no bytes", 'Only do = "garbage" does.'))
            for key, given in (("bytes", table.bytes), ("length", table.length), ("seed", table.seed))
            if given != getattr(_DEFAULTS, key)
        ]
    per_connection = table.per == "connection"
    if per_connection and place is not None and place.part != "byte":
        what = f"{table.at!r} can't be counted over a connection"
        problems.append(("per", PlaceError(what, 'Only "byte N" can: write at = "byte 1000".')))
    if problems or place is None:
        return None, problems
    return Fault(table.do, place, after, garbage, per_connection), problems


def _garbage(table: FaultTable) -> bytes:
    if table.bytes is not None:
        if (table.length, table.seed) != (_DEFAULTS.length, _DEFAULTS.seed):
            raise UnitError("'bytes' is all of the garbage", "Leave 'length' and 'seed' out.")
        return wire_bytes(table.bytes)
    length = size(table.length)
    if length > _LONGEST_GARBAGE:
        raise UnitError(f"more garbage than anybody needs: {table.length!r}", "Up to 16 MiB can be made.")
    return random.Random(table.seed).randbytes(length)  # noqa: S311  repeatable rubbish, not a secret


def landmarks(data: bytes) -> Layout:
    """Where the parts of an answer are that was written as a whole, read as leniently as clients do.

    A head ends with the earliest empty line. Interim responses (100, 102, 103, not 101) are skipped. Where there is no
    head at all, everything is the head.
    """
    start = 0
    while True:
        end = head_end(data, start)
        if end is None or end >= len(data) or _INTERIM.match(data, start) is None:
            break
        start = end
    line_feed = data.find(b"\n", start)
    line_end = len(data) if line_feed < 0 else line_feed + 1
    return Layout(start, line_end, len(data) if end is None else end, len(data))


_NOWHERE: Final = Layout(0, 0, 0, None)


class _Point(NamedTuple):
    offset: int
    fault: Fault


def _offset(place: Place, layout: Layout) -> int | None:
    """Bytes before the place; None for one that a mark finds. Raises `PlaceError` when the length is needed."""
    amount = place.amount
    match place.part:
        case "start":
            return 0
        case "status-line":
            return layout.status_line
        case "head":
            return layout.head
        case "byte":
            return int(amount)
        case "status-line+":
            return layout.start + _into(amount, layout.status_line - layout.start, percent=place.percent)
        case "head+":
            return layout.start + _into(amount, layout.head - layout.start, percent=place.percent)
        case "body+" | "all+":
            first = layout.head if place.part == "body+" else 0
            if not place.percent:
                return first + int(amount)
            if layout.total is None:
                raise PlaceError(
                    f"{place.text!r} is a share of an answer whose length nobody knows",
                    'Count bytes: write "byte 100" or "body+100".',
                )
            return first + _into(amount, layout.total - first, percent=True)
        case _:
            return None


def _into(amount: float, length: int, *, percent: bool) -> int:
    return int(length * amount / 100) if percent else int(amount)


_TERMINAL: Final[dict[str, type[Close | HalfClose | Reset | Stall]]] = {
    "close": Close,
    "half-close": HalfClose,
    "reset": Reset,
    "stall": Stall,
}


class Breaker:
    """Takes the steps of an answer one after the other and gives what is left of them.

    `sent` is how many bytes the connection has sent before. Raises `PlaceError` for a place the answer can't have.
    """

    def __init__(self, faults: Sequence[Fault], layout: Layout | None, *, sent: int = 0) -> None:
        """Without a `layout`, `know` has to be called before the first byte of the final head is fed."""
        self.ended = False
        self.idle: list[str] = []
        """What did nothing so far, in sentences of safe text. All of it, once `over` has been called."""
        self._position = 0
        self._chunks = 0
        self._left_out: Fault | None = None  # the fault from which on bytes are left out
        self._missing = False  # whether any were
        self._at_marks: list[Fault] = []
        self._points: list[_Point] = []
        self._sent = sent
        self._unknown: list[Fault] = []
        if layout is None:
            known = [fault for fault in faults if fault.place.part in {"start", "byte"}]
            self._unknown = [fault for fault in faults if fault not in known]
            self._place(known, _NOWHERE)
        else:
            self._place(faults, layout)

    def know(self, layout: Layout) -> None:
        """From here on it is known where the parts of the answer are."""
        faults, self._unknown = self._unknown, []
        self._place(faults, layout)

    def _place(self, faults: Sequence[Fault], layout: Layout) -> None:
        sent = self._sent
        for fault in faults:
            offset = _offset(fault.place, layout)
            if offset is None:
                self._at_marks.append(fault)
            elif not fault.per_connection:
                self._points.append(_Point(offset, fault))
            elif offset > sent or offset == sent == 0:
                # A place between two answers belongs to the earlier one.
                self._points.append(_Point(offset - sent, fault))
        self._points.sort(key=lambda point: point.offset)

    def feed(self, item: Item) -> Iterator[Op]:
        """What becomes of the next step."""
        if self.ended:
            return
        match item:
            case Mark("chunk"):
                self._chunks += 1
                yield from self._at_mark("chunk", self._chunks)
            case Mark():
                yield from self._due(self._position)
                yield from self._at_mark("body", 0)
            case Send() | SendFile():
                yield from self._bytes(item)
            case Wait() | Hold() | Stall():
                if self._left_out is None:
                    self.ended = isinstance(item, Stall)
                    yield item
            case _:
                self.ended = isinstance(item, (Close, Reset))
                yield item

    def _bytes(self, op: Send | SendFile) -> Iterator[Op]:
        length = len(op.data) if isinstance(op, Send) else op.length
        if not length:
            return
        end = self._position + length
        if self._position == 0:
            yield from self._due(0)
        while not self._done and self._points and self._points[0].offset < end:
            taken = self._points[0].offset - self._position
            first, op = _split(op, taken)
            self._position += taken
            yield first
            yield from self._due(self._position)
        if self._done:
            self._missing = True
        else:
            self._position = end
            yield op
            yield from self._due(end)

    def over(self) -> None:
        """Note the faults that are left: no step follows. One that is counted over the connection may come yet."""
        why = f"the answer has {self._position:,} byte{'s' * (self._position != 1)}"
        if self._done:
            why = "another one ends the answer before"
        elif self._chunks:
            why += f" in {self._chunks:,} chunks, the last one included"
        for fault in (*(point.fault for point in self._points), *self._at_marks):
            if not fault.per_connection:
                self.idle.append(f"{_named(fault)} never happens: {why}.")
        if self._left_out is not None and not self._missing:
            self.idle.append(f"{_named(self._left_out)} leaves nothing out: no byte follows.")

    @property
    def _done(self) -> bool:
        return self.ended or self._left_out is not None

    def _due(self, position: int) -> Iterator[Op]:
        while not self._done and self._points and self._points[0].offset <= position:
            yield from self._happen(self._points.pop(0).fault)

    def _at_mark(self, part: str, amount: int) -> Iterator[Op]:
        due = [fault for fault in self._at_marks if (fault.place.part, fault.place.amount) == (part, amount)]
        for fault in due:
            if not self._done:
                self._at_marks.remove(fault)
                yield from self._happen(fault)

    def _happen(self, fault: Fault) -> Iterator[Op]:
        if fault.after:
            yield Wait(fault.after)
        if fault.do == "garbage":
            yield Send(fault.garbage)
        elif fault.do == "truncate":
            self._left_out = fault
        else:
            self.ended = True
            yield _TERMINAL[fault.do]()


def _named(fault: Fault) -> str:
    return f'The fault at "{safe(fault.place.text)}" ({fault.do})'


def _split(op: Send | SendFile, at: int) -> tuple[Send | SendFile, Send | SendFile]:
    if isinstance(op, Send):
        return replace(op, data=op.data[:at]), replace(op, data=op.data[at:])
    return replace(op, length=at), replace(op, offset=op.offset + at, length=op.length - at)
