"""A server for a test: what it is told to say is what leaves, byte by byte."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from inspectd.errors import InspectdError
from inspectd.testing import Inspectd, Unexpected, answer
from tests.testing.asking import DEADLINE, ask, meanwhile, until

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
