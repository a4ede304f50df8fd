"""How an answer is sent, in the few words that a list has room for: `after 300ms, reset at body+50%`.

The words are those of its table. Nothing is interpreted, and nothing here is safe for a terminal yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.rules.tables import FaultTable, HoldTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.rules.tables import AnswerTable, Duration, PaceTable

_DEEDS = {"truncate": "truncated", "garbage": "garbage"}
"""What a fault is called where its name alone could be read as something else."""


def manner(table: AnswerTable) -> str:
    """Everything about an answer but its bytes: the wait, the pace, the faults; empty for one that is just sent."""
    return ", ".join(_parts(table))


def _parts(table: AnswerTable) -> Iterator[str]:
    if table.hold:
        yield f"held {_time(table.hold.timeout)}" if isinstance(table.hold, HoldTable) else "held"
    if table.pace is not None:
        yield from _pace(table.pace)
    faults = (table.fault,) if isinstance(table.fault, FaultTable) else table.fault or ()
    for fault in faults:
        late = f" after {_time(fault.after)}" if fault.after else ""
        yield f"{_DEEDS.get(fault.do, fault.do)} at {fault.at}{late}"
    if table.close:
        yield "close"


def _pace(pace: PaceTable) -> Iterator[str]:
    if pace.before:
        yield f"after {_time(pace.before)}"
    for part in ("head", "body", "all"):
        if rate := getattr(pace, part):
            yield rate if part == "all" else f"{part} {rate}"


def _time(duration: Duration) -> str:
    return duration if isinstance(duration, str) else f"{duration:g}s"
