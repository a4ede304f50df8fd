"""When the bytes of an answer leave: the pace of its head and its body, and the wait before them.

Pace changes no byte and no order. What stands in a rule is understood once, when the rule is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from inspectd.rules.answer import JOINED
from inspectd.rules.program import Pace, Send, SendFile, Wait
from inspectd.rules.units import UnitError, duration, rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.rules.program import Op
    from inspectd.rules.tables import PaceTable

_JOINED_PACED: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Timing:
    """`before` is in seconds and runs ahead of the first byte; a pace of None sends at once."""

    before: float = 0.0
    head: Pace | None = None
    body: Pace | None = None

    def on(self, op: Op, *, head: bool) -> Op:
        """The step with the pace of its part."""
        pace = self.head if head else self.body
        if pace is not None and isinstance(op, (Send, SendFile)) and op.pace is None:
            return replace(op, pace=pace)
        return op


AT_ONCE: Final = Timing()
"""No waiting, no pace."""


def compile_timing(table: PaceTable) -> tuple[Timing, list[tuple[str, UnitError]]]:
    """What a table says, and every problem in it with its key."""
    problems: list[tuple[str, UnitError]] = []

    def pace(key: str, text: str | None) -> Pace | None:
        if text is None:
            return None
        try:
            piece, seconds = rate(text)
        except UnitError as problem:
            problems.append((key, problem))
            return None
        return Pace(piece, seconds, table.jitter, table.seed)

    before = 0.0
    try:
        before = duration(table.before)
    except UnitError as problem:
        problems.append(("before", problem))
    everything = pace("all", table.all)
    head = pace("head", table.head)
    body = pace("body", table.body)
    if table.jitter and not (table.all or table.head or table.body):
        what = "there are no pauses for 'jitter' to change"
        problems.append(("jitter", UnitError(what, 'Give head, body or all a rate, such as "1B/20ms".')))
    return Timing(before, head or everything, body or everything), problems


def join(ops: Iterable[Op]) -> tuple[Op, ...]:
    """The same bytes at the same times in fewer steps.

    Neighbours without a pace become one write while they are small. Neighbours of one pace become one trickle, or get
    the pause of that pace between them.
    """
    joined: list[Op] = []
    gathered: list[Send] = []  # writes that become one
    size = 0
    pace: Pace | None = None

    def gather_no_more() -> None:
        if gathered:
            one = len(gathered) == 1
            joined.append(gathered[0] if one else Send(b"".join([op.data for op in gathered]), pace))
            gathered.clear()

    sent = False  # whether the step before sends bytes, at `pace`
    for op in ops:
        if not isinstance(op, (Send, SendFile)):
            gather_no_more()
            joined.append(op)
            sent = False
            continue
        follows = sent and op.pace is pace
        if isinstance(op, Send) and follows and gathered and _fits(size, len(op.data), pace):
            gathered.append(op)
            size += len(op.data)
            continue
        gather_no_more()
        if follows and pace is not None:
            joined.append(Wait(pace.seconds))
        sent, pace = True, op.pace
        if isinstance(op, Send):
            gathered.append(op)
            size = len(op.data)
        else:
            joined.append(op)
    gather_no_more()
    return tuple(joined)


def _fits(size: int, more: int, pace: Pace | None) -> bool:
    if pace is not None:
        return size + more <= _JOINED_PACED
    return more <= JOINED and size + more <= 2 * JOINED
