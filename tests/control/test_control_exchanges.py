"""What was recorded, over the control API: looked up, waited for, verified. No test here sleeps, nor has to."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.control.client import ControlClient
from tests.control.talk import ask, by_socket, message
from tests.live_engine import receive_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.control.traffic_messages import WaitState
    from tests.live_engine import LiveEngine

    Start = Callable[..., LiveEngine]


def test_exchanges_are_listed_by_their_order_and_by_what_they_are(
    engine: LiveEngine, client: ControlClient
) -> None:
    for request in ("GET /a", "POST /pay/1", "GET /pay/2", "GET /b"):
        ask(engine, request)
    shown = client.exchanges()

    assert [(each.id, each.method, each.target) for each in shown.exchanges] == [
        (1, "GET", "/a"),
        (2, "POST", "/pay/1"),
        (3, "GET", "/pay/2"),
        (4, "GET", "/b"),
    ]
    assert (shown.newest, shown.more) == (4, False)
    assert [each.id for each in client.exchanges(after=2).exchanges] == [3, 4]
    assert [each.id for each in client.exchanges(method="POST").exchanges] == [2]
    assert [each.id for each in client.exchanges(target="/pay/*").exchanges] == [2, 3]
    assert [each.id for each in client.exchanges(target="*a*2").exchanges] == [3]
    assert client.exchanges(target="/pay").exchanges == ()
    first = client.exchanges(limit=2)
    assert ([each.id for each in first.exchanges], first.more, first.newest) == ([1, 2], True, 4)


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_an_answered_exchange_is_there_at_once(live_engine: Start, durability: str) -> None:
    engine = live_engine("--durability", durability)
    with ControlClient(Path(engine.listening["control"])) as client, engine.connect() as sock:
        for number in range(1, 31):
            sock.sendall(message(f"GET /{number}"))
            receive_response(sock)
            assert client.exchanges(after=number - 1).exchanges[0].target == f"/{number}"


def test_one_exchange_is_there_with_its_bytes(engine: LiveEngine, client: ControlClient) -> None:
    client.set_answer(status="201 Made", headers=("X-a:  \x1b ", "x-A: 2"), body=b"\0\xff")
    chunked = (
        b"POST /x?\xff HTTP/1.1\r\nHost: a\r\nX:\x01\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    )
    with engine.connect() as sock:
        sock.sendall(chunked)
        response = receive_response(sock)
    detail = client.exchange(1)

    assert detail.request.head_bytes == chunked[: chunked.index(b"\r\n\r\n") + 4]
    assert detail.request.content_bytes == b"abcde"
    assert (detail.request.content_length, detail.request.whole) == (5, True)
    assert ("X", "\x01") in detail.request.fields
    assert detail.exchange.target == "/x?\\xff"
    assert detail.exchange.request_bytes == len(chunked)
    assert detail.response is not None
    assert detail.response.head_bytes + detail.response.content_bytes == response
    assert detail.response.fields[1] == ("x-A", "2")
    assert any(line.startswith("Date: ") for line in detail.added)
    control = next(each for each in detail.findings if each.id == "value-control")
    assert (control.severity, chunked[control.start : control.end]) == ("error", b"\x01")
    assert control.summary
    assert control.section.startswith("RFC 9110")
    assert all(each.end <= len(response) for each in detail.response_findings)
    assert detail.peer is not None
    assert (detail.exchange.complete, detail.exchange.answered, detail.exchange.aborted) == (
        True,
        True,
        False,
    )
    assert detail.attempts == ()


def test_of_a_large_content_the_beginning_is_there(engine: LiveEngine, client: ControlClient) -> None:
    ask(engine, "PUT /x", content=b"x" * 3_000_000)
    request = client.exchange(1).request

    assert request.content_bytes == b"x" * (1 << 20)
    assert (request.content_length, request.whole) == (3_000_000, False)


def test_evidence_says_what_the_client_did(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules(
        '[[rule]]\nname = "pay"\nmatch = "POST /pay"\neach = ["503 Busy", "200 OK"]\n'
        '[[rule]]\nname = "cut"\nmatch = "/cut"\nrespond = "200 OK"\nbody = "0123456789"\n'
        'fault = { at = "body+5", do = "reset" }\n'
    )
    with engine.connect() as sock:
        for _ in range(2):
            sock.sendall(message("POST /pay", content=b"42"))
            receive_response(sock)
    with engine.connect() as sock:
        sock.sendall(message("GET /cut"))
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: sock.recv(65536), b""))
    waited = client.wait("POST /pay", count=2, state="ended", timeout=60)
    first, second = waited.exchanges

    assert first.evidence is not None
    assert second.evidence is not None
    assert (first.evidence.rule, first.evidence.attempt, first.evidence.reused) == ("pay", 1, False)
    assert (second.evidence.attempt, second.evidence.reused) == (2, True)
    assert second.evidence.previous == first.id
    assert second.evidence.gap_ms is not None
    assert second.evidence.sent == second.evidence.planned == second.response_bytes
    assert (second.evidence.ended_by, second.evidence.how) == ("client", "fin")
    assert [each.exchange for each in client.exchange(second.id).attempts] == [first.id, second.id]
    (cut,) = client.wait("/cut", state="ended", timeout=60).exchanges
    assert cut.evidence is not None
    assert (cut.evidence.ended_by, cut.evidence.how) == ("server", "rst")
    assert cut.evidence.sent == cut.response_bytes


class TestWaiting:
    def test_it_ends_when_enough_has_come(self, engine: LiveEngine, client: ControlClient) -> None:
        ask(engine, "GET /early")

        def later() -> None:
            for request in ("GET /other", "POST /pay", "POST /pay"):
                ask(engine, request)

        thread = threading.Thread(target=later)
        thread.start()
        waited = client.wait("POST /pay", count=2, after=1, timeout=60)
        thread.join(60)

        assert (waited.ok, waited.count) == (True, 2)
        assert [each.target for each in waited.exchanges] == ["/pay", "/pay"]
        assert waited.near_misses == ()
        assert client.wait("/early", after=1, timeout=0).ok is False
        assert client.wait("/early", timeout=0).ok is True

    def test_when_the_time_is_over_it_says_what_came_instead(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        for request in ("GET /pay", "POST /play", "GET /else"):
            ask(engine, request)
        began = time.monotonic()
        waited = client.wait("POST /pay", timeout=0.3)

        assert time.monotonic() - began >= 0.3
        assert (waited.ok, waited.count, waited.newest) == (False, 0, 3)
        assert {each.exchange for each in waited.near_misses[:2]} == {1, 2}
        reasons = {each.exchange: each.why_not for each in waited.near_misses}
        assert "GET" in reasons[1][0]
        assert "/play" in reasons[2][0]

    def test_what_is_not_as_far_yet_is_the_nearest_miss(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules('[[rule]]\nmatch = "/held"\nhold = true\n')

        def missing(target: str, state: WaitState) -> tuple[str, ...]:
            waited = client.wait(target, state=state, timeout=0)
            assert not waited.ok
            assert waited.near_misses[0].target == target
            return waited.near_misses[0].why_not

        with engine.connect() as sock, engine.connect() as half, engine.connect() as held:
            sock.sendall(message("GET /kept"))
            receive_response(sock)
            half.sendall(message("POST /half", content=b"0123456789")[:-1])
            held.sendall(message("GET /held"))
            assert client.wait("/held", state="held", timeout=60).ok
            client.wait("/half", state="arrived", timeout=0.2)

            assert missing("/kept", "ended") == ("answered, its connection is still open",)
            assert missing("/kept", "held") == ("it is not held: it was answered",)
            assert missing("/half", "arrived") == ("its request has not come whole yet",)
            assert missing("/held", "answered") == ("it is held, and nobody has decided yet",)

    def test_a_status_is_a_number_and_the_start_is_there_as_text(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        for status in ("404", "HTTP/1.1 20 Odd"):
            client.set_answer(status=status)
            ask(engine, "GET /")
        first, second = client.exchanges().exchanges

        assert (first.status, second.status) == (404, "20")
        assert datetime.fromisoformat(first.started).timestamp() == pytest.approx(first.started_ns / 1e9)

    def test_it_looks_at_fields_and_content_and_the_connection(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        ask(engine, "POST /a", "X-Kind: odd", content=b'{"n": 41}')
        ask(engine, "POST /a", "X-Kind: odd", content=b'{"n": 42}')

        match = {"header": {"x-kind": "o*"}, "json": {"$.n": 42}, "first": True, "client": "127.0.0.0/8"}
        assert [each.id for each in client.wait(match, timeout=60).exchanges] == [2]

    def test_a_request_under_way_has_not_arrived(self, engine: LiveEngine, client: ControlClient) -> None:
        whole = message("POST /slow", content=b"0123456789")
        with engine.connect() as sock:
            sock.sendall(whole[:-1])
            assert client.wait("/slow", state="arrived", timeout=0.2).ok is False
            sock.sendall(whole[-1:])
            assert client.wait("/slow", state="arrived", timeout=60).ok

    def test_an_answer_that_takes_time_is_waited_for(self, engine: LiveEngine, client: ControlClient) -> None:
        client.put_rules('[[rule]]\nmatch = "/slow"\nrespond = "200 OK"\npace = { before = "300ms" }\n')
        with engine.connect() as sock:
            sock.sendall(message("GET /slow"))
            assert client.wait("/slow", state="arrived", timeout=60).exchanges[0].answered is False
            assert client.wait("/slow", state="answered", timeout=60).exchanges[0].answered is True
            assert client.wait("/slow", state="ended", timeout=0.1).ok is False
        assert client.wait("/slow", state="ended", timeout=60).ok

    def test_a_client_that_gives_up_waiting_takes_nothing_with_it(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        for _ in range(50):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(engine.listening["control"])
            sock.sendall(message("POST /v1/wait", content=b'{"match": "/never", "timeout": 600}'))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        ask(engine, "GET /there")

        assert client.wait("/there", timeout=60).ok

    def test_the_end_of_the_engine_ends_it(self, engine: LiveEngine, client: ControlClient) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(engine.listening["control"])
            sock.sendall(message("GET /v1/status"))
            receive_response(sock)
            sock.sendall(message("POST /v1/wait", content=b'{"match": "/never", "timeout": 600}'))
            client.status()  # the engine has read what came before this
            client.stop()
            response = receive_response(sock)

        assert response.startswith(b"HTTP/1.1 503 ")
        assert b"the engine ends" in response
        assert engine.wait() == 0

    def test_many_wait_at_once(self, engine: LiveEngine, client: ControlClient) -> None:
        came: list[bool] = []

        def wait(number: int) -> None:
            with ControlClient(client.socket) as other:
                came.append(other.wait(f"/{number}", timeout=60).ok)

        threads = [threading.Thread(target=wait, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for number in range(20):
            ask(engine, f"GET /{number}")
        for thread in threads:
            thread.join(60)

        assert came == [True] * 20


def test_what_came_encrypted_is_known_afterwards(live_engine: Start) -> None:
    engine = live_engine(listen=("https://127.0.0.1:0", "127.0.0.1:0"))
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    secret, plain = (("127.0.0.1", int(each.rpartition(":")[2])) for each in engine.addresses)
    with ControlClient(Path(engine.listening["control"])) as client:
        client.put_rules(rules=[{"match": {"tls": True}, "respond": "299 Encrypted"}])
        with trusting.wrap_socket(socket.create_connection(secret, 60), server_hostname="localhost") as sock:
            sock.sendall(message("GET /secret"))
            assert receive_response(sock).startswith(b"HTTP/1.1 299 Encrypted\r\n")
        with socket.create_connection(plain, 60) as sock:
            sock.sendall(message("GET /plain"))
            assert receive_response(sock).startswith(b"HTTP/1.1 200 OK\r\n")

        assert [each.target for each in client.wait({"tls": True}, timeout=60).exchanges] == ["/secret"]
        assert [each.target for each in client.verify({"tls": False}, count=1).exchanges] == ["/plain"]


class TestVerifying:
    def test_counts_are_compared(self, engine: LiveEngine, client: ControlClient) -> None:
        for _ in range(3):
            ask(engine, "POST /pay")

        assert client.verify("POST /pay", count=3).ok
        assert client.verify("POST /pay").ok
        assert client.verify("POST /pay", at_least=2, at_most=3).ok
        assert client.verify("POST /pay", after=1, count=2).ok
        assert client.verify("GET /pay", count=0).ok
        assert client.verify("GET /pay", at_most=0).ok
        assert not client.verify("POST /pay", count=2).ok
        assert not client.verify("POST /pay", at_most=2).ok
        assert [each.id for each in client.verify("POST /pay", count=2).exchanges] == [1, 2, 3]

    def test_near_misses_say_why(self, engine: LiveEngine, client: ControlClient) -> None:
        ask(engine, "GET /pay")
        verified = client.verify("POST /pay", count=1)

        assert (verified.ok, verified.count) == (False, 0)
        (miss,) = verified.near_misses
        assert (miss.exchange, miss.method, miss.target) == (1, "GET", "/pay")
        assert len(miss.why_not) == 1
        assert "GET" in miss.why_not[0]
        assert "POST" in miss.why_not[0]

    def test_what_came_from_the_wire_is_safe_in_them(self, engine: LiveEngine, client: ControlClient) -> None:
        with engine.connect() as sock:
            sock.sendall(b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: a\r\n\r\n")
            receive_response(sock)

        (miss,) = client.verify("/pay").near_misses
        assert "\x1b" not in "".join(miss.why_not)


@pytest.mark.parametrize(
    ("request_line", "content", "code"),
    [
        ("GET /v1/exchanges?after=x", b"", 400),
        ("GET /v1/exchanges?after=-1", b"", 400),
        ("GET /v1/exchanges?limit=0", b"", 400),
        ("GET /v1/exchanges?limit=1001", b"", 400),
        ("GET /v1/exchanges?after=" + "9" * 100, b"", 400),
        ("GET /v1/exchanges?what=1", b"", 400),
        ("GET /v1/exchanges?" + "&" * 5000, b"", 400),
        ("GET /v1/exchanges?target=%ff%00*" + "*a" * 500, b"", 200),
        ("GET /v1/exchanges?after=9000000000000000", b"", 200),
        ("GET /v1/exchanges/1", b"", 404),
        ("GET /v1/exchanges/x", b"", 404),
        ("GET /v1/exchanges/999999999999999999999", b"", 404),
        ("GET /v1/exchanges/1/2", b"", 404),
        ("GET /v1/exchanges/", b"", 404),
        ("POST /v1/wait", b"[]", 400),
        ("POST /v1/wait", b'{"count": 0}', 400),
        ("POST /v1/wait", b'{"after": 18446744073709551615}', 400),
        ("POST /v1/wait", b'{"after": 4611686018427387904, "timeout": 0}', 200),
        ("POST /v1/wait", b'{"count": 9999999999999999999999, "timeout": 0}', 200),
        ("POST /v1/verify", b'{"at_most": 18446744073709551615}', 200),
        ("PUT /v1/accept", b'{"do": "reset", "count": 99999999999999999999}', 400),
        ("PUT /v1/holds", b'{"next": 1e30}', 400),
        ("POST /v1/wait", b'{"state": "soon"}', 400),
        ("POST /v1/wait", b'{"timeout": "soon"}', 400),
        ("POST /v1/wait", b'{"timeout": -1}', 400),
        ("POST /v1/wait", b'{"timeout": 1e999}', 400),
        ("POST /v1/wait", b'{"match": {"path-regex": "("}}', 400),
        ("POST /v1/wait", b'{"match": {"unknown": 1}}', 400),
        ("POST /v1/wait", b'{"match": ""}', 400),
        ("POST /v1/verify", b'{"count": 1, "at_least": 1}', 400),
        ("POST /v1/verify", b'{"count": -1}', 400),
        ("POST /v1/verify", b'{"match": {"json": {"$[": 1}}}', 400),
        ("POST /v1/gates/" + "x" * 201 + "/open", b"", 404),
        ("POST /v1/gates//open", b"", 404),
        ("POST /v1/gates/%00%ff/open", b"", 200),
        ("PUT /v1/accept", b"{}", 400),
        ("PUT /v1/accept", b'{"do": "explode"}', 400),
    ],
)
def test_hostile_questions_get_an_answer(
    engine: LiveEngine, request_line: str, content: bytes, code: int
) -> None:
    status, said = by_socket(engine, request_line, content)

    assert status == code, said
    assert ("error" in said) == (code != 200)
    assert engine.process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a Unix socket that its client has left")
def test_who_leaves_is_not_waited_for(engine: LiveEngine) -> None:
    opened = Path(f"/proc/{engine.listening['pid']}/fd")
    with ControlClient(Path(engine.listening["control"])) as client:
        client.wait("/never", timeout=0)
        before = len(list(opened.iterdir()))
        for request in ("POST /v1/wait", "POST /v1/wait"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(engine.listening["control"])
                sock.sendall(message(request, content=b'{"match": "/never", "timeout": "50m"}'))
        deadline = time.monotonic() + 60
        while len(list(opened.iterdir())) > before:
            assert time.monotonic() < deadline
            client.wait("/never", timeout=0.05)


def test_who_says_no_more_but_stays_gets_an_answer(engine: LiveEngine) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(engine.listening["control"])
        sock.sendall(message("POST /v1/wait", content=b'{"match": "/never", "timeout": "0.3s"}'))
        sock.shutdown(socket.SHUT_WR)
        assert b'"ok":false' in receive_response(sock)


def test_rules_are_put_although_nobody_stays_to_hear_of_it(engine: LiveEngine, client: ControlClient) -> None:
    rules = "\n".join(f'[[rule]]\nmatch = "/{number}"\nrespond = "200 OK"' for number in range(500))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(engine.listening["control"])
        sock.sendall(message("PUT /v1/rules", content=json.dumps({"toml": rules}).encode()))
    deadline = time.monotonic() + 60
    while client.status().rules != 500:
        assert time.monotonic() < deadline
        client.wait("/never", timeout=0.05)


def test_a_target_of_the_same_letters_is_not_taken_for_another(
    engine: LiveEngine, client: ControlClient
) -> None:
    for target in ("/a", "/\\xff", "/b", "/a"):
        ask(engine, f"GET {target}", "X-A: 1" if target == "/b" else "X-A: 2")
    with engine.connect() as sock:
        sock.sendall(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n")
        receive_response(sock)
    ask(engine, "GET /b", "X-A: 2")
    found = client.verify({"path": "/b", "header": {"X-A": "2"}}, count=1)
    assert (found.ok, [each.id for each in found.exchanges]) == (True, [6])
    regex = client.verify({"path-regex": "/[^a-z\\\\]"}, count=1)
    assert (regex.ok, [each.id for each in regex.exchanges]) == (True, [5])
