"""Reverse proxy: what a client sends is what the server gets, what the server sends is what the client gets."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.engine.tcp import reset_on_close
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.passing import Passing

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running
    from tests.engine.proxy.conftest import Accepted, Origin

    Proxied = Callable[..., AbstractAsyncContextManager[tuple[Running, Origin]]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3;a=b;c="d"\r\nabc\r\n0003\r\ndef\r\n0;last\r\nX-Trailer: 1\r\n\r\n'
)
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET  /two  HTTP/1.1 \r\nHost :  a  \r\nX:y\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\nX: 1\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\tagain\r\n\r\n",
    b"GET / HTTP/1.1\r\nhOsT: a\r\nhOsT: b\r\n: nameless\r\nno colon\r\n\r\n",
    b"G\xffT /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /only-two-words\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345",
    CHUNKED,
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://other.test/abs?q HTTP/1.1\r\nHost: a\r\nProxy-Connection: x\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]

ANSWERS = [
    OK,
    b"HTTP/1.1 200\nContent-Length: 2\n\nok",
    b"HTTP/1.1  299   Odd \xff\r\nContent-Length : 2\r\nX: 1\r\n fold\r\n\r\nok",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n00\r\nA: b\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
]


async def agree(running: Running, number: int, accepted: Accepted, sent: bytes, got: bytes) -> None:
    """What the capture says of an exchange is what the origin and the client have seen."""
    row = await running.exchange(number)
    forward = running.capture.forward(row.id)
    assert forward is not None
    assert forward.upstream is not None
    assert running.capture.forwarded_bytes(forward, INCOMING) == sent
    assert running.capture.forwarded_bytes(forward, OUTGOING) == got
    assert running.capture.response_bytes(row) == got
    assert running.capture.request_bytes(row) in sent
    assert running.capture.stream_bytes(forward.upstream, INCOMING) == accepted.got
    assert forward.failure is None
    assert forward.changes is None


@pytest.mark.parametrize("request_bytes", REQUESTS)
async def test_a_request_arrives_as_it_was_sent(proxied: Proxied, request_bytes: bytes) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(request_bytes)
        accepted = await origin.next()
        arrived = await accepted.until(request_bytes[-4:])
        while len(arrived) < len(request_bytes):
            arrived += await accepted.until(request_bytes[-4:])
        assert arrived == request_bytes
        answer = OK if not request_bytes.startswith(b"HEAD") else OK[:-2]
        await accepted.say(answer)
        assert await client.reader.readexactly(len(answer)) == answer
        await client.close()
        await running.closed()
        await agree(running, 1, accepted, request_bytes, answer)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("split", [True, False])
async def test_an_answer_arrives_as_it_was_sent(proxied: Proxied, answer: bytes, split: bool) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        if split:
            for place in range(len(answer)):
                await accepted.say(answer[place : place + 1])
                assert (
                    await client.reader.readexactly(1) == answer[place : place + 1]
                )  # none waits for another
        else:
            await accepted.say(answer)
            assert await client.reader.readexactly(len(answer)) == answer
        await agree(running, 1, accepted, REQUESTS[0], answer)
        if b"Content-Length :" in answer:  # nobody can be sure where it ends
            assert await client.rest() == b""
            await client.close()
            return
        await client.send(REQUESTS[0])  # and the connections are used again
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        row = await running.exchange(2)
        assert (row.status, row.state & State.RESPONSE_COMPLETE) == ("200", State.RESPONSE_COMPLETE)
        forward = running.capture.forward(2)
        assert forward is not None
        assert [word for word, _, _ in forward.phases()] == ["send", "wait", "receive"]
        first = running.capture.forward(1)
        assert first is not None
        assert [word for word, _, _ in first.phases()] == ["resolve", "connect", "send", "wait", "receive"]
        upstream = running.capture.upstream(2)
        assert upstream is not None
        assert (upstream.client, upstream.origin) == (1, f"127.0.0.1:{origin.port}")
        await client.close()


async def test_requests_that_come_byte_by_byte_and_ahead_are_forwarded_in_order(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        everything = b"".join(REQUESTS[place] for place in (0, 1, 3, 4, 8, 9))
        for place in range(len(everything)):
            await client.send(everything[place : place + 1])
        accepted = await origin.next()
        for number, place in enumerate((0, 1, 3, 4, 8, 9)):
            wanted = REQUESTS[place]
            async with asyncio.timeout(60):
                assert await accepted.reader.readexactly(len(wanted)) == wanted
            accepted.got += wanted
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
            row = await running.exchange(number + 1)
            forward = running.capture.forward(row.id)
            assert forward is not None
            assert running.capture.forwarded_bytes(forward, INCOMING) == wanted
            assert running.capture.forwarded_bytes(forward, OUTGOING) == OK
        assert len(origin.accepted) == 1
        await client.close()
        await running.closed(2)
        assert running.capture.stream_bytes(2, INCOMING) == everything
        assert running.capture.stream_bytes(2, OUTGOING) == OK * 6


async def test_content_and_events_are_passed_on_while_they_come(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n")
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 100 Go On\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Go On\r\n\r\n"  # the server's, and no other
        await client.send(b"abc")
        await accepted.until(b"abc")
        await accepted.say(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")  # early, and until the connection is closed
        await client.until(b"data: 1\n\n")
        await client.send(b"def")
        await accepted.until(b"def")
        await accepted.say(b"data: 2\n\n")
        await client.until(b"data: 2\n\n")
        await accepted.close()
        assert await client.rest() == b""
        row = await running.exchange(1)
        assert row.state & State.RESPONSE_COMPLETE
        assert running.capture.response_bytes(row) == client.got
        await client.close()


async def test_a_client_that_stops_sending_is_answered_and_the_server_sees_its_fin(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        client.writer.write_eof()
        accepted = await origin.next()
        assert await accepted.rest() == REQUESTS[0]  # up to the FIN
        await accepted.say(OK)
        assert await client.rest() == OK
        await client.close()
        row = await running.exchange(1)
        assert row.state & State.RESPONSE_COMPLETE


async def test_a_request_that_breaks_off_is_passed_on_so(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        client.writer.write_eof()
        accepted = await origin.next()
        assert (await accepted.rest()).endswith(b"\r\n\r\nabc")
        await accepted.say(b"HTTP/1.1 400 Too Short\r\nContent-Length: 0\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Too Short\r\n")
        row = await running.exchange(1)
        assert not row.state & State.REQUEST_COMPLETE
        assert row.status == "400"
        await client.close()


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_server_that_dies_at_any_byte_of_its_answer_dies_for_the_client_too(
    proxied: Proxied, how: str
) -> None:
    whole = (
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    )
    async with proxied() as (running, origin):
        for place in range(len(whole)):
            answer = whole[:place]
            client = await running.connect()
            await client.send(REQUESTS[0])
            accepted = await origin.next()
            await accepted.until(b"\r\n\r\n")
            await accepted.say(answer)
            async with asyncio.timeout(60):
                assert await client.reader.readexactly(place) == answer
            if how == "fin":
                await accepted.close()
            else:
                accepted.reset()
            row = await running.exchange(place + 1)
            forward = running.capture.forward(row.id)
            assert forward is not None
            assert forward.failure is not None
            assert running.capture.forwarded_bytes(forward, OUTGOING) == answer
            if not place:
                assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 502 ")
            else:
                assert row.state & State.ABORTED
                if how == "fin":
                    assert await client.rest() == b""
                else:
                    with pytest.raises(ConnectionResetError):
                        await client.rest()
            await client.close()
        await running.eventually(lambda: not running.capture.counts().open)
        await running.eventually(lambda: not running.engine.open_connections)


async def test_a_client_that_dies_at_any_byte_leaves_nothing_behind(proxied: Proxied) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n12345678901234567890"
    head = sent.find(b"\r\n\r\n") + 4
    async with proxied() as (running, origin):
        before = len(asyncio.all_tasks())
        for place in range(len(sent) + 1):
            client = await running.connect()
            await client.send(sent[:place])
            if place >= head:
                accepted = await origin.next()
                async with asyncio.timeout(60):
                    assert await accepted.reader.readexactly(place) == sent[:place]
            else:
                await running.eventually(lambda: running.engine.open_connections)
            reset_on_close(client.writer.get_extra_info("socket"))
            client.writer.transport.abort()
            await running.eventually(lambda: not running.engine.open_connections)
            if place >= head:
                assert await accepted.rest() == b""
        await running.eventually(lambda: not running.capture.counts().open)
        await running.eventually(lambda: len(asyncio.all_tasks()) <= before + len(origin.accepted))
        assert len(origin.accepted) == len(sent) + 1 - head


async def test_failures_are_told_and_recorded(proxied: Proxied) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with proxied(port=port) as (running, _):
            for number in (1, 2):
                answer = await running.ask(REQUESTS[0])
                assert answer.endswith(b"there.\n")
                assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
                row = await running.exchange(number)
                forward = running.capture.forward(number)
                assert forward is not None
                assert forward.failure == f"127.0.0.1:{port} refused the connection: nothing listens there."
                assert row.label == forward.failure
                assert forward.upstream is None


async def test_a_server_that_says_nothing_in_clear_text_may_speak_tls(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        (await origin.next()).writer.close()
        answer = await client.until(b"its URL.")
        await client.close()
        row = await running.exchange(1)

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert f"without a byte of an answer. If it speaks TLS, https://127.0.0.1:{origin.port} is" in (
        row.label or ""
    )


async def test_a_failure_resets_when_that_is_asked_for(proxied: Proxied) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with proxied(port=unused.getsockname()[1], on_error="reset") as (running, _):
            client = await running.connect()
            await client.send(REQUESTS[0])
            with pytest.raises(ConnectionResetError):
                await client.rest()
            row = await running.exchange(1)
            assert row.state & State.ABORTED
            await client.close()


async def test_it_never_connects_to_itself(proxied: Proxied) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with proxied(port=port, engine={"listen": (f"127.0.0.1:{port}",)}) as (running, _):
        client = await running.connect()
        await client.send(REQUESTS[0])
        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 508 ")
        assert running.engine.connections == 1
        await client.close()


async def test_ambiguous_requests_get_a_connection_of_their_own(proxied: Proxied) -> None:
    smuggled = (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        first = await origin.next()
        await first.until(b"\r\n\r\n")
        await first.say(OK)
        assert await client.until(b"ok") == OK
        await client.send(smuggled)
        second = await origin.next()
        assert await first.rest() == b""  # closed
        await second.until(b"0\r\n\r\n")
        assert second.got == smuggled
        await second.say(OK)
        assert await client.rest() == OK
        assert await second.rest() == b""
        await client.close()


async def test_a_switch_of_protocols_is_passed_on_both_ways(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        asked = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        await client.send(asked)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        await accepted.say(switched + b"\x81\x00")
        assert await client.reader.readexactly(len(switched) + 2) == switched + b"\x81\x00"
        await client.send(b"\x82\x01a")
        async with asyncio.timeout(60):
            assert await accepted.reader.readexactly(3) == b"\x82\x01a"
        client.writer.write_eof()
        assert await accepted.rest() == b""
        await accepted.say(b"\x88\x00")
        assert await client.reader.readexactly(2) == b"\x88\x00"
        await accepted.close()
        assert await client.rest() == b""
        await client.close()
        await running.closed(1)
        await running.closed(2)
        assert running.capture.stream_bytes(1, INCOMING) == asked + b"\x82\x01a"
        assert running.capture.stream_bytes(2, INCOMING) == asked + b"\x82\x01a"
        assert running.capture.stream_bytes(1, OUTGOING) == switched + b"\x81\x00\x88\x00"
        assert running.capture.stream_bytes(2, OUTGOING) == switched + b"\x81\x00\x88\x00"


async def test_a_server_that_closes_between_two_requests_is_connected_to_again(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        for _ in range(3):
            await client.send(REQUESTS[0])
            accepted = await origin.next()
            await accepted.until(b"\r\n\r\n")
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
            await accepted.close()
            await running.eventually(lambda: running.capture.counts().open == 1)
        await client.close()


async def test_rules_answer_first_and_the_server_what_they_leave(proxied: Proxied, tmp_path: Path) -> None:
    text = """
        [[rule]]
        match = "GET /teapot"
        respond = "418 I'm a teapot"

        [[rule]]
        match = { method = "POST", path = "/pay", body = "coffee" }
        respond = "402 Pay"
    """
    book = RuleBook(Passing("the origin"))
    book.replace("rules", load_text(text, source="rules", base=tmp_path).rules)
    async with proxied(book) as (running, origin):
        client = await running.connect()
        await client.send(b"GET /teapot HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 418 I'm a teapot\r\n")
        await client.send(b"POST /pay HTTP/1.1\r\nContent-Length: 6\r\n\r\ncoffee")
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 402 Pay\r\n")
        for path, content in ((b"/pay", b"tea"), (b"/other", b"coffee")):
            sent = b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (path, len(content), content)
            await client.send(sent)
            accepted = origin.accepted[0] if origin.accepted else await origin.next()
            assert await accepted.until(content) == sent
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
        row = await running.exchange(3)
        assert row.label == f"passed on to 127.0.0.1:{origin.port}"
        assert running.capture.forward(1) is None
        await client.close()


async def test_what_is_held_is_forwarded_when_it_is_released(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        running.engine.holds.hold_next(1)
        client = await running.connect()
        sent = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        await client.send(sent)
        await running.eventually(lambda: running.engine.holds.held)
        assert not origin.accepted
        running.engine.holds.release(1)
        accepted = await origin.next()
        assert await accepted.until(b"abc") == sent
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()


async def test_another_host_is_sent_when_asked_for_and_noted(proxied: Proxied) -> None:
    async with proxied(host="other.test") as (running, origin):
        client = await running.connect()
        await client.send(b"\r\nPOST / HTTP/1.1\r\nhost:\ta \r\nX: 1\r\nContent-Length: 3\r\n\r\nabc")
        accepted = await origin.next()
        await accepted.until(b"abc")
        wanted = b"\r\nPOST / HTTP/1.1\r\nhost:\tother.test \r\nX: 1\r\nContent-Length: 3\r\n\r\nabc"
        assert accepted.got == wanted
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        row = await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.changes == '[{"what": "Host", "from": "a", "to": "other.test"}]'
        assert running.capture.forwarded_bytes(forward, INCOMING) == wanted
        assert running.capture.request_bytes(row).endswith(
            b"host:\ta \r\nX: 1\r\nContent-Length: 3\r\n\r\nabc"
        )
        assert row.host == "a"
        await client.close()


async def test_much_goes_through_with_little_memory(proxied: Proxied) -> None:
    size = 48 << 20
    async with proxied() as (running, origin):
        client = await running.connect()

        async def upload() -> None:
            await client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size >> 20):
                await client.send(bytes(1 << 20))

        sending = asyncio.create_task(upload())
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        # Nobody reads now: what is on the way is bounded by buffers, so the client can't have sent all of it.
        await running.eventually(lambda: client.writer.transport.get_write_buffer_size() > 0)
        left = size
        while left:
            left -= len(await accepted.reader.read(1 << 20))
        await sending
        await accepted.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)

        async def download() -> None:
            for _ in range(size >> 20):
                await accepted.say(bytes(1 << 20))

        sending = asyncio.create_task(download())
        await client.until(b"\r\n\r\n")
        left = size
        while left:
            left -= len(await client.reader.read(1 << 20))
        await sending
        row = await running.exchange(1)
        assert row.res_len is not None
        assert row.res_len > size
        await client.close()


async def test_a_server_that_says_more_than_its_answer_is_heard(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK + b" and more")
        assert await client.until(b" and more") == OK + b" and more"
        await accepted.say(b", later")
        assert await client.until(b"later") == b", later"
        await accepted.close()
        assert await client.rest() == b""
        await client.close()
        await running.closed(1)
        await running.closed(2)
        assert running.capture.stream_bytes(1, OUTGOING) == OK + b" and more, later"
        assert running.capture.stream_bytes(2, OUTGOING) == OK + b" and more, later"
        assert running.capture.response_bytes(1) == OK


async def test_a_server_that_says_close_and_goes_on_is_taken_at_its_deeds(proxied: Proxied) -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(last)
        assert await client.until(b"ok") == last
        await client.send(REQUESTS[0])
        await accepted.until(b"\r\n\r\n")
        await accepted.say(last)
        assert await client.until(b"ok") == last
        await accepted.close()
        assert await client.rest() == b""
        await client.close()


async def test_a_request_whose_end_nobody_knows_is_passed_on_with_all_that_follows(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        sent = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ no chunk"
        await client.send(sent)
        accepted = await origin.next()
        assert await accepted.until(b"no chunk") == sent
        await client.send(b", and more")
        await accepted.until(b"more")
        await accepted.say(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
        await accepted.close()
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad\r\n")
        await client.close()
        await running.closed(1)
        assert running.capture.stream_bytes(2, INCOMING) == sent + b", and more"


async def test_what_is_no_http_at_all_is_passed_back_and_told(proxied: Proxied) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"220 mail.test ESMTP" + bytes(range(256)) * 4)
        await accepted.close()
        assert await client.rest() == b"220 mail.test ESMTP" + bytes(range(256)) * 4
        await client.close()
        await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.failure is not None


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_request_that_meets_a_closing_connection_is_sent_again_on_a_new_one(
    proxied: Proxied, how: str
) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(REQUESTS[0])
        first = await origin.next()
        await first.until(b"\r\n\r\n")
        await first.say(OK)
        assert await client.until(b"ok") == OK
        await client.send(REQUESTS[1])
        await first.until(b"Host: a\r\n\r\n")
        if how == "fin":
            await first.close()
        else:
            first.reset()
        second = await origin.next()
        await second.until(b"Host: a\r\n\r\n")
        assert second.got == REQUESTS[1]
        await second.say(OK)
        assert await client.until(b"ok") == OK
        await running.exchange(2)
        forward = running.capture.forward(2)
        assert forward is not None
        assert running.capture.forwarded_bytes(forward, INCOMING) == REQUESTS[1]
        assert running.capture.forwarded_bytes(forward, OUTGOING) == OK
        assert running.capture.stream_bytes(2, INCOMING) == first.got == REQUESTS[0] + REQUESTS[1]
        assert "which the server had closed" in (forward.changes or "")
        await client.send(REQUESTS[8])  # POST: nobody but the client knows whether it may be sent again
        await second.until(b"12345")
        await second.close()
        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 502 ")
        await client.close()
        await running.closed(1)
        await running.closed(3)
        assert len(origin.accepted) == 2
