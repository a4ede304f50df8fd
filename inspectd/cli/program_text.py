"""A compiled answer as lines of safe text: what is sent at which time, what inspectd added, what is odd about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.cli.output import draws_glyphs
from inspectd.rules.timeline import text, timeline
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inspectd.rules.program import LiveProgram, Program

LARGEST_SHOWN: Final = 1 << 30
"""Bytes of an answer that are written to standard output at most."""

_PEEKED: Final = 24  # steps of a live program that are shown; it is not going to be played
_HEADING: Final = f"{'time':>9}   {'sent':>9}"


def program_lines(
    program: Program | LiveProgram,
    remarks: Sequence[str],
    paint: Callable[[str, str], str],
    *,
    lines: int = 40,
) -> Iterator[str]:
    """The time line of a program, what was added to it, and the `remarks` about it (safe text).

    Of each step at most so many `lines` of bytes are shown.
    """
    yield paint(_HEADING, "dim")
    yield from text(timeline(program, peek=_PEEKED), ascii_only=not draws_glyphs(), lines=lines).split("\n")
    if added := _sent(program):
        yield ""
        yield from (f"{paint('added', 'cyan')}  {clip(safe(line), 200)}" for line in added)
    if remarks:
        yield ""
        yield from (f"{paint('note', 'yellow')}   {remark}" for remark in remarks)


def _sent(program: Program | LiveProgram) -> list[str]:
    """The field lines that inspectd added, without those that a fault keeps from being sent."""
    data = bytes_of(program)
    return [line for line in program.added if data is None or f"\r\n{line}\r\n".encode() in data]


def bytes_of(program: Program | LiveProgram) -> bytes | None:
    """All bytes that a program sends, or None when they become known only while it is played."""
    from inspectd.rules.answer import preview
    from inspectd.rules.passing import Pass
    from inspectd.rules.program import Program

    known = isinstance(program, Program) and not isinstance(program, Pass)
    return preview(program, limit=LARGEST_SHOWN) if known and isinstance(program, Program) else None
