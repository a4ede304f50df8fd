"""A test's server complains of what nobody provided for, goes to a file and back, and leaves nothing behind."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from inspectd.testing import Inspectd, Unexpected, answer
from tests.testing.asking import DEADLINE, ask, rest

if TYPE_CHECKING:
    from pathlib import Path

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
