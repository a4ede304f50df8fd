"""SOCKS on the proxy's port: what clients ask for, what they are told, and what is read behind it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.engine.config import Forwarding
from inspectd.engine.proxy.routes import Failure
from inspectd.engine.proxy.routes import Origin as Place
from inspectd.engine.proxy.socks import Asked, Refused, Say, Socks
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.tunnels import GET, OK, TlsOrigin, proxying
from tests.engine.tls_client import TlsClient, trusting

if TYPE_CHECKING:
    from tests.engine.proxy.tunnels import RunEngine

GREETING = b"\x05\x02\x00\x02"
NO_PASSWORD = b"\x05\x00"
GRANTED = b"\x05\x00\x00\x01" + bytes(6)
GRANTED_4 = b"\x00\x5a" + bytes(6)


pytestmark = pytest.mark.usefixtures("own_authority")


def asked5(host: str, port: int, command: int = 1) -> bytes:
    """A request of SOCKS 5."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        where = b"\x03" + bytes((len(name),)) + name
    else:
        where = (b"\x01" if address.version == 4 else b"\x04") + address.packed
    return bytes((5, command, 0)) + where + port.to_bytes(2)


def asked4(host: str, port: int, user: bytes = b"me") -> bytes:
    """A request of SOCKS 4, or 4a for a name."""
    try:
        address, name = ipaddress.IPv4Address(host).packed, b""
    except ValueError:
        address, name = b"\0\0\0\x01", host.encode() + b"\0"
    return b"\x04\x01" + port.to_bytes(2) + address + user + b"\0" + name


@pytest.mark.parametrize("version", ["4", "4a", "5", "5 name"])
@pytest.mark.parametrize("split", [True, False])
async def test_requests_behind_socks_are_read(run_engine: RunEngine, version: str, split: bool) -> None:
    origin = Origin()
    async with proxying(run_engine, origin) as running:
        host = "localhost" if version in {"4a", "5 name"} else "127.0.0.1"
        request = (
            GREETING + asked5(host, origin.port) if version[0] == "5" else asked4(host, origin.port)
        ) + GET
        told = NO_PASSWORD + GRANTED if version[0] == "5" else GRANTED_4
        client = await running.connect()
        for start in range(0, len(request), 1 if split else len(request)):
            await client.send(request[start : start + (1 if split else len(request))])
        assert await client.reader.readexactly(len(told)) == told
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()
        row = await running.exchange(1)
        assert running.capture.request_bytes(row) == GET
        inner = running.capture.connection(row.connection)
        assert inner is not None
        assert inner.inside == 1
        outer = await running.closed(1)
        name = {"4": "SOCKS4", "4a": "SOCKS4a"}.get(version, "SOCKS5")
        assert outer.kind == name.lower()
        assert outer.sentence == (
            f"{name} tunnel to {host}:{origin.port}, read as HTTP in clear text in c{inner.id}"
        )
        assert running.capture.stream_bytes(1, OUTGOING) == told
        assert running.capture.stream_bytes(1, INCOMING).startswith(request[: -len(GET)])


async def test_a_name_in_the_hello_is_asked_for_at_the_address(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        client = await running.connect()
        await client.send(GREETING + asked5("127.0.0.1", origin.port))
        await client.reader.readexactly(len(NO_PASSWORD + GRANTED))
        secure = TlsClient(client.reader, client.writer, trusting(), "localhost")
        await secure.shake()
        await secure.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await secure.until(b"ok") == OK
        await secure.close()
        await running.exchange(1)
        upstream = await running.closed(3)
        tls = running.capture.tls(upstream.id)
        assert tls is not None
        assert tls.sni == "localhost"


async def test_bytes_behind_socks_are_carried(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, no_intercept=("*",)) as running:
        client = await running.connect()
        await client.send(GREETING + asked5("127.0.0.1", origin.port) + GET)
        assert await client.reader.readexactly(12) == NO_PASSWORD + GRANTED
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        await accepted.close()
        assert await client.rest() == OK
        await client.close()
        await running.closed(1)
        assert running.engine.exchanges == 0
        assert running.capture.stream_bytes(2, INCOMING) == GET
        assert running.capture.stream_bytes(2, OUTGOING) == OK


@pytest.mark.parametrize("version", [4, 5])
async def test_a_server_that_refuses_is_told_in_the_protocol(run_engine: RunEngine, version: int) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, no_intercept=("*",)) as running:
        port = origin.port
        await origin.stop()
        client = await running.connect()
        if version == 5:
            await client.send(GREETING + asked5("127.0.0.1", port))
            assert await client.rest() == NO_PASSWORD + b"\x05\x05\x00\x01" + bytes(6)
        else:
            await client.send(asked4("127.0.0.1", port))
            assert await client.rest() == b"\x00\x5b" + bytes(6)
        await client.close()
        row = await running.closed(1)
        assert row.sentence is not None
        assert "refused the connection" in row.sentence


async def test_only_a_forward_proxy_speaks_socks(run_engine: RunEngine) -> None:
    async with run_engine(forwarding=Forwarding("127.0.0.1", 9)) as running:
        client = await running.connect()
        await client.send(GREETING)
        assert await client.rest() == b"\x05\xff"
        await client.close()


@pytest.mark.parametrize(
    ("request_bytes", "reply", "sentence"),
    [
        (b"\x05\x01\x02", b"\x05\xff", "no way to go without a password"),
        (GREETING + asked5("a", 80, command=2), b"\x05\x07\x00\x01" + bytes(6), "BIND"),
        (GREETING + asked5("a", 80, command=3), b"\x05\x07\x00\x01" + bytes(6), "UDP ASSOCIATE"),
        (GREETING + b"\x05\x01\x00\x05a", b"\x05\x08\x00\x01" + bytes(6), "type 5"),
        (GREETING + b"\x06\x01\x00\x01a", b"\x05\x01\x00\x01" + bytes(6), "version 6"),
        (GREETING + asked5("a\x01", 80), b"\x05\x01\x00\x01" + bytes(6), "no host"),
        (GREETING + asked5("a", 0), b"\x05\x01\x00\x01" + bytes(6), "no host and port"),
        (b"\x04\x02" + asked4("a", 80)[2:], b"\x00\x5b" + bytes(6), "BIND"),
        (asked4("a", 80, b"u" * 300), b"\x00\x5b" + bytes(6), "longer than 255"),
        (asked4("a" * 300, 80), b"\x00\x5b" + bytes(6), "longer than 255"),
    ],
)
def test_what_is_refused(request_bytes: bytes, reply: bytes, sentence: str) -> None:
    *said, last = Socks().feed(request_bytes)
    assert all(isinstance(step, Say) for step in said)
    assert isinstance(last, Refused)
    assert last.data == reply
    assert sentence in last.sentence


def test_passwords_are_checked() -> None:
    def check(user: bytes, password: bytes) -> bool:
        return (user, password) == (b"me", b"")

    right = Socks(check).feed(GREETING + b"\x01\x02me\x00" + asked5("::1", 80) + b"rest")
    assert right == [Say(b"\x05\x02"), Say(b"\x01\x00"), Asked(Place("::1", 80), b"rest")]
    assert Socks(check).feed(GREETING + b"\x01\x02me\x01x")[-1] == Refused(
        b"\x01\x01", "The user or the password is wrong."
    )
    assert isinstance(Socks(check).feed(b"\x05\x01\x00")[-1], Refused)


def test_failures_have_their_codes() -> None:
    socks = Socks()
    socks.feed(GREETING)
    codes = [
        socks.failed(failure)[1]
        for failure in (Failure(502, "", refused=True), Failure(504, ""), Failure(508, ""), Failure(502, ""))
    ]
    assert codes == [5, 4, 2, 1]


@given(st.binary(min_size=1, max_size=600), st.integers(1, 600))
def test_how_the_bytes_are_cut_means_nothing(data: bytes, cut: int) -> None:
    data = bytes((4 + data[0] % 2,)) + data[1:]
    whole = Socks().feed(data)
    socks = Socks()
    parts: list[Say | Asked | Refused] = []
    for start in range(0, len(data), cut):
        if parts and not isinstance(parts[-1], Say):
            break
        parts += socks.feed(data[start : start + cut])
    assert [step for step in parts if isinstance(step, Say)] == [
        step for step in whole if isinstance(step, Say)
    ]
    assert [type(step) for step in parts] == [type(step) for step in whole]
