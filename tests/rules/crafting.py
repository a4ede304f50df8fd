"""Replies from tables as a rule file would give them, and what they send."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inspectd.rules.craft import CraftProblems, compile_reply
from inspectd.rules.draft import Call
from inspectd.rules.program import LiveProgram, Program, Send, SendFile
from inspectd.rules.tables import AnswerTable
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from inspectd.rules.craft import Reply
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

NOW = 784111777.0
"""Sun, 06 Nov 1994 08:49:37 GMT."""


def reply(base: Path = Path("/nowhere"), **keys: Any) -> Reply:
    """The reply that a table with these keys describes; an underscore stands for a hyphen."""
    table = msgspec.convert({key.replace("_", "-"): value for key, value in keys.items()}, AnswerTable)
    return compile_reply(table, base=base, rule="test:1")


def call(request: Request | None = None, *, persist: bool = True, now: float = NOW) -> Call:
    """A call of a rule."""
    return Call(request or get(), now, persist)


def program(base: Path = Path("/nowhere"), *, to: Call | None = None, **keys: Any) -> Program:
    """The program with which such a table answers."""
    made = reply(base, **keys).program(to or call())
    assert isinstance(made, Program)
    return made


def played(made: Program | LiveProgram) -> list[Op]:
    """All steps, those of a live program as well."""
    if isinstance(made, Program):
        return list(made.ops)

    async def collect(live: LiveProgram) -> list[Op]:
        return [op async for op in live.ops]

    return asyncio.run(collect(made))


def sent_bytes(ops: Program | LiveProgram | list[Op]) -> bytes:
    """All bytes that are sent, those of files as well."""
    parts: list[bytes] = []
    for op in ops if isinstance(ops, list) else played(ops):
        if isinstance(op, Send):
            parts.append(op.data)
        elif isinstance(op, SendFile):
            parts.append(op.path.read_bytes()[op.offset : op.offset + op.length])
    return b"".join(parts)


def problems(base: Path = Path("/nowhere"), **keys: Any) -> dict[str, str]:
    """The keys that are wrong and what is wrong with them."""
    try:
        reply(base, **keys)
    except CraftProblems as found:
        return {problem.key: f"{problem.what} {problem.mend}" for problem in found.problems}
    return {}
