"""`--strict`: which requests RFC 9112 asks a server to refuse with 400, and the words for it.

Without `--strict` none of these is refused. Bare LF line ends and blank lines before a request are not refused
either way: §2.2 lets a server accept them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.wire import FramingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.wire import ArrivedHead

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_CLEAN_TARGET: Final = re.compile(rb"[^\x00-\x20\x7f]++")
_BAD_IN_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING: Final = {
    FramingStep.LENGTH_INVALID: "Content-Length is not one whole number (RFC 9112 §6.3, step 5).",
    FramingStep.TRANSFER_UNKNOWN: "Transfer-Encoding does not end with chunked, so the content has no known end "
    "(RFC 9112 §6.3, step 4).",
}


def refusal(head: ArrivedHead) -> str | None:
    """Why a server should answer this request with 400, in one sentence with its section, or None."""
    return next(_reasons(head), None)


def _reasons(head: ArrivedHead) -> Iterator[str]:
    if not head.plain:
        yield from _grammar(head)
    if head.framing.step in _FRAMING:
        yield _FRAMING[head.framing.step]
    hosts = head.head.get(b"host")
    if not hosts and head.version == b"HTTP/1.1":
        yield "An HTTP/1.1 request must have a Host field (RFC 9112 §3.2)."
    if len(hosts) > 1:
        yield f"There are {len(hosts)} Host fields, and there must be one (RFC 9112 §3.2)."


def _grammar(head: ArrivedHead) -> Iterator[str]:
    """What is wrong with the lines of a head that is not plain."""
    parts = head.head
    words = head.raw[: parts.start_line[1] - parts.base].strip(b"\r\n").split(b" ")
    if not (
        len(words) == 3
        and _TOKEN.fullmatch(words[0])
        and _CLEAN_TARGET.fullmatch(words[1])
        and _VERSION.fullmatch(words[2])
    ):
        yield "The request line is not: method SP request-target SP HTTP-version (RFC 9112 §3)."
    covered = parts.start_line[1]
    for field in parts.fields:
        between = head.raw[covered - parts.base : field.start - parts.base]
        if between.strip(b"\r\n"):
            yield "There is a line without a colon, or white space before the first field (RFC 9112 §2.2, §5)."
        covered = field.end
        name = field.name_bytes
        if name != name.rstrip(b" \t") or head.raw[field.name[1] - parts.base :][:1] in {b" ", b"\t"}:
            yield "There is white space between a field name and its colon (RFC 9112 §5.1)."
        if not _TOKEN.fullmatch(name):
            yield "A field name is not a token (RFC 9112 §5)."
        if len(field.value) > 1:
            yield "A field value is folded over several lines, which is obsolete (RFC 9112 §5.2)."
        if _BAD_IN_VALUE.search(field.value_bytes):
            yield "A field value holds a control character (RFC 9110 §5.5)."
    if head.raw[covered - parts.base :].strip(b"\r\n"):
        yield "There is a line without a colon (RFC 9112 §5)."
