"""A server for a test: what it is told to say is what leaves, byte by byte, and what came is there to look at."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from inspectd.testing import Inspectd, Unexpected, answer
from tests.testing.asking import DEADLINE, ask, meanwhile, rest, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[Inspectd]:
    with Inspectd() as server:
        yield server


# -- saying


def test_raw_bytes_are_sent_as_they_are(server: Inspectd) -> None:
    server.on("/x").raw(b"HTTP/1.1 200\n\xff: \x00\r\n folded\n\nhi")

    assert ask(server, "GET /x HTTP/1.1") == b"HTTP/1.1 200\n\xff: \x00\r\n folded\n\nhi"


def test_answers_come_one_after_the_other_and_the_last_one_stays(server: Inspectd) -> None:
    rule = server.on("POST /pay").reply("503 Busy", "503 Busy", answer("200 OK", json={"ok": True}))

    got = [ask(server, "POST /pay HTTP/1.1").split(b"\r\n")[0] for _ in range(4)]

    assert got == [b"HTTP/1.1 503 Busy", b"HTTP/1.1 503 Busy", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK"]
    assert rule.calls == 4


def test_then_says_what_follows_the_last_one(server: Inspectd) -> None:
    server.on("/once").reply("201 Made", then="410 Gone")
    server.on("/twice").reply("202 Yes").times(2)
    server.on("/twice").reply("204 No Content")

    assert [ask(server, "GET /once HTTP/1.1")[9:12] for _ in range(3)] == [b"201", b"410", b"410"]
    assert [ask(server, "GET /twice HTTP/1.1")[9:12] for _ in range(3)] == [b"202", b"202", b"204"]


def test_fields_keep_order_case_and_duplicates_however_they_are_given(server: Inspectd) -> None:
    lines = [b"HTTP/1.1 200 OK", b"x-a: 1", b"X-A: 2", b"\xfe: \xff", b"N: v", b"Content-Length: 0"]
    server.on("/x").reply("200 OK", headers=["x-a: 1", "X-A: 2", b"\xfe: \xff", ("N", "v")]).auto(
        "content-length"
    )
    server.on("/y").reply(headers={"A": "1", "B": "2"}, auto=[], close=True)

    assert ask(server, "GET /x HTTP/1.1") == b"\r\n".join(lines) + b"\r\n\r\n"
    assert ask(server, "GET /y HTTP/1.1") == b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n"


def test_json_text_and_bytes_have_the_type_they_are(server: Inspectd) -> None:
    server.on("/json").json({"a": "ü"}, "201 Made")
    server.on("/text").reply("200 OK", body="ü")
    server.on("/bytes").reply("200 OK", body=b"\x00\xff")

    assert ask(server, "GET /json HTTP/1.1").startswith(
        b"HTTP/1.1 201 Made\r\nContent-Type: application/json\r\n"
    )
    assert ask(server, "GET /json HTTP/1.1").endswith('\r\n\r\n{"a":"ü"}'.encode())
    assert b"Content-Type: text/plain; charset=utf-8\r\n" in ask(server, "GET /text HTTP/1.1")
    untyped = ask(server, "GET /bytes HTTP/1.1")
    assert untyped.endswith(b"\r\n\r\n\x00\xff")
    assert b"Content-Type" not in untyped


def test_the_first_rule_that_matches_answers_with_all_kinds_of_conditions(server: Inspectd) -> None:
    server.on("POST /a", header={"X-A": "1*"}, json={"$.id": 7}).reply("201")
    server.on("POST /a", where=lambda request: request.text == "yes").reply("202")
    server.on("POST|PUT /a").reply("203")

    def status(head: str, content: bytes = b"") -> bytes:
        length = f"\nContent-Length: {len(content)}\n\n".encode().replace(b"\n", b"\r\n")
        return ask(server, head.encode().replace(b"\n", b"\r\n") + length + content)[9:12]

    assert status("POST /a HTTP/1.1\nX-A: 12", b'{"id": 7}') == b"201"
    assert status("POST /a HTTP/1.1", b"yes") == b"202"
    assert status("PUT /a HTTP/1.1", b"no") == b"203"


def test_a_verb_changes_a_rule_that_answers_already(server: Inspectd) -> None:
    rule = server.on("/x").reply("200 OK", body="first")
    assert ask(server, "GET /x HTTP/1.1").endswith(b"first")

    rule.json({"second": 2})
    assert ask(server, "GET /x HTTP/1.1").endswith(b'{"second":2}')
    assert rule.calls == 2


# -- going wrong


def test_a_reset_is_a_reset_and_half_of_the_body_arrives_before_it(server: Inspectd) -> None:
    rule = server.on("GET /big").reply("200 OK", body=b"x" * 1000).reset(at="body+50%")

    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        until(client, b"\r\n\r\n" + b"x" * 500)
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    connection = rule.connections[0].wait_closed()
    assert (connection.closed_by, connection.how) == ("server", "rst")
    assert connection.sent.endswith(b"\r\n\r\n" + b"x" * 500)
    assert rule.evidence[0].sent == len(connection.sent)


def test_faults_of_one_answer_of_several_are_its_own(server: Inspectd) -> None:
    server.on("/x").reply(
        answer().close(at="start"), answer("200 OK", body="ab").truncate(at="body+1"), "204 Done"
    )

    assert ask(server, "GET /x HTTP/1.1") == b""
    assert ask(server, "GET /x HTTP/1.1").endswith(b"\r\n\r\na")
    assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Done\r\n")


def test_pace_takes_its_time(server: Inspectd) -> None:
    server.on("/slow").reply("200 OK", body="hello").pace(before="100ms", body="1B/20ms")

    began = time.monotonic()
    assert ask(server, "GET /slow HTTP/1.1").endswith(b"hello")
    assert time.monotonic() - began >= 0.1 + 4 * 0.02


def test_a_stall_sends_nothing_more_and_ends_with_the_server(server: Inspectd) -> None:
    server.on("/hang").reply("200 OK", body="hello").stall(at="head")

    with socket.create_connection(server.address, 0.2) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\n\r\n")
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_garbage_stands_where_it_was_put(server: Inspectd) -> None:
    server.on("/x").raw(b"HTTP/1.1 200 OK\r\n\r\nbody").garbage(at="head", data=b"\x00\xff\n")

    assert ask(server, "GET /x HTTP/1.1") == b"HTTP/1.1 200 OK\r\n\r\n\x00\xff\nbody"


# -- functions


def test_a_function_answers_with_what_it_returns(server: Inspectd) -> None:
    server.on("/call/{name}").call(
        lambda request: ("200 OK", f"{request.captured['name']} {request.header('x-a')}")
    )
    server.on("/status").call(lambda _: "299 Odd")
    server.on("/three").call(lambda _: ("200 OK", ["X-B: 2"], b"ab"))
    server.on("/raw").call(lambda _: b"HTTP/1.1 200\n\n")
    server.on("/json").call(lambda request: {"n": request.number})
    server.on("/none").call(lambda _: None)
    server.on("/answer").call(lambda _: answer("200 OK", body="abcd").close(at="body+1"))

    async def later(_: object) -> str:
        await asyncio.sleep(0)
        return "202 Later"

    server.on("/later").call(later)

    assert ask(server, "GET /call/me HTTP/1.1\nX-A: 7").endswith(b"\r\n\r\nme 7")
    assert ask(server, "GET /status HTTP/1.1").startswith(b"HTTP/1.1 299 Odd\r\n")
    three = ask(server, "GET /three HTTP/1.1")
    assert b"\r\nX-B: 2\r\n" in three
    assert three.endswith(b"\r\n\r\nab")
    assert ask(server, "GET /raw HTTP/1.1") == b"HTTP/1.1 200\n\n"
    assert ask(server, "GET /json HTTP/1.1").endswith(b'{"n":1}')
    assert ask(server, "GET /none HTTP/1.1").startswith(b"HTTP/1.1 200 OK\r\n")
    assert ask(server, "GET /answer HTTP/1.1").endswith(b"\r\n\r\na")
    assert ask(server, "GET /later HTTP/1.1").startswith(b"HTTP/1.1 202 Later\r\n")


@pytest.mark.parametrize(
    "failing", [ZeroDivisionError("no"), pytest.fail.Exception("checked"), StopIteration("s")]
)
def test_a_function_that_raises_fails_the_check_and_the_server_goes_on(failing: BaseException) -> None:
    def fail(_: object) -> str:
        raise failing

    with Inspectd() as server:
        server.on("/x").call(fail)
        server.on("/y").reply("204 Fine")

        said = ask(server, "GET /x HTTP/1.1")
        assert said.startswith(b"HTTP/1.1 500 ")
        assert str(failing).encode() in said
        with pytest.raises(Unexpected, match="GET /x") as caught:
            server.check()
        assert caught.value.__cause__ is not None
        assert ask(server, "GET /y HTTP/1.1").startswith(b"HTTP/1.1 204 Fine\r\n")


def test_what_a_function_returns_must_be_an_answer() -> None:
    with Inspectd() as server:
        server.on("/x").call(lambda _: 3.5)

        assert b"float" in ask(server, "GET /x HTTP/1.1")
        with pytest.raises(Unexpected, match="float"):
            server.check()


def test_functions_of_many_requests_run_at_the_same_time(server: Inspectd) -> None:
    from threading import Barrier

    together = Barrier(3)
    server.on("/x").call(lambda _: (together.wait(DEADLINE), "204 Together")[1])

    with meanwhile(lambda: ask(server, "GET /x HTTP/1.1")), meanwhile(lambda: ask(server, "GET /x HTTP/1.1")):
        assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Together\r\n")


# -- looking


def test_a_request_is_its_bytes_and_its_words(server: Inspectd) -> None:
    head = b"POST /a%20b?x=1&x=2&y HTTP/1.1\r\nx-A:  1\r\nX-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent = head + b"3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    rule = server.on("POST *")
    ask(server, sent)

    (request,) = rule.requests
    assert (request.head, request.content, request.raw) == (head, b"abcde", sent)
    assert (request.method, request.target, request.version) == ("POST", "/a%20b?x=1&x=2&y", "HTTP/1.1")
    assert (request.path, request.query) == ("/a%20b", {"x": ["1", "2"], "y": [""]})
    assert request.lines == [b"x-A:  1", b"X-a: 2", b"Transfer-Encoding: chunked"]
    assert request.fields[:2] == [("x-A", "1"), ("X-a", "2")]
    assert (request.header("X-A"), request.headers("x-a"), request.header("none")) == ("1", ["1", "2"], None)
    assert (request.number, request.complete, request.text) == (1, True, "abcde")
    assert request.answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert repr(request) == f"<request {request.connection}.1 POST /a%20b?x=1&x=2&y>"


def test_a_large_content_is_there_whole(server: Inspectd) -> None:
    content = bytes(range(256)) * 16384
    rule = server.on("PUT /big")
    ask(server, b"PUT /big HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    assert rule.requests[0].content == content


def test_json_and_forms_are_read(server: Inspectd) -> None:
    rule = server.on("POST /x")
    ask(server, b'POST /x HTTP/1.1\r\nContent-Length: 8\r\n\r\n{"a": 1}')
    ask(server, b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\na=1&b=%20")

    assert rule.requests[0].json() == {"a": 1}
    assert rule.requests[1].form() == {"a": ["1"], "b": [" "]}
    with pytest.raises(ValueError, match="Expecting"):
        rule.requests[1].json()


def test_connections_are_seen_with_and_without_requests(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    with socket.create_connection(server.address, DEADLINE) as client:
        for _ in range(2):
            client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            until(client, b"\r\n\r\n")
    socket.create_connection(server.address, DEADLINE).close()

    first = server.connections[0].wait_closed()
    assert [request.number for request in first.requests] == [1, 2]
    assert (first.closed_by, first.how, first.received) == ("client", "fin", b"GET /x HTTP/1.1\r\n\r\n" * 2)
    server.wait(lambda: len(server.connections) == 2, DEADLINE, "a second connection", "")
    assert server.connections[1].wait_closed().requests == []


def test_gaps_say_how_long_a_client_waited(server: Inspectd) -> None:
    rule = server.on("/x").reply("503 Busy", "204 Done")
    ask(server, "GET /x HTTP/1.1")
    time.sleep(0.05)
    ask(server, "GET /x HTTP/1.1")

    (gap,) = rule.gaps
    assert gap >= 0.05
    assert server.gaps == [gap]


def test_evidence_tells_a_retry_and_who_gave_up(server: Inspectd) -> None:
    rule = server.on("/x").reply("503 Busy", "204 Done")
    with socket.create_connection(server.address, DEADLINE) as client:
        for _ in range(2):
            client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            until(client, b"\r\n\r\n")
    server.connections[0].wait_closed()

    first, second = rule.evidence
    assert (first.attempt, first.reused, first.rule) == (1, False, rule.id)
    assert (second.attempt, second.reused) == (2, True)
    assert first.planned == first.sent == len(rule.requests[0].answer)
    assert second.gap is not None
    assert (second.ended_by, second.how) == ("client", "fin")


# -- waiting


def test_waiting_ends_with_what_is_waited_for(server: Inspectd) -> None:
    server.on("POST /pay").reply("204 Done")

    with meanwhile(lambda: [ask(server, "POST /pay HTTP/1.1") for _ in range(3)]):
        assert len(server.wait_for(3, "POST /pay", timeout=DEADLINE)) == 3
    assert [request.method for request in server.seen("POST /pay")] == ["POST"] * 3


def test_waiting_in_vain_says_for_what_and_what_came(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    ask(server, "GET /x HTTP/1.1")

    with pytest.raises(AssertionError, match="2 times: request for 'GET /x'; 1 came"):
        server.wait_for(2, "GET /x", timeout=0.05)


async def test_waiting_never_blocks_the_loop_of_the_client_it_waits_for() -> None:
    async with Inspectd() as server:
        rule = server.on("/x").reply("204 Done")
        with pytest.raises(InspectdError, match="await_for"):
            server.wait_for(1)

        async def client() -> bytes:
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
            data = await reader.read()
            writer.close()
            return data

        asked = asyncio.create_task(client())
        await server.await_for(1, timeout=DEADLINE)
        assert rule.calls == 1
        assert (await asked).startswith(b"HTTP/1.1 204 Done\r\n")


# -- gates


def test_a_gate_holds_until_the_test_decides(server: Inspectd) -> None:
    gate = server.on("PUT /*").reply("201 Made").hold(timeout=DEADLINE)
    got: list[bytes] = []

    decisions: list[tuple[Callable[[], object], bytes]] = [
        (gate.release, b"HTTP/1.1 201 Made\r\n"),
        (lambda: gate.release("503 Busy", body="no"), b"HTTP/1.1 503 Busy\r\n"),
        (lambda: gate.release(raw=b"odd\xff"), b"odd\xff"),
        (gate.drop, b""),
    ]
    for decide, expected in decisions:
        with meanwhile(lambda: got.append(ask(server, "PUT /a HTTP/1.1\nX: 1"))):
            assert gate.wait_held(timeout=DEADLINE).header("X") == "1"
            assert (gate.held, gate.request.path) == (1, "/a")
            decide()
        assert got[-1].startswith(expected)
        assert gate.held == 0


def test_a_gate_can_reset(server: Inspectd) -> None:
    gate = server.on("/x").hold()

    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        gate.wait_held(timeout=DEADLINE)
        gate.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_release_waits_for_a_request_and_an_open_gate_holds_nothing(server: Inspectd) -> None:
    gate = server.on("/x").reply("204 Done").hold()

    with meanwhile(lambda: ask(server, "GET /x HTTP/1.1")):
        gate.release(timeout=DEADLINE)
    gate.open()
    assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Done\r\n")
    with pytest.raises(AssertionError, match="no request waits"):
        _ = gate.request


def test_a_client_that_gives_up_at_a_gate_is_seen(server: Inspectd) -> None:
    gate = server.on("/x").hold()

    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        gate.wait_held(timeout=DEADLINE)
        assert not gate.client_gone
        client.shutdown(socket.SHUT_WR)
        server.wait(lambda: gate.client_gone, DEADLINE, "the client gone", "")


# -- files


def test_rules_of_a_test_become_a_file_and_the_other_way_round(tmp_path: Path) -> None:
    with Inspectd() as server:
        server.on("POST /a", header={"X": "1"}).reply("503 Busy", answer("200 OK", json={"b": [1]})).pace(
            before="1ms"
        )
        server.on("/raw").raw(b"\x00\xff\r\n").reset(at="byte 2")
        server.on("/bytes").reply(body=b"\xff", headers=[b"\xfe: 1"])
        text = server.to_toml()
    (tmp_path / "rules.toml").write_text(text, encoding="utf-8")

    with Inspectd(base=tmp_path) as server:
        server.load("rules.toml")
        assert server.to_toml() == text
        assert ask(server, "POST /a HTTP/1.1\nX: 1").startswith(b"HTTP/1.1 503 Busy\r\n")
        assert ask(server, "POST /a HTTP/1.1\nX: 1").endswith(b'{"b":[1]}')
        assert server.requests[0].rule == "rules.toml:1"


def test_what_only_python_can_do_is_not_written_to_a_file(server: Inspectd) -> None:
    server.on("/x").call(lambda _: "200")

    with pytest.raises(InspectdError, match="calls a Python function"):
        server.to_toml()


def test_files_are_found_beside_the_base(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>hi", encoding="utf-8")

    with Inspectd(base=tmp_path) as server:
        server.on("/page").reply(body_file="page.html")
        assert ask(server, "GET /page HTTP/1.1").endswith(b"\r\n\r\n<p>hi")


# -- mistakes


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda server: server.on("GET"), "no path"),
        (lambda server: server.on("/x").fault("rst"), "reset"),
        (lambda server: server.on("/x").reply("200 OK", hedaers=["A: 1"]), "headers"),
        (lambda server: server.on("/x").reset(at="boody"), "boody"),
        (lambda server: server.on("/x").reply("nonsense"), "nonsense"),
        (lambda server: server.on("/x").reply(headers="A: 1"), "list"),
        (lambda server: server.on("/x").reply("200", "201", body="x"), "one body"),
        (lambda server: server.on("/x?a=1", header={"A": "1"}), "query"),
        (lambda server: server.on("/x").pace(body="fast"), "fast"),
        (lambda server: server.on("/x").reply(body_file="/nowhere/at/all"), "nowhere"),
    ],
)
def test_a_mistake_is_an_error_at_its_line_and_changes_nothing(
    server: Inspectd, make: object, said: str
) -> None:
    server.on("/y").reply("204 Fine")

    with pytest.raises(InspectdError, match=said):
        make(server)  # type: ignore[operator]
    assert ask(server, "GET /y HTTP/1.1").startswith(b"HTTP/1.1 204 Fine\r\n")


def test_a_request_that_no_rule_is_for_fails_the_block_and_the_client_hears_why() -> None:
    server = Inspectd().__enter__()
    server.on("GET /pay").reply("204 Done")
    said = ask(server, "GET /pya HTTP/1.1")

    assert said.startswith(b"HTTP/1.1 404 No Rule Matches\r\n")
    assert b"'/pya' is not '/pay'" in said
    with pytest.raises(Unexpected, match=r"(?s)no rule matches GET /pya.*GET /pay.*is not '/pay'"):
        server.__exit__(None, None, None)


def test_it_can_be_allowed_and_is_told_once() -> None:
    with Inspectd() as server:
        ask(server, "GET /x HTTP/1.1")
        with pytest.raises(Unexpected):
            server.check()
        server.check()
        server.allow_unmatched()
        ask(server, "GET /y HTTP/1.1")
        assert [request.path for request in server.unmatched] == ["/x", "/y"]


def test_rules_that_nothing_came_to_are_named_with_what_came_instead(server: Inspectd) -> None:
    server.on("GET /used").reply("204 Done")
    server.on("POST /idle").reply("204 Done")
    ask(server, "GET /used HTTP/1.1")

    with pytest.raises(
        AssertionError, match=r"(?s)nothing came to 'POST /idle'.*GET /used: the method is GET, not POST"
    ):
        server.assert_all_called()
    ask(server, "POST /idle HTTP/1.1")
    server.assert_all_called()


def test_calls_can_be_asserted(server: Inspectd) -> None:
    rule = server.on("/x").reply("204 Done")

    with pytest.raises(AssertionError, match="nothing came"):
        rule.assert_called()
    ask(server, "GET /x HTTP/1.1")
    rule.assert_called()
    with pytest.raises(AssertionError, match="1 requests, not 2"):
        rule.assert_called(times=2)


def test_an_exception_in_the_block_carries_the_traffic() -> None:
    server = Inspectd().__enter__()
    server.on("/x").reply("204 Done")
    ask(server, "GET /x HTTP/1.1\nX: \x1b[31m")
    error = ValueError("mine")
    server.__exit__(ValueError, error, None)

    (note,) = error.__notes__
    assert "GET /x HTTP/1.1" in note
    assert "HTTP/1.1 204 Done" in note
    assert "\x1b" not in note


# -- life


def test_a_named_capture_stays(tmp_path: Path) -> None:
    with Inspectd(capture=tmp_path / "kept.inspectd") as server:
        server.on("/x").reply("204 Done")
        ask(server, "GET /x HTTP/1.1")
        with Capture.open(server.capture) as capture:
            assert [row.target for row in capture.exchanges_after(0, 10)] == ["/x"]

    assert server.capture == tmp_path / "kept.inspectd"
    with Capture.open(server.capture) as capture:
        assert [row.target for row in capture.exchanges_after(0, 10)] == ["/x"]


def test_without_a_name_nothing_stays() -> None:
    with Inspectd() as server:
        capture = server.capture
        assert capture.exists()

    assert not capture.parent.exists()


def test_many_servers_share_one_thread_which_ends_with_the_last() -> None:
    import threading

    def threads() -> int:
        return sum(thread.name == "inspectd" for thread in threading.enumerate())

    before = threads()
    with Inspectd() as one:
        with Inspectd() as two:
            assert one.port != two.port
            assert threads() == max(before, 1)
        one.on("/x")
        assert ask(one, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 200 OK\r\n")
    assert threads() == before


def test_clearing_forgets_rules_and_requests_and_keeps_the_port(server: Inspectd) -> None:
    port = server.port
    server.on("/x").reply("204 Done")
    ask(server, "GET /x HTTP/1.1")

    server.clear()
    assert (server.port, server.requests) == (port, [])
    server.on("/x").reply("205 Again")
    assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 205 Again\r\n")


def test_it_listens_where_it_is_told() -> None:
    with Inspectd(listen="[::1]:0") as server:
        assert server.host == "::1"
        assert server.url("/x") == f"http://[::1]:{server.port}/x"
        server.on("/x")
        assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(InspectdError, match="--listen"):
        Inspectd(listen="nonsense").start()


def test_a_client_that_is_still_connected_does_not_delay_the_end() -> None:
    with Inspectd() as server:
        client = socket.create_connection(server.address, DEADLINE)
        client.sendall(b"GET / HT")
        server.wait(lambda: bool(server.connections), DEADLINE, "a connection", "")

    assert rest(client) == b""
    client.close()


# -- accepting


def test_connections_are_reset_at_the_door_as_often_as_asked(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    server.accept.reset(count=1)

    with pytest.raises(ConnectionResetError):
        ask(server, "GET /x HTTP/1.1")
    assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Done\r\n")


def test_a_server_that_is_down_refuses_and_comes_back_on_its_port(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    server.accept.refuse()

    with pytest.raises(ConnectionRefusedError):
        ask(server, "GET /x HTTP/1.1")
    server.accept.normal()
    assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Done\r\n")


def test_a_server_that_accepts_nobody_leaves_clients_waiting(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    server.accept.wait()

    with socket.create_connection(server.address, 0.2) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(DEADLINE)
        server.accept.normal()
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 204 Done\r\n")


def test_trouble_at_the_door_of_a_file_is_understood(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(
        '[accept]\ndo = "close"\ncount = 1\n\n[[rule]]\nrespond = "204 Done"\n'
    )

    with Inspectd(base=tmp_path) as server:
        server.load("rules.toml")
        assert ask(server, "GET /x HTTP/1.1") == b""
        assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Done\r\n")


def test_a_gap_after_a_stall_begins_when_the_client_gave_up(server: Inspectd) -> None:
    rule = server.on("/x").reply(answer().stall(), "204 Done")
    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        server.wait_for(1, timeout=DEADLINE)
        time.sleep(0.2)
    server.connections[0].wait_closed()
    gave_up = time.time()
    ask(server, "GET /x HTTP/1.1")

    (gap,) = rule.gaps
    assert 0 <= gap <= rule.requests[1].at - gave_up + 0.2


# -- whom, and when


def test_functions_and_raw_bytes_can_answer_a_number_of_times(server: Inspectd) -> None:
    called = server.on("/x").call(lambda request: f"20{request.number} Called").times(2)
    server.on("/x").raw(b"HTTP/1.1 202 Raw\r\n\r\n").times(1).close()
    server.on("/x").reply("203 Last", headers=["X-A: 1"])

    got = [ask(server, "GET /x HTTP/1.1").split(b"\r\n")[0][9:] for _ in range(4)]
    assert got == [b"201 Called", b"201 Called", b"202 Raw", b"203 Last"]
    assert called.calls == 2
    with pytest.raises(InspectdError, match="at least"):
        called.times(0)


def test_a_function_can_be_held_and_paced_as_well(server: Inspectd) -> None:
    gate = server.on("/x").call(lambda _: ("200 OK", "ab")).pace(body="1B/20ms").hold()

    with meanwhile(lambda: ask(server, "GET /x HTTP/1.1")):
        gate.wait_held(timeout=DEADLINE)
        began = time.monotonic()
        gate.release()
    assert time.monotonic() - began >= 0.02
    assert server.requests[0].answer.endswith(b"\r\n\r\nab")


def test_each_connection_can_have_a_place_of_its_own(server: Inspectd) -> None:
    server.on("/x").reply("503 Busy", "204 Done").per("connection")

    with socket.create_connection(server.address, DEADLINE) as client:
        for expected in (b"503", b"204"):
            client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            assert until(client, b"\r\n\r\n")[9:12] == expected
    assert ask(server, "GET /x HTTP/1.1")[9:12] == b"503"


def test_chance_is_the_same_in_every_run() -> None:
    def statuses() -> list[bytes]:
        with Inspectd() as server:
            server.on("/x").reply(answer("200 OK", weight=3), "503 Busy").weighted(seed=7)
            return [ask(server, "GET /x HTTP/1.1")[9:12] for _ in range(12)]

    first = statuses()
    assert set(first) == {b"200", b"503"}
    assert statuses() == first


def test_an_early_answer_comes_before_the_content(server: Inspectd) -> None:
    rule = server.on("PUT /x").reply("413 Too Much", close=True).when("head").invite(False)

    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(b"PUT /x HTTP/1.1\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 413 Too Much\r\n")
    assert not rule.requests[0].complete


def test_names_stand_for_rules_and_two_of_one_line_are_told_apart(server: Inspectd) -> None:
    rules = [server.on(f"/{number}") for number in range(2)]
    named = server.on("/named").reply("204 Done").named("the last one")

    assert rules[1].id == f"{rules[0].id}#2"
    ask(server, "GET /1 HTTP/1.1")
    ask(server, "GET /named HTTP/1.1")
    assert [request.rule for request in server.requests] == [rules[1].id, "the last one"]
    assert (rules[0].calls, rules[1].calls, named.calls) == (0, 1, 1)
