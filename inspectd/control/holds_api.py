"""Held exchanges over the control API: what waits for somebody to decide, and what they decided.

A viewer that dies leaves nothing held for ever: the desk's time-out gives the normal answer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from inspectd.control.answer import length
from inspectd.control.messages import AnswerRequest
from inspectd.control.routing import RefusalError, text
from inspectd.control.traffic_messages import (
    HeldShown,
    HoldNews,
    HoldRequest,
    HoldsShown,
    ReleaseAllRequest,
    Released,
    ReleaseRequest,
)
from inspectd.engine.summary import shown
from inspectd.rules.answer import preview
from inspectd.rules.program import Close, LiveProgram, Program, Send, SendFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.control.routing import Asked
    from inspectd.control.rules_in_use import RulesInUse
    from inspectd.engine.holds import Held
    from inspectd.engine.server import Engine
    from inspectd.rules.book import Rule
    from inspectd.rules.program import Op

ANSWER_SHOWN: Final = 65536
"""Bytes of the normal answer that are shown of a held exchange."""


class Lease:
    """Calls `end` when nobody has renewed it for so many seconds."""

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self._seconds = seconds
        self._call = end
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end)

    def renew(self) -> None:
        """Begin anew, unless it is over."""
        self._timer.cancel()
        if not self._over:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end)

    def cancel(self) -> None:
        """Never call `end`."""
        self._over = True
        self._timer.cancel()

    def _end(self) -> None:
        self._over = True
        self._call()


class HoldsApi:
    """Answers `/v1/holds`. `publish` is called with the name and content of an event."""

    def __init__(self, engine: Engine, rules: RulesInUse, publish: Callable[[str, Any], None]) -> None:
        self._desk = engine.holds
        self._rules = rules
        self._publish = publish
        self._desk.on_change.append(self._changed)
        self._lease: Lease | None = None
        self.handlers: dict[str, Callable[[Asked], Any]] = {
            "holds": self._holds,
            "put_holds": self._hold_next,
            "release_all": self._release_all,
            "release": self._release,
            "drop": self._drop,
            "reset": self._reset,
        }

    def _changed(self, kind: str, held: Held, outcome: str) -> None:
        news = HoldNews(
            id=held.id,
            connection=held.connection,
            method=shown(held.request.head.method),
            target=shown(held.request.head.target),
            outcome=outcome,
        )
        self._publish(kind, news)

    def _holds(self, _: Asked) -> HoldsShown:
        desk = self._desk
        if self._lease is not None:
            self._lease.renew()
        return HoldsShown(
            next=desk.next_count, timeout=desk.timeout, held=tuple(_shown(each) for each in desk.held)
        )

    def _hold_next(self, asked: Asked) -> HoldsShown:
        from inspectd.rules.units import duration

        wish = asked.content(HoldRequest)
        seconds = duration(wish.timeout)
        if not seconds:
            raise RefusalError(400, "a hold of no time is none", "Give a timeout like 60s, or next: 0.")
        if wish.lease is not None and not wish.owner:
            raise RefusalError(400, "a lease of nobody", "Give owner with it.")
        lease = None if wish.lease is None else duration(wish.lease)
        if lease == 0:
            raise RefusalError(400, "a lease of no time is none", "Give a lease like 30s, or none.")
        self._desk.hold_next(wish.next, timeout=seconds, owner=wish.owner)
        if self._lease is not None:
            self._lease.cancel()
        self._lease = None if lease is None else Lease(lease, lambda: self._desk.release_all(wish.owner))
        return self._holds(asked)

    def _release_all(self, asked: Asked) -> Released:
        wish = asked.content(ReleaseAllRequest)
        return Released(released=self._desk.release_all(wish.owner))

    async def _release(self, asked: Asked) -> Released:
        wish = asked.content(ReleaseRequest)
        held = self._desk.get(asked.id())
        program = await self._program(wish, held)
        self._desk.release(held.id, program)
        return Released(released=1)

    def _drop(self, asked: Asked) -> Released:
        self._desk.drop(asked.id())
        return Released(released=1)

    def _reset(self, asked: Asked) -> Released:
        self._desk.reset(asked.id())
        return Released(released=1)

    # -- how it is answered

    async def _program(self, wish: ReleaseRequest, held: Held) -> Program | LiveProgram | None:
        """The answer that is wished for; None is the normal one. Raises `RefusalError` or `InspectdError`."""
        ordinary = AnswerRequest(
            status=wish.status,
            headers=wish.headers,
            body=wish.body,
            body_base64=wish.body_base64,
            body_file=wish.body_file,
            no_auto=wish.no_auto,
        )
        ways = {
            "raw_base64": wish.raw_base64 is not None,
            "rule": wish.rule is not None,
            "toml": wish.toml is not None,
            "status": ordinary != AnswerRequest(),
        }
        given = [way for way, there in ways.items() if there]
        if len(given) > 1:
            raise RefusalError(400, f"{given[0]} and {given[1]} are two answers", "Give one of them.")
        if (wish.close or wish.rest_from is not None) and given != ["raw_base64"]:
            raise RefusalError(400, "close and rest_from go with raw_base64", "Leave them out.")
        if not given:
            return None
        if given == ["raw_base64"]:
            return _raw(wish, held)
        if given == ["status"]:
            return _answer(ordinary, held)
        if given == ["rule"]:
            return self._by_rule(wish.rule or "", held)
        return await asyncio.to_thread(_by_toml, wish.toml or "", wish.base, held)

    def _by_rule(self, wanted: str, held: Held) -> Program | LiveProgram:
        book = self._rules.book
        rule = next((each for each in book.rules if each.id == wanted), None) if book is not None else None
        if rule is None:
            raise RefusalError(404, f"there is no rule {wanted!r}", "See GET /v1/rules.")
        return by_rule(rule, held)


def persists(held: Held) -> bool:
    """Whether the connection of a held exchange may serve another request afterwards."""
    head = held.request.head
    return held.request.complete and head.keep_alive and not head.framing.ambiguous


def _answer(wish: AnswerRequest, held: Held) -> Program:
    from inspectd.control.answer import answer_for
    from inspectd.rules.answer import compile_answer

    return compile_answer(answer_for(wish), held.request, now=time.time(), persist=persists(held))


def _by_toml(toml: str, base: str | None, held: Held) -> Program | LiveProgram:
    """The answer of a rule file's text with one rule in it, or of the text of an answer's table."""
    from inspectd.control.rules_api import load_text_at

    rule_text = toml if "[[rule]]" in toml else f"[[rule]]\n{toml}"
    loaded = load_text_at(rule_text, base, source="answer")
    if len(loaded.rules) != 1:
        raise RefusalError(400, f"this text has {len(loaded.rules)} rules", "Write one answer.")
    return by_rule(loaded.rules[0], held)


def by_rule(rule: Rule, held: Held) -> Program | LiveProgram:
    """The answer of a rule, whether it matches or not. Its places stay as they are."""
    from inspectd.rules.draft import Call

    request = held.request
    reply = rule.answers.peek(request, rule.state) or rule.answers.replies[-1]
    captured = rule.matcher.test(request) or {}
    call = Call(request, time.time(), persists(held), rule.calls + 1, captured)
    return replace(reply.program(call), hold=None)


def _raw(wish: ReleaseRequest, held: Held) -> Program | LiveProgram:
    try:
        data = base64.b64decode(wish.raw_base64 or "", validate=True)
    except (binascii.Error, ValueError) as problem:
        raise RefusalError(400, f"raw_base64 is not base64: {problem}") from problem
    ops: tuple[Op, ...] = (Send(data),) if data else ()
    if wish.rest_from is not None:
        if not isinstance(held.program, Program):
            raise RefusalError(400, "the normal answer's bytes aren't known ahead", "Leave out rest_from.")
        ops += behind(held.program, wish.rest_from)
    if wish.close and Close() not in ops:
        ops += (Close(),)
    return Program(ops, label=f"{len(data):,} bytes by hand")


def behind(program: Program, offset: int) -> tuple[Op, ...]:
    """What a program does from its byte `offset` on."""
    ops: list[Op] = []
    for op in program.ops:
        if not offset:
            ops.append(op)
        elif isinstance(op, Send):
            if offset < len(op.data):
                ops.append(replace(op, data=op.data[offset:]))
            offset = max(offset - len(op.data), 0)
        elif isinstance(op, SendFile):
            if offset < op.length:
                ops.append(replace(op, offset=op.offset + offset, length=op.length - offset))
            offset = max(offset - op.length, 0)
        elif isinstance(op, Close):
            ops.append(op)
    return tuple(ops)


def _shown(held: Held) -> HeldShown:
    request, program = held.request, held.program
    known = isinstance(program, Program)
    return HeldShown(
        id=held.id,
        connection=held.connection,
        number=held.number,
        peer=request.peer,
        method=shown(request.head.method),
        target=shown(request.head.target),
        since_ns=held.since_ns,
        timeout=held.timeout,
        client_gone=held.client_gone,
        rule=text(held.rule),
        owner=text(held.owner),
        request_head=base64.b64encode(request.head.raw).decode(),
        answer=base64.b64encode(preview(program, ANSWER_SHOWN)).decode()
        if isinstance(program, Program)
        else "",
        answer_length=length(program) if known and isinstance(program, Program) else None,
        label=text(program.label),
    )
