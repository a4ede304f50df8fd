"""Being the server over the control API: what waits, and every way to decide."""

from __future__ import annotations

import base64
import json
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.control.client import ControlClient, ControlError
from tests.control.talk import by_socket, message
from tests.live_engine import receive_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.control.traffic_messages import HeldShown
    from tests.live_engine import LiveEngine


@pytest.fixture
def waiting(engine: LiveEngine, client: ControlClient) -> Iterator[socket.socket]:
    """A client whose GET /held waits."""
    client.hold_next(1, timeout="60s", owner="test")
    with engine.connect() as sock:
        sock.sendall(message("GET /held"))
        assert client.wait("GET /held", state="held", timeout=60).ok
        yield sock


def only(client: ControlClient) -> HeldShown:
    (held,) = client.holds().held
    return held


def test_what_is_held_is_shown(waiting: socket.socket, client: ControlClient) -> None:
    client.set_answer(status="404")  # too late for what is held
    held = only(client)

    assert (held.id, held.connection, held.number) == (1, 1, 1)
    assert (held.method, held.target, held.owner, held.timeout) == ("GET", "/held", "test", 60)
    assert base64.b64decode(held.request_head) == message("GET /held")
    assert base64.b64decode(held.answer).startswith(b"HTTP/1.1 200 OK\r\n")
    assert held.answer_length == len(base64.b64decode(held.answer))
    assert held.peer == "{}:{}".format(*waiting.getsockname())
    assert not held.client_gone
    assert client.status().held == 1
    assert client.holds().next == client.status().hold_next == 0


def test_released_it_gets_its_normal_answer(waiting: socket.socket, client: ControlClient) -> None:
    answer = base64.b64decode(only(client).answer)
    client.release(1)

    assert receive_response(waiting) == answer
    assert client.holds().held == ()


def test_it_gets_exactly_the_bytes_that_were_written(waiting: socket.socket, client: ControlClient) -> None:
    raw = b"HTTP/1.1 2OO \xff\n\nrest"
    client.release(1, raw=raw, close=True)

    assert b"".join(iter(lambda: waiting.recv(65536), b"")) == raw
    assert client.wait("/held", state="answered").exchanges[0].response_bytes == len(raw)


def test_another_head_goes_before_the_rest_of_the_normal_answer(
    waiting: socket.socket, client: ControlClient
) -> None:
    answer = base64.b64decode(only(client).answer)
    head = answer.index(b"\r\n\r\n")
    client.release(1, raw=answer[:head] + b"\r\nX-More: 1", rest_from=head)

    assert receive_response(waiting) == answer[:head] + b"\r\nX-More: 1" + answer[head:]


def test_it_gets_the_answer_of_words(waiting: socket.socket, client: ControlClient) -> None:
    client.release(1, status="503 Busy", headers=("Retry-After: 1",), body=b"\xff")
    response = receive_response(waiting)

    assert response.startswith(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n")
    assert response.endswith(b"\r\n\r\n\xff")
    waiting.sendall(message("GET /next"))  # the connection lives on
    assert receive_response(waiting).startswith(b"HTTP/1.1 200 OK")


def test_it_gets_the_answer_of_a_rule(waiting: socket.socket, client: ControlClient) -> None:
    client.put_rules('[[rule]]\nname = "pot"\nmatch = "/pot"\nrespond = "418 Teapot"\nhold = true\n')
    with pytest.raises(ControlError, match="there is no rule 'tea'"):
        client.release(1, rule="tea")
    client.release(1, rule="pot")

    assert receive_response(waiting).startswith(b"HTTP/1.1 418 Teapot\r\n")


@pytest.mark.parametrize("opening", ["", '[[rule]]\nmatch = "/else"\n'])
def test_it_gets_the_answer_of_a_table(waiting: socket.socket, client: ControlClient, opening: str) -> None:
    client.release(
        1, toml=f'{opening}respond = "200 OK"\nbody = "by hand"\nfault = {{ at = "body+2", do = "close" }}\n'
    )

    assert b"".join(iter(lambda: waiting.recv(65536), b"")).endswith(b"\r\n\r\nby")


def test_dropped_it_sees_the_end(waiting: socket.socket, client: ControlClient) -> None:
    client.drop(1)

    assert waiting.recv(1) == b""


def test_reset_it_sees_that(waiting: socket.socket, client: ControlClient) -> None:
    client.reset(1)

    with pytest.raises(ConnectionResetError):
        waiting.recv(1)


def test_all_of_an_owner_are_released_together(engine: LiveEngine, client: ControlClient) -> None:
    client.hold_next(None, timeout="60s", owner="one")
    assert client.holds().next is None
    with engine.connect() as first, engine.connect() as second:
        first.sendall(message("GET /first"))
        assert client.wait("/first", state="held", timeout=60).ok
        client.hold_next(1, timeout="60s", owner="two")
        second.sendall(message("GET /second"))
        assert client.wait("/second", state="held", timeout=60).ok

        assert client.release_all("nobody").released == 0
        assert client.release_all("one").released == 1
        assert receive_response(first).startswith(b"HTTP/1.1 200")
        assert [each.target for each in client.holds().held] == ["/second"]
        assert client.release_all().released == 1
        assert receive_response(second).startswith(b"HTTP/1.1 200")


def test_releasing_all_holds_no_more(engine: LiveEngine, client: ControlClient) -> None:
    client.hold_next(5, owner="gone")
    client.release_all("gone")

    assert client.holds().next == 0


def test_a_lease_ends_when_nobody_asks_any_more(engine: LiveEngine, client: ControlClient) -> None:
    client.hold_next(None, timeout="60s", owner="viewer")
    with engine.connect() as sock:
        sock.sendall(message("GET /held"))
        assert client.wait("/held", state="held", timeout=60).ok
        began = asked = time.monotonic()
        client.hold_next(None, timeout="60s", owner="viewer", lease="1s")
        while (now := time.monotonic()) - began < 0.5 and client.holds().next is None:
            asked = now  # it was not over then, and begins anew
        assert receive_response(sock).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - asked >= 0.95
    assert client.status().hold_next == 0
    assert client.holds().held == ()


def test_a_rule_holds_for_as_long_as_it_says(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules('[[rule]]\nmatch = "/x"\nrespond = "200 Late"\nhold = { timeout = "200ms" }\n')
    with engine.connect() as sock:
        sock.sendall(message("GET /x"))
        assert receive_response(sock).startswith(b"HTTP/1.1 200 Late\r\n")
    assert client.holds().held == ()


def test_a_client_that_goes_is_seen(waiting: socket.socket, client: ControlClient) -> None:
    with ControlClient(client.socket) as viewer:
        seen: queue.Queue[tuple[str, Any]] = queue.Queue()

        def listen() -> None:
            for event in viewer.events():
                seen.put((event.name, json.loads(event.data)))

        thread = threading.Thread(target=listen)
        thread.start()
        assert seen.get(timeout=60)[0] == "answer"
        waiting.shutdown(socket.SHUT_WR)
        assert seen.get(timeout=60) == (
            "gone",
            {"id": 1, "connection": 1, "method": "GET", "target": "/held", "outcome": ""},
        )
        assert only(client).client_gone
        client.release(1, status="204")
        name, said = seen.get(timeout=60)
        assert (name, said["outcome"]) == ("released", "answered")
        client.stop()
        thread.join(60)


@pytest.mark.parametrize(
    ("content", "code", "what"),
    [
        (b'{"raw_base64": "!"}', 400, "not base64"),
        (b'{"raw_base64": "", "status": "200"}', 400, "two answers"),
        (b'{"status": "nonsense"}', 400, "not a status"),
        (b'{"close": true}', 400, "go with raw_base64"),
        (b'{"toml": "respond = 1"}', 400, "can't be used"),
        (b'{"toml": "["}', 400, "can't be used"),
        (b'{"toml": "body-file = \\"x\\""}', 400, "can't be used"),
        (b'{"rule": "none"}', 404, "there is no rule"),
        (b'{"body_file": "/no/such/file"}', 400, "no file"),
        (b'{"rest_from": -1}', 400, "'rest_from' is a whole number >= 0"),
        (b'{"unknown": 1}', 400, "there is no key 'unknown' here"),
        (b"[]", 400, "the content is an object, not a list"),
    ],
)
def test_what_is_no_answer_is_refused_and_it_goes_on_waiting(
    engine: LiveEngine, waiting: socket.socket, client: ControlClient, content: bytes, code: int, what: str
) -> None:
    status, said = by_socket(engine, "POST /v1/holds/1/release", content)

    assert (status, what in said["error"]) == (code, True), said
    assert only(client).id == 1


@pytest.mark.parametrize("number", ["2", "0", "x", "-1", "9" * 40, "%31%00", "%F0"])
@pytest.mark.parametrize("what", ["release", "drop", "reset"])
def test_what_is_not_held_is_not_found(engine: LiveEngine, number: str, what: str) -> None:
    assert by_socket(engine, f"POST /v1/holds/{number}/{what}")[0] == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"next": -1}',
        b'{"next": "x"}',
        b'{"next": 1, "timeout": "soon"}',
        b'{"next": 1, "timeout": 0}',
        b'{"next": 1, "lease": "1s"}',
        b'{"next": 1, "lease": "soon", "owner": "x"}',
        b'{"next": 1, "lease": 0, "owner": "x"}',
    ],
)
def test_what_is_no_hold_is_refused(engine: LiveEngine, content: bytes) -> None:
    assert by_socket(engine, "PUT /v1/holds", content)[0] == 400
    assert by_socket(engine, "GET /v1/holds")[1]["next"] == 0
