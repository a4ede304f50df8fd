"""What is illegal or odd about the bytes of an answer, each with the bytes it is about and the section that says so.

It is made for a person who types an answer: total over any bytes, quick, and silent about a line that is still being
written. The bytes are read by the reader that reads every other response (RFC 9112 §4 to §7); nothing is repaired.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.rules.answer import preview
from inspectd.rules.passing import Pass
from inspectd.rules.program import LiveProgram
from inspectd.text.coding import decode_content
from inspectd.text.safe import safe
from inspectd.wire import Role, read
from inspectd.wire.framing import FramingStep, list_members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.rules.program import Program
    from inspectd.wire import Field, Head, Message, Stream

EXAMINED: Final = 256 * 1024
"""Bytes that are read at most; of what comes behind them nothing is said."""

MOST: Final = 100
"""Remarks that are made at most."""

_OF_A_KIND: Final = 20
_MANY_LINES: Final = 8192  # lines are dear: with more of them only the first bytes are looked at
_FEW_BYTES: Final = 16 * 1024
_DECODED: Final = 64 * 1024  # bytes of content, before and after its codings are taken off

# HTTP-version = HTTP-name "/" DIGIT "." DIGIT                            ; RFC 9112 §2.3
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])")
# token = 1*tchar                                                        ; RFC 9110 §5.6.2
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_LONE_LF: Final = re.compile(rb"(?<!\r)\n")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")
# field-content holds VCHAR, obs-text, SP and HTAB                       ; RFC 9110 §5.5
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]++")
# A head in which no byte is odd: HTTP/1.1 SP 3DIGIT SP reason CRLF *( token ":" value CRLF ) CRLF
_PLAIN: Final = re.compile(
    rb"HTTP/1\.1 [1-5][0-9][0-9] [\t -~\x80-\xff]*+\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+\r\n"
)

_LOGIN: Final = "which says how to log in"
_NO_LOCATION: Final = "has no Location: nobody can follow it"
_REQUIRED: Final = {
    b"101": (b"upgrade", "needs Upgrade, which says to what", "RFC 9110 §15.2.2"),
    b"206": (b"content-range", "needs Content-Range, which says which part it is", "RFC 9110 §15.3.7"),
    b"301": (b"location", _NO_LOCATION, "RFC 9110 §15.4.2"),
    b"302": (b"location", _NO_LOCATION, "RFC 9110 §15.4.3"),
    b"303": (b"location", _NO_LOCATION, "RFC 9110 §15.4.4"),
    b"307": (b"location", _NO_LOCATION, "RFC 9110 §15.4.8"),
    b"308": (b"location", _NO_LOCATION, "RFC 9110 §15.4.9"),
    b"401": (b"www-authenticate", f"needs WWW-Authenticate, {_LOGIN}", "RFC 9110 §15.5.2"),
    b"405": (b"allow", "needs Allow, which says which methods would do", "RFC 9110 §15.5.6"),
    b"407": (b"proxy-authenticate", f"needs Proxy-Authenticate, {_LOGIN}", "RFC 9110 §15.5.8"),
    b"426": (b"upgrade", "needs Upgrade, which says to what", "RFC 9110 §15.5.22"),
}
"""What a response of this status has to carry (a redirect: should), and what it is for."""

_SINGLE: Final = {
    b"age", b"content-location", b"content-range", b"content-type", b"date", b"etag", b"expires", b"last-modified",
    b"location", b"retry-after", b"server",
}  # fmt: skip
"""Fields that are no lists: there can be one of them (RFC 9110 §5.3)."""


class Remark(NamedTuple):
    """Something to know about bytes `start` up to, not including, `end`. The sentence is safe for a terminal."""

    sentence: str
    start: int
    end: int
    section: str


def remarks_on(data: bytes, *, method: bytes = b"GET", complete: bool = True) -> list[Remark]:
    """What is illegal or odd about these bytes of an answer to a request of `method`, in the order of the bytes.

    `complete` says that nothing follows them. At most `MOST` remarks are made. Never raises.
    """
    examined = data[: EXAMINED if data.count(b"\n", 0, EXAMINED) <= _MANY_LINES else _FEW_BYTES]
    whole = complete and len(examined) == len(data)
    stream = read(examined, "response", eof=whole, methods=(method,))
    kinds: Counter[str] = Counter()
    found: list[Remark] = []
    for remark in _remarks(stream, method, whole=whole):
        kinds[remark.sentence] += 1
        if kinds[remark.sentence] <= _OF_A_KIND:
            found.append(remark)
    found.sort(key=lambda remark: (remark.start, remark.end))
    return found[:MOST]


def remarks_of(program: Program | LiveProgram, *, method: bytes = b"GET") -> list[Remark]:
    """What is illegal or odd about the bytes that a program sends; of a live one nothing is known.

    Raises `AnswerError` when a file of it can't be read.
    """
    if isinstance(program, (LiveProgram, Pass)):
        return []
    data = preview(program, EXAMINED + 1)
    return remarks_on(data, method=method)


def _remarks(stream: Stream, method: bytes, *, whole: bool) -> Iterator[Remark]:
    data = stream.data
    if not stream.messages:
        if data:
            yield Remark("No response is here.", 0, len(data), "RFC 9112 §2.1")
        elif whole:
            yield Remark("Not a byte is sent: there is no response.", 0, 0, "RFC 9112 §2.1")
        return
    first = stream.messages[0]
    if first.start:
        yield Remark("Nothing may stand before a status line.", 0, first.start, "RFC 9112 §2.1")
    for message in stream.messages:
        yield from islice(_of_head(message, data, whole=whole), 4 * _OF_A_KIND)
        if not message.interim:
            yield from _of_content(stream, message, method, whole=whole)
            yield from _behind(message, data, method)
            return
    if whole:
        end = len(data)
        sentence = "Only interim responses are here: the client goes on waiting for the final one."
        yield Remark(sentence, end, end, "RFC 9110 §15.2")


# -- heads


def _of_head(message: Message, data: bytes, *, whole: bool) -> Iterator[Remark]:
    head = message.head
    start, end = message.start, message.head_end
    if message.framing.step is FramingStep.SIMPLE_RESPONSE:
        sentence = "There is no status line: a client takes this for HTTP/0.9, or gives up."
        yield Remark(sentence, start, _line_end(data, start), "RFC 9112 §4")
        return
    if not head.complete and whole:
        yield Remark("The head has no end: an empty line is missing.", end, end, "RFC 9112 §2.1")
    # A line that is still being written is let alone.
    written = end if head.complete or whole else data.rfind(b"\n", start, end) + 1
    if not _PLAIN.fullmatch(data, start, end):
        if head.start_line[1] < written or whole:
            yield from _of_status_line(head, data)
        yield from _of_bytes(data, start, written)
        yield from _of_lines(message, data, written)
    yield from _of_fields(head, written)


def _of_status_line(head: Head, data: bytes) -> Iterator[Remark]:
    """status-line = HTTP-version SP status-code SP [ reason-phrase ]         ; RFC 9112 §4"""
    start, end = head.start_line
    version, status = head.version, head.status
    begin = version or status or head.reason or (end, end)
    if begin[0] > start:
        yield Remark("Nothing may stand before the version.", start, begin[0], "RFC 9112 §4")
    if version is None:
        yield Remark("The status line has no version.", *begin, "RFC 9112 §4")
    else:
        yield from _of_version(head.text(version), *version)
    if status is None:
        where = (version[1] if version else start, end)
        yield Remark("The status line has no status code.", *where, "RFC 9112 §4")
        return
    if version is not None and data[version[1] : status[0]] != b" ":
        sentence = "One SP stands between the version and the status code, nothing else."
        yield Remark(sentence, version[1], status[0], "RFC 9112 §4")
    code = head.text(status)
    if len(code) != 3:
        yield Remark(f"A status code has three digits, not {len(code)}.", *status, "RFC 9110 §15")
    elif not b"100" <= code <= b"599":
        sentence = f"{code.decode()} is outside 100 to 599: each client decides for itself what it means."
        yield Remark(sentence, *status, "RFC 9110 §15")
    if data[status[1] : status[1] + 1] != b" ":
        sentence = "A SP has to follow the status code, even where no reason phrase does."
        yield Remark(sentence, *status, "RFC 9112 §4")


def _of_version(version: bytes, start: int, end: int) -> Iterator[Remark]:
    found = _VERSION.fullmatch(version)
    if found is None:
        yield Remark(f"{_quoted(version)} is no HTTP version.", start, end, "RFC 9112 §2.3")
    elif found[1] != b"1":
        sentence = f"{version.decode()} doesn't look like this: its messages are other bytes."
        yield Remark(sentence, start, end, "RFC 9110 §2.5")
    elif found[2] not in b"01":
        yield Remark(f"There is no {version.decode()}.", start, end, "RFC 9110 §2.5")


def _of_bytes(data: bytes, start: int, end: int) -> Iterator[Remark]:
    """Bytes that have no place in a head: line ends that are half, and controls."""
    for found in islice(_LONE_LF.finditer(data, start, end), _OF_A_KIND):
        yield Remark("A line ends with CRLF; this is a lone LF.", *found.span(), "RFC 9112 §2.2")
    for found in islice(_BARE_CR.finditer(data, start, end), _OF_A_KIND):
        sentence = "A CR that no LF follows: some take it for a line end, others refuse the message."
        yield Remark(sentence, *found.span(), "RFC 9112 §2.2")
    for found in islice(_CONTROL.finditer(data, start, end), _OF_A_KIND):
        sentence = f"Control bytes such as {_quoted(found[0][:1])} may not stand in a head."
        yield Remark(sentence, *found.span(), "RFC 9110 §5.5")


def _of_lines(message: Message, data: bytes, written: int) -> Iterator[Remark]:
    """field-line = field-name ":" OWS field-value OWS                       ; RFC 9112 §5"""
    first_line_end = _line_end(data, message.head.start_line[1])
    for span in message.spans:
        if span.end > written:
            break
        if span.role is Role.OBS_FOLD:
            sentence = (
                "A field value goes on in a second line, which is obsolete: some join it, some refuse it."
            )
            yield Remark(sentence, span.start, span.end, "RFC 9112 §5.2")
        elif span.role is Role.GARBAGE and first_line_end <= span.start < message.head_end:
            if data[span.start] in b" \t":
                sentence = "This line begins with white space, and there is no field before it to go on."
                yield Remark(sentence, span.start, span.end, "RFC 9112 §2.2")
            else:
                yield Remark("A field line has a colon; this one has none.", *span[:2], "RFC 9112 §5")
    for field in message.head.fields:
        if field.end <= written:
            yield from _of_name(field, data)


def _of_name(field: Field, data: bytes) -> Iterator[Remark]:
    start, end = field.name
    name = field.name_bytes
    if not name:
        yield Remark("A field has a name; there is none before this colon.", start, start + 1, "RFC 9112 §5")
    elif not _TOKEN.fullmatch(name):
        yield Remark(f"{_quoted(name)} can't be a field name: it is no token.", start, end, "RFC 9110 §5.1")
    if name and data[end : end + 1] != b":":
        colon = data.find(b":", end)
        yield Remark("No white space may stand before the colon.", end, max(colon, end), "RFC 9112 §5.1")


def _of_fields(head: Head, written: int) -> Iterator[Remark]:
    """What the fields say, read together with the status."""
    by_name: dict[bytes, list[Field]] = {}
    for field in head.fields:
        if field.end <= written:
            by_name.setdefault(field.name_bytes.lower(), []).append(field)
    code = head.text(head.status)
    if head.complete and head.status and code in _REQUIRED:
        name, sentence, section = _REQUIRED[code]
        types = [field.value_bytes.lower() for field in by_name.get(b"content-type", ())]
        in_parts = code == b"206" and any(b"multipart/byteranges" in value for value in types)
        if name not in by_name and not in_parts:
            yield Remark(f"A {code.decode()} {sentence}.", *head.status, section)
    for name in _SINGLE & by_name.keys():
        for field in by_name[name][1:]:
            sentence = f"{_quoted(field.name_bytes)} is there already, and there can be only one."
            yield Remark(sentence, *field.name, "RFC 9110 §5.3")
    yield from _of_framing(head, by_name, code)


def _of_framing(head: Head, by_name: dict[bytes, list[Field]], code: bytes) -> Iterator[Remark]:
    lengths = by_name.get(b"content-length", [])
    codings = by_name.get(b"transfer-encoding", [])
    bodiless = code == b"204" or (len(code) == 3 and code[:1] == b"1")
    for field in lengths:
        where = _value(field)
        if bodiless:
            sentence = f"A {code.decode()} response may not have Content-Length."
            yield Remark(sentence, *where, "RFC 9110 §8.6")
        elif not field.value_bytes.isdigit():
            sentence = f"{_quoted(field.value_bytes)} is no length: Content-Length is digits alone."
            yield Remark(sentence, *where, "RFC 9110 §8.6")
    for field in lengths[1:]:
        same = field.value_bytes == lengths[0].value_bytes
        sentence = (
            "Content-Length is there already, with the same value: a client may refuse that."
            if same
            else "Content-Length is there already, with another value: a client has to refuse that."
        )
        yield Remark(sentence, *_value(field), "RFC 9112 §6.3")
    if not codings:
        return
    where = _value(codings[0])
    if bodiless:
        yield Remark(f"A {code.decode()} response may not have Transfer-Encoding.", *where, "RFC 9112 §6.1")
    if lengths:
        sentence = "Transfer-Encoding and Content-Length together: clients differ in which one they believe."
        yield Remark(sentence, *where, "RFC 9112 §6.3")
    if head.text(head.version) in {b"HTTP/1.0", b"HTTP/0.9"}:
        yield Remark("Transfer-Encoding came with HTTP/1.1.", *where, "RFC 9112 §6.1")
    names = [
        member.partition(b";")[0].strip().lower() for member in list_members([f.value_bytes for f in codings])
    ]
    if names.count(b"chunked") > 1:
        yield Remark("chunked can be applied once only.", *where, "RFC 9112 §6.1")
    elif b"chunked" not in names[-1:]:
        sentence = "The last transfer coding is not chunked: the content ends when the connection does."
        yield Remark(sentence, *where, "RFC 9112 §6.1")


# -- content


def _of_content(stream: Stream, message: Message, method: bytes, *, whole: bool) -> Iterator[Remark]:
    framing = message.framing
    start, end = message.head_end, message.end
    if not message.head.complete:
        return
    if framing.tunnel:
        status = message.head.status or (start, start)
        sentence = "From the end of this head on the bytes belong to another protocol."
        yield Remark(sentence, *status, "RFC 9110 §15.2.2" if method != b"CONNECT" else "RFC 9110 §9.3.6")
    elif framing.chunked:
        yield from _of_chunks(stream, message, whole=whole)
    elif framing.length and not message.complete and whole:
        sentence = f"Content-Length says {framing.length:,} bytes, and {message.content_length:,} follow."
        yield Remark(sentence, *_length_field(message), "RFC 9112 §8")
    elif framing.step is FramingStep.UNTIL_CLOSE:
        sentence = "Nothing says where the content ends: it ends when the connection does."
        yield Remark(sentence, start, start, "RFC 9112 §6.3")
    encodings = message.head.get(b"content-encoding")
    content = stream.content(message)
    if encodings and content and message.complete and len(content) <= _DECODED:
        decoded = decode_content(content, b",".join(encodings), limit=_DECODED)
        if decoded.error and not decoded.truncated:
            sentence = f"Content-Encoding: {safe(decoded.error).removesuffix('.')}."
            yield Remark(sentence, message.content[0][0], end, "RFC 9110 §8.4")


def _of_chunks(stream: Stream, message: Message, *, whole: bool) -> Iterator[Remark]:
    """chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF                  ; RFC 9112 §7.1"""
    data = stream.data
    broken = False
    for span in stream.spans:
        if span.start < message.head_end:
            continue
        if span.start >= message.end and broken:
            break
        if span.role is Role.LF and span.start < message.end:
            yield Remark("A lone LF ends this line of the chunk framing.", *span[:2], "RFC 9112 §7.1")
        elif span.role in {Role.GARBAGE, Role.UNFRAMED} and not message.complete and not broken:
            broken = True
            end = min(_line_end(data, span.start), span.end)
            yield Remark(
                "Here a chunk should begin or end: this is no chunk framing.",
                span.start,
                end,
                "RFC 9112 §7.1",
            )
    if not message.complete and not broken and whole:
        end = len(data)
        yield Remark("The last chunk is missing: the content has no end.", end, end, "RFC 9112 §7.1")
    for field in message.trailers:
        yield from _of_name(field, data)


def _behind(message: Message, data: bytes, method: bytes) -> Iterator[Remark]:
    """Bytes after the end of the response."""
    end, left = message.end, len(data) - message.end
    if left <= 0 or not message.complete or message.framing.tunnel:
        return
    step = message.framing.step
    if step is FramingStep.NO_BODY_BY_STATUS:
        code = message.head.text(message.head.status).decode("ascii", "replace")
        why = f"A {code} response ends with its head"
    elif step is FramingStep.NO_BODY_BY_METHOD:
        why = f"An answer to {_quoted(method)} ends with its head"
    else:
        why = "The response has ended"
    more = "1 byte follows" if left == 1 else f"{left:,} bytes follow"
    sentence = f"{why}: {more}, which a client ignores or takes for the next response."
    yield Remark(sentence, end, len(data), "RFC 9112 §6.3")


# -- places


def _line_end(data: bytes, start: int) -> int:
    line_feed = data.find(b"\n", start)
    return len(data) if line_feed < 0 else line_feed + 1


def _value(field: Field) -> tuple[int, int]:
    return (field.value[0][0], field.value[-1][1]) if field.value else field.name


def _length_field(message: Message) -> tuple[int, int]:
    for field in message.head.fields:
        if field.name_bytes.lower() == b"content-length":
            return _value(field)
    return (message.head_end, message.head_end)


def _quoted(data: bytes) -> str:
    shown = safe(data[:40])
    return f'"{shown}..."' if len(data) > 40 else f'"{shown}"'
