r"""JSON laid out on lines without being changed: numbers, escapes, duplicate names and their order stay as
sent.

The text is cut into the tokens of RFC 8259 §2 and indented; it is never turned into values, so `1e400`, `1.0`
and `"\u00e9"` look as they did on the wire. Linear in its length, without recursion, for any text.
"""

from __future__ import annotations

import re
from typing import Final

INDENT: Final = 2
MAX_INDENT: Final = 40
"""Levels of nesting that are indented; deeper ones stand in line with this one."""

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*+(?:
        (?P<open>[\[{]) | (?P<close>[\]}]) | (?P<comma>,) | (?P<colon>:)
      | (?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+")
      | (?P<scalar>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?+|true|false|null)
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


class NotJsonError(ValueError):
    """The text is no JSON text. `offset` is the character where the reading stopped, `lines` what came
    before.
    """

    def __init__(self, offset: int, lines: list[str]) -> None:
        super().__init__(f"not valid JSON at character {offset}")
        self.offset = offset
        self.lines = lines


def json_lines(text: str, *, max_lines: int) -> list[str]:
    """The lines of one JSON text (`max_lines` at most), unsafe as they came.

    Empty arrays and objects stay on one line. Raises `NotJsonError`.
    """
    lines: list[str] = []
    line = ""
    closers: list[str] = []
    # What must come next: a value, value or "]", name, name or "}", ":", "," or a closer, nothing.
    want = "value"
    at = 0
    while len(lines) < max_lines:
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotJsonError(at, [*lines, line])
        kind = match.lastgroup or "end"
        lexeme = match[kind]
        at = match.end()
        if want in {"value or ]", "name or }"} and kind != "close":
            lines.append(line)  # the first member goes on a line of its own
            line = _indent(len(closers))
            want = want.partition(" ")[0]
        if kind == "open" and want == "value":
            closers.append("]" if lexeme == "[" else "}")
            line += lexeme
            want = "value or ]" if lexeme == "[" else "name or }"
        elif kind in {"string", "scalar"} and want == "value":
            line += lexeme
            want = ", or close" if closers else "end"
        elif kind == "string" and want == "name":
            line += lexeme
            want = "colon"
        elif kind == "colon" and want == "colon":
            line += ": "
            want = "value"
        elif kind == "comma" and want == ", or close":
            lines.append(line + ",")
            line = _indent(len(closers))
            want = "value" if closers[-1] == "]" else "name"
        elif (
            kind == "close"
            and closers
            and lexeme == closers[-1]
            and want in {", or close", "value or ]", "name or }"}
        ):
            closers.pop()
            if want == ", or close":
                lines.append(line)
                line = _indent(len(closers))
            line += lexeme
            want = ", or close" if closers else "end"
        elif kind == "end" and want == "end":
            break
        else:
            raise NotJsonError(match.start(kind), [*lines, line])
    lines.append(line)
    return lines[:max_lines]


def _indent(depth: int) -> str:
    return " " * (INDENT * min(depth, MAX_INDENT))
