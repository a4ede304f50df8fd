"""Whatever clients do with crafted answers, holds and faults, record and evidence agree with what their sockets saw.

Like `test_engine_chaos`, with every kind of step, answers that come early, and somebody at the hold desk who can't make
up their mind.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import State
from inspectd.engine.config import Limits
from inspectd.rules.program import (
    Close,
    HalfClose,
    Hold,
    LiveProgram,
    Pace,
    Program,
    Reset,
    Send,
    SendFile,
    Stall,
    Wait,
)
from inspectd.rules.responder import ORDINARY, Plan
from tests.engine.test_engine_chaos import (
    AT_ONCE,
    CLIENTS,
    FILE_SIZE,
    SEED,
    RandomClient,
    answer,
    check,
    untiled,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow
    from inspectd.engine.holds import HoldDesk
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

KINDS = {"o": 40, "t": 4, "g": 4, "l": 3, "q": 8, "e": 8, "m": 4, "f": 2, "b": 2}
KINDS |= {"c": 2, "r": 3, "h": 2, "s": 2, "n": 2, "0": 2}


class Crafted:
    """The second letter of a target says how it is answered, by a rule of that name."""

    description = status_line = ""
    content_kept = 1000

    def __init__(self, file: Path) -> None:
        self.file = file

    def plan(self, request: Request) -> Plan:
        match request.head.target[1:2]:
            case b"e":
                return Plan(0)
            case b"m":
                return Plan(200)
            case b"n":
                return Plan(invite=False)
        return ORDINARY

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        target = request.head.target
        kind = target[1:2].decode("latin-1")
        if kind == "l":
            return LiveProgram(self.live(target, persist=persist), rule="l")
        ops = self.ops(kind, target)
        last = () if persist or isinstance(ops[-1], Reset | Stall) else (Close(),)
        hold = 0.05 if kind == "q" else None
        return Program((*ops, *last), rule="" if kind == "o" else kind, hold=hold)

    async def live(self, target: bytes, *, persist: bool) -> AsyncIterator[Op]:
        whole = answer(target)
        yield Send(whole[:30])
        await asyncio.sleep(0.001)
        yield Send(whole[30:])
        if not persist:
            yield Close()

    def ops(self, kind: str, target: bytes) -> tuple[Op, ...]:
        whole = answer(target)
        match kind:
            case "t":
                return (Send(whole[:50], Pace(9, 0.001, 0.5)), Send(whole[50:]))
            case "g":
                return (Hold("never", 0.01, otherwise=(Wait(0.005), Send(whole))), Send(b"never"))
            case "b":
                return (Send(answer(target, 400_000), Pace(90_000, 0.001)),)
            case "f":
                head = answer(target, FILE_SIZE)[:-FILE_SIZE]
                return (Send(head), SendFile(self.file, 0, FILE_SIZE, Pace(200_000, 0.001)))
            case "c":
                return (Send(whole[:40]), Close())
            case "r":
                return (Send(whole[:40]), Reset())
            case "h":
                return (Send(whole[:40]), HalfClose())
            case "s":
                return (Send(whole[:40]), Stall())
            case "0":
                return (Reset(),)
        return (Send(whole),)


async def decide(desk: HoldDesk, rng: random.Random) -> None:
    """Somebody at the desk."""
    while True:
        await asyncio.sleep(0.005)
        if rng.random() < 0.05:
            desk.hold_next(rng.choice((0, 1, 3)), timeout=rng.choice((0.0, 0.02)))
        for held in desk.held:
            match rng.randrange(12):
                case 0:
                    desk.release(held.id)
                case 1:
                    target = held.request.head.target
                    desk.release(
                        held.id, Program((Send(answer(target)[:60]), Wait(0.001), Send(answer(target)[60:])))
                    )
                case 2:
                    desk.drop(held.id)
                case 3:
                    desk.reset(held.id)


def check_evidence(client: RandomClient | None, row: ConnectionRow, running: Any) -> None:
    """What is said about the crafted answers of a connection agrees with its rows, and with the client's notes."""
    exchanges = running.capture.exchanges_of(row.id)
    found = running.capture.evidence_of([exchange.id for exchange in exchanges])
    ends = 0
    for exchange in exchanges:
        evidence = found.get(exchange.id)
        if evidence is None:
            continue
        sent = exchange.res_len or 0
        interim = sent - evidence.sent
        assert interim in {0, 25}, "neither the whole answer nor all but an invitation"
        assert evidence.acked is not None
        assert 0 <= evidence.acked <= evidence.sent
        if evidence.planned is not None and evidence.rule != "g":
            assert evidence.sent <= evidence.planned
        assert evidence.reused == (exchange.number > 1)
        # A RST doesn't acknowledge what was read before it.
        if client is not None and not client.reset and exchange.res_offset is not None:
            got = len(client.got) - exchange.res_offset - interim
            assert evidence.acked >= min(got, evidence.sent), "the client has what it never acknowledged"
        ends += evidence.ended_by is not None
        if evidence.ended_by is not None:
            assert (evidence.ended_by, evidence.how) == (row.closed_by, row.how)
    assert ends <= 1


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
async def test_record_and_evidence_agree_with_every_client(
    run_engine: Any, tmp_path: Path, durability: str
) -> None:
    print(f"INSPECTD_CHAOS_SEED={SEED}")
    file = tmp_path / "body"
    file.write_bytes(bytes(FILE_SIZE))
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    clients = [RandomClient(SEED + number, KINDS) for number in range(CLIENTS)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: RandomClient) -> None:
        async with gate:
            await client.live(running.port)

    limits = Limits(idle_timeout=1.0)
    async with run_engine(Crafted(file), durability=durability, limits=limits) as running:
        desk = running.engine.holds
        told: Counter[str] = Counter()
        desk.on_change.append(lambda kind, _held, _outcome: told.update((kind,)))
        deciding = asyncio.create_task(decide(desk, random.Random(SEED)))
        await asyncio.gather(*map(one, clients))
        await running.eventually(lambda: running.engine.open_connections == 0)
        deciding.cancel()
        await asyncio.wait((deciding,))
        await running.eventually(lambda: running.capture.counts().open == 0)
        assert desk.held == []
        assert told["held"] == told["released"]
        assert running.engine.problem is None
        rows = {
            row.peer: row for row in running.capture.connections(range(1, running.engine.connections + 1))
        }
        names = Counter(client.name for client in clients)
        for client in clients:
            if names[client.name] == 1 and client.name in rows:
                check(client, rows[client.name], running, State.ABORTED | State.RESPONSE_COMPLETE)
                check_evidence(client, rows.pop(client.name), running)
        for row in rows.values():
            check_evidence(None, row, running)
        assert untiled(running.engine.capture) == []
        assert running.engine._writer.lost_turns == 0
    assert troubles == []
