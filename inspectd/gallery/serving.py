"""The gallery behind an engine of its own on a free port, and what the clients did with it afterwards.

What a client did is read from the capture when the engine has ended: only then it is complete, because the end of a
connection belongs to it. Bytes from the wire stay bytes here; whoever prints them makes them safe.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.gallery.catalogue import book, case_of_rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from inspectd.capture.model import EvidenceRow, ExchangeRow
    from inspectd.gallery.catalogue import Case

_GRACE: Final = 0.3
"""Seconds for what is in flight when everything is over: nobody waits for it any more."""

_METHODS: Final = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients did with the answers of one case.

    `requests` counts all of them, `attempts` the most that were the same request again; `methods` are those of the
    first requests, in order. `connections` were used, and `reused` requests came on one that had served another
    before. Bytes: `planned` by the answers, `sent`, and `acked` by the client's kernel; None where that isn't known.
    `ended_by` and `how` tell the end of the last connection.
    """

    requests: int = 0
    attempts: int = 0
    connections: int = 0
    reused: int = 0
    planned: int | None = 0
    sent: int = 0
    acked: int | None = 0
    ended_by: str | None = None
    how: str | None = None
    methods: tuple[str, ...] = ()


NOTHING: Final = Seen()
"""No request came."""


@asynccontextmanager
async def served(cases: Iterable[Case], capture: Path) -> AsyncIterator[str]:
    """An engine that answers these cases while the context lasts; its address as `127.0.0.1:PORT`."""
    from inspectd.engine.config import EngineConfig
    from inspectd.engine.server import Engine

    config = EngineConfig(capture, ("127.0.0.1:0",), durability="relaxed", grace=_GRACE)
    engine = Engine(config, book(cases))
    (address,) = await engine.start()
    try:
        yield address
    finally:
        await engine.stop()


def seen(capture: Path) -> dict[str, Seen]:
    """What was done with each case that somebody asked for, by the name of the case."""
    from inspectd.capture.reader import Capture

    rows: dict[str, list[tuple[ExchangeRow, EvidenceRow]]] = {}
    with Capture.open(capture) as opened:
        after = 0
        while exchanges := opened.exchanges_after(after, 500):
            after = exchanges[-1].id
            known = opened.evidence_of([exchange.id for exchange in exchanges])
            for exchange in exchanges:
                if (evidence := known.get(exchange.id)) is not None:
                    rows.setdefault(case_of_rule(evidence.rule), []).append((exchange, evidence))
    return {name: _summary(found) for name, found in rows.items()}


def _summary(found: list[tuple[ExchangeRow, EvidenceRow]]) -> Seen:
    rows = [evidence for _, evidence in found]
    last = rows[-1]
    return Seen(
        requests=len(rows),
        attempts=max(row.attempt for row in rows),
        connections=len({exchange.connection for exchange, _ in found}),
        reused=sum(1 for row in rows if row.reused),
        planned=_sum(row.planned for row in rows),
        sent=sum(row.sent for row in rows),
        acked=_sum(row.acked for row in rows),
        ended_by=last.ended_by,
        how=last.how,
        methods=tuple(exchange.method or "" for exchange, _ in found[:_METHODS]),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
