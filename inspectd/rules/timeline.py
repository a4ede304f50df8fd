"""A program on a time line: what it does, at which time and after how many bytes, before it is ever played.

Times are the least that the steps take: the network, a slow reader and the machine come on top. After a step whose end
nobody knows (a hold, a stall) times count from the end of that step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from inspectd.rules.passing import Pass
from inspectd.rules.program import (
    Close,
    HalfClose,
    Hold,
    Listen,
    LiveProgram,
    Pace,
    Reset,
    Send,
    SendFile,
    Stall,
    Wait,
)
from inspectd.text.safe import ASCII, UNICODE, Glyphs, safe, wire_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inspectd.rules.program import Op, Program

What: TypeAlias = Literal[
    "send", "file", "wait", "hold", "listen", "stall", "half-close", "close", "reset", "live", "more", "ask"
]

KEPT: Final = 65536
"""Bytes of a step that its entry holds at most."""

ALL_KEPT: Final = 1 << 20
"""Bytes that the entries of a time line hold together; later ones hold none."""

MOST_ENTRIES: Final = 10_000

_EXACT_PAUSES: Final = 10_000


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One step: `at` so many seconds, after `offset` bytes.

    `length` is in bytes. `seconds` is how long the step takes, None when nobody knows; `since` says what the times
    count from: 0 is the beginning, 1 the end of the first step of unknown length, and so on. `data` are the first bytes
    of what is sent. A hold waits `limit` seconds at most (None: for ever), and `otherwise` is what happens instead of
    all the rest when they are over.
    """

    at: float
    offset: int
    what: What
    length: int = 0
    seconds: float | None = 0.0
    since: int = 0
    data: bytes = b""
    pace: Pace | None = None
    name: str = ""
    limit: float | None = None
    otherwise: tuple[TimelineEntry, ...] = ()

    @property
    def sentence(self) -> str:
        """What happens, in words that are safe for a terminal."""
        match self.what:
            case "send":
                return f"Sends {_bytes(self.length)}{self._paced}."
            case "file":
                return f"Sends {_bytes(self.length)} of {safe(self.name)}{self._paced}."
            case "wait":
                return f"Waits {spelled(self.seconds or 0.0)}."
            case "hold":
                return self._held
            case "ask":
                return safe(self.name)
            case "live":
                return "Goes on with steps that become known only while they are played."
            case "more":
                return f"Goes on with {self.length:,} more steps."
            case _:
                return _ENDS[self.what]

    @property
    def _paced(self) -> str:
        pace = self.pace
        if pace is None or not self.seconds:
            return ""
        tremble = f", give or take {pace.jitter:.0%}" if pace.jitter else ""
        return (
            f", {_bytes(pace.piece)} every {spelled(pace.seconds)}{tremble}: {spelled(self.seconds or 0.0)}"
        )

    @property
    def _held(self) -> str:
        gate = f"the gate {safe(self.name)!r}" if self.name else "a person"
        if self.limit is None:
            return f"Waits for {gate}."
        then = ", and then answers otherwise" if self.otherwise else ""
        return f"Waits for {gate}, {spelled(self.limit)} at most{then}."


_ENDS: Final = {
    "listen": "Answers what the client says, until one of the two closes.",
    "stall": "Sends nothing more and leaves the connection open.",
    "half-close": "Sends FIN and goes on reading.",
    "close": "Closes the connection (FIN).",
    "reset": "Resets the connection (RST).",
}
_ENDINGS: Final[dict[type, What]] = {Stall: "stall", HalfClose: "half-close", Close: "close", Reset: "reset"}


def timeline(program: Program | LiveProgram, *, peek: int = 0) -> list[TimelineEntry]:
    """What a program does, in order. Nothing is played.

    A program of more than `MOST_ENTRIES` steps has an entry at the end that says how many more there are. Of a live one
    so many steps as `peek` says are asked for, which uses them up: only for a program that nobody is going to play. It
    stops at the first one that isn't known at once.
    """
    first: list[TimelineEntry] = []
    if program.hold is not None:
        first.append(TimelineEntry(0.0, 0, "hold", seconds=None, limit=program.hold))
    if isinstance(program, Pass):
        return [*first, *_asked(program, since=len(first))]
    if isinstance(program, LiveProgram) and not program.shown:
        ops, whole = _peeked(program, peek)
        seen = [*first, *_entries(ops, since=len(first))]
        if whole:
            return seen
        at, offset, since = _after(seen[-1]) if seen else (0.0, 0, 0)
        return [*seen, TimelineEntry(at, offset, "live", seconds=None, since=since)]
    known = program.shown if isinstance(program, LiveProgram) else program.ops
    entries = [*first, *islice(_entries(known, since=len(first)), MOST_ENTRIES)]
    left = len(known) + len(first) - len(entries)
    if left > 0:
        at, offset, since = _after(entries[-1])
        entries.append(TimelineEntry(at, offset, "more", left, None, since))
    return entries


def _asked(program: Pass, *, since: int) -> Iterator[TimelineEntry]:
    if program.before:
        yield TimelineEntry(0.0, 0, "wait", seconds=program.before, since=since)
    yield TimelineEntry(program.before, 0, "ask", seconds=None, since=since, name=program.sentence)


def _after(entry: TimelineEntry) -> tuple[float, int, int]:
    """The time, the bytes sent and what the time counts from when a step is over."""
    offset = entry.offset + (entry.length if entry.what in _SENDING else 0)
    if entry.seconds is None:
        return 0.0, offset, entry.since + 1
    return entry.at + entry.seconds, offset, entry.since


def _peeked(program: LiveProgram, most: int) -> tuple[list[Op], bool]:
    """The first steps of a live program, and whether they are all of them. No event loop is needed."""
    ops: list[Op] = []
    for _ in range(most):
        asked = anext(program.ops)
        try:
            asked.__await__().send(None)
        except StopIteration as step:
            ops.append(step.value)
        except StopAsyncIteration:
            return ops, True
        except Exception:  # noqa: BLE001  whoever plays it will hear of it
            break
        else:  # it waits for something
            break
    return ops, False


_SENDING: Final = frozenset({"send", "file"})


def _entries(ops: Iterable[Op], *, offset: int = 0, since: int = 0) -> Iterator[TimelineEntry]:
    at = 0.0
    room = ALL_KEPT
    for op in ops:
        entry = _entry(op, at, offset, since, min(room, KEPT))
        room -= len(entry.data)
        yield entry
        if entry.what in _SENDING:
            offset += entry.length
        if entry.seconds is None:
            at, since = 0.0, since + 1
        else:
            at += entry.seconds


def _entry(op: Op, at: float, offset: int, since: int, kept: int) -> TimelineEntry:
    match op:
        case Send(data, pace):
            seconds = _trickled(len(data), pace)
            return TimelineEntry(at, offset, "send", len(data), seconds, since, data[:kept], pace)
        case SendFile(path, _, length, pace):
            seconds = _trickled(length, pace)
            data = _first_bytes(op, kept)
            return TimelineEntry(at, offset, "file", length, seconds, since, data, pace, str(path))
        case Wait(seconds):
            return TimelineEntry(at, offset, "wait", seconds=seconds, since=since)
        case Hold(gate, timeout, otherwise):
            other = tuple(_entries(otherwise, offset=offset, since=since + 1)) if otherwise else ()
            return TimelineEntry(
                at, offset, "hold", seconds=None, since=since, name=gate, limit=timeout, otherwise=other
            )
        case Stall() | Listen():
            what: What = "stall" if isinstance(op, Stall) else "listen"
            return TimelineEntry(at, offset, what, seconds=None, since=since)
        case _:
            return TimelineEntry(at, offset, _ENDINGS[type(op)], since=since)


def _trickled(length: int, pace: Pace | None) -> float:
    if pace is None or not length:
        return 0.0
    pauses = (length - 1) // pace.piece
    if pace.jitter and pauses <= _EXACT_PAUSES:
        return sum(islice(pace.pauses(), pauses))
    return pauses * pace.seconds


def _first_bytes(op: SendFile, kept: int) -> bytes:
    if not kept:
        return b""
    try:
        with op.path.open("rb") as file:
            file.seek(op.offset)
            return file.read(min(op.length, kept))
    except OSError:
        return b""  # whoever plays it will say what is wrong


def spelled(seconds: float) -> str:
    """A duration for people: `20 ms`, `1.5 s`, `5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.4g} ms"
    return f"{seconds:.4g} s" if seconds < 120 else f"{seconds / 60:.4g} min"


def _bytes(count: int) -> str:
    return f"{count:,} byte" if count == 1 else f"{count:,} bytes"


def text(
    entries: Iterable[TimelineEntry], *, ascii_only: bool = False, lines: int = 40, width: int = 160
) -> str:
    """A time line as lines that are safe for a terminal: the time, the bytes sent before, what happens, and the bytes.

    Of each step at most so many `lines` of its bytes are shown, and of a line at most `width` pieces of text.
    """
    out: list[str] = []
    for entry in entries:
        _write(out, entry, ASCII if ascii_only else UNICODE, lines, width, "")
    return "\n".join(out)


def _write(out: list[str], entry: TimelineEntry, glyphs: Glyphs, lines: int, width: int, indent: str) -> None:
    after = "".join("?+" for _ in range(min(entry.since, 3)))
    out.append(f"{indent}{after + f'{entry.at:.3f}':>9} s {entry.offset:>9,}  {entry.sentence}")
    shown = entry.data.split(b"\n", lines)
    ends = [b"\n"] * (len(shown) - 1) + [b""]
    for line, end in zip(shown[:lines], ends, strict=False):
        if line or end:
            out.append(f"{indent}{'':23}{_line(line + end, glyphs, width)}")
    left = entry.length - sum(len(line) + 1 for line in shown[:lines])
    if entry.data and left > 0:
        out.append(f"{indent}{'':23}({_bytes(left)} more)")
    if entry.otherwise:
        out.append(f"{indent}{'':23}When the time is over, otherwise:")
        for other in entry.otherwise:
            _write(out, other, glyphs, lines, width, indent + "    ")
        out.append(f"{indent}{'':23}When it is let go before:")


def _line(data: bytes, glyphs: Glyphs, width: int) -> str:
    cut = data[:width]
    drawn = "".join(piece.text for piece in wire_text(cut, glyphs))
    return drawn if len(data) <= width else f"{drawn}... ({_bytes(len(data) - width)} more)"
