"""Opening listeners: the ways to write an address, and what a person is told when one can't be had."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.store import CaptureError
from inspectd.engine.listener import Address, ListenError, open_all, parse, reach

if TYPE_CHECKING:
    from pathlib import Path

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1:8080", "127.0.0.1", 8080)),
        ("[::1]:0", Address("[::1]:0", "::1", 0)),
        ("localhost:80", Address("localhost:80", "localhost", 80)),
        ("9000", Address("9000", "127.0.0.1", 9000)),
        (":9000", Address(":9000", "0.0.0.0", 9000)),
        ("https://[::1]:8443", Address("https://[::1]:8443", "::1", 8443, tls=True)),
        ("https://lab.test:1/", Address("https://lab.test:1/", "lab.test", 1, tls=True)),
    ],
)
def test_addresses_are_understood_as_people_write_them(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "::1:80",
        "a:b",
        "127.0.0.1:70000",
        "127.0.0.1:-1",
        "unix:",
        "http://127.0.0.1:80",
        "https://",
        "https://localhost",
        "https://localhost:1/path",
        "https://unix:/x",
        "unix:~no.such.user/x",
        "x:٣",
    ],
)
def test_what_is_no_address_is_a_usage_error_that_says_how(text: str) -> None:
    with pytest.raises(ListenError) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    assert "HOST:PORT" in caught.value.mend


def _open(*asked: str, **options: Any) -> list[Any]:
    return open_all(asked, backlog=5, reuse_port=options.pop("reuse_port", False), **options)


def _close(opened: list[Any]) -> None:
    for listener in opened:
        listener.close()


def test_a_taken_port_is_named_with_a_way_out_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: the port is taken") as caught:
            _open("127.0.0.1:0", f"127.0.0.1:{port}")
        assert "--listen 127.0.0.1:0" in caught.value.mend


def test_an_address_of_another_machine_and_an_unknown_name_are_told_apart() -> None:
    with pytest.raises(ListenError, match="no such address"):
        _open("192.0.2.1:0")
    with pytest.raises(ListenError, match="no such host: no-such-host"):
        _open("no-such-host.invalid:0")


def test_all_addresses_of_a_name_share_a_free_port() -> None:
    opened = _open("localhost:0")
    assert len({listener.sock.getsockname()[1] for listener in opened}) == 1
    _close(opened)


def test_each_step_of_opening_is_noted_in_order() -> None:
    (listener,) = opened = _open("127.0.0.1:0", reuse_port=True)
    assert [call for _, call, _ in listener.steps] == ["socket", "setsockopt", "setsockopt", "bind", "listen"]
    assert sorted(listener.steps) == listener.steps
    assert listener.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert listener.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    _close(opened)


def test_a_wildcard_says_who_can_reach_it_and_loopback_is_silent() -> None:
    opened = _open("0.0.0.0:0", "127.0.0.1:0")
    assert "every machine" in (reach(opened[0]) or "")
    assert reach(opened[1]) is None
    _close(opened)


def test_a_stale_unix_socket_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    opened = _open(f"unix:{path}")
    assert reach(opened[0]) is None
    with pytest.raises(ListenError, match="use"):
        _open(f"unix:{path}")
    _close(opened)
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(ListenError):
        _open(f"unix:{path}")
    assert path.read_text() == "precious"
    with pytest.raises(ListenError, match="No such file") as caught:
        _open(f"unix:{tmp_path}/none/s")
    assert "mkdir" in caught.value.mend


def test_a_unix_socket_that_took_the_place_of_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    opened = _open(f"unix:{path}")
    path.rename(tmp_path / "ours")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        _close(opened)

        assert path.is_socket()


async def test_a_unix_listener_serves_like_any_other(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "u"
    async with run_engine(listen=("127.0.0.1:0", f"unix:{path}")) as running:
        assert running.engine.addresses[1] == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(GET)
            await running.exchange(1)
            assert client.recv(65536).endswith(b"hello")
            assert running.capture.connection(1).local == f"unix:{path}"


async def test_a_failed_start_leaves_neither_listener_nor_capture(run_engine: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError):
            async with run_engine(listen=(f"127.0.0.1:{port}",)):
                pass
    assert not (tmp_path / "test.inspectd").exists()
    (tmp_path / "test.inspectd").write_text("a letter, not a capture")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(CaptureError):
        async with run_engine(listen=(f"127.0.0.1:{port}",)):
            pass
    with socket.create_server(("127.0.0.1", port)):
        pass  # the port is free again
    assert (tmp_path / "test.inspectd").read_text() == "a letter, not a capture"
