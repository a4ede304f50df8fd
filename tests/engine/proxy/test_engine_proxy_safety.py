"""Who may use a proxy, where it never goes, and what a peer can't make it take."""

from __future__ import annotations

import base64
import socket
import ssl
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from inspectd.engine.config import Forwarding, Limits
from inspectd.engine.proxy.admission import Password, PasswordError, parse_password
from inspectd.engine.proxy.dial import parse_resolve
from inspectd.engine.proxy.patching import Patching
from inspectd.engine.proxy.via import parse_via
from inspectd.rules.answer import make_answer, problem_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.passing import Pass, Passing
from inspectd.rules.patch import HeadPatch, Patch
from inspectd.rules.responder import Fixed
from inspectd.wire import ResponseReader
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.tunnels import ESTABLISHED, OK, proxying, tunnel
from tests.engine.tls_client import LISTEN, TlsClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running
    from tests.engine.proxy.tunnels import RunEngine

    Proxied = Callable[..., AbstractAsyncContextManager[tuple[Running, Origin]]]

KNOWN = Password(b"jos\xc3\xa9", b"a:b c")
GIVEN = "Proxy-Authorization: Basic " + base64.b64encode(b"jos\xc3\xa9:a:b c").decode()


pytestmark = pytest.mark.usefixtures("own_authority")


def ask_for(target: str, *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


# -- a password


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Proxy-Authorization:",),
        ("Proxy-Authorization: Basic",),
        ("Proxy-Authorization: Basic !!!",),
        ("Proxy-Authorization: Basic " + base64.b64encode(b"jos\xc3\xa9").decode(),),
        ("Proxy-Authorization: Basic " + base64.b64encode(b"jos\xc3\xa9:a:b").decode(),),
        ("Proxy-Authorization: Basic " + base64.b64encode(b"jos:a:b c").decode(),),
        (GIVEN.replace("Basic", "Bearer"),),
        (GIVEN, GIVEN),
        (GIVEN.replace("Proxy-", ""),),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT"])
async def test_without_the_password_nothing_is_forwarded(
    run_engine: RunEngine, fields: tuple[str, ...], method: str
) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, password=KNOWN) as running:
        place = f"127.0.0.1:{origin.port}"
        target = place if method == "CONNECT" else f"http://{place}/"
        content = ("Content-Length: 3",) if method == "POST" else ()
        answer = await running.ask(ask_for(target, *fields, *content, method=method) + b"abc" * len(content))
        row = await running.exchange(1)
    assert answer.startswith(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
    assert b'\r\nProxy-Authenticate: Basic realm="inspectd", charset="UTF-8"\r\n' in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert (row.method, row.status) == (method, "407")
    assert "proxy" in (row.label or "")
    assert not origin.accepted


async def test_with_it_requests_are_forwarded_without_it(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, password=KNOWN) as running:
        client = await running.connect()
        await client.send(ask_for(f"http://127.0.0.1:{origin.port}/", GIVEN))
        accepted = await origin.next()
        got = await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        # each request has to have it
        await client.send(ask_for(f"http://127.0.0.1:{origin.port}/"))
        assert (await client.rest()).startswith(b"HTTP/1.1 407 ")
        await client.close()
    assert got == ask_for("/").replace(b"localhost", f"127.0.0.1:{origin.port}".encode())


async def test_what_is_in_a_tunnel_needs_none_again(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), password=KNOWN) as running:
        client = await running.connect()
        await client.send(ask_for("inspectd.test:80", GIVEN, method="CONNECT"))
        assert await client.until(b"\r\n\r\n") == ESTABLISHED
        await client.send(ask_for("/ca.pem"))
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")
        await client.close()


async def test_rules_and_the_offered_ca_are_behind_it_too(run_engine: RunEngine, tmp_path: Path) -> None:
    origin = Origin()
    await origin.start()
    text = f'[[rule]]\nmatch = "/to"\nproxy = "http://127.0.0.1:{origin.port}"\n[[rule]]\nrespond = "418 T"\n'
    book = RuleBook(Passing("the servers"))
    book.replace("rules", load_text(text, source="rules", base=tmp_path).rules)
    async with proxying(run_engine, Origin(), book, password=KNOWN) as running:
        assert (await running.ask(ask_for("http://inspectd.test/"))).startswith(b"HTTP/1.1 407 ")
        assert (await running.ask(ask_for("http://inspectd.test/", GIVEN))).startswith(b"HTTP/1.1 418 ")
        # a request that isn't one to a proxy is told so, and a browser shows it
        assert (await running.ask(ask_for("/"))).startswith(b"HTTP/1.1 400 ")
        client = await running.connect()
        await client.send(ask_for("/to", GIVEN))
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == ask_for("/to")
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()
    await origin.stop()


SOCKS5_NAME = b"\x05\x01\x00\x03\x0dinspectd.test\x00\x50"


async def test_socks_5_asks_for_it(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), password=KNOWN) as running:
        client = await running.connect()
        await client.send(b"\x05\x02\x00\x02")
        assert await client.reader.readexactly(2) == b"\x05\x02"
        await client.send(b"\x01\x05jos\xc3\xa9\x05a:b c")
        assert await client.reader.readexactly(2) == b"\x01\x00"
        await client.send(SOCKS5_NAME)
        assert (await client.reader.readexactly(10))[:2] == b"\x05\x00"
        await client.send(ask_for("/ca.pem"))
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")
        await client.close()


@pytest.mark.parametrize(
    ("said", "answer", "words"),
    [
        (b"\x05\x01\x00", b"\x05\xff", "offers no user and password"),
        (b"\x05\x01\x02\x01\x05jos\xc3\xa9\x03a:b", b"\x05\x02\x01\x01", "is wrong"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x00\x5b" + bytes(6), "SOCKS4 has no passwords"),
        (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00inspectd.test\x00", b"\x00\x5b" + bytes(6), "no passwords"),
    ],
)
async def test_socks_without_it_is_turned_away(
    run_engine: RunEngine, said: bytes, answer: bytes, words: str
) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, password=KNOWN) as running:
        assert await running.ask(said) == answer
        row = await running.closed()
    assert words in (row.sentence or "")
    assert not origin.accepted


async def test_on_a_port_that_speaks_tls_it_is_not_asked_for_in_clear_text(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), engine={"listen": LISTEN}, password=KNOWN) as running:
        running.host = running.host.removeprefix("https://")
        answer = await running.ask(ask_for("http://inspectd.test/"))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"speaks https" in answer
        client = await TlsClient.connect(running)
        await client.shake()
        await client.send(ask_for("http://inspectd.test/"))
        assert (await client.rest()).startswith(b"HTTP/1.1 407 ")
        await client.close()


def test_it_is_shown_nowhere(tmp_path: Path) -> None:
    assert "a:b c" not in repr(Forwarding(password=KNOWN))
    file = tmp_path / "secret"
    file.write_bytes(b"jos\xc3\xa9:a:b c\r\nmore\n")
    assert parse_password(f"@{file}") == KNOWN == parse_password("jos\u00e9:a:b c")
    for text in ("", "hunter2", ":hunter2", "hunter2:", "a:hunter2\x01", "hunter2:" + "x" * 256):
        with pytest.raises(PasswordError) as caught:
            parse_password(text)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(PasswordError, match="no such file"):
        parse_password(f"@{tmp_path / 'none'}")


async def test_an_open_proxy_that_others_can_reach_says_what_to_do(run_engine: RunEngine) -> None:
    everywhere = {"listen": ("0.0.0.0:0",)}
    async with proxying(run_engine, Origin(), engine=everywhere, allow_remote=True) as running:
        reach, advice = running.engine.warnings
        assert "every machine" in reach
        assert "--proxy-auth" in advice
    async with proxying(
        run_engine, Origin(), engine=everywhere, allow_remote=True, password=KNOWN
    ) as running:
        assert len(running.engine.warnings) == 1
    async with proxying(run_engine, Origin()) as running:
        assert running.engine.warnings == []


# -- never to its own listeners


def free_port() -> int:
    """A port for engines that must know it before they listen."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


HOSTS = ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "elsewhere.test"]


@pytest.mark.parametrize("host", HOSTS)
async def test_a_request_for_the_proxy_itself_is_a_508(run_engine: RunEngine, host: str) -> None:
    port = free_port()
    resolve = (parse_resolve(f"elsewhere.test:{port}:127.0.0.1"),)
    engine = {"listen": (f"127.0.0.1:{port}",)}
    async with proxying(run_engine, Origin(), engine=engine, resolve=resolve) as running:
        answer = await running.ask(ask_for(f"http://{host}:{running.port}/"))
        assert answer.startswith(b"HTTP/1.1 508 Loop Detected\r\n"), answer
        assert b"round in circles" in answer
        assert running.engine.connections == 1


async def test_a_tunnel_to_the_proxy_itself_is_told_inside(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        client = await running.connect()
        await client.send(ask_for(f"localhost:{running.port}", method="CONNECT"))
        assert await client.until(b"\r\n\r\n") == ESTABLISHED
        await client.send(ask_for("/"))
        assert (await client.rest()).startswith(b"HTTP/1.1 508 ")
        await client.close()
        secret = await tunnel(running, running.port)
        await secret.shake()
        await secret.send(ask_for("/"))
        assert (await secret.rest()).startswith(b"HTTP/1.1 508 ")
        await secret.close()


async def test_a_carried_tunnel_to_the_proxy_itself_is_not_opened(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), intercept=False) as running:
        answer = await running.ask(ask_for(f"localhost:{running.port}", method="CONNECT"))
        assert answer.startswith(b"HTTP/1.1 508 ")
        port = running.port.to_bytes(2)
        assert (await running.ask(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + port))[
            :4
        ] == b"\x05\x00\x05\x02"
        assert (await running.ask(b"\x04\x01" + port + b"\x7f\x00\x00\x01\x00"))[:2] == b"\x00\x5b"
        assert running.engine.connections == 3


async def test_neither_is_it_its_own_way_to_others(run_engine: RunEngine) -> None:
    port = free_port()
    for scheme in ("http", "socks5"):
        via = parse_via(f"{scheme}://localhost:{port}")
        config = {"listen": (f"127.0.0.1:{port}",)}
        async with proxying(run_engine, Origin(), engine=config, via=via) as running:
            answer = await running.ask(ask_for("http://example.test/"))
            assert answer.startswith(b"HTTP/1.1 508 ")
            assert b"round in circles" in answer


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "https://127.0.0.1:0", "0.0.0.0:0"])
async def test_a_reverse_proxy_before_itself_is_told(run_engine: RunEngine, listen: str) -> None:
    port = free_port()
    config = Forwarding("localhost", port, tls=listen.startswith("https"), verify=False)
    async with run_engine(
        Passing("itself"), forwarding=config, listen=(listen.replace(":0", f":{port}"),)
    ) as running:
        client = await TlsClient.connect(running) if config.tls else await running.connect()
        if isinstance(client, TlsClient):
            await client.shake()
        await client.send(ask_for("/"))
        assert (await client.rest()).startswith(b"HTTP/1.1 508 ")
        await client.close()


async def test_the_control_api_can_t_be_reached_through_the_proxy(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        control = Fixed(make_answer(body=b"the control API"))
        await running.engine.listen_private(sock, control, problem_answer)
        assert (await running.ask(ask_for(f"http://localhost:{port}/"))).startswith(b"HTTP/1.1 508 ")


# -- clients that speak something else to it


async def test_tls_to_a_port_in_clear_text_is_told_so_by_an_alert_and_a_row(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        client = await TlsClient.connect(running)
        with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
            await client.shake()
        await client.close()
        row = await running.closed()
    assert row.kind == "tls"
    assert "proxy" in (row.sentence or "")
    assert "--listen https://" in (row.sentence or "")


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


async def test_http_2_gets_a_goaway_that_says_what_is_spoken(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        answer = await running.ask(PREFACE)
        row = await running.closed()
        assert answer[3] == 4  # SETTINGS
        assert b"HTTP/1.1" in answer
        assert row.kind == "http2"


async def test_http_2_in_a_decrypted_tunnel_gets_it_as_well(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        client = await tunnel(running, 443)
        await client.shake()
        await client.send(PREFACE)
        answer = await client.rest()
        await client.close()
        assert answer[3] == 4
        assert b"HTTP/1.1" in answer
        assert b"clear text" not in answer
        row = await running.closed(2)
        assert row.kind == "http2"


# -- what a peer can't make it take


SOON = {"limits": Limits(silence_timeout=0.3, idle_timeout=60.0)}
HALF = {"limits": Limits(silence_timeout=60.0, idle_timeout=0.3)}


@pytest.mark.parametrize("half", [False, True])
async def test_a_tunnel_in_which_nothing_is_said_comes_to_an_end(
    run_engine: RunEngine, *, half: bool
) -> None:
    origin = Origin()
    engine = HALF if half else SOON
    async with proxying(run_engine, origin, engine=engine, intercept=False) as running:
        client = await running.connect()
        await client.send(ask_for(f"127.0.0.1:{origin.port}", method="CONNECT"))
        assert await client.until(b"\r\n\r\n") == ESTABLISHED
        await client.send(b"hello")
        accepted = await origin.next()
        assert await accepted.until(b"hello") == b"hello"
        if half:
            client.writer.write_eof()
        assert await client.rest() == b""
        assert await accepted.rest() == b""
        row = await running.closed()
        await client.close()
    assert (row.closed_by, row.how) == (("client", "fin") if half else ("server", "timeout"))


async def test_a_server_that_says_nothing_for_very_long_is_not_waited_for(proxied: Proxied) -> None:
    async with proxied(engine=SOON) as (running, origin):
        client = await running.connect()
        await client.send(ask_for("/"))
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
        assert b"said nothing for 0.3 s" in answer
        assert await accepted.rest() == b""
        await client.close()


async def test_a_client_that_never_sends_the_rest_of_its_content_is_told_so(proxied: Proxied) -> None:
    async with proxied(engine=HALF) as (running, origin):
        client = await running.connect()
        await client.send(ask_for("/", "Content-Length: 9", method="POST") + b"half")
        accepted = await origin.next()
        await accepted.until(b"half")
        assert (await client.rest()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert await accepted.rest() == b""
        await client.close()


async def test_half_an_answer_of_such_a_server_ends_in_a_reset(proxied: Proxied) -> None:
    async with proxied(engine=SOON) as (running, origin):
        client = await running.connect()
        await client.send(ask_for("/"))
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        assert await client.until(b"half") == b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
        with pytest.raises(ConnectionResetError):
            await client.rest()
        row = await running.exchange(1)
        assert "said nothing more for 0.3 s" in (row.label or "")
        await client.close()


async def test_who_only_begins_to_speak_socks_is_not_waited_for(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), engine=HALF) as running:
        client = await running.connect()
        await client.send(b"\x05\x02\x00")
        assert await client.rest() == b""
        await client.close()


async def test_a_framing_that_was_lost_does_not_keep_a_connection_for_ever(proxied: Proxied) -> None:
    async with proxied(engine=SOON) as (running, origin):
        client = await running.connect()
        lost = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\nand more"
        await client.send(lost)
        accepted = await origin.next()
        assert await accepted.until(b"more") == lost
        assert (await client.rest()).startswith(b"HTTP/1.1 504 ")
        assert await accepted.rest() == b""
        await client.close()


@pytest.mark.parametrize("target", ["http://{}/", "{}:80"])
async def test_a_name_that_is_longer_than_any_is_not_looked_up(run_engine: RunEngine, target: str) -> None:
    async with proxying(run_engine, Origin()) as running:
        method = "GET" if target.startswith("http") else "CONNECT"
        answer = await running.ask(ask_for(target.format("a." * 3000), method=method))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert len(answer) < 1000
        row = await running.exchange(1)
        assert len(row.label or "") < 500


ENDLESS = {
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 4000 + b"\r\n\r\n"),
    "a head": (b"HTTP/1.1 200 OK\r\n", (b"X-Long: " + b"x" * 1000 + b"\r\n") * 16),
    "a status line": (b"HTTP/1.1 200 ", b"x" * 16384),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 2000),
    "a chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;", b"x" * 16384),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_a_server_never_ends_is_not_held_for_a_rule(what: str) -> None:
    start, piece = ENDLESS[what]
    reader = ResponseReader(max_head=1 << 20)
    reader.expect(b"GET")
    patching = Patching(Pass((), patch=Patch(head=HeadPatch(append=(b"X-New: 1",)))), b"GET")
    given = 0
    tracemalloc.start()
    try:
        for data in (start, *(piece for _ in range((16 << 20) // len(piece)))):
            at = reader.offset
            given += len(patching.feed(data, at, reader.feed(data)).data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20
    assert given > 15 << 20


@pytest.mark.parametrize("patched", [False, True])
async def test_of_words_without_end_a_row_has_the_beginning(
    proxied: Proxied, tmp_path: Path, *, patched: bool
) -> None:
    book = RuleBook(Passing("the origin"))
    text = '[[rule]]\nproxy = true\npatch = { headers = ["X-New: 1"] }\n' if patched else ""
    book.replace("rules", load_text(text, source="rules", base=tmp_path).rules)
    async with proxied(book) as (running, origin):
        client = await running.connect()
        await client.send(ask_for("/"))
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        line = b"HTTP/1.1 " + b"2" * 300_000 + b" " + b"x" * 300_000
        await accepted.say(line + b"\r\nContent-Length: 2\r\n\r\nok")
        assert (await client.until(b"\r\n\r\nok")).startswith(line)
        row = await running.exchange(1)
        assert (row.status, row.reason) == ("2" * 1024, "x" * 1024)
        await client.close()


async def test_half_a_handshake_in_a_tunnel_is_not_waited_for(run_engine: RunEngine) -> None:
    engine = {"limits": Limits(handshake_timeout=0.3)}
    async with proxying(run_engine, Origin(), engine=engine) as running:
        client = await running.connect()
        await client.send(ask_for("a.test:443", method="CONNECT"))
        assert await client.until(b"\r\n\r\n") == ESTABLISHED
        await client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        answer = await client.rest()
        assert answer[:1] == b"\x15"  # an alert
        await client.close()
        row = await running.closed(2)
        assert "not complete after 0.3 s" in (row.sentence or "")
