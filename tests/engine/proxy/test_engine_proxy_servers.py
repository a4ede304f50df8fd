"""Servers behind TLS, their certificates, and the addresses that are tried."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.servers import server_of
from inspectd.engine.config import Forwarding
from inspectd.engine.proxy.dial import Resolved, parse_resolve
from inspectd.engine.proxy.routes import OriginError, parse_origin
from inspectd.rules.passing import Passing
from tests.engine.proxy.certificates import DAY, NOW, Authority, serving
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.test_engine_proxy_forward import open_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Who signs the certificates of a test."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    directory = tmp_path / "pki"
    directory.mkdir()
    return Authority(directory)


@asynccontextmanager
async def secured(
    run_engine: RunEngine, context: ssl.SSLContext | None, *, host: str = "localhost", **config: Any
) -> AsyncIterator[tuple[Running, Origin]]:
    """An engine before a server that speaks TLS."""
    origin = Origin()
    await origin.start(context)
    config.setdefault("resolve", (Resolved("*", origin.port, ("127.0.0.1",)),))
    forwarding = Forwarding(host, origin.port, tls=True, **config)
    async with run_engine(Passing("the origin"), forwarding=forwarding) as running:
        try:
            yield running, origin
        finally:
            await origin.stop()


async def refusal(running: Running) -> str:
    """Ask, and give the sentence that is the answer's content, which is also what the row says."""
    answer = await running.ask(GET)
    assert answer.startswith(b"HTTP/1.1 502 "), answer
    forward = running.capture.forward(1)
    assert forward is not None
    assert forward.failure is not None
    assert forward.failure.encode() in answer
    return forward.failure


# -------------------------------------------------------------------------------------------------- good servers


async def test_a_server_behind_tls_is_spoken_to_and_its_facts_are_recorded(
    run_engine: RunEngine, authority: Authority
) -> None:
    file = authority.leaf("localhost", "127.0.0.1")
    async with secured(run_engine, serving(file), trust=(authority.file,)) as (running, origin):
        client = await running.connect()
        for number in (1, 2):
            await client.send(GET)
            accepted = origin.accepted[0] if number == 2 else await origin.next()
            assert await accepted.until(b"\r\n\r\n") == GET
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
            await running.exchange(number)
        assert len(origin.accepted) == 1
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.upstream is not None
        assert [word for word, _, _ in forward.phases()][:3] == ["resolve", "connect", "tls"]
        assert running.capture.forwarded_bytes(forward, INCOMING) == GET
        assert running.capture.forwarded_bytes(forward, OUTGOING) == OK
        again = running.capture.forward(2)
        assert again is not None
        assert (again.upstream, again.tls_ns) == (forward.upstream, None)
        tls = running.capture.tls(forward.upstream)
        assert tls is not None
        assert (tls.sni, tls.alpn, tls.version) == ("localhost", "http/1.1", "TLSv1.3")
        assert (tls.certificate, tls.sentence) == ("localhost 127.0.0.1", None)
        assert tls.shown == ssl.PEM_cert_to_DER_cert(file.read_text().partition("-----BEGIN PRIVATE")[0])
        assert tls.hello[:2] == b"\x16\x03"
        await client.close()
        await running.closed(forward.upstream)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_addresses_in_certificates_count_for_addresses(
    run_engine: RunEngine, authority: Authority, host: str
) -> None:
    context = serving(authority.leaf(host))
    async with secured(run_engine, context, host=host, trust=(authority.file,)) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        await (await origin.next()).say(OK)
        assert await client.until(b"ok") == OK
        await client.close()


async def test_an_authority_of_ssl_cert_file_is_trusted(
    run_engine: RunEngine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with secured(run_engine, serving(authority.leaf("localhost"))) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        await (await origin.next()).say(OK)
        assert await client.until(b"ok") == OK
        await client.close()


async def test_the_secrets_of_both_sides_are_logged_for_this_user_only(
    run_engine: RunEngine, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    context = serving(authority.leaf("localhost"))
    async with secured(run_engine, context, trust=(authority.file,)) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        await (await origin.next()).say(OK)
        await client.until(b"ok")
        await client.close()
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


# ---------------------------------------------------------------------------------------------- bad certificates


BAD: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "expired": (
        {"ends": NOW - DAY / 2},
        ("localhost",),
        f"it expired on {NOW - DAY / 2:%Y-%m-%d %H:%M:%S} UTC",
    ),
    "not yet": (
        {"begins": NOW + DAY / 2},
        ("localhost",),
        f"it is not valid before {NOW + DAY / 2:%Y-%m-%d %H:%M:%S} UTC",
    ),
    "self-signed": (
        {"self_signed": True},
        ("localhost",),
        "it is self-signed: nobody but its owner vouches for it",
    ),
    "wrong name": (
        {},
        ("a.example.test", "10.0.0.1"),
        "it is not for localhost: it is for a.example.test, 10.0.0.1",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_certificate_is_refused_with_what_is_wrong_with_it(
    run_engine: RunEngine, authority: Authority, case: str
) -> None:
    how, names, why = BAD[case]
    context = serving(authority.leaf(*names, **how))
    async with secured(run_engine, context, trust=(authority.file,)) as (running, origin):
        sentence = f"The certificate of localhost:{origin.port} can't be trusted: {why}."
        assert await refusal(running) == (
            f"{sentence} --trust FILE accepts certificates of an issuer, --insecure any."
        )
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.upstream is not None
        tls = running.capture.tls(forward.upstream)
        assert tls is not None
        assert (tls.sentence, tls.certificate, tls.shaken_ns) == (sentence, " ".join(names), None)
        assert tls.shown is not None
        assert (await running.closed(forward.upstream)).kind == "tls-failed"


async def test_an_unknown_issuer_is_named(run_engine: RunEngine, authority: Authority) -> None:
    async with secured(run_engine, serving(authority.leaf("localhost"))) as (running, _):
        assert "its issuer is not known here: Test Authority." in await refusal(running)


@pytest.mark.parametrize("case", BAD)
async def test_insecure_goes_on_and_records_what_is_wrong(
    run_engine: RunEngine, authority: Authority, case: str
) -> None:
    how, names, why = BAD[case]
    context = serving(authority.leaf(*names, **how))
    async with secured(run_engine, context, trust=(authority.file,), verify=False) as (running, origin):
        assert any("--insecure" in sentence for sentence in running.engine.warnings)
        for number in (1, 2):
            client = await running.connect()
            await client.send(GET)
            await (await origin.next()).say(OK)
            assert await client.until(b"ok") == OK
            await client.close()
            await running.exchange(number)
            forward = running.capture.forward(number)
            assert forward is not None
            assert forward.upstream is not None
            tls = running.capture.tls(forward.upstream)
            assert tls is not None
            assert tls.sentence == (
                f"The certificate of localhost:{origin.port} can't be trusted: {why}. "
                "It was used all the same: --insecure."
            )


async def test_a_server_that_was_not_checked_is_not_trusted_for_breaking_off(
    run_engine: RunEngine, authority: Authority
) -> None:
    stranger = serving(authority.leaf("elsewhere.test"))
    async with secured(run_engine, stranger, trust=(authority.file,), verify=False) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        os.write(accepted.writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x05never")
        assert (await client.rest()).startswith(b"HTTP/1.1 502 ")
        await client.close()
        server = server_of(running.capture, running.capture.forward(1))
        assert server is not None
        assert server.tls is not None
        assert (server.tls.sentence or "").startswith("TLS broke: ")
        assert server.trusted is False


# ------------------------------------------------------------------------------------------- certificates of ours


async def test_a_server_that_demands_a_certificate_gets_it(
    run_engine: RunEngine, authority: Authority
) -> None:
    context = serving(authority.leaf("localhost"), clients_of=authority.file)
    mine = authority.leaf("somebody")
    config: dict[str, Any] = {"trust": (authority.file,), "client_certificate": mine}
    async with secured(run_engine, context, **config) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        subject = accepted.writer.get_extra_info("peercert")["subject"]
        assert subject == ((("commonName", "somebody"),),)
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_misses_a_certificate_says_so(
    run_engine: RunEngine, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = serving(authority.leaf("localhost"), clients_of=authority.file)
    context.maximum_version = version

    def serve(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        with accepted:
            with suppress(ssl.SSLError):  # asyncio's own servers close before they have sent the alert
                context.wrap_socket(accepted.dup(), server_side=True)
            accepted.shutdown(socket.SHUT_WR)
            while accepted.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        forwarding = Forwarding(
            "localhost", listening.getsockname()[1], tls=True, trust=(authority.file,),
            resolve=(Resolved("*", listening.getsockname()[1], ("127.0.0.1",)),),
        )  # fmt: skip
        async with run_engine(Passing("x"), forwarding=forwarding) as running:
            serving_one = asyncio.ensure_future(asyncio.to_thread(serve, listening))
            sentence = await refusal(running)
            wanted = "certificate_required" if version is ssl.TLSVersion.TLSv1_3 else "handshake_failure"
            assert wanted in sentence
            assert "--client-cert" in sentence
            await serving_one


# --------------------------------------------------------------------------------------------- broken handshakes


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            b"220 mail.example.test ESMTP\r\n",
            "speaks no TLS: its first bytes were 220 mail.example.test ESMTP",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "It speaks http: use http:// in its URL."),
        (bytes((21, 3, 1, 0, 2, 2, 40)), "ended the TLS handshake with the alert handshake_failure"),
        (b"", "closed the connection with FIN in the middle of the TLS handshake"),
        (b"\x16\x03\x03\x00", "closed the connection with FIN in the middle of the TLS handshake"),
        (b"\x16\x03\x03\x00\x05hello", "The TLS handshake with localhost:"),
    ],
)
async def test_what_is_no_handshake_is_said(run_engine: RunEngine, said: bytes, why: str) -> None:
    async with secured(run_engine, None) as (running, origin):
        asking = asyncio.ensure_future(running.ask(GET))
        accepted = await origin.next()
        assert (await accepted.reader.read(1 << 16))[:2] == b"\x16\x03"
        await accepted.say(said)
        await accepted.close()
        assert why.encode() in await asking


async def test_a_server_that_never_answers_the_hello_is_a_504(run_engine: RunEngine) -> None:
    async with secured(run_engine, None, connect_timeout=0.3) as (running, origin):
        answer = await running.ask(GET)
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert f"localhost:{origin.port} did not complete the TLS handshake within 0.3 s.".encode() in answer


# ---------------------------------------------------------------------------------------------------- the stream


async def test_an_answer_that_ends_with_the_connection_is_cut_off_without_close_notify(
    run_engine: RunEngine, authority: Authority
) -> None:
    context = serving(authority.leaf("localhost"))
    async with secured(run_engine, context, trust=(authority.file,)) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
        await client.until(b"half of")
        accepted.writer.transport.abort()
        assert await client.rest() == b""
        await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        upstream = forward.upstream
        assert upstream is not None
        await running.closed(upstream)
        tls = running.capture.tls(upstream)
        assert tls is not None
        assert tls.sentence == "The server's FIN came without close_notify: the end may have been cut off."
        await client.close()


async def test_a_length_that_is_not_reached_is_an_answer_cut_off(
    run_engine: RunEngine, authority: Authority
) -> None:
    context = serving(authority.leaf("localhost"))
    async with secured(run_engine, context, trust=(authority.file,)) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await accepted.close()
        assert (await client.rest()).endswith(b"half")
        await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.failure == "The server closed before its answer was whole."
        await client.close()


async def test_a_slow_client_slows_a_server_behind_tls(run_engine: RunEngine, authority: Authority) -> None:
    context = serving(authority.leaf("localhost"))
    size = 64 << 20  # more than the system's buffers take on both ways
    async with secured(run_engine, context, trust=(authority.file,)) as (running, origin):
        client = await running.connect()
        transport = cast("asyncio.Transport", client.writer.transport)
        transport.pause_reading()
        await client.send(GET)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        piece = bytes(range(256)) * 4096
        accepted.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)

        async def send() -> None:
            for _ in range(size // len(piece)):
                await accepted.say(piece)

        sending = asyncio.ensure_future(send())
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        transport.resume_reading()
        await client.until(b"\r\n\r\n")
        for _ in range(size // len(piece)):
            assert await client.reader.readexactly(len(piece)) == piece
        await sending
        await client.close()


# --------------------------------------------------------------------------------------------------------- dialing


async def test_a_name_goes_to_the_address_that_was_given(run_engine: RunEngine) -> None:
    origin = Origin()
    await origin.start()
    given = Resolved("nowhere.example.test", origin.port, ("127.0.0.9", "127.0.0.1"))
    forwarding = Forwarding("nowhere.example.test", origin.port, resolve=(given,))
    async with run_engine(Passing("x"), forwarding=forwarding) as running:
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()
    await origin.stop()


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("Example.test:443:127.0.0.1", Resolved("example.test", 443, ("127.0.0.1",))),
        ("*:80:::1,10.0.0.1", Resolved("*", 80, ("::1", "10.0.0.1"))),
        ("[::1]:80:[::2]", Resolved("::1", 80, ("::2",))),
    ],
)
def test_given_addresses_are_written_as_for_curl(text: str, resolved: Resolved) -> None:
    assert parse_resolve(text) == resolved


@pytest.mark.parametrize(
    "text", ["", "a", "a:80", "a:80:", "a:b:1.2.3.4", ":80:1.2.3.4", "a:80:name", "a:99999:::1"]
)
def test_what_is_no_given_address_is_explained(text: str) -> None:
    with pytest.raises(OriginError, match="--resolve") as caught:
        parse_resolve(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("url", "again"),
    [
        ("https://example.test", "https://example.test"),
        ("HTTPS://example.test:443/", "https://example.test"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("http://example.test:443", "http://example.test:443"),
    ],
)
def test_the_url_of_a_server_leaves_out_what_goes_without_saying(url: str, again: str) -> None:
    assert parse_origin(url).url == again


async def test_many_connects_to_a_dead_port_leave_nothing(run_engine: RunEngine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with run_engine(Passing("x"), forwarding=Forwarding()) as running:
            ask = b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\n" % port
            assert b"refused" in await running.ask(ask)
            await running.eventually(lambda: running.engine.open_connections == 0)
            before, tasks = open_files(), len(asyncio.all_tasks())
            for _ in range(10):
                await asyncio.gather(*(running.ask(ask) for _ in range(50)))
            await running.eventually(lambda: running.engine.open_connections == 0)
            await running.eventually(lambda: (open_files(), len(asyncio.all_tasks())) == (before, tasks))
