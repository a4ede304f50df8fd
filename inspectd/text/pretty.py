"""Content as lines for a person to read: JSON indented, forms as pairs, text by its charset, binary as
hexadecimal.

Whatever the peer sent, this gives lines of safe text (see `inspectd.text.safe`), bounded in number and
length, and never raises. It is a view: nothing may be computed from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from inspectd.text.coding import Decoded, decode_content
from inspectd.text.hexdump import rows
from inspectd.text.json_lines import NotJsonError, json_lines
from inspectd.text.safe import safe

__all__ = ["Decoded", "Pretty", "decode_content", "looks_binary", "pretty"]

INPUT_LIMIT: Final = 1 << 20
"""Octets of content that are laid out."""

MAX_LINES: Final = 20_000
MAX_LINE: Final = 4_000
"""Characters of a line that are kept."""

_HEX_ROWS: Final = 512

PrettyKind: TypeAlias = Literal["empty", "json", "form", "text", "binary"]

# The charsets that may be asked for, in lower case without "-" and "_", and Python's names for them. A list,
# because Python knows codecs that are slow (idna), and codecs that are no charsets at all (unicode_escape).
_CHARSETS: Final = {
    name.lower().replace("-", "").replace("_", ""): codec
    for codec, names in {
        "utf-8": ("utf-8", "utf8"),
        "utf-16": ("utf-16",),
        "utf-16-le": ("utf-16le",),
        "utf-16-be": ("utf-16be",),
        "utf-32": ("utf-32",),
        "cp1252": ("windows-1252", "cp1252", "iso-8859-1", "latin1", "l1"),
        "ascii": ("us-ascii", "ascii"),
        **{f"iso8859-{part}": (f"iso-8859-{part}",) for part in (*range(2, 12), 13, 14, 15, 16)},
        **{f"cp125{part}": (f"windows-125{part}", f"cp125{part}") for part in (0, 1, 3, 4, 5, 6, 7, 8)},
        "koi8-r": ("koi8-r",),
        "koi8-u": ("koi8-u",),
        "shift_jis": ("shift_jis", "sjis", "windows-31j"),
        "euc_jp": ("euc-jp",),
        "iso2022_jp": ("iso-2022-jp",),
        "gb18030": ("gb18030", "gbk", "gb2312"),
        "big5": ("big5",),
        "euc_kr": ("euc-kr",),
        "mac_roman": ("macintosh",),
    }.items()
    for name in names
}

_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

_BINARY_TYPE: Final = re.compile(
    r"(?:image/(?!svg)|audio/|video/|font/|application/(?:octet-stream|pdf|zip|gzip|wasm|x-protobuf|grpc))"
)
_CHARSET: Final = re.compile(r';[ \t]*+charset="?([^\s";]{1,40})', re.IGNORECASE)
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_TEXT_CONTROLS: Final = bytes((*range(9), *range(14, 27), *range(28, 32)))


@dataclass(frozen=True, slots=True)
class Pretty:
    """Content laid out. `lines` are safe text, `notes` sentences about what was guessed, odd or left out."""

    kind: PrettyKind
    lines: list[str]
    notes: tuple[str, ...] = ()


def pretty(data: bytes, content_type: str | bytes = "") -> Pretty:
    """Lay out decoded content by the value of its Content-Type field (may be empty: then it is guessed)."""
    if not data:
        return Pretty("empty", [])
    if isinstance(content_type, bytes):
        content_type = content_type.decode("latin-1")
    content_type = content_type[:1024].lower()
    media_type = content_type.partition(";")[0].strip()
    notes: list[str] = []
    total = len(data)
    data = data[:INPUT_LIMIT]
    if total > len(data):
        notes.append(f"The first {len(data):,} of {total:,} bytes.")

    if media_type == "application/x-www-form-urlencoded":
        return Pretty("form", _form(data, notes), tuple(notes))
    if _BINARY_TYPE.match(media_type) or (not _declares_text(content_type) and looks_binary(data)):
        shown = rows(data[: _HEX_ROWS * 16])
        if len(data) > _HEX_ROWS * 16:
            notes.append(f"The first {_HEX_ROWS * 16:,} bytes as hexadecimal.")
        return Pretty("binary", [row.line() for row in shown], tuple(notes))

    text = _decode(data, content_type, notes)
    named_json = media_type.endswith(("/json", "+json"))
    if named_json or (not media_type and text.lstrip()[:1] in {"{", "["}):
        try:
            lines = json_lines(text, max_lines=MAX_LINES + 1)
        except NotJsonError as error:
            if total > len(data):  # it is cut by us: what can be laid out is laid out
                return Pretty("json", _bounded(error.lines, notes, doubling=False), tuple(notes))
            if named_json:
                notes.append(f"Not valid JSON: character {error.offset:,} is not what must stand there.")
        else:
            return Pretty("json", _bounded(lines, notes, doubling=False), tuple(notes))
    lines = _LINE_END.split(text, maxsplit=MAX_LINES + 1)
    return Pretty("text", _bounded(lines, notes), tuple(notes))


def _declares_text(content_type: str) -> bool:
    return content_type.startswith("text/") or "charset=" in content_type


def looks_binary(data: bytes) -> bool:
    """Whether the first bytes hold controls that no text has: a NUL, or one in twenty of other controls."""
    head = data[:4096]
    if head.startswith(tuple(bom for bom, _ in _BOMS)):
        return False
    return b"\x00" in head or (len(head) - len(head.translate(None, _TEXT_CONTROLS))) * 20 > len(head)


def _decode(data: bytes, content_type: str, notes: list[str]) -> str:
    """The text of `data`, by default as UTF-8. Undecodable bytes are U+DC80 to U+DCFF in it."""
    for bom, codec in _BOMS:
        if data.startswith(bom):
            return data.decode(codec, "replace")
    if named := _CHARSET.search(content_type):
        codec = _CHARSETS.get(named[1].replace("-", "").replace("_", ""), "")
        if not codec:
            notes.append(f"The charset {safe(named[1])!r} is not known here: read as UTF-8.")
        elif codec != "utf-8":
            try:
                return data.decode(codec)
            except UnicodeError:
                notes.append(f"Not valid {safe(named[1])}: read as UTF-8.")
    return data.decode("utf-8", "surrogateescape")


def _bounded(lines: list[str], notes: list[str], *, doubling: bool = True) -> list[str]:
    """Safe lines, at most `MAX_LINES` of them, each made of at most `MAX_LINE` characters."""
    if len(lines) > MAX_LINES:
        lines = lines[:MAX_LINES]
        notes.append(f"The first {MAX_LINES:,} lines.")
    clipped = False
    out: list[str] = []
    for line in lines:
        if len(line) > MAX_LINE:
            clipped = True
            line = line[:MAX_LINE]
        line = line.expandtabs(4)[:MAX_LINE]
        out.append(safe(line.encode("utf-8", "surrogateescape"), doubling=doubling))
    if clipped:
        notes.append(f"Lines are cut after {MAX_LINE:,} characters.")
    return out


def _form(data: bytes, notes: list[str]) -> list[str]:
    """`name = value`, decoded, for each pair (WHATWG URL, application/x-www-form-urlencoded parsing)."""
    pairs = data.split(b"&", MAX_LINES)
    if len(pairs) > MAX_LINES:
        pairs.pop()
        notes.append(f"The first {MAX_LINES:,} pairs.")
    return [_pair(pair) for pair in pairs if pair]


def _pair(pair: bytes) -> str:
    name, equals, value = pair[:MAX_LINE].replace(b"+", b" ").partition(b"=")
    shown = (
        f"{safe(unquote_to_bytes(name))} = {safe(unquote_to_bytes(value))}"
        if equals
        else safe(unquote_to_bytes(name))
    )
    return shown + "…" if len(pair) > MAX_LINE else shown
