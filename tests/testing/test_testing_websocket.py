"""A WebSocket in a test: said in a line, talked to by a real client, and what the client said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from inspectd.testing import Inspectd

TIMEOUT = 30.0


def _url(server: Inspectd, path: str = "/ws") -> str:
    host, port = server.address
    return f"ws://{host}:{port}{path}"


def test_a_websocket_sends_answers_and_echoes(server: Inspectd) -> None:
    rule = server.on("/ws").websocket(
        ["hello", b"\0\xff", {"binary_hex": "01"}],
        echo=True,
        compress=True,
        on=[{"text": "bye", "send": [{"close": 1001, "reason": "away"}]}],
    )
    with connect(_url(server)) as client:
        assert [client.recv(TIMEOUT) for _ in range(3)] == ["hello", b"\0\xff", b"\1"]
        for message in ("one", b"two"):
            client.send(message)
            assert client.recv(TIMEOUT) == message
        client.send("bye")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(TIMEOUT)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "away")
    (request,) = rule.wait()
    assert request.messages == ["one", b"two", "bye"]


def test_what_was_said_before_is_said_no_more(server: Inspectd) -> None:
    rule = server.on("/ws").websocket(["hello"])
    rule.reply("204 No Content")
    rule.websocket(echo=True)
    with connect(_url(server)) as client:
        client.send("x")
        assert client.recv(TIMEOUT) == "x"


def test_words_that_make_no_websocket_are_refused(server: Inspectd) -> None:
    rule = server.on("/ws")
    with pytest.raises(InspectdError, match="send is one message"):
        rule.websocket("hello")
    with pytest.raises(InspectdError, match="no close code"):
        rule.websocket([{"close": 70000}])
