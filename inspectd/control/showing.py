"""Recorded rows and bytes as the control API says them."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

from inspectd.capture.model import State
from inspectd.capture.servers import server_of, tls_json
from inspectd.control.traffic_messages import (
    EvidenceShown,
    ExchangeDetail,
    ExchangeShown,
    FindingShown,
    MessageShown,
    ServerTls,
    UpstreamShown,
)
from inspectd.text.instant import instant
from inspectd.wire import read

if TYPE_CHECKING:
    from inspectd.capture.model import EvidenceRow, ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.wire import Message
    from inspectd.wire.span import Kind

HEAD_SHOWN: Final = 1 << 20
"""Bytes of a head that are shown at most."""
CONTENT_SHOWN: Final = 1 << 20
"""Bytes of a content that are shown at most."""
_FRAMING: Final = 1 << 18


def exchange_shown(row: ExchangeRow, evidence: EvidenceRow | None) -> ExchangeShown:
    """An exchange in short."""
    return ExchangeShown(
        id=row.id,
        connection=row.connection,
        number=row.number,
        method=row.method,
        target=row.target,
        version=row.version,
        status=_status(row.status),
        reason=row.reason,
        client=row.client or None,
        label=row.label,
        complete=bool(row.state & State.REQUEST_COMPLETE),
        answered=bool(row.state & State.RESPONSE_COMPLETE),
        aborted=bool(row.state & State.ABORTED),
        held=bool(row.state & State.HELD),
        started=instant(row.started_ns),
        started_ns=row.started_ns,
        answered_ns=row.answered_ns,
        finished_ns=row.finished_ns,
        request_bytes=row.req_len or 0,
        response_bytes=row.res_len or 0,
        evidence=None if evidence is None else evidence_shown(evidence),
    )


def _status(sent: str | None) -> int | str | None:
    """A number when it is an ordinary three-digit code, as in JSON lines."""
    return int(sent) if sent is not None and re.fullmatch(r"[1-9][0-9]{2}", sent, re.ASCII) else sent


def evidence_shown(row: EvidenceRow) -> EvidenceShown:
    """What a client did with an answer."""
    return EvidenceShown(
        exchange=row.exchange,
        rule=row.rule,
        planned=row.planned,
        sent=row.sent,
        acked=row.acked,
        reused=bool(row.reused),
        attempt=row.attempt,
        previous=row.previous,
        gap_ms=_milliseconds(row.gap_ns),
        ended_by=row.ended_by,
        how=row.how,
        after_ms=_milliseconds(row.after_ns),
    )


def _milliseconds(ns: int | None) -> float | None:
    return None if ns is None else round(ns / 1_000_000, 3)


def detail_shown(capture: Capture, row: ExchangeRow) -> ExchangeDetail:
    """An exchange with its messages. Raises `BytesGone` when retention has taken them meanwhile."""
    connection = capture.connection(row.connection)
    request = capture.request_bytes(row, limit=HEAD_SHOWN + CONTENT_SHOWN + _FRAMING)
    response = capture.response_bytes(row, limit=HEAD_SHOWN + CONTENT_SHOWN + _FRAMING)
    return ExchangeDetail(
        exchange=exchange_shown(row, capture.evidence(row.id)),
        peer=None if connection is None else connection.peer,
        local=None if connection is None else connection.local,
        request=_message(request, "request", row.req_head, row.req_len or 0),
        response=_message(response, "response", row.res_head, row.res_len) if row.res_len else None,
        added=tuple(json.loads(row.added)) if row.added else (),
        attempts=tuple(map(evidence_shown, capture.attempts(row.id))),
        upstream=_upstream(capture, row),
        findings=_findings(capture, row, "request"),
        response_findings=_findings(capture, row, "response"),
    )


def _findings(capture: Capture, row: ExchangeRow, kind: Kind) -> tuple[FindingShown, ...]:
    """What is found in one of its messages."""
    from inspectd.capture.findings import noted_in
    from inspectd.lint import entry

    return tuple(
        FindingShown(
            id=each.id,
            severity=entry(each.id).severity,
            start=each.start,
            end=each.end,
            summary=entry(each.id).summary,
            section=entry(each.id).spec,
            detail=each.detail,
        )
        for each in noted_in(capture, row, kind)
    )


def _upstream(capture: Capture, row: ExchangeRow) -> UpstreamShown | None:
    """What became of it at a server."""
    forward = capture.forward(row.id)
    if forward is None:
        return None
    server = server_of(capture, forward)
    tls = tls_json(server)
    return UpstreamShown(
        origin=forward.origin,
        via=None if server is None else server.via,
        tls=None if tls is None else msgspec.convert(tls, ServerTls),
        connection=forward.upstream,
        request_bytes=forward.req_len,
        response_bytes=forward.res_len,
        phases_ms={word: round(length / 1e6, 3) for word, _, length in forward.phases()},
        changes=tuple(json.loads(forward.changes or "[]")),
        response_changes=tuple(json.loads(forward.res_changes or "[]")),
        failure=forward.failure,
    )


def _message(data: bytes, kind: Kind, head_length: int | None, total: int) -> MessageShown:
    """A message as far as it was read: all its heads as bytes, the fields of the last one, its content."""
    messages = read(data, kind).messages
    final = next((each for each in messages if not each.interim), messages[-1] if messages else None)
    head = min(head_length or len(data), HEAD_SHOWN, len(data))
    if final is None:
        return MessageShown(head=_base64(data[:head]), content="", content_length=0, whole=True, fields=())
    content = b"".join(data[start:end] for start, end in final.content)
    missing = max(total - len(data), 0)
    return MessageShown(
        head=_base64(data[: min(final.head_end, HEAD_SHOWN)]),
        content=_base64(content[:CONTENT_SHOWN]),
        content_length=len(content) + missing,
        whole=not missing and len(content) <= CONTENT_SHOWN,
        fields=_fields(final),
    )


def _fields(message: Message) -> tuple[tuple[str, str], ...]:
    return tuple(
        (each.name_bytes.decode("latin-1"), each.value_bytes.decode("latin-1"))
        for each in message.head.fields
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
