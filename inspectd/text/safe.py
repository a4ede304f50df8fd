r"""The door to a terminal and to a page: what came from the wire leaves here as text that can't do anything.

Decided by Unicode's character data, not by a list of known attacks. A character stays when it is visible,
takes the number of cells everybody agrees on and changes nothing around it. Every other one becomes a visible
escape:

    \xHH         a byte: an ASCII control (`\x1b`), or a byte that is not part of valid UTF-8 (`\xff`)
    \uHHHH       a code point from U+0080 on: C1, format and bidi controls, zero width, blank characters...
    \UHHHHHHHH   the same above U+FFFF
    \\           a backslash, written so only where it could be read as the start of one of these

The escapes can be read back without doubt: `\x1b` on screen is ESC, `\\x1b` is what a peer typed. Nothing
here raises, and everything is linear in the length of its input. Letters of right-to-left scripts stay: they
are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape as escape_html
from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import category, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MARKS: Final = 3
"""Combining marks that may stand on one base character: enough to write with, too few to climb a line."""

_PLAIN: Final = re.compile(r"[ -\[\]-~]*+")
_PLAIN_LINES: Final = re.compile(r"[\n -\[\]-~]*+")
_NOT_PLAIN: Final = re.compile(r"[^ -\[\]-~]++")
_PIECES: Final = re.compile(r" ++|\r\n|[!-\[\]-~]++|[^\x00-\x7f]++|[\x00-\x7f]")

_READ_AS_ESCAPE: Final = frozenset("\\xuU")
"""Before one of these a literal backslash would look like the start of an escape."""

_STAYS: Final = 0
_ESCAPE: Final = 1
_MARK: Final = 2

_ESCAPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs", "Me"})

# What the general category doesn't tell: (first, last, why).
_ESCAPED_RANGES: Final = (
    (0x034F, 0x034F, "combining grapheme joiner: invisible"),
    (0x115F, 0x11FF, "conjoining Hangul: no width of their own, and the fillers are invisible"),
    (0x17B4, 0x17B5, "Khmer inherent vowels: invisible"),
    (0x180B, 0x180F, "Mongolian variation selectors: invisible"),
    (0x2630, 0x2637, "changed width in Unicode 16"),
    (0x268A, 0x268F, "changed width in Unicode 16"),
    (0x2800, 0x2800, "blank Braille pattern: invisible"),
    (0x302E, 0x302F, "Hangul tone marks: wide or without width, depending on whom you ask"),
    (0x3164, 0x3164, "Hangul filler: invisible"),
    (0x4DC0, 0x4DFF, "changed width in Unicode 16"),
    (0xD7B0, 0xD7FF, "conjoining Hangul"),
    (0xFE00, 0xFE0F, "variation selectors: invisible, and they change the width of what stands before"),
    (0xFFA0, 0xFFA0, "half-width Hangul filler: invisible"),
    (0x16FE4, 0x16FE4, "Khitan filler: invisible"),
    (0x16FF0, 0x16FF1, "Vietnamese reading marks: width in doubt"),
    (0x1D159, 0x1D159, "null notehead: invisible"),
    (0x1D300, 0x1D376, "changed width in Unicode 16"),
    (0x1F1E6, 0x1F1FF, "regional indicators: two of them become one flag"),
    (0x1F3FB, 0x1F3FF, "skin tones: they melt into what stands before"),
    (0xE0100, 0xE01EF, "variation selectors"),
)

_KINDS_KEPT: Final = 16384


class _Kinds(dict[str, int]):
    """What to do with a character, found once for each one that is met; bounded, so that a peer can't fill
    memory.
    """

    def __missing__(self, character: str) -> int:
        kind = _kind(character)
        if len(self) < _KINDS_KEPT:
            self[character] = kind
        return kind


def _kind(character: str) -> int:
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return _STAYS
    group = category(character)
    if group in _ESCAPED_CATEGORIES or any(first <= code <= last for first, last, _ in _ESCAPED_RANGES):
        return _ESCAPE
    return _MARK if group in {"Mn", "Mc"} else _STAYS


_kinds: Final = _Kinds()


def _escape(character: str) -> str:
    """One character as a visible escape."""
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _escape_decoded(character: str) -> str:
    """The same for text decoded with surrogateescape, where U+DC80 to U+DCFF stand for undecodable bytes."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else _escape(character)


def safe(text: str | bytes, *, newline: bool = False, doubling: bool = True) -> str:
    r"""`text` as characters that are visible, still and of known width; everything else as an escape.

    Bytes are read as UTF-8; a byte that isn't part of a valid sequence becomes `\xHH`. With `newline` a lone
    LF stays a line end (CR and the Unicode line separators never do). The result holds no character of the
    categories Cc, Cf, Cs, Co, Cn, Zl and Zp but that LF, so it may be handed to a terminal as it is. It is
    *text*: hand it to Textual and Rich as `Content` or `Text`, never as markup.

    >>> print(safe(b"a\x1b[31m\xff\xe2\x80\xae"))
    a\x1b[31m\xff\u202e
    """
    escape = _escape
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
        escape = _escape_decoded
    if (_PLAIN_LINES if newline else _PLAIN).fullmatch(text):
        return text
    return _NOT_PLAIN.sub(lambda run: _visible(run, escape, newline=newline, doubling=doubling), text)


def _visible(run: re.Match[str], escape: Callable[[str], str], *, newline: bool, doubling: bool) -> str:
    """A run of anything but plain ASCII: backslashes, line ends, controls and all that lies beyond U+007F."""
    characters = run[0]
    # A mark needs a base to stand on: the plain ASCII before the run, or a character of the run that stays.
    room = MAX_MARKS if run.start() else 0
    out: list[str] = []
    for at, character in enumerate(characters, 1):
        kind = _kinds[character]
        if character == "\\":
            after = characters[at : at + 1] or run.string[run.end() : run.end() + 1]
            ambiguous = after in _READ_AS_ESCAPE or (
                after and _kinds[after] and not (newline and after == "\n")
            )
            out.append("\\\\" if ambiguous and doubling else "\\")
            room = MAX_MARKS
        elif kind == _STAYS:
            out.append(character)
            room = MAX_MARKS
        elif kind == _MARK and room:
            out.append(character)
            room -= 1
        elif newline and character == "\n":
            out.append("\n")
            room = 0
        else:
            out.append(escape(character))
            room = 0
    return "".join(out)


def html(text: str | bytes, *, newline: bool = False) -> str:
    """The door to HTML: `safe`, then `&`, `<`, `>` and both quotes as references. Fit for text and quoted
    attributes.
    """
    return escape_html(safe(text, newline=newline), quote=True)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """How the bytes that have no shape of their own are drawn in a byte view."""

    sp: str
    htab: str
    crlf: str
    lf: str
    cr: str
    mnemonics: bool
    r"""True when the glyphs are escapes of letters (`\r`), so that a literal backslash before one must be
    doubled.
    """


UNICODE: Final = Glyphs(sp="·", htab="→", crlf="↵", lf="↓", cr="←", mnemonics=False)
ASCII: Final = Glyphs(sp=" ", htab=r"\t", crlf=r"\r\n", lf=r"\n", cr=r"\r", mnemonics=True)

_READ_AS_MNEMONIC: Final = _READ_AS_ESCAPE | frozenset("rnt")


class Piece(NamedTuple):
    """Bytes `start` up to, not including, `end` are drawn as `text`.

    A piece that isn't `special` is either a run of ASCII, one character a byte, or one character with the
    combining marks on it. A special piece is a glyph or an escape that stands for its bytes: draw it dim. A
    special piece of several SP has one character a byte.
    """

    text: str
    start: int
    end: int
    special: bool


def wire_text(data: bytes, glyphs: Glyphs = UNICODE, *, utf8: bool = True) -> list[Piece]:
    r"""The display of some bytes in order, each byte covered by exactly one piece. Nothing in it can act on a
    terminal.

    Valid UTF-8 is shown whole; without `utf8` every byte beyond ASCII becomes `\xHH`, as bytes must that are no text
    where some of them look like it by chance. A backslash is doubled where it could be read as the start of an escape,
    as in `safe`.
    """
    text = data.decode("utf-8" if utf8 else "ascii", "surrogateescape")
    shapes = {"\r\n": glyphs.crlf, "\n": glyphs.lf, "\r": glyphs.cr, "\t": glyphs.htab}
    pieces: list[Piece] = []
    add = pieces.append
    at = 0
    for match in _PIECES.finditer(text):
        token = match[0]
        first = token[0]
        if "!" <= first <= "~" and first != "\\":
            add(Piece(token, at, at := at + len(token), False))  # noqa: FBT003
        elif first == " ":
            add(Piece(glyphs.sp * len(token), at, at := at + len(token), True))  # noqa: FBT003
        elif first == "\\":
            after = text[match.end() : match.end() + 1]
            doubled = after in (_READ_AS_MNEMONIC if glyphs.mnemonics else _READ_AS_ESCAPE)
            doubled = doubled or (bool(after) and (_kinds[after] != _STAYS))
            add(Piece("\\\\" if doubled else "\\", at, at := at + 1, doubled))
        elif first < "\x80":
            add(Piece(shapes.get(token) or _escape(token), at, at := at + len(token), True))  # noqa: FBT003
        else:
            at = _add_wide(pieces, token, at)
    return pieces


def _add_wide(pieces: list[Piece], characters: str, at: int) -> int:
    """A piece for each character beyond ASCII, marks joined to their base. Returns the offset after them."""
    room = 0
    if pieces and not pieces[-1].special:
        room = MAX_MARKS
        base = pieces[-1]
        if _kinds[characters[0]] == _MARK and len(base.text) > 1:  # the base leaves its run of ASCII
            pieces[-1:] = [
                Piece(base.text[:-1], base.start, base.end - 1, False),  # noqa: FBT003
                Piece(base.text[-1], base.end - 1, base.end, False),  # noqa: FBT003
            ]
    for character in characters:
        kind = _kinds[character]
        start = at
        at += 1 if "\udc80" <= character <= "\udcff" else len(character.encode("utf-8", "surrogatepass"))
        if kind == _MARK and room:
            base = pieces[-1]
            pieces[-1] = Piece(base.text + character, base.start, at, False)  # noqa: FBT003
            room -= 1
        elif kind == _STAYS:
            pieces.append(Piece(character, start, at, False))  # noqa: FBT003
            room = MAX_MARKS
        else:
            pieces.append(Piece(_escape_decoded(character), start, at, True))  # noqa: FBT003
            room = 0
    return at


def cells(text: str) -> int:
    """Terminal cells that safe text takes: 0 for a combining mark, 2 for wide and full-width characters, else
    1.
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if _kinds[character] == _MARK:
        return 0
    return 2 if east_asian_width(character) in {"W", "F"} else 1


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Safe text filled with SP to `width` cells, on its left with `right`. Longer text comes back as is."""
    fill = " " * (width - cells(text))
    return fill + text if right else text + fill


def clip(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Safe text that takes at most `width` cells: cut, with the one-cell `ellipsis` at its end, when it is
    longer.

    No character is split and no combining mark is taken from its base. The result may be one cell short of
    `width` where a wide character didn't fit.
    """
    if text.isascii():
        if len(text) <= width:
            return text
        return text[: width - 1] + ellipsis if width > 0 else ""
    used = cut = 0
    for at, character in enumerate(text, 1):
        used += _cells_of(character)
        if used < width:
            cut = at
        elif used > width:
            return text[:cut] + ellipsis if width > 0 else ""
    return text
