"""What became of an exchange at the server it was forwarded to: lines for people, fields for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inspectd.capture.servers import server_of, tls_json
from inspectd.text.instant import brief
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.capture.model import ConnectionRow, ForwardRow
    from inspectd.capture.reader import Capture
    from inspectd.capture.servers import Server

_VALUE_SHOWN = 200


def forward_lines(forward: ForwardRow, capture: Capture) -> Iterator[str]:
    """Where it went, what each step took, what was changed and what went wrong. Everything is safe text."""
    server = server_of(capture, forward)
    where = f"forwarded to {safe(forward.origin)}"
    if forward.upstream is not None:
        how = "new" if forward.connect_ns is not None else "used before"
        where += f" on connection c{forward.upstream} ({how})"
    if server is not None and server.via is not None:
        where += f" via {safe(server.via)}"
    yield where
    if server is not None:
        yield from (f"  {line}" for line in _tls_lines(server))
    phases = [f"{word} {brief(length)}" for word, _, length in forward.phases()]
    if phases:
        yield f"  {' · '.join(phases)}"
    for where, changes in (("", changes_of(forward)), (" in the answer", response_changes_of(forward))):
        for change in changes:
            before, after = (_value(change.get(side)) for side in ("from", "to"))
            yield f"  changed by inspectd{where}: {safe(str(change.get('what')))}: {before} → {after}"
    if forward.failure:
        yield f"  {safe(forward.failure)}"


def _tls_lines(server: Server) -> Iterator[str]:
    """What was agreed upon with the server, and whose certificate it showed."""
    tls, shown = server.tls, server.certificate
    if tls is None:
        return
    agreed = [safe(part) for part in (tls.version, tls.cipher, tls.alpn) if part]
    if agreed:
        yield f"TLS to the server: {', '.join(agreed)}"
    if shown is not None:
        verdict = "trusted" if server.trusted else "not trusted"
        yield (
            f"its certificate ({verdict}) is for {clip(safe(', '.join(shown.names)), _VALUE_SHOWN) or 'no name'}, "
            f"valid {shown.begins:%Y-%m-%d} to {shown.ends:%Y-%m-%d}, by {clip(safe(shown.issuer), _VALUE_SHOWN)}"
        )
    if tls.sentence and tls.shaken_ns is not None:
        yield safe(tls.sentence)


def upstream_lines(capture: Capture, row: ConnectionRow) -> Iterator[str]:
    """Whose requests a connection to a server carries; nothing for a client's connection."""
    upstream = capture.upstream(row.id)
    if upstream is not None:
        yield (
            f"inspectd's own connection to {safe(upstream.origin)}{_via(upstream.via)}, for connection "
            f"c{upstream.client}: here the client is inspectd"
        )


def inside_lines(capture: Capture, row: ConnectionRow) -> Iterator[str]:
    """Which tunnel a connection was read in; nothing for one of its own."""
    if row.inside is not None:
        outer = capture.connection(row.inside)
        sentence = "" if outer is None or not outer.sentence else f": {safe(outer.sentence)}"
        yield f"read in the tunnel that connection c{row.inside} carries{sentence}"


def upstream_json(forward: ForwardRow | None, capture: Capture) -> dict[str, Any]:
    """The field `upstream` of an exchange that was forwarded; nothing for another one."""
    if forward is None:
        return {}
    server = server_of(capture, forward)
    return {
        "upstream": {
            "origin": forward.origin,
            "via": None if server is None else server.via,
            "tls": tls_json(server),
            "connection": forward.upstream,
            "request_bytes": forward.req_len,
            "response_bytes": forward.res_len,
            "phases_ms": {word: round(length / 1e6, 3) for word, _, length in forward.phases()},
            "changes": changes_of(forward),
            "response_changes": response_changes_of(forward),
            "failure": forward.failure,
        }
    }


def changes_of(forward: ForwardRow) -> list[dict[str, Any]]:
    """Where the request that was sent differs from the one that came."""
    return json.loads(forward.changes) if forward.changes else []


def response_changes_of(forward: ForwardRow) -> list[dict[str, Any]]:
    """Where the answer that the client got differs from the one that the server sent."""
    return json.loads(forward.res_changes) if forward.res_changes else []


def _via(via: str | None) -> str:
    return "" if via is None else f" via {safe(via)}"


def _value(value: str | None) -> str:
    return "nothing" if value is None else clip(safe(value.encode("latin-1", "replace")), _VALUE_SHOWN)
