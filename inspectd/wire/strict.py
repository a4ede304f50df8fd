"""What a strict server refuses: the heads that RFC 9112 and RFC 9110 want answered with 400 Bad Request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inspectd.wire.framing import FramingStep
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from inspectd.wire.arrived import ArrivedHead

_TOKEN = re.compile(TOKEN + rb"\Z")
# field-value without its surroundings: HTAB / SP / VCHAR / obs-text      ; RFC 9110 §5.5
_VALUE = re.compile(rb"[\t -~\x80-\xff]*+\Z")
_TARGET = re.compile(rb"[!-~]++\Z")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*+:")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]\Z")
_LINE = re.compile(rb"[^ ]++ [^ ]++ [^ ]++\Z")
# Host = uri-host [ ":" port ]                                           ; RFC 9110 §7.2
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%\w~-]++\]|[A-Za-z0-9._~!$&'()*+,;=%-]*+)(?::[0-9]*+)?+\Z")


def refusal(head: ArrivedHead) -> str | None:
    """Why this head is to be answered 400, as a sentence that names the rule, or None when it may pass."""
    framing = head.framing
    if framing.step is FramingStep.SIMPLE_REQUEST:
        return "The request line has no version (RFC 9112 §3)."
    if framing.step is FramingStep.TRANSFER_UNKNOWN:
        return "The final transfer coding of the request is not chunked (RFC 9112 §6.3)."
    if framing.step is FramingStep.LENGTH_INVALID:
        return "Content-Length is not a number (RFC 9112 §6.3)."
    if not head.plain:
        why = _syntax(head)
        if why is not None:
            return why
    if framing.ambiguous:
        return _ambiguous(head)
    return _target_form(head) or _host(head)


def _ambiguous(head: ArrivedHead) -> str:
    if head.chunked or head.get(b"transfer-encoding") is not None:
        if head.get(b"content-length") is not None:
            return "Both Transfer-Encoding and Content-Length are there (RFC 9112 §6.1)."
        return "Transfer-Encoding is not one that a server of this version can take (RFC 9112 §6.1)."
    if head.framing.step is FramingStep.CONNECT:
        return "CONNECT has no content, but the head announces some (RFC 9110 §9.3.6)."
    return "Content-Length is not one number (RFC 9112 §6.3)."


def _syntax(head: ArrivedHead) -> str | None:
    """What in a head without a certificate breaks a rule that a server must or should enforce."""
    whole = head.head
    start, end = whole.start_line
    line = head.raw[start - head.start : end - head.start]
    if not _LINE.match(line):
        return "The request line is not three words with one space between them (RFC 9112 §3)."
    if not _TOKEN.match(head.method):
        return "The method is not a token (RFC 9110 §9.1)."
    if not _TARGET.match(head.target):
        return "The request target holds a byte that no URI may hold (RFC 9112 §3.2)."
    if not _VERSION.match(head.version):
        return "The version is not HTTP/ and two digits (RFC 9112 §2.3)."
    at = head.raw.find(b"\n") + 1
    for field in whole.fields:
        if field.start - head.start != at:
            return "A line of the head is no field line (RFC 9112 §5)."
        name = field.name_bytes
        after_name = field.name[1] - head.start
        if head.raw[after_name : after_name + 1] != b":":
            return "White space stands between a field name and its colon (RFC 9112 §5.1)."
        if not _TOKEN.match(name):
            return "A field name is not a token (RFC 9110 §5.1)."
        if (
            head.raw.find(b"\n", field.start - head.start, field.end - head.start) + 1
            != field.end - head.start
        ):
            return "A field value goes on in a second line, which is obsolete (RFC 9112 §5.2)."
        if not _VALUE.match(field.value_bytes):
            return "A field value holds a control byte (RFC 9110 §5.5)."
        at = field.end - head.start
    if head.raw[at:] not in {b"\r\n", b"\n"}:
        return "A line of the head is no field line (RFC 9112 §5)."
    return None


def _target_form(head: ArrivedHead) -> str | None:
    """RFC 9112 §3.2: `*` is for OPTIONS, host and port are for CONNECT, all others name a path or a whole URI."""
    target = head.target
    if target.startswith(b"/") or head.method == b"CONNECT" or _SCHEME.match(target):
        return None
    if target == b"*" and head.method == b"OPTIONS":
        return None
    return "The request target has a form that this method can't have (RFC 9112 §3.2)."


def _host(head: ArrivedHead) -> str | None:
    """RFC 9112 §3.2: one valid Host in each HTTP/1.1 request."""
    host = head.get(b"host")
    if host is None:
        if head.version != b"HTTP/1.1":
            return None
        return "An HTTP/1.1 request needs a Host field (RFC 9112 §3.2)."
    # Reading all fields is dear, so it is done only when a second Host is possible.
    if head.raw.lower().count(b"\nhost") > 1 and len(head.head.get(b"host")) > 1:
        return "There is more than one Host field (RFC 9112 §3.2)."
    if not _HOST.match(host):
        return "The Host field is not a host and a port (RFC 9112 §3.2)."
    return None
