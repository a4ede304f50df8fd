"""Messages of WebSockets and events of streams over the control API, from an engine that answers them itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from inspectd.control.client import ControlError
from tests.control.talk import ask, by_socket

if TYPE_CHECKING:
    from inspectd.control.client import ControlClient
    from tests.live_engine import LiveEngine

ECHO = """
[[rule]]
match = "/chat"
[rule.websocket]
echo = true
compress = true
"""


def test_messages_are_there_while_the_connection_is_open(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules(ECHO)
    with connect(f"ws://127.0.0.1:{engine.port}/chat") as socket:
        for text in ("one", "two", "three"):
            socket.send(text)
            assert socket.recv() == text
        shown = client.messages(1)

        assert (shown.kind, shown.compressed, shown.more, shown.ended) == ("websocket", True, False, False)
        assert [(each.number, each.sender, each.payload_bytes) for each in shown.messages] == [
            (1, "client", b"one"),
            (2, "server", b"one"),
            (3, "client", b"two"),
            (4, "server", b"two"),
            (5, "client", b"three"),
            (6, "server", b"three"),
        ]
        assert [each.time_ns for each in shown.messages] == sorted(each.time_ns for each in shown.messages)
        assert {(each.masked, each.sender) for each in shown.messages} == {
            (True, "client"),
            (False, "server"),
        }

        some = client.messages(1, after=2, limit=3)
        assert [each.number for each in some.messages] == [3, 4, 5]
        assert some.more
        assert client.messages(1, after=6).messages == ()


def test_a_closed_connection_has_its_codes(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules(ECHO)
    with connect(f"ws://127.0.0.1:{engine.port}/chat") as socket:
        socket.close(4000, "bye")
    client.wait("/chat", state="ended")
    shown = client.messages(1)

    assert shown.ended
    assert [(each.sender, each.kind, each.close_code) for each in shown.messages] == [
        ("client", "close", 4000),
        ("server", "close", 4000),
    ]


def test_events_of_a_stream(engine: LiveEngine, client: ControlClient) -> None:
    client.set_answer(
        status="200 OK",
        headers=("Content-Type: text/event-stream",),
        body=b"id: 1\ndata: a\n\n: hm\n\ndata: b",
    )
    ask(engine, "GET /events")
    shown = client.messages(1)

    assert (shown.kind, shown.ended) == ("event-stream", True)
    assert [
        (each.number, each.data_bytes, each.id, each.comment, each.complete) for each in shown.events
    ] == [
        (1, b"a", "1", None, True),
        (2, b"", None, " hm", True),
        (3, b"b", None, None, False),
    ]
    assert shown.events[2].oddities[0].id == "sse-unfinished"


def test_other_exchanges_have_none(engine: LiveEngine, client: ControlClient) -> None:
    ask(engine, "GET /")

    assert client.messages(1).kind is None
    with pytest.raises(ControlError, match="there is no exchange 7"):
        client.messages(7)
    assert by_socket(engine, "GET /v1/exchanges/1/messages?limit=0")[0] == 400
    assert by_socket(engine, "GET /v1/exchanges/1/messages?befor=1")[0] == 400
