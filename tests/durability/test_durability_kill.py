"""An exchange whose client holds the whole answer is in the capture, whatever happens to the engine then."""

from __future__ import annotations

import random
import socket
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import State
from inspectd.capture.reader import Capture
from tests.durability.load import Load
from tests.live_engine import LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANSWER = ("--answer", "200 OK", "--body", "recorded")


def recorded(path: Path, targets: set[str]) -> dict[str, tuple[bytes, bytes]]:
    """The bytes that the capture holds for these targets."""
    found: dict[str, tuple[bytes, bytes]] = {}
    with Capture.open(path) as capture:
        last = 0
        while rows := capture.exchanges_after(last, 1000):
            last = rows[-1].id
            for row in rows:
                if row.target in targets:
                    found[row.target] = (capture.request_bytes(row), capture.response_bytes(row))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_kill_9_under_load_loses_no_answered_exchange(
    live_engine: Callable[..., LiveEngine], seed: int
) -> None:
    engine = live_engine(*ANSWER, quiet=True)
    load = Load(engine.address, clients=6, seed=seed)
    load.run_until(random.Random(seed).randint(20, 900), engine.kill)

    found = recorded(engine.capture, set(load.answered))
    lost = sorted(load.answered.keys() - found.keys())
    assert not lost, f"{len(lost)} of {len(load.answered)} answered exchanges are missing: {lost[:5]}"
    different = [target for target, pair in load.answered.items() if found[target] != pair]
    assert not different, f"{len(different)} exchanges differ from what crossed the wire: {different[:5]}"
    with sqlite3.connect(engine.capture) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def _refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=10).close()
    except ConnectionError:
        return True
    return False


def test_sigterm_finishes_the_exchange_in_flight_and_then_ends(
    live_engine: Callable[..., LiveEngine],
) -> None:
    engine = live_engine(*ANSWER)
    head = b"PUT /in-flight HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    with engine.connect() as client:
        client.sendall(head)
        assert client.recv(1000).startswith(b"HTTP/1.1 100")
        client.sendall(b"01234")
        engine.process.terminate()
        deadline = time.monotonic() + 10
        while not _refused(engine.address):  # once it has stopped listening, the signal has arrived
            assert time.monotonic() < deadline
        client.sendall(b"56789")
        response = receive_response(client)
        assert client.recv(1) == b""
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"recorded")
    assert engine.wait() == 0
    with Capture.open(engine.capture) as capture:
        [row] = capture.exchanges_after(0, 10)
        assert capture.request_bytes(row) == head + b"0123456789"
        assert capture.response_bytes(row).endswith(response)
        assert State.RESPONSE_COMPLETE in State(row.state)


def test_sigterm_leaves_nothing_but_the_capture_file(live_engine: Callable[..., LiveEngine]) -> None:
    engine = live_engine(*ANSWER)
    with engine.connect() as client:
        client.sendall(b"GET /once HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert receive_response(client).endswith(b"recorded")
    assert engine.stop() == 0
    left = sorted(path.name for path in engine.capture.parent.glob(engine.capture.name + "*"))
    assert left == [engine.capture.name]
    assert engine.stderr.splitlines() == [
        f"capture: {engine.capture}",
        f"look at it: inspectd open {engine.capture}",
    ]
