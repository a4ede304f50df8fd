"""An engine with a raw tee before it and one before each server: what they saw is what the capture has to hold."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Self

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.reader import Capture
from tests.browsers.tee import Tee
from tests.proof.dialogue import every_connection
from tests.proof.opened import opened, secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow
    from tests.browsers.tee import Relayed
    from tests.live_engine import LiveEngine

SECONDS: Final = 20.0
_HELLO: Final = b"\x16\x03"
Streams = tuple[bytes, bytes]
"""To the server, and back."""


class Witness:
    """The tees, and what they have to say of the capture. `key_log` is where the engine writes its secrets."""

    def __init__(self, engine: LiveEngine, key_log: Path, servers: Mapping[str, Tee]) -> None:
        self._life = contextlib.ExitStack()
        self.engine = engine
        self._key_log = key_log
        self.servers = servers
        addresses = [address.removeprefix("https://").rpartition(":") for address in engine.addresses]
        self.clients = [self._life.enter_context(Tee((host, int(port)))) for host, _, port in addresses]
        self._seen = 0

    def check(self) -> list[ConnectionRow]:
        """Compare all connections that have come since the last call, once they have ended; their rows."""
        tees = [*self.clients, *self.servers.values()]
        for tee in tees:
            tee.wait_until_idle(seconds=SECONDS)
        with Capture.open(self.engine.capture) as capture:
            rows = self._ended(capture)
            known = secrets(self._key_log) if self._key_log.exists() else {}
            arrived = {each.peer: each for tee in self.clients for each in tee.connections}
            left = {each.client: each for tee in self.servers.values() for each in tee.connections}
            for row in rows:
                if row.inside is None and capture.upstream(row.id) is None:
                    inner = next((each for each in rows if each.inside == row.id), None)
                    _check_client(capture, row, inner, arrived[row.peer], known)
                elif row.inside is None:
                    _check_server(capture, row, left[row.peer], known)
        return rows

    def _ended(self, capture: Capture) -> list[ConnectionRow]:
        deadline = time.monotonic() + SECONDS
        while True:
            rows = every_connection(capture)
            if all(row.closed_ns is not None for row in rows):
                break
            assert time.monotonic() < deadline, "connections have not ended in the capture"
            time.sleep(0.01)
        fresh, self._seen = rows[self._seen :], len(rows)
        return fresh

    def close(self) -> None:
        """End the tees at the clients' side."""
        self._life.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _streams(capture: Capture, row: ConnectionRow) -> Streams:
    return capture.stream_bytes(row.id, INCOMING), capture.stream_bytes(row.id, OUTGOING)


def _check_client(
    capture: Capture,
    row: ConnectionRow,
    inner: ConnectionRow | None,
    relayed: Relayed,
    known: dict[tuple[str, str], bytes],
) -> None:
    seen = bytes(relayed.to_engine), bytes(relayed.to_browser)
    if capture.tls(row.id) is not None:
        seen = opened(*seen, known)
    recorded = _streams(capture, row)
    if inner is None:
        assert recorded == seen
        return
    assert seen[0].startswith(recorded[0])
    assert seen[1].startswith(recorded[1])
    back = seen[1][len(recorded[1]) :]
    if capture.tls(inner.id) is None:
        length = len(seen[0]) - inner.bytes_in
        assert _opens_a_tunnel(seen[0][:length])
        assert _streams(capture, inner) == (seen[0][length:], back)
    else:
        length = seen[0].index(_HELLO)
        assert _opens_a_tunnel(seen[0][:length])
        assert _streams(capture, inner) == opened(seen[0][length:], back, known)


def _opens_a_tunnel(data: bytes) -> bool:
    return data[:1] in {b"\x04", b"\x05"} or (data.startswith(b"CONNECT ") and data.endswith(b"\r\n\r\n"))


def _check_server(
    capture: Capture, row: ConnectionRow, relayed: Relayed, known: dict[tuple[str, str], bytes]
) -> None:
    seen = bytes(relayed.to_engine), bytes(relayed.to_browser)
    assert _streams(capture, row) == (seen if capture.tls(row.id) is None else opened(*seen, known))


def requests_of(capture: Capture, rows: Sequence[ConnectionRow]) -> list[str]:
    """Method and target of what was asked on these connections, CONNECT left out."""
    asked = [each for row in rows for each in capture.exchanges_of(row.id) if each.method != "CONNECT"]
    return [f"{each.method} {each.target}" for each in sorted(asked, key=lambda each: each.id)]
