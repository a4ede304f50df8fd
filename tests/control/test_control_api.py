"""The control API of a real engine: over its Unix socket with the client, over TCP with raw bytes."""

from __future__ import annotations

import json
import os
import queue
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inspectd import __version__
from inspectd.control.client import ControlClient, ControlError
from inspectd.control.operations import OPERATIONS
from tests.control.talk import by_socket as ask_with
from tests.live_engine import LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.control.messages import Event

    Start = Callable[..., LiveEngine]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def engine(live_engine: Start) -> LiveEngine:
    return live_engine()


@pytest.fixture
def client(engine: LiveEngine) -> Iterator[ControlClient]:
    with ControlClient(Path(engine.listening["control"])) as client:
        yield client


def ask(engine: LiveEngine, request: bytes = GET) -> bytes:
    with engine.connect() as sock:
        sock.sendall(request)
        return receive_response(sock)


def test_the_socket_is_this_users_alone(engine: LiveEngine) -> None:
    path = Path(engine.listening["control"])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_status_says_how_the_engine_is(engine: LiveEngine, client: ControlClient) -> None:
    ask(engine)
    status = client.status()

    assert status.version == __version__
    assert status.pid == engine.pid
    assert list(status.addresses) == engine.addresses
    assert status.capture == str(engine.capture)
    assert status.answer.description == "mirror"
    assert status.answer.status_line is None
    assert status.exchanges == 1
    assert status.capture_error is None


def test_the_answer_changes_from_the_next_request_on(engine: LiveEngine, client: ControlClient) -> None:
    with engine.connect() as sock:  # on a connection that is open already, too
        sock.sendall(GET)
        receive_response(sock)

        current = client.set_answer(
            status="418 I'm a teapot", headers=("x-A:1", "X-a: 2"), body="hé", no_auto=("date",)
        )
        sock.sendall(GET)
        response = receive_response(sock)

    assert (current.description, current.status_line) == ("418 I'm a teapot", "HTTP/1.1 418 I'm a teapot")
    assert response == "HTTP/1.1 418 I'm a teapot\r\nx-A:1\r\nX-a: 2\r\nContent-Length: 3\r\n\r\nhé".encode()
    assert client.answer() == client.status().answer == current
    assert client.restore_answer().description == "mirror"  # that is what it began with
    assert b" 200 OK\r\n" in ask(engine)


def test_a_preview_is_what_would_be_sent_and_changes_nothing(
    engine: LiveEngine, client: ControlClient
) -> None:
    wish: dict[str, Any] = {
        "status": "503 Busy",
        "headers": ["Retry-After: 1"],
        "body": b"\0\xff",
        "no_auto": ["date"],
    }
    preview = client.preview(**wish)

    assert client.answer().description == "mirror"
    client.set_answer(**wish)
    assert ask(engine) == preview.data
    assert preview.length == len(preview.data)
    assert preview.added == ("Content-Length: 2",)
    assert preview.steps == (f"Sends {len(preview.data)} bytes.",)
    assert preview.remarks == ()


def test_a_preview_says_what_is_odd(client: ControlClient) -> None:
    preview = client.preview(status="204 No Content", body="but some")

    assert preview.data.endswith(b"\r\n\r\n")
    assert "the body is not sent" in preview.remarks[0]


def test_a_large_body_comes_from_a_file(engine: LiveEngine, client: ControlClient, tmp_path: Path) -> None:
    body = tmp_path / "large"
    body.write_bytes(os.urandom(3_000_000))
    client.set_answer(status="200 OK", body_file=body)

    assert ask(engine).partition(b"\r\n\r\n")[2] == body.read_bytes()
    preview = client.preview(status="200 OK", body_file=body)
    assert len(preview.data) == 65536
    assert preview.length > 3_000_000


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ({"status": "nonsense"}, "not a status: 'nonsense'"),
        ({"status": "200", "headers": ["no colon"]}, "no colon in the header"),
        ({"status": "200 a\r\nb: c"}, "a line end inside the status line"),
        ({"status": "200", "no_auto": ["server"]}, "inspectd adds no field named 'server' by itself"),
        ({"status": "200", "body_file": Path("/no/such/file")}, "no file that the engine can send"),
        ({"status": "200", "body_file": Path("/" + "x" * 300)}, "can't be read: File name too long"),
        ({"status": "200", "body": "x" * 9_000_000}, "the content is too large"),
        ({"status": "200 \udcff"}, "can't be said in JSON"),
    ],
)
def test_what_cannot_be_answered_is_refused_and_changes_nothing(
    client: ControlClient, wish: dict[str, Any], what: str
) -> None:
    with pytest.raises(ControlError, match=what):
        client.set_answer(**wish)

    assert client.answer().description == "mirror"


def test_clear_forgets_what_has_ended(engine: LiveEngine, client: ControlClient) -> None:
    ask(engine)
    engine.exchange(id=1)
    client.clear()
    ask(engine)

    assert engine.exchange(id=2)["target"] == "/"


def test_stop_ends_the_engine_with_its_capture_complete(engine: LiveEngine, client: ControlClient) -> None:
    ask(engine)
    client.stop()

    assert engine.process.wait(60) == 0
    assert engine.exchange(id=1)
    with pytest.raises(ControlError, match="no engine answers"):
        client.status()


def test_events_tell_every_viewer_what_another_one_did(engine: LiveEngine, client: ControlClient) -> None:
    seen: queue.Queue[Event | None] = queue.Queue()

    def listen() -> None:
        with ControlClient(client.socket) as viewer:
            for event in viewer.events():
                seen.put(event)
        seen.put(None)

    thread = threading.Thread(target=listen)
    thread.start()
    first = seen.get(timeout=60)
    client.set_answer(status="404")
    client.clear()
    client.stop()
    thread.join(60)
    events = list(iter(lambda: seen.get(timeout=60), None))

    assert first is not None
    assert json.loads(first.data)["description"] == "mirror"
    assert [event.name for event in events] == ["answer", "clear", "stopping"]
    assert json.loads(events[0].data) == {
        "description": "404",
        "status_line": "HTTP/1.1 404",
        "otherwise": None,
        "passes": False,
    }
    assert engine.process.wait(60) == 0


def test_nothing_of_the_control_api_is_in_the_capture(engine: LiveEngine, client: ControlClient) -> None:
    client.status()
    ask(engine)

    assert client.status().exchanges == 1
    assert engine.exchange(id=1)["connection"] == 1


def test_an_engine_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with (
        ControlClient(tmp_path / "gone.sock") as client,
        pytest.raises(ControlError, match="no engine answers at"),
    ):
        client.status()


# -- by raw bytes


def by_socket(engine: LiveEngine, request: bytes) -> tuple[int, dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(engine.listening["control"])
        return _talk(sock, request)


def _talk(sock: socket.socket, request: bytes) -> tuple[int, dict[str, Any]]:
    sock.sendall(request)
    head, _, content = receive_response(sock).partition(b"\r\n\r\n")
    assert b"access-control-" not in head.lower()
    return int(head.split(b" ")[1]), json.loads(content)


@pytest.mark.parametrize(
    ("request_line", "code"),
    [
        (b"GET /v1/status", 200),
        (b"GET /v1/status?x", 200),
        (b"GET /v2/status", 404),
        (b"GET /", 404),
        (b"POST /v1/status", 405),
        (b"OPTIONS /v1/answer", 405),
        (b"PUT /v1/answer", 400),
        (b"\x1b[31m \xff", 404),
    ],
)
def test_routes(engine: LiveEngine, request_line: bytes, code: int) -> None:
    content = b"[]" if b"PUT" in request_line else b""
    status, answer = by_socket(
        engine, request_line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    )

    assert status == code
    assert ("error" in answer) == (code != 200)


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"\x00\xff\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET /v1/status HTTP/1.1\r\nX: " + b"a" * 70_000, 431),
    ],
)
def test_what_is_no_request_gets_an_error_in_json_too(
    engine: LiveEngine, request_bytes: bytes, code: int
) -> None:
    status, answer = by_socket(engine, request_bytes)

    assert status == code
    assert list(answer) == ["error"]


def test_a_method_that_is_not_taken_names_those_that_are_and_head_gets_a_head(engine: LiveEngine) -> None:
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as answer:
        sock.settimeout(10)
        sock.connect(engine.listening["control"])
        sock.sendall(b"HEAD /v1/answer HTTP/1.1\r\nHost: x\r\n\r\n")
        response = answer.read()

    assert response.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, PUT, DELETE\r\n" in response
    assert response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "field", [b"Origin: http://localhost:8080", b"Origin: null", b"Sec-Fetch-Site: same-origin", b"oRiGiN:"]
)
def test_a_page_is_refused_at_the_socket_too(engine: LiveEngine, field: bytes) -> None:
    status, _ = by_socket(engine, b"POST /v1/stop HTTP/1.1\r\nHost: localhost\r\n" + field + b"\r\n\r\n")

    assert status == 403
    assert engine.process.poll() is None


class TestTcp:
    @pytest.fixture
    def tcp(self, live_engine: Start) -> LiveEngine:
        return live_engine("--control", "127.0.0.1:0")

    def token(self, engine: LiveEngine) -> str:
        path = Path(engine.listening["control_token_file"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return path.read_text("ascii").strip()

    def talk(self, engine: LiveEngine, *fields: str, host: str | None = None) -> int:
        address, _, port = engine.listening["control_tcp"].rpartition(":")
        lines = ["GET /v1/status HTTP/1.1", f"Host: {host or f'{address}:{port}'}", *fields, "", ""]
        with socket.create_connection((address, int(port)), timeout=60) as sock:
            return _talk(sock, "\r\n".join(lines).encode())[0]

    def test_the_token_opens_it(self, tcp: LiveEngine) -> None:
        bearer = f"Authorization: Bearer {self.token(tcp)}"

        assert self.talk(tcp, bearer) == 200
        assert self.talk(tcp, bearer, host="localhost:1") == 200
        assert self.talk(tcp, bearer, host="[::1]") == 200

    @pytest.mark.parametrize(
        "field", ["X: 1", "Authorization: Bearer wrong", "Authorization: Basic x", "Authorization:"]
    )
    def test_nothing_else_opens_it(self, tcp: LiveEngine, field: str) -> None:
        assert self.talk(tcp, field) == 401

    @pytest.mark.parametrize(
        "host", ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "10.0.0.1", "a@127.0.0.1"]
    )
    def test_a_name_that_was_bound_again_is_refused(self, tcp: LiveEngine, host: str) -> None:
        assert self.talk(tcp, f"Authorization: Bearer {self.token(tcp)}", host=host) == 403

    @pytest.mark.parametrize("field", ["Origin: http://127.0.0.1", "Sec-Fetch-Site: none"])
    def test_a_page_is_refused_even_with_the_token(self, tcp: LiveEngine, field: str) -> None:
        assert self.talk(tcp, f"Authorization: Bearer {self.token(tcp)}", field) == 403

    def test_the_token_goes_with_the_engine(self, tcp: LiveEngine) -> None:
        path = Path(tcp.listening["control_token_file"])
        tcp.stop()

        assert not path.exists()


@pytest.mark.parametrize(
    "request_line",
    [f"{each.method} /v1{each.path}" for each in OPERATIONS if each.takes is not None and each.needs_content],
)
def test_what_means_nothing_without_content_says_so(engine: LiveEngine, request_line: str) -> None:
    status, said = ask_with(engine, request_line)
    assert (status, said["error"]) == (400, "the content is missing")
    assert said["mend"].startswith('Send JSON, like {"')
