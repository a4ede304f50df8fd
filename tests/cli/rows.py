"""Rows and bytes of an exchange that never happened, for what writes lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from inspectd.capture.model import (
    ConnectionRow,
    EvidenceRow,
    ExchangeRow,
    ForwardRow,
    State,
    TlsRow,
    UpstreamRow,
)

if TYPE_CHECKING:
    from inspectd.capture.reader import Capture

DONE = State.HEAD_COMPLETE | State.REQUEST_COMPLETE | State.RESPONSE_STARTED | State.RESPONSE_COMPLETE
REQUEST = b"GET /style.css?\xc3\xa9 HTTP/1.1\r\nHost: a\r\nX-A:  \x1b[31m \r\nx-a: 2\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class StubCapture:
    """The bytes of one exchange."""

    def __init__(
        self,
        request: bytes = REQUEST,
        response: bytes = RESPONSE,
        evidence: EvidenceRow | None = None,
        tls: TlsRow | None = None,
        forward: ForwardRow | None = None,
        inside: int | None = None,
    ) -> None:
        self._inside = inside
        self.request = request
        self.response = response
        self._evidence = evidence
        self._tls = tls
        self._forward = forward

    def request_bytes(self, row: ExchangeRow, *, limit: int | None = None, offset: int = 0) -> bytes:
        return self.request[offset:][:limit]

    def response_bytes(self, row: ExchangeRow, *, limit: int | None = None, offset: int = 0) -> bytes:
        return self.response[offset:][:limit]

    def connection(self, number: int) -> ConnectionRow:
        return connection(inside=self._inside)

    def evidence(self, number: int) -> EvidenceRow | None:
        return self._evidence

    def stream_bytes(self, connection: int, direction: int, offset: int, limit: int) -> bytes:
        return self.request[offset:][:limit]

    def tls(self, number: int) -> TlsRow | None:
        return self._tls

    def forward(self, number: int) -> ForwardRow | None:
        return self._forward

    def upstream(self, number: int) -> UpstreamRow | None:
        return UpstreamRow(connection=number, client=3, origin="localhost:3000", via=None)


def capture(
    request: bytes = REQUEST,
    response: bytes = RESPONSE,
    evidence: EvidenceRow | None = None,
    tls: TlsRow | None = None,
    forward: ForwardRow | None = None,
    inside: int | None = None,
) -> Capture:
    return cast("Capture", StubCapture(request, response, evidence, tls, forward, inside))


def forward(**changes: object) -> ForwardRow:
    """What became of an exchange at a server."""
    values: dict[str, object] = {
        "exchange": 7, "upstream": 4, "origin": "localhost:3000", "begun_ns": 0, "resolve_ns": 1_000_000,
        "connect_ns": 2_000_000, "sent_ns": 3_000_000, "whole_ns": 4_000_000, "came_ns": 9_000_000,
        "done_ns": 9_500_000, "req_offset": 0, "req_page": 1, "req_at": 0, "req_run": 30, "req_len": 30,
        "res_offset": 0, "res_page": 1, "res_at": 30, "res_run": 40, "res_len": 40,
        "changes": '[{"what": "Host", "from": "a\\u001b", "to": null}]', "failure": "It broke.",
        "tls_ns": None, "res_changes": None,
    }  # fmt: skip
    return ForwardRow(**(values | changes))  # type: ignore[arg-type]


def tls(**changes: object) -> TlsRow:
    """What a client agreed upon."""
    values: dict[str, object] = {
        "connection": 3, "hello": b"", "sni": "lab.test", "alpn": "http/1.1", "version": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384", "certificate": "lab.test", "shaken_ns": 1, "alert": None, "sentence": None,
        "shown": None,
    }  # fmt: skip
    return TlsRow(**(values | changes))  # type: ignore[arg-type]


def evidence(**changes: object) -> EvidenceRow:
    """What a client did that was cut off and asked again."""
    values: dict[str, object] = {
        "exchange": 7, "rule": "api.toml:4", "planned": 120, "sent": 80, "acked": 40, "reused": 1, "attempt": 2,
        "previous": 6, "gap_ns": 1_500_000, "ended_by": "client", "how": "rst", "after_ns": -250_000,
    }  # fmt: skip
    return EvidenceRow(**(values | changes))  # type: ignore[arg-type]


def exchange(state: State = DONE, **changes: object) -> ExchangeRow:
    values: dict[str, object] = dict.fromkeys(ExchangeRow.__struct_fields__)
    head = REQUEST.index(b"\r\n\r\n") + 4
    values |= {
        "id": 7, "connection": 3, "number": 2, "state": state, "started_ns": 1_700_000_000_123_456_789,
        "finished_ns": 1_700_000_000_125_456_789, "method": "GET", "target": "/style.css?é", "version": "HTTP/1.1",
        "status": "200", "reason": "OK", "client": "curl 8.14", "dest": "style", "mode": "no-cors",
        "req_offset": 0, "req_page": 1, "req_at": 0, "req_run": head, "req_head": head, "req_len": head,
        "res_head": len(RESPONSE) - 2, "res_len": len(RESPONSE), "label": "answer 200",
        "added": '["Content-Length: 2"]', "marked": 0,
    }  # fmt: skip
    return ExchangeRow(**(values | changes))  # type: ignore[arg-type]


def connection(**changes: object) -> ConnectionRow:
    values: dict[str, object] = dict.fromkeys(ConnectionRow.__struct_fields__)
    values |= {
        "id": 3, "listener": 1, "peer": "127.0.0.1:5", "local": "127.0.0.1:8080",
        "opened_ns": 1_700_000_000_000_000_000, "closed_ns": 1_700_000_001_500_000_000,
        "closed_by": "client", "how": "fin", "bytes_in": 517, "bytes_out": 7,
        "exchanges": 0, "kind": "tls", "sentence": "a TLS hello", "after": 0,
    }  # fmt: skip
    return ConnectionRow(**(values | changes))  # type: ignore[arg-type]
