"""The answers of a case, compiled for the requests that bring them about: what `inspectd gallery show` prints.

Nothing is played. The requests are made up from the rule's conditions, so that each rule of a case, and each answer of
a rule, is shown once.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from inspectd.gallery.catalogue import rules_of
from inspectd.rules.draft import Call
from inspectd.rules.tables import MatchTable

if TYPE_CHECKING:
    from inspectd.gallery.catalogue import Case
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request
    from inspectd.rules.rule import Rule

HOST: Final = "localhost:8080"
"""The host in requests that nobody sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a case.

    `asked` says which request brings it about: its first line, and what else matters. `head` and `content` are that
    request as bytes. `reused` says that the request has to come on a connection that has served one before, `turn`
    which of several answers of one rule it is, from 1.
    """

    asked: str
    head: bytes
    content: bytes
    reused: bool
    turn: int
    request: Request
    program: Program | LiveProgram


def answers(case: Case, *, host: str = HOST, now: float | None = None) -> list[Answer]:
    """Every answer of a case in the order of its rules, for requests to `host`, at `now` (seconds since the epoch)."""
    at = time.time() if now is None else now
    return [answer for rule in rules_of([case]) for answer in _answers_of(rule, case, host, at)]


def _answers_of(rule: Rule, case: Case, host: str, now: float) -> list[Answer]:
    from inspectd.control.recorded import made_up

    assert rule.table is not None
    match = rule.table.match
    conditions = match if isinstance(match, MatchTable) else MatchTable(path=match)
    path = (conditions.path or case.path).replace("**", "landed")
    target = path + "".join(f"?{name}=1" for name in conditions.query or ())
    fields = [f"Host: {host}"]
    said = [f"{case.method} {target}"]
    for name in conditions.header or ():
        fields.append(f"{name}: {_value(name, case)}")
        said.append(f"with {name}")
    if case.expect and not any(field.startswith("Expect:") for field in fields) and len(case.rules) == 1:
        fields.append("Expect: 100-continue")
    if case.range is not None:
        fields.append(f"Range: {case.range}")
        said.append(f"with Range: {case.range}")
    if case.upload:
        fields.append(f"Content-Length: {case.upload}")
    head = "\r\n".join([f"{case.method} {target} HTTP/1.1", *fields, "", ""]).encode()
    reused = conditions.first is False
    if reused:
        said.append("on a used connection")
    content = b"x" * case.upload
    request = replace(
        made_up(head), content=content[:65536], content_length=len(content), number=2 if reused else 1
    )
    # RFC 9110 §10.1.1: a client that wasn't invited may never send its content, so the connection can't go on.
    persist = not (rule.plan.answer_at == 0 and any(field.startswith("Expect:") for field in fields))
    made = []
    replies = rule.answers.replies
    for turn, reply in enumerate(replies, 1):
        again = [f"time {turn} of {len(replies)}"] if len(replies) > 1 else []
        call = Call(request, now, persist=persist, count=turn)
        made.append(
            Answer(", ".join([*said, *again]), head, content, reused, turn, request, reply.program(call))
        )
    return made


def _value(name: str, case: Case) -> str:
    """What a client sends in a field that a rule asks for."""
    if name == "Authorization":
        return "Basic " + base64.b64encode((case.credentials or "user:secret").encode()).decode()
    return {"Expect": "100-continue", "Cookie": "session=abc"}[name]
