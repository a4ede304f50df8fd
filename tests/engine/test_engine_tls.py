"""Answers over TLS: decrypted bytes are the record, however the encrypted ones come, and every end is told apart."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.engine import ca
from inspectd.engine.config import Limits
from inspectd.engine.hello import HELLO_LIMIT, Arrival, HelloReader
from inspectd.engine.tcp import reset_on_close
from inspectd.rules.answer import make_answer
from inspectd.rules.program import Close, HalfClose, LiveProgram, Program, Reset, Send, Wait
from inspectd.rules.responder import Fixed
from inspectd.rules.tables import AcceptTable
from inspectd.wire.tls import ClientHello, client_hello
from tests.engine.tls_client import DEADLINE, LISTEN, Gone, TlsClient, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from inspectd.rules.program import Op
    from inspectd.rules.request import Request
    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO_FOR_NOBODY = bytes((22, 3, 1, 0, 5, 1, 0, 0, 1, 0))


pytestmark = pytest.mark.usefixtures("own_authority")


class Played:
    """Answers everything with these steps."""

    description = status_line = "steps"

    def __init__(self, *ops: Op, live: bool = False, rule: str = "") -> None:
        self._ops = ops
        self._live = live
        self._rule = rule
        self.asked: list[Request] = []

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        self.asked.append(request)
        if self._live:
            return LiveProgram(self._follow(), "live")
        return Program(self._ops, "steps", rule=self._rule)

    async def _follow(self) -> AsyncIterator[Op]:
        for op in self._ops:
            yield op


def records(hello: bytes, size: int) -> bytes:
    """The handshake message of one record, in records of this many bytes each."""
    body = hello[5:]
    return b"".join(
        hello[:3] + len(piece).to_bytes(2) + piece
        for piece in (body[start : start + size] for start in range(0, len(body), size))
    )


async def ask(running: Running, request: bytes = GET, **options: Any) -> bytes:
    """One request on a connection of its own, and the answer up to its content."""
    client = await TlsClient.connect(running, **options)
    await client.shake()
    await client.send(request)
    answer = await client.until(b"hello")
    await client.goodbye()
    assert await client.rest() == b""
    assert client.tidy
    await client.close()
    return answer


async def shake_and_ask(client: TlsClient) -> None:
    """The handshake and one request."""
    await client.shake()
    await client.send(GET)


# ---------------------------------------------------------------------------------------------------- the record


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_decrypted_bytes_are_the_record_and_what_was_agreed_is_a_row(
    run_engine: RunEngine, version: ssl.TLSVersion
) -> None:
    async with run_engine(listen=LISTEN) as running:
        assert running.engine.addresses[0].startswith("https://127.0.0.1:")
        context = trusting(version=version)
        context.set_alpn_protocols(["h2", "http/1.1"])
        client = await TlsClient.connect(running, context, "lab.test")
        await client.shake()
        await client.send(GET)
        answer = await client.until(b"hello")
        await client.send(GET)
        answer += await client.until(b"hello")
        await client.goodbye()
        await client.close()
        row = await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == GET + GET
        assert running.capture.stream_bytes(1, OUTGOING) == answer
        assert (row.kind, row.exchanges, row.closed_by, row.how) == (None, 2, "client", "fin")
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.hello == client.first_flight
        assert (tls.sni, tls.alpn, tls.certificate) == ("lab.test", "http/1.1", "lab.test")
        cipher = client.tls.cipher()
        assert cipher is not None
        assert (tls.version, tls.cipher) == (client.tls.version(), cipher[0])
        assert tls.shaken_ns is not None
        assert row.opened_ns < tls.shaken_ns < (row.first_in_ns or 0)
        assert (tls.alert, tls.sentence) == (None, None)


@pytest.mark.parametrize("cut", [1, 3, 7, 100])
async def test_it_does_not_matter_how_encrypted_bytes_are_cut(run_engine: RunEngine, cut: int) -> None:
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        client.cut = cut
        await client.shake()
        await client.send(GET)
        await client.until(b"hello")
        await client.close()
        await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == GET
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.hello == client.first_flight


@pytest.mark.parametrize("size", [1, 5, 64])
async def test_a_client_hello_in_many_records_is_one(run_engine: RunEngine, size: int) -> None:
    async with run_engine(listen=LISTEN) as running:
        reader = HelloReader()
        client = await TlsClient.connect(running, name="lab.test")
        client.rewrite = lambda hello: records(hello, size)
        # The transcript is of messages, not of records: the handshake is none the worse for it.
        await client.shake()
        await client.send(GET)
        await client.until(b"hello")
        await client.close()
        await running.closed()
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.hello == client.first_flight
        assert tls.sni == "lab.test"
        assert reader.feed(client.first_flight) is Arrival.HELLO


async def test_the_first_request_may_come_with_the_end_of_the_handshake(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        flush, client._flush = client._flush, _nothing  # type: ignore[method-assign]
        while True:
            try:
                client.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await flush()
                await client._more()
        client._flush = flush  # type: ignore[method-assign]
        await client.send(GET + GET)
        assert (await client.until(b"hello")).count(b"200 OK") >= 1
        await client.close()
        await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == GET + GET


async def _nothing() -> None:
    """Send nothing yet."""


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("lab.test", "lab.test"),
        ("LAB.test", "lab.test"),
        ("localhost", "localhost 127.0.0.1 ::1"),
        ("127.0.0.1", "127.0.0.1 localhost ::1"),
        (f"{'a' * 60}.{'b' * 60}.test", f"{'a' * 60}.{'b' * 60}.test"),
    ],
)
async def test_the_certificate_is_for_the_name_that_is_asked_for(
    run_engine: RunEngine, name: str, served: str
) -> None:
    async with run_engine(listen=LISTEN) as running:
        await ask(running, name=name)  # the client checks it
        await running.closed()
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.certificate == served


async def test_a_responder_learns_that_the_request_was_encrypted(run_engine: RunEngine) -> None:
    played = Played(Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    async with run_engine(played, listen=(*LISTEN, "127.0.0.1:0")) as running:
        await ask(running)
        clear = int(running.engine.addresses[1].rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", clear)
        writer.write(GET)
        await reader.readuntil(b"hello")
        writer.close()
        assert [request.tls for request in played.asked] == [True, False]


async def test_the_keys_are_written_where_wireshark_reads_them(
    run_engine: RunEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    async with run_engine(listen=LISTEN) as running:
        context = trusting()
        context.keylog_filename = None  # type: ignore[assignment]
        await ask(running, context=context)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    words = {line.split()[0] for line in log.read_text().splitlines() if not line.startswith("#")}
    assert {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"} <= words


async def test_many_handshakes_at_once_all_come_about(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        context = trusting()
        for _ in range(4):
            await asyncio.gather(*(ask(running, context=context, name=f"n{n}.test") for n in range(50)))
        await running.closed(200)
        found = [running.capture.tls(number) for number in range(1, 201)]
        assert all(tls is not None and tls.version and tls.sni == tls.certificate for tls in found)
        assert running.capture.newest_exchange() == 200


# ---------------------------------------------------------------------------------------------------- how it ends


async def test_a_fin_without_close_notify_is_noted(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(GET)
        await client.until(b"hello")
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how, row.kind) == ("client", "fin", None)
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.sentence == "The client's FIN came without close_notify."


async def test_a_client_that_says_close_notify_still_gets_its_answer(run_engine: RunEngine) -> None:
    async with run_engine(Played(Wait(0.05), Send(b"late")), listen=LISTEN) as running:
        client = await TlsClient.connect(running, trusting(version=ssl.TLSVersion.TLSv1_3))
        await client.shake()
        await client.send(GET)
        await client.goodbye()
        assert await client.rest() == b"late"
        assert client.tidy
        await client.close()
        row = await running.closed()
        assert (row.exchanges, row.kind) == (1, None)


@pytest.mark.parametrize("live", [False, True])
async def test_this_side_ends_with_close_notify(run_engine: RunEngine, live: bool) -> None:
    async with run_engine(Played(Send(b"all"), Close(), live=live), listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(GET)
        assert await client.rest() == b"all"
        assert client.tidy
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "fin")


async def test_a_reset_is_a_reset_and_not_the_end_of_a_stream(run_engine: RunEngine) -> None:
    async with run_engine(Played(Send(b"half"), Reset()), listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(GET)
        assert await client.until(b"half") == b"half"
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert not client.tidy
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "rst")


async def test_what_comes_after_this_sides_end_is_read(run_engine: RunEngine) -> None:
    async with run_engine(Played(Send(b"all"), HalfClose()), listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(GET)
        assert await client.rest() == b"all"
        assert client.tidy
        await client.send(b"GET /more HTTP/1.1\r\nHost: a\r\n\r\n")
        await running.eventually(lambda: running.capture.newest_exchange() == 2)
        await client.close()
        await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == GET + b"GET /more HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_stopping_engine_says_close_notify_to_idle_clients(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(GET)
        await client.until(b"hello")
        await running.engine.silence()
        assert await client.rest() == b""
        assert client.tidy
        await client.close()


async def test_what_a_clients_system_acknowledged_is_counted_in_decrypted_bytes(
    run_engine: RunEngine,
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100000)
    async with run_engine(Played(Send(answer), rule="r"), listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        for _ in range(2):
            await client.send(GET)
            received = 0
            while received < len(answer):
                received += len(await client._piece())
            assert received == len(answer)
        await client.goodbye()
        await client.close()
        await running.closed()
        for number in (1, 2):
            evidence = running.capture.evidence(number)
            assert evidence is not None
            assert (evidence.sent, evidence.acked) == (len(answer), len(answer))


# ---------------------------------------------------------------------------------------------------- back-pressure


async def test_a_client_that_does_not_read_fills_no_memory(run_engine: RunEngine) -> None:
    large = bytes(1 << 20) * 64
    async with run_engine(Played(Send(large)), listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        connection = next(iter(running.engine._site.connections))
        await running.eventually(lambda: connection._transport.get_write_buffer_size() > 0)
        for _ in range(50):
            await asyncio.sleep(0.005)
            assert connection._transport.get_write_buffer_size() < 2 << 20
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = 0
        while received < len(large):
            received += len(await client._piece())
        await client.close()
        await running.closed()


async def test_while_answers_wait_the_client_is_not_read_and_nothing_is_lost(run_engine: RunEngine) -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    async with run_engine(Played(Wait(0.001), Send(one)), listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        writing = asyncio.create_task(client.send(GET * 500))
        received = b""
        while len(received) < len(one) * 500:
            received += await client._piece()
        await writing
        assert received == one * 500
        await client.goodbye()
        await client.close()
        await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == GET * 500


async def test_a_large_upload_arrives_whole(run_engine: RunEngine) -> None:
    content = bytes(range(256)) * 8192
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()
        head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)
        await client.send(head + content)
        await client.until(b"hello")
        await client.close()
        await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == head + content


# ------------------------------------------------------------------------------------------ handshakes that fail


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_that_refuses_the_certificate_is_a_row_that_says_what_to_do(
    run_engine: RunEngine, version: ssl.TLSVersion
) -> None:
    async with run_engine(listen=LISTEN) as running:
        stranger = ssl.create_default_context()
        stranger.minimum_version = stranger.maximum_version = version
        client = await TlsClient.connect(running, stranger)
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.shake()
        await client._flush()  # the alert
        await client.close()
        row = await running.closed()
        assert (row.kind, row.closed_by, row.bytes_in, row.exchanges) == ("tls-refused", "client", 0, 0)
        assert row.sentence is not None
        assert "alert unknown_ca" in row.sentence
        assert "inspectd ca" in row.sentence
        tls = running.capture.tls(1)
        assert tls is not None
        assert (tls.alert, tls.sentence, tls.version) == ("unknown_ca", row.sentence, None)


async def test_a_client_that_leaves_after_the_certificate_is_told_apart(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        await client._flush()
        await client.reader.read(10)  # the certificate is on its way
        client.writer.transport.abort()
        await client.close()
        row = await running.closed()
        assert row.kind == "tls-refused"
        assert row.sentence is not None
        assert "having seen the certificate" in row.sentence


async def test_half_a_client_hello_is_a_row_with_its_bytes(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
        writer.write_eof()
        await reader.read()
        writer.close()
        row = await running.closed()
        assert (row.kind, row.sentence) == ("tls-failed", "Half a ClientHello: 7 bytes, then FIN.")
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.hello == b"\x16\x03\x01\x02\x00\x01\x00"


async def test_an_old_version_is_refused_with_the_alert_that_says_so(run_engine: RunEngine) -> None:
    hello = bytes.fromhex("16030100310100002d0302") + bytes(32) + bytes.fromhex("000004c013c00a01000000")
    hello = (
        b"\x16\x03\x01" + (len(hello) - 5).to_bytes(2) + b"\x01" + (len(hello) - 9).to_bytes(3) + hello[9:]
    )
    async with run_engine(listen=LISTEN) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(hello)
        assert await reader.read() == b"\x15\x03\x02\x00\x02\x02\x46"
        writer.close()
        row = await running.closed()
        assert (row.kind, row.closed_by) == ("tls-failed", "server")
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.alert == "protocol_version"


async def test_a_handshake_that_is_not_finished_in_time_is_given_up(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN, limits=Limits(handshake_timeout=0.2)) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"\x16\x03\x01")
        assert await reader.read() == b"\x15\x03\x01\x00\x02\x02\x28"
        writer.close()
        row = await running.closed()
        assert row.kind == "tls-failed"
        assert row.sentence == "The handshake was not complete after 0.2 s."


async def test_a_client_hello_without_an_end_is_cut_off(run_engine: RunEngine) -> None:
    piece = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(0x4000 - 4)
    async with run_engine(listen=LISTEN) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(piece)
        for _ in range(4):
            writer.write(b"\x16\x03\x01\x40\x00" + bytes(0x4000))
        assert await reader.read() == b"\x15\x03\x01\x00\x02\x02\x32"
        writer.close()
        await running.closed()
        tls = running.capture.tls(1)
        assert tls is not None
        assert len(tls.hello) == HELLO_LIMIT


async def test_an_open_connection_without_a_request_says_how_far_tls_came(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        await client.shake()

        def described() -> bool:
            row = running.capture.connection(1)
            return (
                row is not None
                and row.kind == "preconnect"
                and "complete, no request" in (row.sentence or "")
            )

        await running.eventually(described)
        await client.close()
        row = await running.closed()
        assert row.sentence is not None
        assert row.sentence.startswith("TLS handshake complete, no request. It was opened ahead of need")


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_client_that_dies_after_any_byte_leaves_a_row_and_nothing_else(
    run_engine: RunEngine, abruptly: bool
) -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with run_engine(listen=LISTEN) as running:
        context = trusting()
        whole = await TlsClient.connect(running, context)
        await whole.shake()
        await whole.send(GET)
        await whole.until(b"hello")
        await whole.close()
        ends = [*range(1, 12), *range(12, whole.sent, 23), whole.sent - 1, whole.sent]
        for number, budget in enumerate(ends, 2):
            client = await TlsClient.connect(running, context)
            client.budget = budget
            with pytest.raises(Gone):
                await shake_and_ask(client)
            if abruptly:
                reset_on_close(client.writer.get_extra_info("socket"))
                client.writer.transport.abort()
            await client.close()
            row = await running.closed(number)
            assert row.kind is not None or row.exchanges, budget
            assert running.capture.tls(number) is not None
            # a RST may throw away what had arrived
            assert row.bytes_in == (len(GET) if budget == whole.sent else 0) or (
                abruptly and not row.bytes_in
            )
        assert running.engine.open_connections == 0
    assert not problems


# ---------------------------------------------------------------------------------------------------- what is not TLS


async def test_plain_http_is_told_what_this_port_speaks_and_recorded(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(GET)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"This port speaks https" in answer
        row = await running.exchange(1)
        assert (row.method, row.target, row.status) == ("GET", "/x", "400")
        await running.closed()
        assert running.capture.stream_bytes(1, INCOMING) == GET
        assert running.capture.stream_bytes(1, OUTGOING) == answer
        tls = running.capture.tls(1)
        assert tls is not None
        assert (tls.hello, tls.version) == (b"", None)


async def test_an_upload_in_clear_text_is_answered_before_its_content(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await running.closed()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
        (b"\x05\x01\x00", "socks5"),
        (b"\x00\xff" * 200, "garbage"),
    ],
)
async def test_other_protocols_are_known_for_what_they_are(
    run_engine: RunEngine, data: bytes, kind: str
) -> None:
    async with run_engine(listen=LISTEN) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(data)
        writer.write_eof()
        await reader.read()
        writer.close()
        row = await running.closed()
        assert row.kind == kind
        assert running.capture.stream_bytes(1, INCOMING) == data


async def test_a_full_house_and_a_closed_door_are_there_for_tls_too(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN, limits=Limits(connections=1)) as running:
        first = await TlsClient.connect(running)
        await first.shake()
        second = await TlsClient.connect(running)
        await second.shake()
        assert b" 503 " in await second.rest()
        assert second.tidy
        await second.close()
        await first.close()
        await running.closed(1)
        await running.closed(2)
        for number, (do, kind) in enumerate((("reset", "reset-on-accept"), ("close", "closed-on-accept")), 3):
            running.engine.set_accept(AcceptTable(do=do))  # type: ignore[arg-type]
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                client = await TlsClient.connect(running)
                await client.shake()
            row = await running.closed(number)
            assert row.kind == kind
            await client.close()


# ---------------------------------------------------------------------------------------------------- any bytes


@given(
    data=st.binary(max_size=600), prefix=st.sampled_from((b"", b"\x16", b"\x16\x03\x01", HELLO_FOR_NOBODY))
)
def test_any_bytes_in_any_cut_are_judged_alike(data: bytes, prefix: bytes) -> None:
    data = prefix + data
    if not data:
        return
    whole, piecemeal = HelloReader(), HelloReader()
    judged = whole.feed(data)
    for index in range(len(data)):
        cut = piecemeal.feed(data[index : index + 1])
        if cut is not Arrival.INCOMPLETE:
            break
    assert cut is judged
    assert data.startswith(whole.hello)
    assert whole.server_name is None or whole.server_name in data


@given(changed=st.tuples(st.integers(0, 10_000), st.integers(0, 255)), end=st.integers(0, 10_000))
def test_the_name_is_the_one_that_a_full_reading_finds(changed: tuple[int, int], end: int) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="lab.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = bytearray(outgoing.read())
    at, byte = changed
    if 9 <= at < len(hello):
        hello[at] = byte
    reader = HelloReader()
    if reader.feed(bytes(hello[: max(end, 1)])) is Arrival.HELLO:
        full = client_hello(reader.hello)
        assert isinstance(full, ClientHello)
        if full.server_name is not None and not full.problems:
            assert reader.server_name == full.server_name


async def test_any_bytes_on_the_port_leave_a_row_and_raise_nowhere(run_engine: RunEngine) -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with run_engine(listen=LISTEN) as running:
        client = await TlsClient.connect(running)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        hello = client._out.read()
        await client.close()
        await running.closed(1)
        loop = asyncio.get_running_loop()

        async def one(data: bytes) -> None:
            before = running.engine.connections
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                writer.write_eof()
                async with asyncio.timeout(DEADLINE):
                    await reader.read()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            row = await running.closed(before + 1)
            assert row.kind is not None or row.exchanges, data
            if not data:
                return
            tls = running.capture.tls(row.id)
            assert tls is not None, data
            assert tls.hello or row.bytes_in, data

        @settings(
            max_examples=60,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
            database=None,
        )
        @given(data=st.one_of(st.binary(max_size=300), _spoilt(hello)))
        def every(data: bytes) -> None:
            asyncio.run_coroutine_threadsafe(one(data), loop).result(DEADLINE)

        await asyncio.to_thread(every)
    assert not problems


def _spoilt(hello: bytes) -> st.SearchStrategy[bytes]:
    """A ClientHello with some bytes changed, cut, or with more behind it."""
    place = st.integers(0, len(hello) - 1)

    def spoil(at: int, byte: int, end: int, more: bytes) -> bytes:
        changed = hello[:at] + bytes((byte,)) + hello[at + 1 :]
        return changed[: end + 1] + more

    return st.builds(spoil, place, st.integers(0, 255), place | st.just(len(hello)), st.binary(max_size=40))


def test_the_authority_of_the_test_is_the_tests_own(tmp_path: Path) -> None:
    assert ca.open_authority().path.is_relative_to(tmp_path)
    assert Fixed(make_answer()).description
