"""What is read in tunnels: TLS decrypted, requests in clear text as they are, anything else carried."""

from __future__ import annotations

import asyncio
import gc
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.urls import url_in_tunnel
from inspectd.engine import ca
from inspectd.engine.config import Forwarding
from inspectd.engine.proxy.chosen import Chosen, Treatment, reads_nothing
from inspectd.engine.proxy.routes import Origin as Place
from inspectd.engine.proxy.tunnel import Speech, speech
from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.passing import Passing
from inspectd.rules.responder import Fixed
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.tunnels import ESTABLISHED, GET, OK, TlsOrigin, proxying, tunnel
from tests.engine.tls_client import DEADLINE, LISTEN, TlsClient, trusting

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.capture.model import ConnectionRow
    from tests.engine.conftest import Running
    from tests.engine.proxy.tunnels import RunEngine


FILES = Path("/proc/self/fd")


pytestmark = pytest.mark.usefixtures("own_authority")


async def inner_of(running: Running, outer: int = 1) -> ConnectionRow:
    """The connection that was read in the tunnel of another one, once both are closed."""
    closed = await running.closed(outer)
    row: ConnectionRow = await running.eventually(
        lambda: next((each for each in connections(running) if each.inside == outer and each.closed_ns), None)
    )
    assert (row.closed_by, row.how) == (closed.closed_by, closed.how)
    return row


def connections(running: Running) -> list[ConnectionRow]:
    """Every connection of the capture."""
    found = (running.capture.connection(number) for number in range(1, running.engine.connections + 1))
    return [row for row in found if row is not None]


async def test_tls_in_a_tunnel_is_decrypted_and_passes_unchanged(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        client = await tunnel(running, origin.port)
        await client.shake()
        await client.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.goodbye()
        await client.close()
        inner = await inner_of(running)
        row = await running.exchange(2)
        assert row.connection == inner.id
        assert running.capture.request_bytes(row) == GET
        assert running.capture.response_bytes(row) == OK
        assert running.capture.stream_bytes(inner.id, INCOMING) == GET
        assert url_in_tunnel(running.capture, row) == "https://localhost/x"
        connect = await running.exchange(1)
        assert connect.label == f"tunnel to localhost:{origin.port}, read as TLS in c{inner.id}"
        outer = running.capture.connection(1)
        assert outer is not None
        assert outer.sentence == connect.label
        assert outer.kind is None, "the row of the CONNECT is enough"
        assert running.capture.stream_bytes(1, OUTGOING) == ESTABLISHED  # nothing is recorded twice
        tls = running.capture.tls(inner.id)
        assert tls is not None
        assert tls.sni == "localhost"
        forward = running.capture.forward(2)
        assert forward is not None
        assert forward.tls_ns is not None


async def test_a_hello_may_come_with_the_connect_or_byte_by_byte(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), Fixed(make_answer(body=b"hello"))) as running:
        for cut in (0, 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            client = TlsClient(reader, writer, trusting(), "example.test")
            request = b"CONNECT example.test:443 HTTP/1.1\r\n\r\n"
            if cut:
                writer.write(request)
                assert await reader.readexactly(len(ESTABLISHED)) == ESTABLISHED
                client.cut = cut
            else:
                client.rewrite = lambda hello: request + hello  # noqa: B023 - it is called in this round
                with pytest.raises(ssl.SSLWantReadError):
                    client.tls.do_handshake()
                await client._flush()
                assert await reader.readexactly(len(ESTABLISHED)) == ESTABLISHED
            await client.shake()
            await client.send(b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
            assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
            await client.close()


async def test_a_client_that_refuses_the_certificate_is_a_row(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        client = await tunnel(running, 443, "example.test", name="example.test")
        client.distrust("example.test")
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.shake()
        await client._flush()
        await client.close()
        inner = await inner_of(running)
        assert inner.kind == "tls-refused"
        assert inner.sentence is not None
        assert "--no-intercept example.test" in inner.sentence


async def test_requests_in_clear_text_are_read_and_upgrades_pass(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin) as running:
        client = await running.connect()
        await client.send(f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\n\r\n".encode())
        await client.until(b"\r\n\r\n")
        upgrade = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        await client.send(upgrade)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == upgrade
        switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        await accepted.say(switched)
        await client.until(b"\r\n\r\n")
        await client.send(b"\x81\x00")
        assert await accepted.until(b"\x81\x00") == b"\x81\x00"
        await accepted.say(b"\x81\x01x")
        assert await client.until(b"x") == b"\x81\x01x"
        client.writer.write_eof()
        assert await accepted.rest() == b""
        await accepted.close()
        assert await client.rest() == b""
        await client.close()
        inner = await inner_of(running)
        assert running.capture.stream_bytes(inner.id, INCOMING) == upgrade + b"\x81\x00"
        row = await running.exchange(2)
        assert url_in_tunnel(running.capture, row) == "http://a/chat"
        assert inner.fin_in_ns is not None


@pytest.mark.parametrize(
    "first", [b"SSH-2.0-x\r\n", b"\x00\x01\x02", b"PRI * HTTP/2.0\r\n\r\n", b"NICK a\r\n"]
)
async def test_other_bytes_are_carried(run_engine: RunEngine, first: bytes) -> None:
    origin = Origin()
    async with proxying(run_engine, origin) as running:
        client = await running.connect()
        await client.send(f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\n\r\n".encode() + first)
        await client.until(b"\r\n\r\n")
        accepted = await origin.next()
        assert await accepted.reader.readexactly(len(first)) == first
        await accepted.say(b"\xffanswer\xff")
        client.writer.write_eof()
        await accepted.close()
        assert await client.rest() == b"\xffanswer\xff"
        await client.close()
        row = await running.closed(1)
        assert (row.closed_by, row.how) == ("client", "fin")
        assert running.capture.stream_bytes(1, OUTGOING) == ESTABLISHED + b"\xffanswer\xff"
        assert running.capture.stream_bytes(1, INCOMING).endswith(first)
        upstream = running.capture.upstream(2)
        assert upstream is not None
        assert upstream.client == 1
        assert running.capture.stream_bytes(2, INCOMING) == first


async def test_a_server_may_speak_first(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, tunnel_wait=0.05) as running:
        client = await running.connect()
        await client.send(f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\n\r\n".encode())
        await client.until(b"\r\n\r\n")
        accepted = await origin.next()
        await accepted.say(b"220 hello\r\n")
        assert await client.until(b"\r\n") == b"220 hello\r\n"
        accepted.reset()
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
        row = await running.closed(1)
        assert (row.closed_by, row.how) == ("server", "rst")
        await client.close()


async def test_a_tunnel_that_leads_nowhere_says_why(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin) as running:
        port = origin.port
        await origin.stop()
        client = await tunnel(running, port)
        await client.shake()
        await client.send(GET)
        page = await client.rest()
        assert page.startswith(b"HTTP/1.1 502 ")
        assert b"refused the connection" in page
        await client.close()
        bytes_only = await running.connect()
        await bytes_only.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n\x00\x00".encode())
        assert await bytes_only.rest() == ESTABLISHED
        await bytes_only.close()
        row: ConnectionRow = await running.eventually(
            lambda: next((each for each in connections(running) if "refused" in (each.sentence or "")), None)
        )
        assert row.sentence is not None
        assert row.sentence.startswith(f"tunnel to 127.0.0.1:{port}: ")


async def test_hosts_can_be_left_alone(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin, no_intercept=("LOCAL*",)) as running:
        client = await tunnel(running, origin.port)
        await client.shake()
        await client.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await client.close()
        await running.closed(1)
        assert GET not in running.capture.stream_bytes(1, INCOMING)
        assert not [row for row in connections(running) if row.inside]
        assert running.engine.exchanges == 1


async def test_what_is_not_asked_for_passes_and_is_only_counted(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, only=("other.test",)) as running:
        client = await running.connect()
        secret = b"Secret: never-recorded\r\n\r\n"
        await client.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % origin.port + secret)
        await client.until(b"\r\n\r\n")
        await client.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()
        assert await accepted.rest() == b""
        await accepted.close()
        plain = await running.connect()
        url = f"http://127.0.0.1:{origin.port}/".encode()
        await plain.send(b"GET " + url + b" HTTP/1.1\r\nHost: a\r\n" + secret)
        accepted = await origin.next()
        assert (await accepted.until(b"\r\n\r\n")).startswith(b"GET / HTTP/1.1\r\n")
        await accepted.say(OK)
        assert await plain.rest() == OK  # the next request may be one to record: it takes another connection
        await plain.close()
        recorded = await running.connect()
        await recorded.send(b"CONNECT other.test:443 HTTP/1.1\r\n\r\n")
        await recorded.until(b"\r\n\r\n")
        await recorded.close()
        row = await running.exchange(1)
        assert row.target == "other.test:443"
        await running.eventually(lambda: not running.engine.open_connections)
        assert running.engine.unrecorded == 2
        running.engine.commit()
        assert [each.id for each in connections(running)] == [row.connection]
        capture = running.engine.capture
        for file in (capture, capture.with_name(f"{capture.name}-wal")):
            assert b"never-recorded" not in file.read_bytes()


async def test_nothing_is_kept_of_a_server_behind_tls_that_was_not_asked_for(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin, only=("other.test",)) as running:
        client = await running.connect()
        await client.send(b"GET https://localhost:%d/ HTTP/1.1\r\nHost: a\r\n\r\n" % origin.port)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        assert await client.rest() == OK
        await client.close()
        await running.eventually(lambda: not running.engine.open_connections)
        running.engine.commit()
        assert running.engine.unrecorded == 1
        assert connections(running) == []
        assert [number for number in range(5) if running.capture.tls(number) is not None] == []
        assert [number for number in range(5) if running.capture.upstream(number) is not None] == []


async def test_many_tunnels_leave_nothing_behind(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), Fixed(make_answer(body=b"hello")), tunnel_wait=60.0) as running:

        async def one(number: int) -> None:
            if number % 4 == 0:  # a client that never says a word
                client = await running.connect()
                await client.send(b"CONNECT example.test:443 HTTP/1.1\r\n\r\n")
                await client.until(b"\r\n\r\n")
                await client.close()
                return
            secure = await tunnel(running, 443, "example.test", name="example.test")
            if number % 4 != 1:  # or goes away in the middle of the handshake
                await secure.shake()
                await secure.send(GET)
                await secure.until(b"hello")
            await secure.close()

        await one(1)
        await running.eventually(lambda: not running.engine.open_connections)
        files, tasks = len(list(FILES.iterdir())), len(asyncio.all_tasks())
        gc.collect()
        relays = count_of("EncryptedRelay") + count_of("Relay") + count_of("TlsTransport")
        for start in range(0, 200, 20):
            await asyncio.gather(*(one(number) for number in range(start, start + 20)))
        await running.eventually(lambda: not running.engine.open_connections)
        await running.eventually(lambda: len(list(FILES.iterdir())) <= files)
        assert len(asyncio.all_tasks()) <= tasks
        running.engine.commit()
        assert all(row.closed_ns is not None for row in connections(running))
        gc.collect()
        assert count_of("EncryptedRelay") + count_of("Relay") + count_of("TlsTransport") <= relays + 4


def count_of(name: str) -> int:
    """How many objects of a class there are."""
    return sum(type(each).__name__ == name for each in gc.get_objects())


async def in_clear(running: Running, data: bytes) -> bytes:
    """What a client is told that speaks no TLS to a port that does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(data)
    async with asyncio.timeout(DEADLINE):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_port_of_a_proxy_may_speak_tls(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin, engine={"listen": LISTEN}) as running:
        outer = await TlsClient.connect(running)
        await outer.shake()
        await outer.send(f"CONNECT localhost:{origin.port} HTTP/1.1\r\n\r\n".encode())
        assert await outer.until(b"\r\n\r\n") == ESTABLISHED
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = trusting().wrap_bio(received, sent, server_hostname="localhost")

        async def turn(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    if sent.pending:
                        await outer.send(sent.read())
                    received.write(await outer._piece())

        await turn(inner.do_handshake)
        inner.write(GET)
        await outer.send(sent.read())
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await turn(lambda: inner.read(1000)) == OK
        await outer.close()
        read = await inner_of(running)
        assert running.capture.stream_bytes(read.id, INCOMING) == GET
        assert running.capture.tls(1) is not None
        assert b"use https:// in the URL" in await in_clear(
            running, b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"
        )


async def test_a_reverse_proxy_may_speak_tls_on_both_sides(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    await origin.start()
    trust = (ca.open_authority().certificate_path,)
    forwarding = Forwarding("localhost", origin.port, tls=True, trust=trust)
    async with run_engine(Passing("the origin"), forwarding=forwarding, listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.goodbye()
        await client.close()
        row = await running.exchange(1)
        assert running.capture.request_bytes(row) == GET
        upstream = await running.closed(2)
        shown = running.capture.tls(upstream.id)
        assert shown is not None
        assert shown.shown
        assert b"use https:// in the URL" in await in_clear(running, GET)
    await origin.stop()


async def test_what_begins_like_tls_and_is_none_after_all_ends_with_its_tunnel(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), tunnel_wait=0.05) as running:
        client = await running.connect()
        await client.send(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == ESTABLISHED
        await client.send(b"\x16")
        await running.eventually(lambda: running.capture.connection(2))
        await client.send(b"GET /x HTTP/1.1\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        await client.close()
        inner = await inner_of(running)
        assert running.capture.stream_bytes(inner.id, INCOMING) == b"\x16GET /x HTTP/1.1\r\n\r\n"
        assert not running.engine.open_connections


@pytest.mark.parametrize("intercept", [True, False])
async def test_a_target_may_be_an_https_url(run_engine: RunEngine, intercept: bool) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin, intercept=intercept) as running:
        client = await running.connect()
        place = b"localhost:%d" % origin.port
        for target in (b"HTTPS://%b/x?y" % place, b"https://%b/x?y" % place):
            await client.send(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, place))
            accepted = origin.accepted[0] if origin.accepted else await origin.next()
            asked = await accepted.until(b"\r\n\r\n")
            assert asked == b"GET /x?y HTTP/1.1\r\nHost: %b\r\n\r\n" % place
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
        await client.close()
        row = await running.exchange(2)
        forward = running.capture.forward(2)
        assert forward is not None
        assert forward.upstream is not None
        assert running.capture.tls(forward.upstream) is not None
        assert running.capture.response_bytes(row) == OK
        assert len(origin.accepted) == 1


async def test_tls_on_the_clear_port_is_explained(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        client = await TlsClient.connect(running)
        with pytest.raises(ssl.SSLError):
            await client.shake()
        await client.close()
        row = await running.closed(1)
        assert row.kind == "tls"
        assert "this listener speaks plain HTTP" in (row.sentence or "")


@pytest.mark.parametrize("shaken", [False, True])
async def test_an_engine_that_stops_ends_tunnels(run_engine: RunEngine, shaken: bool) -> None:
    async with proxying(run_engine, Origin(), Fixed(make_answer(body=b"hello")), tunnel_wait=60.0) as running:
        client = await tunnel(running, 443, "example.test", name="example.test")
        if shaken:
            await client.shake()
            await client.send(GET)
            await client.until(b"hello")
        await running.engine.silence()
        assert await client.rest() == b""
        await client.close()
        assert all(row.closed_ns is not None for row in connections(running))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", Speech.UNCLEAR),
        (b"\x16", Speech.UNCLEAR),
        (b"\x16\x03", Speech.TLS),
        (b"GET / HTTP/1.1\r\n", Speech.HTTP),
        (b"\r\nGET / HTTP/1.0\n", Speech.HTTP),
        (b"GET /", Speech.UNCLEAR),
        (b"GET / HTTP/2.0\r\n", Speech.OTHER),
        (b"A" * 41, Speech.OTHER),
        (b"GET " + b"a" * 8000, Speech.OTHER),
        (b"\r\n" * 4, Speech.OTHER),
    ],
)
def test_the_first_bytes_tell(data: bytes, found: Speech) -> None:
    assert speech(data) is found


@given(st.binary(max_size=64), st.binary(max_size=8))
def test_what_is_clear_stays_clear(data: bytes, more: bytes) -> None:
    found = speech(data)
    assert found in {Speech.UNCLEAR, speech(data + more)} or found is Speech.OTHER


def test_globs_choose() -> None:
    chosen = Chosen(intercept=True, no_intercept=("*.bank.test", "[::1]:8443"), only=("*.test", "[::1]:*"))
    assert chosen.treatment(Place("www.BANK.test", 443)) is Treatment.CARRY
    assert chosen.treatment(Place("::1", 8443)) is Treatment.CARRY
    assert chosen.treatment(Place("::1", 443)) is Treatment.READ
    assert chosen.treatment(Place("bank.test", 443)) is Treatment.READ
    assert chosen.treatment(Place("example.com", 443)) is Treatment.IGNORE
    assert reads_nothing(("a", "*"))
    assert not reads_nothing(("a*",))


@pytest.mark.parametrize("secure", [True, False])
async def test_what_a_client_takes_of_a_rules_answer_is_known_in_a_tunnel(
    run_engine: RunEngine, tmp_path: Path, secure: bool
) -> None:
    text = '[[rule]]\nrespond = "200 OK"\nbody = "crafted"\nfault = { do = "close", at = "byte 40" }\n'
    book = RuleBook(Passing("the servers"))
    book.replace("rules", load_text(text, source="rules", base=tmp_path).rules)
    async with proxying(run_engine, Origin(), book) as running:
        if secure:
            client = await tunnel(running, 443, "example.test", name="example.test")
            await client.shake()
            await client.send(GET)
            answer = await client.rest()
            await client.close()
        else:
            plain = await running.connect()
            await plain.send(b"CONNECT example.test:80 HTTP/1.1\r\n\r\n" + GET)
            answer = (await plain.rest()).removeprefix(ESTABLISHED)
            await plain.close()
        await inner_of(running)
        running.engine.commit()
        evidence = running.capture.evidence(2)
        assert evidence is not None
        assert (evidence.sent, evidence.acked) == (len(answer), len(answer))
