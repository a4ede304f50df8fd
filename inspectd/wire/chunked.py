"""The chunked transfer coding's lines (RFC 9112 §7.1).

    chunked-body   = *chunk last-chunk trailer-section CRLF
    chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    chunk-size     = 1*HEXDIG
    last-chunk     = 1*("0") [ chunk-ext ] CRLF
    chunk-ext      = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
    chunk-ext-val  = token / quoted-string

A size that is no number ends all knowledge of where chunks begin, so nothing is guessed there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inspectd.wire.framing import LARGEST_LENGTH
from inspectd.wire.span import Role, Span, add_span

if TYPE_CHECKING:
    from typing import Final

# White space around the size is let pass; anything else that is not an extension is not a size line.
_SIZE = re.compile(rb"([ \t]*+)([0-9A-Fa-f]++)([ \t]*+)(?=;|\r?\Z)")
_EXT_START = re.compile(rb"[ \t]*+;[; \t]*+")
_EXT_NAME = re.compile(rb"[^;= \t\r\"]++")
_EXT_EQUALS = re.compile(rb"[ \t]*+=[ \t]*+")
# quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE                ; RFC 9110 §5.6.4
_EXT_VALUE = re.compile(rb'"(?:[^"\\]|\\[\x00-\xff])*+"?+|[^; \t\r"]++')
_EXT_REST = re.compile(rb"[^;]++")

_CR: Final = 13
_SEMICOLON: Final = 59
_HEX_DIGITS: Final = 16


def chunk_size(line: bytes) -> int | None:
    """The size that a chunk's first line spells (the line end may be there or not), or None when it spells none."""
    found = _SIZE.match(line.removesuffix(b"\n"))
    if found is None:
        return None
    digits = found[2].lstrip(b"0")
    return min(int(digits or b"0", 16), LARGEST_LENGTH) if len(digits) <= _HEX_DIGITS else LARGEST_LENGTH


def tile_chunk_line(line: bytes, base: int, out: list[Span]) -> None:
    """Tile a chunk's first line, with its line end if it has one, that starts at stream offset `base`."""
    stop = len(line)
    ended = line.endswith(b"\n")
    if ended:
        stop -= 1
    if stop and line[stop - 1] == _CR:
        stop -= 1
    found = _SIZE.match(line, 0, stop)
    if found is None:
        add_span(out, base, base + stop, Role.GARBAGE if ended else Role.CHUNK_SIZE)
    else:
        add_span(out, base, base + found.end(1), Role.OWS)
        add_span(
            out,
            base + found.end(1),
            base + found.end(2),
            Role.CHUNK_SIZE if found[2].strip(b"0") else Role.LAST_CHUNK,
        )
        at = found.end(2)
        if found.end(3) == stop:
            add_span(out, base + at, base + stop, Role.OWS)
        else:
            _tile_extensions(line, at, stop, base, out)
    if len(line) > stop:
        out.append(Span(base + stop, base + len(line), Role.CRLF if line[stop] == _CR else Role.LF))


def _tile_extensions(line: bytes, at: int, stop: int, base: int, out: list[Span]) -> None:
    while at < stop:
        for rule, role in (
            (_EXT_START, Role.CHUNK_EXT),
            (_EXT_NAME, Role.CHUNK_EXT_NAME),
            (_EXT_EQUALS, Role.CHUNK_EXT),
            (_EXT_VALUE, Role.CHUNK_EXT_VALUE),
        ):
            if rule is _EXT_VALUE and not (
                out and out[-1].role is Role.CHUNK_EXT and out[-1].end == base + at
            ):
                continue
            found = rule.match(line, at, stop)
            if found:
                add_span(out, base + at, base + found.end(), role)
                at = found.end()
        if at < stop and line[at] != _SEMICOLON:
            # White space that leads to the next `;` is read with it; anything else fits nowhere.
            if _EXT_START.match(line, at, stop):
                continue
            rest = _EXT_REST.match(line, at, stop)
            end = rest.end() if rest else stop
            blank = not line[at:end].strip(b" \t")
            add_span(out, base + at, base + end, Role.CHUNK_EXT if blank else Role.GARBAGE)
            at = end
