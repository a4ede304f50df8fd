"""Rules that leave a request to a server and change what it says, in every mode, between plain sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.engine.config import Forwarding
from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.passing import Passing
from inspectd.rules.responder import Fixed
from tests.engine.proxy.conftest import Origin
from tests.engine.tls_client import LISTEN, TlsClient, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import Any

    from inspectd.rules.responder import Responder
    from tests.engine.conftest import Running

    Proxied = Callable[..., AbstractAsyncContextManager[tuple[Running, Origin]]]
    Run = Callable[..., AbstractAsyncContextManager[Running]]

ASK = b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ODD = b"HTTP/1.1  200   Odd\nX-Folded : a\n b\r\nset-cookie: a=1\r\nContent-Length: 2\n\nok"
HINTS = b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: b=2\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n00\r\nX-Sum: 1\r\n\r\n"


def book(rules: str, tmp_path: Path, fallback: Responder | None = None) -> RuleBook:
    """Rules before a responder: as of a proxy, when none is given."""
    made = RuleBook(fallback or Passing("the origin"))
    change(made, rules, tmp_path)
    return made


def change(made: RuleBook, rules: str, tmp_path: Path) -> None:
    """Other rules from now on."""
    made.replace("file", load_text(rules, source="file", base=tmp_path).rules)


@pytest.fixture
async def server() -> AsyncIterator[Origin]:
    """A server that no mode knows of."""
    origin = Origin()
    await origin.start()
    yield origin
    await origin.stop()


def hello() -> Responder:
    """Answers by itself."""
    return Fixed(make_answer(body=b"hello"))


async def res_changes(running: Running, number: int) -> list[dict[str, Any]]:
    """What was changed of an answer, from the capture."""
    row = await running.exchange(number)
    forward = running.capture.forward(row.id)
    assert forward is not None
    return json.loads(forward.res_changes) if forward.res_changes else []


@pytest.mark.parametrize("whole", [True, False])
async def test_an_answer_is_changed_and_both_sides_are_recorded(
    proxied: Proxied, tmp_path: Path, whole: bool
) -> None:
    rules = (
        "[[rule]]\nmatch = '/api'\nproxy = true\npatch = { respond = '503 Busy', remove = ['Set-Cookie'],"
        " set = ['X-New: 1'] }"
    )
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == ASK
        for piece in [HINTS + ODD] if whole else [bytes([byte]) for byte in HINTS + ODD]:
            await accepted.say(piece)
        expected = HINTS + b"HTTP/1.1 503 Busy\nX-Folded : a\n b\r\nContent-Length: 2\nX-New: 1\n\nok"
        assert await client.reader.readexactly(len(expected)) == expected
        await client.send(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")  # on the same connection to the server
        await accepted.until(b"\r\n\r\n")
        await accepted.say(ODD)
        assert await client.reader.readexactly(len(ODD)) == ODD
        row = await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert (row.status, row.reason) == ("503", "Busy")
        assert row.res_head == len(expected) - 2
        assert running.capture.response_bytes(row) == expected
        assert running.capture.forwarded_bytes(forward, OUTGOING) == HINTS + ODD
        assert await res_changes(running, 1) == [
            {"what": "status line", "from": "HTTP/1.1  200   Odd", "to": "HTTP/1.1 503 Busy"},
            {"what": "set-cookie", "from": "a=1", "to": None},
            {"what": "X-New", "from": None, "to": "1"},
        ]
        assert await res_changes(running, 2) == []
        assert running.capture.connection(1) is not None
        evidence = running.capture.evidence(1)
        assert evidence is not None
        assert (evidence.rule, evidence.planned) == ("file:1", len(expected))
        await client.close()


async def test_an_interim_response_does_not_wait_for_the_final_one(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\npatch = { body = 'other' }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(HINTS)
        assert await client.until(b"\r\n\r\n") == HINTS
        await accepted.say(CHUNKS[:60])
        assert await client.until(b"other") == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
        await accepted.say(CHUNKS[60:])
        row = await running.exchange(1)
        assert row.state & State.RESPONSE_COMPLETE.value
        assert (await res_changes(running, 1))[-1] == {"what": "content", "from": "2 bytes", "to": "5 bytes"}
        await client.close()


async def test_content_streams_through_a_patched_head(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\npatch = { headers = ['X-New: 1'] }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.until(b"X-New: 1\r\n\r\n")
        for byte in CHUNKS.partition(b"\r\n\r\n")[2]:
            await accepted.say(bytes([byte]))
            assert await client.reader.readexactly(1) == bytes([byte])  # half a chunk line as well
        await running.exchange(1)
        await client.close()


async def test_words_are_replaced_until_the_server_closes(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\npatch = { replace = [{ find = 'old', with = 'newer' }] }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nthe o")
        await accepted.say(b"ld one")
        await accepted.close()
        assert await client.rest() == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\nthe newer one"
        )
        await client.close()


async def test_words_that_grow_beyond_the_limit_pass_as_they_came(proxied: Proxied, tmp_path: Path) -> None:
    words = "longer " * 100
    rules = f"[[rule]]\nproxy = true\npatch = {{ replace = [{{ find = 'old', with = '{words}' }}] }}"
    coded = gzip.compress(b"old" * 20_000)
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(coded), coded)
    )
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(answer)
        assert await client.reader.readexactly(len(answer)) == answer
        await running.exchange(1)
        (told,) = await res_changes(running, 1)
        assert told["to"] == "unchanged: with other words, it is longer than 8,388,608 bytes"
        await client.close()


async def test_an_answer_that_breaks_off_breaks_off_for_the_client(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\npatch = { replace = [{ find = 'old', with = 'newer' }] }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        half = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nthe old"
        await accepted.say(half)
        await accepted.close()
        assert await client.rest() == half
        row = await running.exchange(1)
        assert row.state & State.ABORTED.value
        assert (await res_changes(running, 1))[0]["to"] == "unchanged: it broke off"
        await client.close()


async def test_the_request_is_changed_as_well(proxied: Proxied, tmp_path: Path) -> None:
    rules = (
        "[[rule]]\nproxy = true\nproxy-host = 'b'\n"
        "patch.request = { target = '/other', set = ['X-A: 2'], remove = ['Cookie'], headers = ['X-B: 3'] }"
    )
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(b"\r\nPOST /api HTTP/1.1\nHost:  a\nCookie: c\nX-A : 1 \nContent-Length: 2\n\nhi")
        accepted = await origin.next()
        expected = b"\r\nPOST /other HTTP/1.1\nHost: b\nX-A: 2\nContent-Length: 2\nX-B: 3\n\nhi"
        assert await accepted.reader.readexactly(len(expected)) == expected
        await accepted.say(OK)
        await client.until(b"ok")
        await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert running.capture.forwarded_bytes(forward, INCOMING).endswith(expected[2:])
        assert [item["what"] for item in json.loads(forward.changes or "[]")] == [
            "Host", "target", "Cookie", "X-A", "X-B",
        ]  # fmt: skip
        await client.close()


@pytest.mark.parametrize(
    ("fault", "got"),
    [
        ("{ do = 'reset', at = 'start' }", b""),
        ("{ do = 'reset', at = 'head', after = '10ms' }", CHUNKS[:47]),
        ("{ do = 'close', at = 'body+3' }", CHUNKS[:50]),
        ("{ do = 'half-close', at = 'body' }", CHUNKS),
    ],
)
async def test_faults_happen_at_places_of_the_real_answer(
    proxied: Proxied, tmp_path: Path, fault: str, got: bytes
) -> None:
    async with proxied(book(f"[[rule]]\nproxy = true\nfault = {fault}", tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(CHUNKS)
        seen = b""
        reset = False
        try:
            async with asyncio.timeout(10):
                while piece := await client.reader.read(1000):
                    seen += piece
        except ConnectionResetError:
            reset = True
        assert seen == got
        assert reset == ("reset" in fault)
        await client.close()
        await running.closed()


async def test_a_stall_holds_the_client_and_lets_the_server_go(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\nfault = { do = 'stall', at = 'head' }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        assert await accepted.rest() == b""  # nobody waits for the rest of it
        assert await client.until(b"\r\n\r\n") == OK[:-2]
        client.writer.write_eof()
        assert await client.rest() == b""
        await client.close()


async def test_what_is_truncated_leaves_the_connection_in_use(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nmatch = '/api'\nproxy = true\nfault = { do = 'truncate', at = 'body+1' }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK + ASK.replace(b"/api", b"/x"))
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        expected = OK[:-1] + OK
        assert await client.reader.readexactly(len(expected)) == expected
        await client.close()


async def test_a_request_waits_and_the_connection_closes_behind_it(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\nclose = true\npace = { before = '50ms' }"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(
            ASK.replace(b"GET", b"POST").replace(b"a\r\n\r\n", b"a\r\nContent-Length: 4\r\n\r\nab")
        )
        await client.send(b"cd")
        accepted = await origin.next()
        await accepted.until(b"abcd")
        await accepted.say(OK)
        assert await client.rest() == OK
        forward = running.capture.forward((await running.exchange(1)).id)
        row = await running.exchange(1)
        assert forward is not None
        assert forward.begun_ns - row.started_ns >= 45_000_000
        await client.close()


async def test_a_large_upload_streams_to_the_server_of_a_rule(proxied: Proxied, tmp_path: Path) -> None:
    size = 24 << 20  # more than is kept of a request while a rule may still answer
    async with proxied(book("[[rule]]\nproxy = true\npatch.respond = '201'", tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)

        async def upload() -> None:
            for _ in range(size >> 16):
                await client.send(bytes(1 << 16))

        task = asyncio.create_task(upload())
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        left = size
        while left:
            left -= len(await accepted.reader.read(1 << 20))
        await task
        await accepted.say(OK)
        assert await client.until(b"ok") == OK.replace(b" 200 OK", b" 201")
        await client.close()


async def test_a_rule_of_an_engine_that_answers_asks_a_server(
    run_engine: Run, server: Origin, tmp_path: Path
) -> None:
    rules = f"[[rule]]\nmatch = '/api'\nproxy = 'http://127.0.0.1:{server.port}'\npatch.respond = '299 Hm'"
    async with run_engine(book(rules, tmp_path, hello())) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + ASK)
        await client.until(b"hello")
        accepted = await server.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(CHUNKS)
        expected = CHUNKS.replace(b"200 OK", b"299 Hm")
        assert await client.reader.readexactly(len(expected)) == expected
        assert "answered" not in ((await running.exchange(2)).label or "")
        assert await running.ask(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\n\r\n" % server.port)
        assert server.connections.empty()  # it is no proxy for everybody
        await client.close()


async def test_rules_may_begin_to_forward_while_a_connection_is_open(
    run_engine: Run, server: Origin, tmp_path: Path
) -> None:
    rules = book("[[rule]]\nmatch = '/'\nrespond = '204'", tmp_path, hello())
    async with run_engine(rules) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(b"\r\n\r\n")
        await running.exchange(1)
        change(rules, f"[[rule]]\nproxy = 'http://127.0.0.1:{server.port}'", tmp_path)
        await client.send(ASK)
        accepted = await server.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(ODD)
        assert await client.reader.readexactly(len(ODD)) == ODD
        change(rules, "[[rule]]\nrespond = '204'", tmp_path)
        await client.send(ASK)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        await client.close()
        connection = await running.closed()
        assert connection.exchanges == 3
        assert running.capture.connection(2) is not None  # the server's
        assert running.engine.open_connections == 0


async def test_a_rule_asks_a_server_for_clients_that_speak_tls(
    run_engine: Run, server: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    rules = book(
        f"[[rule]]\nproxy = 'http://127.0.0.1:{server.port}'\npatch.respond = '299'", tmp_path, hello()
    )
    async with run_engine(rules, listen=LISTEN) as running:
        client = await TlsClient.connect(running, trusting(), "lab.test")
        await client.shake()
        await client.send(ASK)
        accepted = await server.next()
        assert await accepted.until(b"\r\n\r\n") == ASK
        await accepted.say(OK)
        assert await client.until(b"ok") == OK.replace(b"200 OK", b"299")
        await client.goodbye()
        await client.close()
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.sni == "lab.test"


async def test_a_request_that_is_under_way_is_told_to_come_again(
    run_engine: Run, server: Origin, tmp_path: Path
) -> None:
    rules = book("[[rule]]\nmatch = '/'\nrespond = '204'", tmp_path, hello())
    async with run_engine(rules) as running:
        client = await running.connect()
        await client.send(ASK[:10])
        await running.eventually(lambda: running.engine.open_connections)
        while running.capture.connection(1) is None:
            await asyncio.sleep(0)
        await running.eventually(lambda: running.capture.exchange(1))  # half a head is shown
        change(rules, f"[[rule]]\nproxy = 'http://127.0.0.1:{server.port}'", tmp_path)
        await client.send(ASK[10:])
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"ask on another one" in answer
        await client.close()


async def test_an_engine_that_answers_has_no_server_of_its_own(run_engine: Run, tmp_path: Path) -> None:
    async with run_engine(book("[[rule]]\nproxy = true", tmp_path, hello())) as running:
        answer = await running.ask(ASK)
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"name a server" in answer
        forward = running.capture.forward((await running.exchange(1)).id)
        assert forward is not None
        assert forward.failure is not None


async def test_a_rule_of_a_proxy_sends_elsewhere(proxied: Proxied, server: Origin, tmp_path: Path) -> None:
    rules = f"[[rule]]\nmatch = '/api'\nproxy = 'http://127.0.0.1:{server.port}'"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        for accepting, target in ((origin, b"/x"), (server, b"/api"), (origin, b"/y")):
            await client.send(ASK.replace(b"/api", target))
            accepted = await accepting.next()
            assert (await accepted.until(b"\r\n\r\n")).startswith(b"GET " + target)
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
        row = running.capture.forward((await running.exchange(2)).id)
        assert row is not None
        assert row.origin == f"127.0.0.1:{server.port}"
        await client.close()


async def test_a_held_request_goes_on_when_it_is_let_go(proxied: Proxied, tmp_path: Path) -> None:
    rules = "[[rule]]\nproxy = true\nhold = true\npatch.respond = '299'"
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(ASK)
        await running.eventually(lambda: running.engine.holds.held)
        assert origin.connections.empty()
        running.engine.holds.release_all(outcome="released")
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        assert await client.until(b"ok") == OK.replace(b"200 OK", b"299")
        await client.close()


async def test_only_who_forwards_loads_a_proxy() -> None:
    code = (
        "import sys, inspectd.engine.server, inspectd.rules.file, inspectd.rules.book\n"
        "print(sorted(name for name in sys.modules if name.startswith('inspectd.engine.proxy')))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.strip() == b"[]"


async def test_a_forward_proxy_sends_what_a_rule_says_to_another_server(
    run_engine: Run, server: Origin, tmp_path: Path
) -> None:
    rules = f"[[rule]]\nmatch = '/api'\nproxy = 'http://127.0.0.1:{server.port}'\npatch.remove = ['X-*']"
    async with run_engine(book(rules, tmp_path), forwarding=Forwarding()) as running:
        client = await running.connect()
        await client.send(b"GET http://example.test/api HTTP/1.1\r\nHost: example.test\r\n\r\n")
        accepted = await server.next()
        assert await accepted.until(b"\r\n\r\n") == b"GET /api HTTP/1.1\r\nHost: example.test\r\n\r\n"
        await accepted.say(OK.replace(b"\r\n", b"\r\nX-Gone: 1\r\n", 1))
        assert await client.until(b"ok") == OK
        await client.close()


async def test_another_protocol_goes_through_a_patched_head(proxied: Proxied, tmp_path: Path) -> None:
    rules = (
        "[[rule]]\nproxy = true\npatch = { headers = ['X-New: 1'], replace = [{ find = 'a', with = 'b' }] }"
    )
    async with proxied(book(rules, tmp_path)) as (running, origin):
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: odd\r\n\r\n")
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\n\r\n\x00aaa")
        assert (await client.until(b"\x00aaa")).endswith(b"Upgrade: odd\r\nX-New: 1\r\n\r\n\x00aaa")
        await client.send(b"\xff\n")
        await accepted.until(b"\xff\n")
        await client.close()
