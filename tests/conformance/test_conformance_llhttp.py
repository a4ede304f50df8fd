"""Agreement with llhttp, Node's parser, on its own test vectors (nodejs/llhttp `test/*.md`, MIT).

llhttp refuses much that is only noteworthy here, so what is compared is what it accepts in strict mode: every
offset of methods, targets, versions, reasons, fields, trailers, content and chunk extensions. In the cases it
refuses, the parts that it had closed before its error are compared.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, TypeAlias

import pytest

from inspectd.wire import Kind, Message, Role, Stream, StreamReader, read
from tests.conformance.reference import REFERENCE
from tests.wire.tiling import check_tiling

Case: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[int, int]

_FILE: Final = REFERENCE / "llhttp_cases.json"
CASES: Final[list[Case]] = json.loads(_FILE.read_text("utf-8"))["cases"] if _FILE.exists() else []

pytestmark = pytest.mark.skipif(not CASES, reason=f"llhttp's vectors are not at {_FILE}")

SKIPS_CONTENT: Final = "its callback told llhttp to skip the content that the head announces"
EXCEPTIONS: Final = {
    "request/content-length.md:444": SKIPS_CONTENT,
    "response/content-length.md:123": SKIPS_CONTENT,
    "request/method.md:458": "llhttp stops at any `PRI *`; with HTTP/1.1 behind it that is a request like another",
}
"""Strict-mode cases that llhttp accepts and we read otherwise, and why."""

_LONGER: Final = "llhttp stops inside a part; we read the part to its end"
ERROR_EXCEPTIONS: Final = {
    "request/connection.md:208": _LONGER,
    "request/content-length.md:75": _LONGER,
    "request/content-length.md:344": _LONGER,
    "request/content-length.md:370": _LONGER,
    "request/invalid.md:87": _LONGER,
    "request/invalid.md:356": _LONGER,
    "request/lenient-header-value-relaxed.md:38": _LONGER,
    "request/sample.md:432": "a bare CR is white space in a request line (RFC 9112 §3), not its end",
    "request/transfer-encoding.md:613": _LONGER,
    "request/uri.md:245": "a target may hold spaces here: the last word is the version",
    "response/invalid.md:19": _LONGER,
    "response/invalid.md:36": _LONGER,
    "response/invalid.md:53": _LONGER,
    "response/invalid.md:108": _LONGER,
    "response/invalid.md:132": _LONGER,
    "response/invalid.md:176": _LONGER,
}
"""Refused cases in which llhttp reports the beginning of a part that goes on."""

ACCEPTED: Final = [
    case
    for case in CASES
    if not case["lenient"] and case["outcome"] != "error" and case["kind"] in {"request", "response"}
]
REFUSED: Final = [
    case
    for case in CASES
    if not case["lenient"] and case["outcome"] == "error" and case["kind"] in {"request", "response"}
]
URLS: Final = [case for case in CASES if case["kind"] == "url" and case["outcome"] != "error"]


def raw_of(case: Case) -> bytes:
    return base64.b64decode(case["raw_b64"])


def name_of(case: Case) -> str:
    return str(case["id"])


def kind_of(case: Case) -> Kind:
    return "response" if case["kind"] == "response" else "request"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_every_byte_has_a_role_however_it_arrives(case: Case) -> None:
    data = raw_of(case)
    kinds: tuple[Kind, ...] = ("request", "response")
    for kind in kinds:
        for eof in (True, False):
            stream = read(data, kind, eof=eof)
            check_tiling(stream)
            reader = StreamReader(kind)
            for at in range(len(data)):
                reader.feed(data[at : at + 1])
            assert reader.finish(eof=eof).spans == stream.spans


def without_ows(data: bytes, place: Place) -> Place | None:
    """llhttp keeps the white space after a value; it is OWS here. A value of nothing has no place."""
    start, end = place
    end = start + len(data[start:end].rstrip(b" \t"))
    return (start, end) if end > start else None


def one(places: list[list[int]] | None) -> Place | None:
    """The only place of a part, None when it is absent or empty."""
    if not places:
        return None
    ((start, end),) = places
    return (start, end) if end > start else None


def theirs(message: dict[str, Any], data: bytes) -> dict[str, object]:
    protocol, version = one(message.get("protocol")), one(message.get("version"))

    def lines(fields: list[dict[str, Any]]) -> list[tuple[Place, Place | None]]:
        return [
            (
                (field["name"][0], field["name"][1]),
                without_ows(data, (field["value"][0][0], field["value"][-1][1])) if field["value"] else None,
            )
            for field in fields
        ]

    return {
        "method": one(message.get("method")),
        "target": one(message.get("url")),
        "version": (protocol[0], version[1]) if protocol and version else None,
        "reason": one(message.get("status")),
        "fields": lines(message["headers"]),
        "trailers": lines(message["trailers"]),
        "content": [(start, end) for start, end in message["body"]],
        "extensions": [
            (what, start, end) for chunk in message["chunks"] for what, start, end in chunk.get("ext", [])
        ],
        "chunks": [(chunk["size"], chunk["data_at"]) for chunk in message["chunks"]],
    }


def ours(message: Message, stream: Stream) -> dict[str, object]:
    head = message.head
    spans = message.spans

    def line_places(names: Role) -> list[Place]:
        return [(start, end) for start, end, role in spans if role is names]

    fields = [(field.name, field.value[0] if field.value else None) for field in head.fields]
    trailers = [(field.name, field.value[0] if field.value else None) for field in message.trailers]
    # A name that was still arriving at the end is a span, but not yet a field.
    fields += [(place, None) for place in line_places(Role.FIELD_NAME)[len(fields) :]]
    trailers += [(place, None) for place in line_places(Role.TRAILER_NAME)[len(trailers) :]]
    extension_roles = {Role.CHUNK_EXT_NAME: "name", Role.CHUNK_EXT_VALUE: "value"}
    sizes = []
    for index, (start, end, role) in enumerate(spans):
        if role in {Role.CHUNK_SIZE, Role.LAST_CHUNK}:
            line_end = next((s.end for s in spans[index:] if s.role in {Role.CRLF, Role.LF}), None)
            if line_end is not None:
                sizes.append((int(stream.data[start:end], 16), line_end))
    return {
        "method": head.method,
        "target": head.target,
        "version": head.version,
        "reason": head.reason,
        "fields": fields,
        "trailers": trailers,
        "content": message.content,
        "extensions": [
            (extension_roles[role], start, end) for start, end, role in spans if role in extension_roles
        ],
        "chunks": sizes,
    }


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_same_offsets_where_llhttp_accepts(case: Case) -> None:
    data = raw_of(case)
    stream = read(data, kind_of(case))
    same = [ours(message, stream) for message in stream.messages] == [
        theirs(message, data) for message in case["messages"]
    ]
    if case["id"] in EXCEPTIONS:
        assert not same, "no longer an exception: take it off the list"
        return
    assert [ours(message, stream) for message in stream.messages] == [
        theirs(message, data) for message in case["messages"]
    ]
    for message, reference in zip(stream.messages, case["messages"], strict=True):
        assert message.start == reference["start"]
        if message.framing.step.label != "simple-request":  # llhttp wants the empty line even after HTTP/0.9
            assert (message.head_end if message.head.complete else None) == reference.get("head_end")


_SPAN_ROLES: Final = {
    "method": {Role.METHOD},
    "status": {Role.REASON_PHRASE},
    "header_field": {Role.FIELD_NAME, Role.TRAILER_NAME},
    "header_value": {Role.FIELD_VALUE, Role.TRAILER_VALUE},
    "body": {Role.CONTENT, Role.CHUNK_DATA},
    "chunk_extension_name": {Role.CHUNK_EXT_NAME},
    "chunk_extension_value": {Role.CHUNK_EXT_VALUE},
}


def disagreements(case: Case) -> list[tuple[str, int, int]]:
    """The spans that llhttp reported before its error and that have no counterpart here."""
    data = raw_of(case)
    stream = read(data, kind_of(case))
    error_at = case["error"]["off"]
    heads = [message.head for message in stream.messages]
    found = []
    for event in case["events"]:
        if event["t"] != "span" or not event["len"] or event["off"] + event["len"] > error_at:
            continue
        name, start, end = event["n"], event["off"], event["off"] + event["len"]
        if name == "url":
            agrees = any(head.target == (start, end) for head in heads)
        elif name == "protocol":
            agrees = any(head.version and head.version[0] == start for head in heads)
        elif name == "version":
            agrees = any(head.version and head.version[1] == end for head in heads)
        else:
            place = without_ows(data, (start, end)) if name == "header_value" else (start, end)
            agrees = place is None or any(
                (span.start, span.end) == place and span.role in _SPAN_ROLES[name] for span in stream.spans
            )
        if not agrees:
            found.append((name, start, end))
    return found


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_same_offsets_before_the_error_where_llhttp_refuses(case: Case) -> None:
    assert bool(disagreements(case)) == (case["id"] in ERROR_EXCEPTIONS)


@pytest.mark.parametrize("case", URLS, ids=name_of)
def test_targets_that_llhttp_accepts_are_whole_targets(case: Case) -> None:
    target = raw_of(case).strip()
    data = b"GET " + target + b" HTTP/1.1\r\n\r\n"
    message = read(data, "request").messages[0]
    assert message.head.target == (4, 4 + len(target))
    authorities = [data[start:end] for start, end, role in message.spans if role is Role.AUTHORITY]
    assert authorities == ([] if target.startswith(b"/") else [target.split(b"/")[2].split(b"?")[0]])


def test_the_exceptions_are_few_and_real() -> None:
    assert len(EXCEPTIONS) <= 5
    assert set(EXCEPTIONS) <= {case["id"] for case in ACCEPTED}
    assert set(ERROR_EXCEPTIONS) <= {case["id"] for case in REFUSED}
