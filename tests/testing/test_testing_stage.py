"""One stage, many tests: each begins with nothing of the one before, at once, and whoever is late finds nobody."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from inspectd.errors import InspectdError
from inspectd.testing import Inspectd
from inspectd.testing.stage import Stage
from inspectd.testing.unmatched import NoRule
from tests.testing.asking import DEADLINE, ask, rest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(NoRule())
    yield stage
    stage.close()


def test_each_server_on_it_sees_its_own_requests_and_connections(stage: Stage) -> None:
    ports = set()
    for number in range(20):
        server = Inspectd(stage=stage)
        rule = server.on("/x").reply("200 OK", body=str(number))
        assert ask(server, "GET /x HTTP/1.1").endswith(f"\r\n\r\n{number}".encode())

        assert (rule.calls, len(server.requests), len(server.connections)) == (1, 1, 1)
        assert server.requests[0].answer.endswith(str(number).encode())
        ports.add(server.port)
        stage.renew(NoRule())
    assert len(ports) == 20


def test_a_client_may_come_before_the_end_of_what_was_before(stage: Stage) -> None:
    before = Inspectd(stage=stage)
    with socket.create_connection(before.address, DEADLINE) as late:
        late.sendall(b"GET /late HT")
        stage.renew(NoRule())

        server = Inspectd(stage=stage)
        with socket.create_connection(server.address, DEADLINE) as early:
            early.sendall(b"GET /early HTTP/1.1\r\nConnection: close\r\n\r\n")
            server.on("/early").reply("204 Done")
            server.on("/late")
            assert b" 204 Done\r\n" in rest(early) or server.unmatched  # it may come before its rule is made
        assert [request.path for request in server.requests] == ["/early"]
        assert len(server.connections) == 1


def test_clients_that_never_stop_reach_their_own_server_only(stage: Stage) -> None:
    """Each goes on asking at the address of its test while further tests run."""
    over = Event()
    threads = []

    def hammer(address: tuple[str, int], number: int) -> None:
        while not over.is_set():
            try:
                client = socket.create_connection(address, DEADLINE)
            except OSError:
                return  # nobody listens there any more
            with client, suppress(OSError):
                answered = True
                while answered and not over.is_set():
                    client.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
                    answered = bool(client.recv(65536))

    try:
        for number in range(10):
            server = Inspectd(stage=stage)
            server.on(f"/{number}").reply("204 Done")
            thread = Thread(target=hammer, args=(server.address, number))
            thread.start()
            threads.append(thread)
            server.wait_for(3, timeout=DEADLINE)

            assert {request.path for request in server.requests} == {f"/{number}"}
            assert server.problem() is None
            assert all(each.received.startswith(b"GET /%d " % number) for each in server.connections[:3])
            stage.renew(NoRule())
    finally:
        stage.ready()
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert not any(thread.is_alive() for thread in threads)


def test_a_fixed_port_stays(stage: Stage) -> None:
    port = stage.address[1]
    stage.renew(NoRule())
    stage.ready()
    assert stage.address[1] != port

    fixed = Stage(NoRule(), listen=f"127.0.0.1:{port}")
    try:
        for _ in range(3):
            server = Inspectd(stage=fixed)
            server.on("/x").reply("204 Done")
            assert server.port == port
            assert ask(server, "GET /x HTTP/1.1").startswith(b"HTTP/1.1 204 Done\r\n")
            fixed.renew(NoRule())
    finally:
        fixed.close()


def test_the_capture_goes_with_the_stage(tmp_path: Path) -> None:
    stage = Stage(NoRule())
    place = stage.capture.parent
    stage.renew(NoRule())
    stage.close()

    assert not place.exists()
    with pytest.raises(InspectdError, match="--listen"):
        Stage(NoRule(), listen=f"{tmp_path}")


# -- rules that were compiled before


def test_the_same_rule_again_has_calls_of_its_own(stage: Stage) -> None:
    for number in range(3):
        server = Inspectd(stage=stage)
        made = server.on("/x").reply("200 OK", json={"a": [1, None]}, headers=["X-A: 1"])
        if number == 1:
            made.close()
        for _ in range(number + 1):
            assert ask(server, "GET /x HTTP/1.1").endswith(b'{"a":[1,null]}')
        assert made.calls == number + 1
        assert made.compiled.calls == number + 1
        stage.renew(NoRule())


def test_what_only_looks_the_same_is_compiled_anew(stage: Stage, tmp_path: Path) -> None:
    said = {}
    values = (None, 1, 1.0, True, "1", [1], {"1": 1})
    for value in values:
        server = Inspectd(stage=stage, base=tmp_path)
        server.on("/x").json(value)
        said[repr(value)] = ask(server, "GET /x HTTP/1.1").rpartition(b"\r\n\r\n")[2]
        stage.renew(NoRule())
    assert said == {repr(value): json.dumps(value, separators=(",", ":")).encode() for value in values}
    server = Inspectd(stage=stage)
    with pytest.raises(InspectdError, match="NaN"):
        server.on("/x").json(float("nan"))


def test_a_file_is_looked_at_each_time(stage: Stage, tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_text("here")
    for exists in (True, False):
        server = Inspectd(stage=stage, base=tmp_path)
        if exists:
            server.on("/x").reply(body_file="page.txt")
            assert ask(server, "GET /x HTTP/1.1").endswith(b"here")
            page.unlink()
        else:
            with pytest.raises(InspectdError, match=r"page\.txt"):
                server.on("/x").reply(body_file="page.txt")
        stage.renew(NoRule())
