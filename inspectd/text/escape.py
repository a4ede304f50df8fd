r"""Any bytes as text that a person can edit in a terminal, and back. Nothing is lost, added or live.

Each line of the wire is a line of the text. The plain end of a line of text is CRLF; every other byte that has no
harmless shape is an escape:

    \n      a lone LF; it ends a line of the wire, so it stands at the end of a line of text
    \r      a CR that no LF follows
    \t      HTAB
    \\      a backslash
    \xHH    any byte, most of all a control or one that isn't valid UTF-8

Characters that `text.safe` lets through stand for themselves, as UTF-8. Combining marks and whatever a terminal could
obey, hide or turn around are escaped byte by byte. Bytes that don't end with a line end give a text whose last line
isn't empty. Reading is wider than writing: an escape may stand anywhere, and a line of text that ends in an escaped LF
has its line end already.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.errors import InspectdError
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN: Final = re.compile(rb"[ -\[\]-~]*+")
_NOT_PLAIN: Final = re.compile(r"[^ -\[\]-~]")
# One escape, or a backslash that begins none, with what a person may have meant by it.
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|([nrt\\])|(x[0-9A-Fa-f]?|.?))", re.DOTALL)
_LETTERS: Final = {"n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\"}
_WRITTEN: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_LINES_KEPT: Final = 4096


class Problem(NamedTuple):
    """Characters that stand for no byte: where (line and column count from 1), what is wrong, and the way out."""

    line: int
    column: int
    length: int
    what: str
    mend: str


class TextError(InspectdError):
    """A text that stands for no bytes. `problems` are all of them, in order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
        super().__init__(
            f"line {first.line}, column {first.column}: {first.what}{more}", first.mend, exit_code=2
        )
        self.problems = tuple(problems)


# bytes to text


def to_text(data: bytes) -> str:
    r"""The text that stands for `data`.

    >>> to_text(b"HTTP/1.1 200\r\nX: \xff\n\r\nhi\0")
    'HTTP/1.1 200\nX: \\xff\\n\n\nhi\\x00'
    """
    out: list[str] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        last = number == len(lines) - 1
        if last:
            out.append(_line_text(line))
        elif line.endswith(b"\r"):
            out.append(_line_text(line[:-1]) + "\n")
        else:
            out.append(_line_text(line) + "\\n\n")
    return "".join(out)


def _line_text(line: bytes) -> str:
    if _PLAIN.fullmatch(line):
        return line.decode("ascii")
    return _NOT_PLAIN.sub(lambda match: _shape(match[0]), line.decode("utf-8", "surrogateescape"))


def still(text: str) -> str:
    """`text` with every character escaped that could act on a terminal: for what is typed or pasted.

    Line ends stay, in whichever form they come, and so do backslashes: they may begin an escape that was meant.
    """
    kept = {"\n": "\n", "\\": "\\"}
    return _NOT_PLAIN.sub(lambda match: kept.get(match[0]) or _shape(match[0]), text.replace("\r\n", "\n"))


@lru_cache(maxsize=_LINES_KEPT)
def _shape(character: str) -> str:
    """One character as it stands in the text."""
    written = _WRITTEN.get(character)
    if written is not None:
        return written
    if safe(character) == character:
        return character
    return "".join(f"\\x{octet:02x}" for octet in character.encode("utf-8", "surrogateescape"))


# text to bytes


@dataclass(frozen=True, slots=True)
class Line:
    """The bytes of one line of text, without the line end that the text itself gives it.

    `places` says for each character, and for the end of the line, which of the bytes it stands for: an escape's
    characters all stand for its one byte. `escapes` are the columns of escapes, neighbours joined. `problems` have the
    line number 0.
    """

    data: bytes
    places: Sequence[int]
    escapes: tuple[tuple[int, int], ...] = ()
    problems: tuple[Problem, ...] = ()


@lru_cache(maxsize=_LINES_KEPT)
def read_line(text: str) -> Line:
    """One line of text, which holds no line end. Characters that stand for no byte are taken as they are."""
    if text.isascii() and "\\" not in text:
        return Line(text.encode("ascii"), range(len(text) + 1))
    data = bytearray()
    places: list[int] = []
    problems: list[Problem] = []
    escapes: list[tuple[int, int]] = []

    def literal(part: str, column: int) -> None:
        for at, character in enumerate(part):
            places.append(len(data))
            try:
                data.extend(character.encode("utf-8"))
            except UnicodeEncodeError:
                data.extend(b"?")
                what = "half of a surrogate pair is no character"
                problems.append(
                    Problem(0, column + at + 1, 1, what, "Take it out, or write its bytes as \\xHH.")
                )

    at = 0
    for match in _ESCAPE.finditer(text):
        literal(text[at : match.start()], at)
        at = match.end()
        hexadecimal, letter, wrong = match.groups()
        if wrong is None:
            places.extend([len(data)] * len(match[0]))
            joined = escapes.pop()[0] if escapes and escapes[-1][1] == match.start() else match.start()
            escapes.append((joined, match.end()))
            data.extend(bytes([int(hexadecimal, 16)]) if hexadecimal else _LETTERS[letter])
        else:
            problems.append(Problem(0, match.start() + 1, len(match[0]), *_trouble(wrong)))
            literal(match[0], match.start())
    literal(text[at:], at)
    places.append(len(data))
    return Line(bytes(data), places, tuple(escapes), tuple(problems))


def _trouble(wrong: str) -> tuple[str, str]:
    if wrong[:1] == "x":
        return "\\x needs two hexadecimal digits", "Write \\x0d for a CR, or \\\\x for a backslash and an x."
    if not wrong:
        return "a backslash alone at the end of a line means nothing", "Write \\\\ for a backslash."
    return (
        f"\\{safe(wrong)} means nothing",
        "Write \\\\ for a backslash; escapes are \\n \\r \\t \\\\ and \\xHH.",
    )


class Reading:
    """A text and the bytes it stands for, and which character stands for which byte. Rows and columns count from 0."""

    def __init__(self, text: str) -> None:
        rows = text.split("\n")
        self.lines = [read_line(row) for row in rows]
        self.starts: list[int] = []
        """The offset of each line's first byte."""
        parts: list[bytes] = []
        problems: list[Problem] = []
        at = 0
        for number, line in enumerate(self.lines):
            self.starts.append(at)
            problems += [problem._replace(line=number + 1) for problem in line.problems]
            # A line that ends in an escaped LF has its end; the last one has none beyond what it says.
            ended = number == len(rows) - 1 or line.data.endswith(b"\n")
            part = line.data if ended else line.data + b"\r\n"
            parts.append(part)
            at += len(part)
        self.data = b"".join(parts)
        self.problems = tuple(problems)

    def offset(self, row: int, column: int) -> int:
        """The offset of the byte that this character stands for; of the line's end behind its last character."""
        line = self.lines[row]
        return self.starts[row] + line.places[min(column, len(line.places) - 1)]

    def place(self, offset: int) -> tuple[int, int]:
        """Row and column of the first character that stands for the byte at `offset`, or for the one before."""
        row = max(0, bisect_right(self.starts, offset) - 1)
        return row, self.column(row, offset)

    def column(self, row: int, offset: int) -> int:
        """The column in this row where the byte at `offset` begins; the end of the row when it lies behind it."""
        places = self.lines[row].places
        within = min(max(offset - self.starts[row], 0), places[-1])
        if isinstance(places, range):
            return within
        at = bisect_right(places, within) - 1
        while at > 0 and places[at - 1] == places[at]:
            at -= 1
        # A character of several bytes begins before the byte that is asked for.
        return at


def to_bytes(text: str) -> bytes:
    r"""The bytes that `text` stands for. Raises `TextError`, which says where, when some of it stands for none.

    >>> to_bytes("HTTP/1.1 200\nX: \\xff\\n\n\nhi\\x00")
    b'HTTP/1.1 200\r\nX: \xff\n\r\nhi\x00'
    """
    reading = Reading(text)
    if reading.problems:
        raise TextError(reading.problems)
    return reading.data
