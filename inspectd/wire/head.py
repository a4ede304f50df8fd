"""Heads and trailer sections: bytes to start lines, field lines and their spans (RFC 9112 §2, §3, §4, §5).

Everything here is total: any bytes have a reading, no bytes are lost, and every loop moves forward, so the
time is linear in the input. Where the grammar has no place for bytes the role is `garbage`; saying whether that
matters is somebody else's work.

The leniency is that of RFC 9112 §2.2 and §3: a lone LF ends a line, blank lines may stand before a start line,
and any white space may separate the words of a start line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.wire.span import Role, Span, add_span

if TYPE_CHECKING:
    from inspectd.wire.span import Kind

_CR: Final = 13

Range: TypeAlias = tuple[int, int]
"""Stream offsets: first byte, first byte after."""

# token = 1*tchar                                                        ; RFC 9110 §5.6.2
TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"

# "any form of whitespace": SP, HTAB, VT, FF, or bare CR                  ; RFC 9112 §3
_WORD_SPACE: Final = b" \t\x0b\x0c\r"
_WORD = re.compile(rb"[^ \t\x0b\x0c\r]++")
_SPACES = re.compile(rb"[ \t\x0b\x0c\r]*+")

# What may stand before the first word without being part of it: a byte order mark, controls, white space.
_JUNK = re.compile(rb"(?:\xef\xbb\xbf)?+[\x00-\x20\x7f]*+")

# HTTP-version = HTTP-name "/" DIGIT "." DIGIT                            ; RFC 9112 §2.3
# Other protocols of the same shape (RTSP/1.0, ICE/1.0) and slips of the pen (HTTP/1, http/1.1, HTTP/ 1.1) count too.
_VERSION_TAIL = re.compile(
    rb"(?:^|(?<=[ \t\x0b\x0c\r]))(?:"
    rb"[Hh][Tt][Tt][Pp](?:/?+|/[ \t]++[0-9][^ \t\x0b\x0c\r]*+|/[^/ \t\x0b\x0c\r][^ \t\x0b\x0c\r]*+)"
    rb"|[A-Z]++/[0-9]++(?:\.[0-9]++)?+"
    rb")\Z"
)

# request-line of HTTP/0.9: "GET" SP request-target CRLF                 ; RFC 1945 §4.1 Simple-Request
SIMPLE_REQUEST_LINE: Final = re.compile(rb"GET[ \t]++([^\x00-\x20]++)[ \t]*+\r?\n")

# status-line = HTTP-version SP status-code SP [ reason-phrase ]          ; RFC 9112 §4
_FIRST_WORD = re.compile(rb"([^ \t]*+)([ \t]*+)")
_STATUS_CODE = re.compile(rb"([0-9]*+)([ \t]?+)")

# field-line = field-name ":" OWS field-value OWS                         ; RFC 9112 §5
_FIELD_LINE = re.compile(rb"([^:\n]*+):([ \t]*+)([^\n]*+)")
_FOLD = re.compile(rb"[ \t]++")
_BEFORE_FOLD: Final = (Role.CRLF, Role.LF, Role.OWS)  # a tuple: it compares by identity, a set hashes by name

# absolute-form = absolute-URI; scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )   ; RFC 3986 §3.1
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*+)(://|:(?![0-9]++\Z))")
# authority-form = uri-host ":" port                                     ; RFC 9112 §3.2.3
_HOST_PORT = re.compile(rb"[^/?#:]*+:[0-9]++\Z|\[[^/?#\]]*+\](?::[0-9]*+)?+\Z")
_PATH = re.compile(rb"[^?#]*+")
_AUTHORITY = re.compile(rb"[^/?#]*+")
_QUERY = re.compile(rb"[^#]*+")


class Field:
    """One field line with its folds and its line end. Ranges are stream offsets."""

    __slots__ = ("_base", "_data", "end", "name", "start", "value")

    def __init__(self, data: bytes, base: int, start: int, end: int, name: Range, value: list[Range]) -> None:
        self._data = data
        self._base = base
        self.start = start
        self.end = end
        self.name = name
        self.value = value
        """The pieces of the value without the white space around them; more than one when it is folded."""

    @property
    def name_bytes(self) -> bytes:
        """The name as it was sent, in its own case."""
        return self._data[self.name[0] - self._base : self.name[1] - self._base]

    @property
    def value_bytes(self) -> bytes:
        """The value without surrounding white space; each fold is one SP (RFC 9112 §5.2)."""
        base, pieces = self._base, self.value
        if len(pieces) == 1:
            ((start, end),) = pieces
            return self._data[start - base : end - base]
        return b" ".join([self._data[start - base : end - base] for start, end in pieces])

    def __repr__(self) -> str:
        return f"Field({self.start}, {self.end}, {self.name_bytes!r}, {self.value_bytes!r})"


class Head:
    """A start line and its fields as they lie in the stream. A part that is absent is None."""

    __slots__ = (
        "base",
        "complete",
        "data",
        "end",
        "fields",
        "method",
        "reason",
        "start",
        "start_line",
        "status",
        "target",
        "version",
    )

    def __init__(self, data: bytes, base: int) -> None:
        self.data = data
        """The bytes of this head; offset `base` of the stream is `data[0]`."""
        self.base = base
        self.start = base
        self.end = base + len(data)
        self.complete = False
        """Whether the empty line was seen."""
        self.start_line: Range = (base, base)
        """The start line without its line end."""
        self.method: Range | None = None
        self.target: Range | None = None
        self.version: Range | None = None
        self.status: Range | None = None
        self.reason: Range | None = None
        self.fields: list[Field] = []

    def text(self, part: Range | None) -> bytes:
        """The bytes of a part of this head, empty when the part is absent."""
        return b"" if part is None else self.data[part[0] - self.base : part[1] - self.base]

    def get(self, name: bytes | str) -> list[bytes]:
        """Every value of the fields of this name, in order, ignoring case."""
        wanted = (name.encode("latin-1", "replace") if isinstance(name, str) else name).lower()
        return [field.value_bytes for field in self.fields if field.name_bytes.lower() == wanted]


def read_head(data: bytes, base: int, kind: Kind, spans: list[Span] | None = None) -> Head:
    """Read the bytes of one head, whole or cut off, that starts at stream offset `base`.

    `spans` collects a tiling of `data` when it is given. A head of one line (HTTP/0.9) needs no empty line.
    """
    head = Head(data, base)
    out: list[Span] = [] if spans is None else spans
    line_feed = data.find(b"\n")
    stop = len(data) if line_feed < 0 else line_feed
    if stop and data[stop - 1] == _CR:
        stop -= 1
    head.start_line = (base, base + stop)
    if kind == "request":
        read_request_line(data, base, stop, head, out)
    else:
        read_status_line(data, base, stop, head, out)
    after = len(data) if line_feed < 0 else line_feed + 1
    _line_end(data, base, stop, after, out)
    head.fields, head.complete = read_fields(data, base, after, out)
    return head


def _line_end(data: bytes, base: int, stop: int, after: int, out: list[Span]) -> None:
    """Record the line end `data[stop:after]`: CRLF, a lone LF, or the CR of a line end that was cut off."""
    if after > stop:
        out.append(Span(base + stop, base + after, Role.CRLF if data[stop] == _CR else Role.LF))


def read_request_line(data: bytes, base: int, stop: int, head: Head, out: list[Span]) -> None:
    """Read `data[:stop]` as a request line.

    request-line = method SP request-target SP HTTP-version                ; RFC 9112 §3

    The first word is the method, a last word that looks like a version is the version, and whatever stands
    between them, spaces included, is the target.
    """
    line = data[:stop]
    begin = _skip_junk(line, base, out)
    end = len(line.rstrip(_WORD_SPACE))
    if begin >= end:
        add_span(out, base + begin, base + stop, Role.SP)
        return
    found = _VERSION_TAIL.search(line, begin, end)
    version = found.start() if found else end
    first_word = _WORD.match(line, begin, end)
    method_end = first_word.end() if first_word else end
    if method_end > version:  # the line is nothing but a version
        method_end = begin
    elif not line[method_end:version].strip(_WORD_SPACE) and _is_target(line[begin:method_end]):
        method_end = begin  # one word, and it is a target: the method is missing
    target = method_end + _space_run(line, method_end, version)
    target_end = max(target, len(line[:version].rstrip(_WORD_SPACE)))
    if method_end > begin:
        head.method = (base + begin, base + method_end)
        add_span(out, base + begin, base + method_end, Role.METHOD)
    add_span(out, base + method_end, base + target, Role.SP)
    if target_end > target:
        head.target = (base + target, base + target_end)
        read_target(line[target:target_end], base + target, out, connect=line[begin:method_end] == b"CONNECT")
    if version < end:
        add_span(out, base + target_end, base + version, Role.SP)
        head.version = (base + version, base + end)
        add_span(out, base + version, base + end, Role.VERSION)
        add_span(out, base + end, base + stop, Role.SP)
    else:
        add_span(out, base + target_end, base + stop, Role.SP)


def _is_target(word: bytes) -> bool:
    return word.startswith(b"/") or b"://" in word


def _space_run(line: bytes, start: int, stop: int) -> int:
    found = _SPACES.match(line, start, stop)
    return found.end() - found.start() if found else 0


def _skip_junk(line: bytes, base: int, out: list[Span]) -> int:
    found = _JUNK.match(line)
    begin = found.end() if found else 0
    add_span(out, base, base + begin, Role.GARBAGE)
    return begin


def read_status_line(data: bytes, base: int, stop: int, head: Head, out: list[Span]) -> None:
    """Read `data[:stop]` as a status line.

    status-line = HTTP-version SP status-code SP [ reason-phrase ]         ; RFC 9112 §4

    One white space after the code belongs to the grammar; what follows it, spaces included, is the reason.
    """
    line = data[:stop]
    begin = _skip_junk(line, base, out)
    found = _FIRST_WORD.match(line, begin)
    version_end, code = (found.end(1), found.end(2)) if found else (begin, begin)
    if line[begin:version_end].isdigit():  # the version is missing: "200 OK"
        version_end = code = begin
    if version_end > begin:
        head.version = (base + begin, base + version_end)
        add_span(out, base + begin, base + version_end, Role.VERSION)
    add_span(out, base + version_end, base + code, Role.SP)
    found = _STATUS_CODE.match(line, code)
    code_end, reason = (found.end(1), found.end(2)) if found else (code, code)
    if code_end > code:
        head.status = (base + code, base + code_end)
        add_span(out, base + code, base + code_end, Role.STATUS_CODE)
    add_span(out, base + code_end, base + reason, Role.SP)
    if stop > reason:
        head.reason = (base + reason, base + stop)
        add_span(out, base + reason, base + stop, Role.REASON_PHRASE)


def read_target(target: bytes, start: int, out: list[Span], *, connect: bool = False) -> None:
    """Tile a request target with its parts.

    request-target = origin-form / absolute-form / authority-form / asterisk-form   ; RFC 9112 §3.2

    The separators `://`, `?` and `#` have the role `request-target`: they belong to no part.
    """
    at = 0
    if target == b"*":
        out.append(Span(start, start + 1, Role.REQUEST_TARGET))
        return
    if target[:1] != b"/":
        scheme = _SCHEME.match(target)
        if scheme and (scheme[2] == b"://" or not connect):
            out.append(Span(start, start + scheme.end(1), Role.SCHEME))
            out.append(Span(start + scheme.end(1), start + scheme.end(), Role.REQUEST_TARGET))
            at = scheme.end()
            if scheme[2] == b"://":
                at = _part(_AUTHORITY, target, at, start, Role.AUTHORITY, out)
        elif connect or _HOST_PORT.match(target):
            at = _part(_AUTHORITY, target, 0, start, Role.AUTHORITY, out)
    at = _part(_PATH, target, at, start, Role.PATH, out)
    if target[at : at + 1] == b"?":
        out.append(Span(start + at, start + at + 1, Role.REQUEST_TARGET))
        at = _part(_QUERY, target, at + 1, start, Role.QUERY, out)
    if target[at : at + 1] == b"#":
        out.append(Span(start + at, start + at + 1, Role.REQUEST_TARGET))
        add_span(out, start + at + 1, start + len(target), Role.FRAGMENT)


def _part(rule: re.Pattern[bytes], target: bytes, at: int, start: int, role: Role, out: list[Span]) -> int:
    found = rule.match(target, at)
    end = found.end() if found else at
    add_span(out, start + at, start + end, role)
    return end


def read_fields(
    data: bytes, base: int, at: int, out: list[Span], *, trailer: bool = False
) -> tuple[list[Field], bool]:
    """Read `data[at:]` as field lines up to the empty line, and say whether the empty line is there.

    *( field-line CRLF ) CRLF, with obs-fold = OWS CRLF RWS                ; RFC 9112 §2.1, §5.2

    A line with no colon is garbage. So is a line that starts with white space when there is nothing before it
    to continue: RFC 9112 §2.2 says to consume it without further processing.
    """
    name_role, value_role = (
        (Role.TRAILER_NAME, Role.TRAILER_VALUE) if trailer else (Role.FIELD_NAME, Role.FIELD_VALUE)
    )
    fields: list[Field] = []
    size = len(data)
    find = data.find
    add = out.append
    field: Field | None = None
    while at < size:
        line_feed = find(b"\n", at)
        after = size if line_feed < 0 else line_feed + 1
        stop = size if line_feed < 0 else line_feed
        if stop > at and data[stop - 1] == _CR:
            stop -= 1
        if stop == at:
            add(Span(base + at, base + after, Role.EMPTY_LINE))
            return fields, line_feed >= 0
        if data[at] in b" \t":
            if field is None:
                add(Span(base + at, base + stop, Role.GARBAGE))
                _line_end(data, base, stop, after, out)
            else:
                _continue_field(field, data, base, (at, stop, after), value_role, out)
            at = after
            continue
        field = None
        found = _FIELD_LINE.match(data, at, stop)
        if found is None:
            # A line that is still arriving may yet get its colon.
            unfinished = line_feed < 0 and stop == size
            add(Span(base + at, base + stop, name_role if unfinished else Role.GARBAGE))
            _line_end(data, base, stop, after, out)
            at = after
            continue
        colon = found.end(1)
        name_end = at + len(found[1].rstrip(b" \t"))
        value = found.start(3)
        value_end = value + len(found[3].rstrip(b" \t"))
        field = Field(data, base, base + at, base + after, (base + at, base + name_end), [])
        fields.append(field)
        if name_end > at:
            add(Span(base + at, base + name_end, name_role))
        if colon > name_end:
            add(Span(base + name_end, base + colon, Role.OWS))
        add(Span(base + colon, base + colon + 1, Role.COLON))
        if value > colon + 1:
            add(Span(base + colon + 1, base + value, Role.OWS))
        if value_end > value:
            field.value.append((base + value, base + value_end))
            add(Span(base + value, base + value_end, value_role))
        if stop > value_end:
            add(Span(base + value_end, base + stop, Role.OWS))
        _line_end(data, base, stop, after, out)
        at = after
    return fields, False


def _continue_field(
    field: Field, data: bytes, base: int, line: tuple[int, int, int], value_role: Role, out: list[Span]
) -> None:
    """Add the folded line `(start, stop, after)` to the field that was read last."""
    at, stop, after = line
    fold_start = base + at
    # obs-fold = OWS CRLF RWS: it takes the white space and the line end that close the line before.
    while out and out[-1].role in _BEFORE_FOLD:
        fold_start = out.pop().start
    found = _FOLD.match(data, at, stop)
    text = found.end() if found else at
    text_end = text + len(data[text:stop].rstrip(b" \t"))
    out.append(Span(fold_start, base + text, Role.OBS_FOLD))
    if text_end > text:
        field.value.append((base + text, base + text_end))
        out.append(Span(base + text, base + text_end, value_role))
    add_span(out, base + text_end, base + stop, Role.OWS)
    _line_end(data, base, stop, after, out)
    field.end = base + after


def head_end(data: bytes, start: int) -> int | None:
    """Where the head that begins at `start` ends, its empty line included; None when there is none."""
    strict = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start)
    if strict < 0 and bare < 0:
        return None
    return strict + 3 if bare < 0 or 0 <= strict < bare else bare + 2
