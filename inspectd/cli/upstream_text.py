"""What became of an exchange at the server it was forwarded to: lines for people, fields for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.capture.model import ConnectionRow, ForwardRow
    from inspectd.capture.reader import Capture

_VALUE_SHOWN = 200


def forward_lines(forward: ForwardRow) -> Iterator[str]:
    """Where it went, what each step took, what was changed and what went wrong. Everything is safe text."""
    where = f"forwarded to {safe(forward.origin)}"
    if forward.upstream is not None:
        how = "new" if forward.connect_ns is not None else "used before"
        where += f" on connection c{forward.upstream} ({how})"
    yield where
    phases = [f"{word} {length / 1e6:g} ms" for word, _, length in forward.phases()]
    if phases:
        yield f"  {' · '.join(phases)}"
    for where, changes in (("", changes_of(forward)), (" in the answer", response_changes_of(forward))):
        for change in changes:
            before, after = (_value(change.get(side)) for side in ("from", "to"))
            yield f"  changed by inspectd{where}: {safe(str(change.get('what')))}: {before} → {after}"
    if forward.failure:
        yield f"  {safe(forward.failure)}"


def upstream_lines(capture: Capture, row: ConnectionRow) -> Iterator[str]:
    """Whose requests a connection to a server carries; nothing for a client's connection."""
    upstream = capture.upstream(row.id)
    if upstream is not None:
        yield (
            f"inspectd's own connection to {safe(upstream.origin)}, for connection c{upstream.client}: here the client "
            "is inspectd"
        )


def inside_lines(capture: Capture, row: ConnectionRow) -> Iterator[str]:
    """Which tunnel a connection was read in; nothing for one of its own."""
    if row.inside is not None:
        outer = capture.connection(row.inside)
        sentence = "" if outer is None or not outer.sentence else f": {safe(outer.sentence)}"
        yield f"read in the tunnel that connection c{row.inside} carries{sentence}"


def upstream_json(forward: ForwardRow | None) -> dict[str, Any]:
    """The field `upstream` of an exchange that was forwarded; nothing for another one."""
    if forward is None:
        return {}
    return {
        "upstream": {
            "origin": forward.origin,
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


def _value(value: str | None) -> str:
    return "nothing" if value is None else clip(safe(value.encode("latin-1", "replace")), _VALUE_SHOWN)
