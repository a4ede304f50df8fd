"""What the summary row of an exchange says about its answer, found out from the program before it plays.

Whatever bytes a program sends, the first final status line among them is the answer's, if there is one at all.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.engine.player import PIECE
from inspectd.rules.program import Close, Send
from inspectd.wire.head import head_end

if TYPE_CHECKING:
    from inspectd.rules.program import Op

# status-line = HTTP-version SP status-code SP [ reason-phrase ], RFC 9112 §4, read as leniently as clients do
_STATUS_LINE: Final = re.compile(rb"[^ \r\n]++ ++([^ \r\n]++)(?: ([^\r\n]*+))?")
_NOTHING: Final = Send(b"")
_INTERIM: Final = re.compile(rb"1[0-9][0-9]")


class Answered(NamedTuple):
    """`head` is how many of the first bytes are heads, interim ones included. `simple` holds the bytes of a program
    that is a single small `Send`, perhaps with a `Close` after it (`closes`); it is None for any other program. `added`
    is the list of field lines that inspectd put in, as JSON, or None."""

    status: str | None
    reason: str | None
    head: int | None
    simple: bytes | None
    closes: bool
    added: str | None = None


def as_json(added: tuple[str, ...]) -> str | None:
    """The field lines that were added, for the row; None when there are none."""
    return json.dumps(added) if added else None


def answered(ops: tuple[Op, ...]) -> Answered:
    """Read the first bytes that a program sends."""
    opening = ops[0] if ops and isinstance(ops[0], Send) else _NOTHING
    first = opening.data
    closes = len(ops) == 2 and isinstance(ops[1], Close)
    at_once = 0 < len(first) <= PIECE and opening.pace is None
    simple = first if at_once and (len(ops) == 1 or closes) else None
    start = 0
    while True:
        end = head_end(first, start)
        line = _STATUS_LINE.match(first, start)
        if line is None:
            return Answered(None, None, end, simple, closes)
        if end is None or _INTERIM.fullmatch(line[1]) is None or line[1] == b"101" or end >= len(first):
            reason = line[2].decode("utf-8", "backslashreplace") if line[2] is not None else None
            return Answered(line[1].decode("utf-8", "backslashreplace"), reason, end, simple, closes)
        start = end


def begun(data: bytes) -> Answered:
    """Read what has been sent of an answer so far.

    While its status line isn't complete, or only interim responses are there, nothing is known.
    """
    start = 0
    while True:
        end = head_end(data, start)
        line = _STATUS_LINE.match(data, start)
        if line is None:
            return Answered(None, None, end, None, closes=False)
        if _INTERIM.fullmatch(line[1]) is None or line[1] == b"101":
            known = line if data.find(b"\n", line.end()) >= 0 else None
            return Answered(
                known[1].decode("utf-8", "backslashreplace") if known else None,
                known[2].decode("utf-8", "backslashreplace") if known and known[2] is not None else None,
                end,
                None,
                closes=False,
            )
        if end is None or end >= len(data):
            return Answered(None, None, None, None, closes=False)
        start = end
