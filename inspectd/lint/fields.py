"""Field lines: their names, and how many and how long they are (RFC 9112 §5, RFC 9110 §5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from inspectd.lint.model import Finding
from inspectd.lint.subject import line_range, of_name, quoted
from inspectd.wire import Role
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject

_TOKEN: Final = re.compile(TOKEN + rb"\Z")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NOT_TOKEN: Final = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_PSEUDO: Final = re.compile(rb"(?:method|scheme|authority|path|status|protocol)[ \t]*+:")
_NO_LETTER: Final = re.compile(rb"[^a-z]++")

_FRAMING_NAMES: Final = {
    b"content-length": b"Content-Length", b"host": b"Host", b"transfer-encoding": b"Transfer-Encoding",
}  # fmt: skip
_FRAMING_LETTERS: Final = {_NO_LETTER.sub(b"", name): name for name in _FRAMING_NAMES}

SINGLETONS: Final = frozenset({
    b"access-control-allow-credentials", b"access-control-allow-origin", b"access-control-max-age",
    b"access-control-request-method", b"age", b"authorization", b"content-location", b"content-range", b"content-type",
    b"date", b"etag", b"expires", b"from", b"if-modified-since", b"if-range", b"if-unmodified-since", b"last-modified",
    b"location", b"max-forwards", b"origin", b"proxy-authorization", b"range", b"referer", b"retry-after",
    b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user", b"sec-websocket-accept",
    b"sec-websocket-key", b"server", b"strict-transport-security", b"upgrade-insecure-requests", b"user-agent",
})  # fmt: skip
"""Fields that are no lists: there can be one of each (RFC 9110 §5.3)."""

LONG_LINE: Final = 8192
MANY_FIELDS: Final = 100
LARGE_SECTION: Final = 16 * 1024
_SHORTEST_NAME: Final = 5  # shorter names are too near to each other


def names(subject: Subject) -> Iterator[Finding]:
    """Names that are no tokens, and lines that have none."""
    data = subject.data
    for field in subject.head.fields:
        if field.end > subject.written:
            break
        name = field.name_bytes
        start, end = field.name
        if name and data[end : end + 1] != b":":
            yield Finding("field-ws-before-colon", end, data.find(b":", end), quoted(name))
        if not name:
            pseudo = _PSEUDO.match(field.value_bytes)
            colon = data.find(b":", start)
            yield Finding("field-name-pseudo" if pseudo else "field-name-empty", colon, colon + 1)
        elif not _TOKEN.match(name):
            yield from _bad_name(name, start)


def _bad_name(name: bytes, start: int) -> Iterator[Finding]:
    told: set[str] = set()
    for found in _NOT_TOKEN.finditer(name):
        odd = found[0]
        if not odd.isascii():
            kind = "field-name-non-ascii"
        elif _CONTROL.search(odd):
            kind = "field-name-control"
        elif odd.strip(b" \t"):
            kind = "field-name-bad-char"
        else:
            kind = "field-name-inner-ws"
        if kind not in told and odd != b"\r":  # a bare CR has a finding of its own
            told.add(kind)
            yield Finding(kind, start + found.start(), start + found.end(), quoted(odd))


def lines_without_colon(subject: Subject) -> Iterator[Finding]:
    """Lines that are neither fields nor folds."""
    for span in subject.message.spans:
        if span.end > subject.written:
            break
        if span.role in {Role.GARBAGE, Role.FIELD_NAME} and span.start > subject.head.start_line[1]:
            behind = subject.data[span.end : span.end + 1]
            if subject.data[span.start] not in b" \t" and behind not in {b":", b" ", b"\t"}:
                yield Finding(
                    "field-no-colon", span.start, span.end, quoted(subject.data[span.start : span.end])
                )


def odd_names(subject: Subject) -> Iterator[Finding]:
    """Names that are grammatical, or nearly, and still read differently here and there."""
    for lower, fields in subject.fields.items():
        usual = _FRAMING_NAMES.get(lower)
        for field in fields:
            if usual is not None and field.name_bytes not in (usual, lower):
                yield of_name("field-name-case", field)
            if b"_" in lower:
                yield of_name("field-name-underscore", field, quoted(lower.replace(b"_", b"-")))
        if usual is None and lower:
            similar = _looks_like(lower)
            if similar is not None:
                yield of_name("field-name-lookalike", fields[0], similar)
            elif (meant := _misspelled(lower)) is not None:
                yield of_name("field-misspelled", fields[0], meant)


@lru_cache(maxsize=1024)
def _looks_like(lower: bytes) -> str | None:
    """The field that decides framing or routing which this other name looks like."""
    if len(lower) > 64:
        return None
    found = _FRAMING_LETTERS.get(_NO_LETTER.sub(b"", unquote_to_bytes(lower).lower()))
    if found is None and not lower.isascii():
        text = lower.decode("utf-8", "replace")
        for name in _FRAMING_NAMES:
            if len(name) == len(text) and all(
                ord(a) == b or ord(a) > 0x7F for a, b in zip(text, name, strict=True)
            ):
                found = name
    return found.decode() if found else None


@lru_cache(maxsize=1024)
def _misspelled(lower: bytes) -> str | None:
    """The known name that is one slip away from this unknown one."""
    if not _SHORTEST_NAME <= len(lower) <= 64 or lower.startswith(b"x-") or not lower.isascii():
        return None
    name = lower.decode()
    known, shortened = _known_names()
    if name in known:
        return None
    for cut in _shortened(name):
        if cut in known:
            return cut
    if name in shortened:
        return shortened[name]
    for cut in _shortened(name):
        meant = shortened.get(cut)
        if meant is not None and (len(meant) == len(name)) and _one_slip(name, meant):
            return meant
    return None


def _one_slip(name: str, meant: str) -> bool:
    """Whether names of one length differ in one letter, or in two neighbours that changed places."""
    differ = [at for at, (a, b) in enumerate(zip(name, meant, strict=True)) if a != b]
    if len(differ) == 1:
        return name[differ[0]].isalpha() and meant[differ[0]].isalpha()
    if len(differ) != 2 or differ[1] != differ[0] + 1:
        return False
    at = differ[0]
    return name[at] == meant[at + 1] and name[at + 1] == meant[at]


def _shortened(name: str) -> set[str]:
    return {name[:at] + name[at + 1 :] for at in range(len(name))}


@lru_cache(maxsize=1)
def _known_names() -> tuple[frozenset[str], dict[str, str]]:
    """The known names, and each of them with one character left out."""
    from inspectd.explain.registry import fields

    known = frozenset(fields())
    return known, {cut: name for name in known if len(name) >= _SHORTEST_NAME for cut in _shortened(name)}


def repeated(subject: Subject) -> Iterator[Finding]:
    """Fields that there can be only one of."""
    for lower, fields in subject.fields.items():
        if len(fields) > 1 and lower in SINGLETONS:
            others = tuple(line_range(field) for field in fields[:1])
            for field in fields[1:]:
                same = field.value_bytes == fields[0].value_bytes
                yield Finding(
                    "field-duplicate-singleton",
                    *field.name,
                    "the same value again" if same else "another value",
                    others,
                )


def sizes(subject: Subject) -> Iterator[Finding]:
    """Lines, counts and heads larger than what servers put up with."""
    fields = subject.head.fields
    if subject.head_end - subject.start > LONG_LINE:
        for field in fields:
            if field.end - field.start > LONG_LINE:
                yield of_name("field-too-long", field, f"{field.end - field.start:,} bytes")
        if subject.head_end - subject.start > LARGE_SECTION:
            yield Finding(
                "section-too-large",
                subject.start,
                subject.head_end,
                f"{subject.head_end - subject.start:,} bytes",
            )
    if len(fields) > MANY_FIELDS:
        yield of_name("field-too-many", fields[MANY_FIELDS], f"{len(fields):,} fields")


SYNTAX: Final = (names, lines_without_colon)
MEANING: Final = (odd_names, repeated, sizes)
