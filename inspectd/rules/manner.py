"""What an answer does beside its bytes, in the few words that a list has room for: `digest auth, reset at body+50%`.

The words are those of its table. Nothing is interpreted, and nothing here is safe for a terminal yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.rules.tables import (
    ChunkedTable,
    CodingTable,
    ConditionalTable,
    CorsTable,
    EventsTable,
    FaultTable,
    HoldTable,
    InterimTable,
    PollTable,
    RedirectTable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.rules.tables import (
        AcceptTable,
        AnswerTable,
        AuthTable,
        Duration,
        PaceTable,
        RuleTable,
        TlsTable,
        WebSocketTable,
    )

_DEEDS = {"truncate": "truncated", "garbage": "garbage"}
"""What a fault is called where its name alone could be read as something else."""

_THEN = {
    "cycle": "then from the first again",
    "next": "then the next rule",
    "close": "then closed",
}
_DONE = {
    "reset": "resets {which}",
    "close": "closes {which} at once",
    "wait": "accepts no connections",
    "refuse": "refuses connections",
}
_SHAKEN = {
    "close": "closes instead of a handshake",
    "reset": "resets instead of a handshake",
    "stall": "never answers the ClientHello",
}


def manner(table: AnswerTable) -> str:
    """Everything about an answer but its bytes: what it does, the wait, the pace, the faults; empty for a plain one."""
    return ", ".join([*_behaviour(table), *_framing(table), *_sending(table)])


def course(table: RuleTable) -> str:
    """When a rule answers, and what follows its answers: `then from the first again, per client`; empty as usual."""
    return ", ".join(_course(table))


def accepting(table: AcceptTable) -> str:
    """What happens to connections: `resets the first 3 connections`."""
    count, after = table.count, table.after
    which = "connections" if count is None else f"{count} connection{'s' if count > 1 else ''}"
    said = _DONE[table.do].format(which=which)
    if table.seconds is not None:
        said += f" for {_time(table.seconds)}"
    return f"{said}, after {after} that {'are' if after > 1 else 'is'} let in" if after else said


def shaking(table: TlsTable) -> str:
    """What happens in handshakes: `expired certificate, TLSv1 only`."""
    if table.do is not None:
        return f"aborts with the alert {table.alert}" if table.do == "abort" else _SHAKEN[table.do]
    said = [f"{table.certificate.replace('-', ' ')} certificate"] if table.certificate else []
    return ", ".join([*said, *([f"{table.version} only"] if table.version else [])])


def holding(rules: int, tls: int, *, accept: bool) -> str:
    """What a file holds, counted: `2 rules, 4 [[tls]] tables and [accept]`; `no rules` when it is nothing."""
    said = [_count(rules, "rule")] if rules or not (tls or accept) else []
    if tls:
        said.append(_count(tls, "[[tls]] table"))
    if accept:
        said.append("[accept]")
    *before, last = said
    return f"{', '.join(before)} and {last}" if before else last


def _behaviour(table: AnswerTable) -> Iterator[str]:
    if table.template:
        yield "template"
    if isinstance(table.redirect, RedirectTable):
        if table.redirect.loop:
            yield "loop"
        if table.redirect.chain:
            yield f"{table.redirect.chain} hops"
    if table.auth is not None:
        yield _auth(table.auth)
    if table.cookies:
        yield _count(len(table.cookies), "cookie")
    if table.cors:
        yield _wrong("cors", table.cors.wrong if isinstance(table.cors, CorsTable) else None)
    if table.conditional:
        conditional = table.conditional
        yield _wrong("conditional", conditional.wrong if isinstance(conditional, ConditionalTable) else None)
    if isinstance(table.events, EventsTable) and table.events.repeat:
        yield "again and again"
    if table.websocket is not None:
        yield from _websocket(table.websocket)
    if table.poll:
        poll = table.poll if isinstance(table.poll, PollTable) else PollTable()
        yield f"polled {_time(poll.timeout)}, else {poll.otherwise}"


def _websocket(table: WebSocketTable) -> Iterator[str]:
    if table.send:
        yield _count(len(table.send), "message") + (" again and again" if table.repeat else "")
    if table.on:
        yield f"answers to {_count(len(table.on), 'pattern')}"
    if table.compress:
        yield "compressed"
    if table.accept != "right":
        yield f"{table.accept} accept"
    if not table.pong:
        yield "no pongs"
    if not table.close_answer:
        yield "closes unanswered"
    if table.ping_every:
        yield f"pings every {_time(table.ping_every)}"


def _auth(auth: AuthTable) -> str:
    schemes = [name for name in ("basic", "digest", "bearer") if getattr(auth, name) or auth.scheme == name]
    return f"{'proxy ' if auth.proxy else ''}{' or '.join(schemes) or 'unmet'} auth"


def _framing(table: AnswerTable) -> Iterator[str]:
    if table.coding:
        yield _coding(table.coding)
    if table.chunked:
        chunked = table.chunked if isinstance(table.chunked, ChunkedTable) else ChunkedTable()
        yield "chunked" if chunked.last else "chunked without an end"
        if chunked.trailers:
            yield _count(len(chunked.trailers), "trailer")
    if table.interim:
        yield f"{sum(one.times if isinstance(one, InterimTable) else 1 for one in table.interim)} interim"


def _coding(coding: str | tuple[str, ...] | CodingTable) -> str:
    if isinstance(coding, str):
        return coding
    if not isinstance(coding, CodingTable):
        return "+".join(coding)
    applied = "+".join(coding.apply) or "not coded"
    said = f", said to be {coding.say or 'nothing'}" if coding.say is not None else ""
    damaged = f", damaged ({coding.damage})" if coding.damage else ""
    return applied + said + damaged


def _sending(table: AnswerTable) -> Iterator[str]:
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


def _course(table: RuleTable) -> Iterator[str]:
    if table.pick == "weighted":
        yield "by chance"
    if table.then != "last":
        yield _THEN.get(table.then, f"then {table.then}")
    if table.per != "rule":
        yield f"per {table.per}"
    if table.when != "request":
        yield (
            "at the request's head"
            if table.when == "head"
            else f"after {table.when.partition(' ')[2]} of the content"
        )
    if not table.invite:
        yield "without a 100"


def _wrong(what: str, how: str | None) -> str:
    return f"{what}, wrong ({how})" if how else what


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _time(duration: Duration) -> str:
    return duration if isinstance(duration, str) else f"{duration:g}s"
