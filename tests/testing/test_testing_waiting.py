"""Waiting for clients, holding them at a gate, and trouble at the door."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from inspectd.errors import InspectdError
from inspectd.testing import Inspectd
from tests.testing.asking import DEADLINE, ask, meanwhile, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# -- waiting


def test_waiting_ends_with_what_is_waited_for(server: Inspectd) -> None:
    server.on("POST /pay").reply("204 Done")

    with meanwhile(lambda: [ask(server, "POST /pay HTTP/1.1") for _ in range(3)]):
        assert len(server.wait_for(3, "POST /pay", timeout=DEADLINE)) == 3
    assert [request.method for request in server.seen("POST /pay")] == ["POST"] * 3


def test_waiting_in_vain_says_for_what_and_what_came(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    ask(server, "GET /x HTTP/1.1")

    with pytest.raises(AssertionError, match=r"^1 of 2 requests for 'GET /x' came within 0.05 s$"):
        server.wait_for(2, "GET /x", timeout=0.05)
    with pytest.raises(AssertionError, match=r"^no request for '/y' came within 0.05 s\n.*'/x' is not '/y'$"):
        server.wait_for(1, "/y", timeout=0.05)
    rule = server.on("/z")
    with pytest.raises(
        AssertionError, match=r"^none of 2 requests to the rule '/z' \(.*\) came within 0.05 s\n"
    ):
        rule.wait(2, timeout=0.05)
    with pytest.raises(
        AssertionError, match=r"^no request waits at the gate of the rule '/z' .* after 0.05 s$"
    ):
        rule.hold().wait_held(timeout=0.05)


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
