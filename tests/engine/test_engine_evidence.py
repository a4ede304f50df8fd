"""Evidence: how much of a crafted answer a client took, who ended the connection, whether it asked again, and when."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.engine import evidence as evidence_module
from inspectd.rules.program import (
    Close,
    HalfClose,
    Hold,
    LiveProgram,
    Pace,
    Program,
    Reset,
    Send,
    Stall,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from inspectd.capture.model import EvidenceRow
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

HEAD = b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\n"
WHOLE = HEAD + b"abcdef"
HALF = HEAD + b"abc"
BOTH = pytest.mark.parametrize("durability", ["commit", "relaxed"])


def get(target: str = "/x") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


class Crafted:
    """The nth request gets the nth program, as a rule's; later ones the last. `/plain` gets what no rule made."""

    description = status_line = ""

    def __init__(self, *answers: tuple[Op, ...] | Program | LiveProgram) -> None:
        self.answers = list(answers)
        self.asked = 0

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        if request.head.target == b"/plain":
            return Program((Send(WHOLE),))
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return Program(answer, "test", rule="r1") if isinstance(answer, tuple) else answer


async def evidence(
    running: Any, number: int = 1, when: Callable[[EvidenceRow], object] = lambda _row: True
) -> EvidenceRow:
    """The evidence of an exchange, once it is there and as it is waited for."""

    def found() -> EvidenceRow | None:
        row = running.capture.evidence(number)
        return row if row is not None and when(row) else None

    row: EvidenceRow = await running.eventually(found)
    return row


async def ended(running: Any, number: int = 1) -> EvidenceRow:
    return await evidence(running, number, lambda row: row.ended_by)


def raw(running: Any, *, window: int = 0) -> socket.socket:
    """A socket whose closing is up to the test; with a `window` it takes only so many bytes."""
    client = socket.socket()
    if window:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.connect((running.host, running.port))
    client.setblocking(False)
    return client


def reset(client: socket.socket) -> None:
    """Close with RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


async def receive(client: socket.socket, count: int) -> bytes:
    got = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while len(got) < count and (data := await loop.sock_recv(client, count - len(got))):
            got += data
    return got


@BOTH
async def test_an_ordinary_answer_has_none_and_a_crafted_one_says_what_was_taken(
    run_engine: Any, durability: str
) -> None:
    async with run_engine(Crafted((Send(WHOLE),)), durability=durability) as running:
        client = await running.connect()
        await client.send(get("/plain"))
        await client.until(b"abcdef")
        await client.send(get())
        await client.until(b"abcdef")
        await client.send(get("/plain"))  # whatever was acknowledged by now is read off the socket
        await client.until(b"abcdef")
        row = await evidence(running, 2, lambda row: row.acked == len(WHOLE))
        assert (row.rule, row.planned, row.sent, row.acked) == ("r1", len(WHOLE), len(WHOLE), len(WHOLE))
        assert (row.reused, row.attempt, row.previous, row.gap_ns) == (1, 1, None, None)
        await client.close()
        await running.closed()
        row = await evidence(running, 2)
        assert (row.ended_by, row.how, row.after_ns) == (
            None,
            None,
            None,
        )  # something else was answered after it
        assert running.capture.evidence(1) is None
        assert running.capture.evidence(3) is None


@BOTH
async def test_a_client_that_closes_after_the_answer(run_engine: Any, durability: str) -> None:
    async with run_engine(Crafted((Send(WHOLE),)), durability=durability) as running:
        client = await running.connect()
        await client.send(get())
        await client.until(b"abcdef")
        await asyncio.sleep(0.1)
        await client.close()
        row = await ended(running)
        assert (row.sent, row.acked, row.reused, row.ended_by, row.how) == (
            len(WHOLE),
            len(WHOLE),
            0,
            "client",
            "fin",
        )
        assert row.after_ns is not None
        assert row.after_ns >= 90_000_000


async def test_a_client_that_resets_in_the_middle_took_only_what_it_took(run_engine: Any) -> None:
    size = 20_000_000
    async with run_engine(Crafted((Send(bytes(size)),))) as running:
        client = raw(running, window=8192)
        client.sendall(get())
        await receive(client, 1000)
        row = await evidence(running, 1, lambda row: row.acked and row.acked > 1000)
        assert row.ended_by is None  # the row is there while the client takes its time
        reset(client)
        row = await ended(running)
        assert (row.planned, row.ended_by, row.how) == (size, "client", "rst")
        assert row.acked is not None
        assert 1000 <= row.acked < row.sent <= size


async def test_bytes_acknowledged_are_counted_from_where_the_answer_begins(run_engine: Any) -> None:
    size = 20_000_000
    async with run_engine(Crafted((Send(WHOLE),), (Send(bytes(size)),))) as running:
        client = raw(running, window=8192)
        client.sendall(get("/a"))
        assert await receive(client, len(WHOLE)) == WHOLE
        client.sendall(get("/b"))
        await receive(client, 500)
        reset(client)
        row = await ended(running, 2)
        assert row.acked is not None
        assert 500 <= row.acked < 200_000
        first = await evidence(running, 1)
        assert (first.acked, first.ended_by) == (len(WHOLE), None)


@pytest.mark.parametrize("length", [1, 1000])
async def test_neither_the_handshake_nor_a_fin_counts_as_a_byte(run_engine: Any, length: int) -> None:
    async with run_engine(Crafted((Send(HEAD + bytes(length)), Close()))) as running:
        await running.ask(get())
        row = await ended(running)
        assert (row.sent, row.acked) == (len(HEAD) + length, len(HEAD) + length)


@BOTH
@pytest.mark.parametrize(
    ("fault", "how"), [((Close(),), "fin"), ((Reset(),), "rst"), ((HalfClose(), Stall()), "fin")]
)
async def test_a_fault_after_half_the_answer_is_ours_and_the_half_was_taken(
    run_engine: Any, fault: tuple[Op, ...], how: str, durability: str
) -> None:
    async with run_engine(Crafted((Send(HALF), *fault)), durability=durability) as running:
        client = await running.connect()
        await client.send(get())
        try:
            assert await client.rest() == HALF
        except ConnectionResetError:
            assert how == "rst"
        await client.close()
        row = await ended(running)
        assert (row.planned, row.sent, row.acked, row.ended_by, row.how) == (
            len(HALF),
            len(HALF),
            len(HALF),
            "server",
            how,
        )
        assert row.after_ns is not None
        assert row.after_ns >= 0


@BOTH
async def test_a_client_that_gives_up_on_a_stall_is_seen_with_its_patience(
    run_engine: Any, durability: str
) -> None:
    async with run_engine(Crafted((Send(HALF), Stall())), durability=durability) as running:
        client = await running.connect()
        await client.send(get())
        await client.until(b"abc")
        row = await evidence(running, 1, lambda row: row.acked == len(HALF))  # shown while it happens
        assert row.ended_by is None
        await asyncio.sleep(0.1)
        await client.close()
        row = await ended(running)
        assert (row.sent, row.ended_by, row.how) == (len(HALF), "client", "fin")
        assert row.after_ns is not None
        assert row.after_ns > 90_000_000


async def test_the_patience_of_a_client_that_gets_nothing_counts_from_its_request(run_engine: Any) -> None:
    async with run_engine(Crafted((Stall(),))) as running:
        client = raw(running)
        client.sendall(get())
        await evidence(running)
        await asyncio.sleep(0.1)
        reset(client)
        row = await ended(running)
        assert (row.sent, row.ended_by, row.how) == (0, "client", "rst")
        assert row.after_ns is not None
        assert row.after_ns > 90_000_000


async def test_a_client_that_says_fin_before_the_last_byte_did_so_earlier(run_engine: Any) -> None:
    async with run_engine(Crafted((Send(HEAD), Wait(0.2), Send(b"abcdef")))) as running:
        await running.ask(get())
        row = await ended(running)
        assert (row.sent, row.ended_by, row.how) == (len(WHOLE), "client", "fin")
        assert row.after_ns is not None
        assert row.after_ns < 0


async def test_a_retry_is_known_with_its_gap_and_its_connection(run_engine: Any) -> None:
    async with run_engine(Crafted((Send(HALF), Reset()), (Send(HALF), Close()), (Send(WHOLE),))) as running:
        for number in (1, 2, 3):
            client = await running.connect()
            await client.send(get("/pay"))
            if number == 3:
                await client.until(b"abcdef")
            else:
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await client.reader.readexactly(100)
            await client.close()
            await running.closed(number)
            await asyncio.sleep(0.1)
        rows = await running.eventually(
            lambda: [row for row in (running.capture.attempts(2),) if len(row) == 3 and row[2].ended_by]
        )
        assert [(row.exchange, row.attempt, row.previous, row.reused) for row in rows[0]] == [
            (1, 1, None, 0),
            (2, 2, 1, 0),
            (3, 3, 2, 0),
        ]
        assert all(row.gap_ns > 90_000_000 for row in rows[0][1:])


async def test_the_gap_after_a_stall_counts_from_the_end_of_its_connection(run_engine: Any) -> None:
    async with run_engine(Crafted((Send(HALF), Stall()), (Send(WHOLE),))) as running:
        first = await running.connect()
        await first.send(get())
        await first.until(b"abc")
        await asyncio.sleep(0.3)
        await first.close()
        await running.closed(1)
        second = await running.connect()
        await second.send(get())
        await second.until(b"abcdef")
        await second.close()
        row = await evidence(running, 2)
        closed = running.capture.connection(1)
        assert row.gap_ns == running.capture.exchange(2).started_ns - closed.closed_ns


@BOTH
async def test_a_flush_brings_what_is_known_by_then(run_engine: Any, durability: str) -> None:
    async with run_engine(Crafted((Send(WHOLE),)), durability=durability) as running:
        client = await running.connect()
        await client.send(get())
        await client.until(b"abcdef")
        running.engine.flush()
        assert running.capture.evidence(1).acked == len(WHOLE)
        await client.close()


async def test_attempts_that_overlap_have_no_gap(run_engine: Any) -> None:
    async with run_engine(Crafted((Wait(0.2), Send(WHOLE)))) as running:
        first, second = await running.connect(), await running.connect()
        await first.send(get())
        await evidence(running, 1)
        await second.send(get())
        for client in (first, second):
            await client.until(b"abcdef")
            await client.close()
        row = await ended(running, 2)
        assert (row.attempt, row.previous, row.gap_ns) == (2, 1, None)


async def test_another_target_host_method_or_content_is_no_retry(run_engine: Any) -> None:
    requests = [
        get("/a"),
        get("/b"),
        b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n",
        b"PUT /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1",
        b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2",
        b"PUT /a HTTP/1.1\r\nHost: a\r\nX: other\r\nContent-Length: 1\r\n\r\n2",
    ]
    async with run_engine(Crafted((Send(WHOLE),))) as running:
        client = await running.connect()
        for request in requests:
            await client.send(request)
            await client.until(b"abcdef")
        await client.close()
        await ended(running, len(requests))
        rows = running.capture.evidence_of(range(1, len(requests) + 1))
        assert [rows[number].attempt for number in sorted(rows)] == [1, 1, 1, 1, 1, 1, 2]


async def test_another_client_of_the_same_host_does_not_try_again(run_engine: Any) -> None:
    def get_by(agent: str, more: str = "") -> bytes:
        return f"GET /ws HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n{more}\r\n".encode()

    requests = [
        get_by("node"),
        get_by("curl/8.14.1"),
        get_by("other"),
        b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
        get_by("node", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        get_by("curl/8.14.1", "Authorization: Basic eDp5\r\n"),
        b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    async with run_engine(Crafted((Send(WHOLE),))) as running:
        client = await running.connect()
        for request in requests:
            await client.send(request)
            await client.until(b"abcdef")
        await client.close()
        await ended(running, len(requests))
        rows = running.capture.evidence_of(range(1, len(requests) + 1))
        assert [rows[number].attempt for number in sorted(rows)] == [1, 1, 1, 1, 1, 2, 2]


async def test_only_so_many_requests_are_remembered(run_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "ATTEMPTS_KEPT", 3)
    async with run_engine(Crafted((Send(WHOLE),))) as running:
        client = await running.connect()
        for target in ("/a", "/b", "/c", "/d", "/d", "/a"):
            await client.send(get(target))
            await client.until(b"abcdef")
        await client.close()
        await ended(running, 6)
        assert [running.capture.evidence(number).attempt for number in range(1, 7)] == [1, 1, 1, 1, 2, 1]


async def test_pipelined_crafted_answers_are_all_accounted_for(run_engine: Any) -> None:
    async with run_engine(Crafted((Wait(0.05), Send(WHOLE)), (Send(WHOLE),))) as running:
        client = await running.connect()
        await client.send(get("/a") + get("/b") + get("/c"))
        for _ in range(3):
            await client.until(b"abcdef")
        await client.close()
        await ended(running, 3)
        rows = running.capture.evidence_of([1, 2, 3])
        assert [(row.sent, row.acked) for row in rows.values()] == [(len(WHOLE), len(WHOLE))] * 3
        assert [rows[number].ended_by for number in (1, 2, 3)] == [None, None, "client"]


async def test_a_reset_at_the_first_leaves_the_end_with_it_and_not_with_the_unanswered(
    run_engine: Any,
) -> None:
    async with run_engine(Crafted((Wait(0.05), Send(HALF), Reset()))) as running:
        client = await running.connect()
        await client.send(get("/a") + get("/b"))
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1000)
        await client.close()
        row = await ended(running, 1)
        assert (row.sent, row.ended_by, row.how) == (len(HALF), "server", "rst")
        assert running.capture.evidence(2) is None


async def test_an_invitation_to_send_the_content_is_no_part_of_the_answer(run_engine: Any) -> None:
    async with run_engine(Crafted((Send(WHOLE),))) as running:
        client = await running.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        await client.until(b" 100 Continue\r\n\r\n")
        await client.send(b"1")
        await client.until(b"abcdef")
        await client.close()
        row = await ended(running)
        assert (row.planned, row.sent, row.acked) == (len(WHOLE), len(WHOLE), len(WHOLE))


async def test_what_a_person_decided_is_evidence_too(run_engine: Any) -> None:
    async with run_engine() as running:
        running.engine.holds.hold_next(None)
        client = await running.connect()
        await client.send(get())
        row = await evidence(running)
        assert (row.rule, row.sent) == ("held", 0)
        running.engine.holds.release(1, Program((Send(HALF), Close())))
        assert await client.rest() == HALF
        await client.close()
        row = await ended(running)
        assert (row.rule, row.planned, row.sent, row.acked, row.how) == (
            "held",
            len(HALF),
            len(HALF),
            len(HALF),
            "fin",
        )
        client = await running.connect()
        await client.send(get())
        await evidence(running, 2)
        running.engine.holds.reset(2)
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()
        row = await ended(running, 2)
        assert (row.attempt, row.previous, row.planned, row.sent, row.ended_by, row.how) == (
            2,
            1,
            0,
            0,
            "server",
            "rst",
        )


async def test_a_live_answer_has_no_plan_and_a_trickle_grows_before_the_eyes(run_engine: Any) -> None:
    async def ops() -> AsyncIterator[Op]:
        yield Send(HEAD)
        yield Hold("g")
        yield Close()

    trickle = (Send(HEAD), Send(bytes(10_000), Pace(1, 0.01)))
    async with run_engine(Crafted(LiveProgram(ops(), rule="live"), trickle)) as running:
        client = await running.connect()
        await client.send(get("/live"))
        row = await evidence(running, 1, lambda row: row.sent)
        assert (row.rule, row.planned, row.sent) == ("live", None, len(HEAD))
        running.engine.gates.open("g")
        await client.rest()
        await client.close()
        client = await running.connect()
        await client.send(get("/trickle"))
        row = await evidence(running, 2, lambda row: row.sent > len(HEAD))
        later = await evidence(running, 2, lambda later: later.sent > row.sent)
        assert later.ended_by is None
        client.writer.transport.abort()
        row = await ended(running, 2)
        assert row.planned == len(HEAD) + 10_000
        assert row.sent < row.planned


async def test_a_wait_with_two_outcomes_is_planned_when_it_is_known_which(run_engine: Any) -> None:
    short = b"HTTP/1.1 204 No Content\r\n\r\n"
    waiting = (Hold("news", 0.05, otherwise=(Send(short),)), Send(WHOLE))
    async with run_engine(Crafted(waiting)) as running:
        client = await running.connect()
        await client.send(get())
        await client.until(short)
        row = await evidence(running, 1, lambda row: row.planned)
        assert (row.planned, row.sent) == (len(short), len(short))
        await client.close()


async def test_over_a_unix_socket_nobody_knows_what_was_acknowledged(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "u"
    async with run_engine(Crafted((Send(HALF), Reset())), listen=("127.0.0.1:0", f"unix:{path}")) as running:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(get())
        assert await reader.read() == HALF
        writer.close()
        row = await ended(running)
        assert (row.sent, row.acked, row.ended_by, row.how) == (len(HALF), None, "server", "rst")


async def test_a_stop_is_the_end_of_what_it_ends(run_engine: Any, tmp_path: Path) -> None:
    from inspectd.capture.reader import Capture

    async with run_engine(Crafted((Send(HALF), Stall())), grace=0.2) as running:
        client = await running.connect()
        await client.send(get())
        await client.until(b"abc")
    with pytest.raises(ConnectionResetError):
        await client.rest()
    await client.close()
    with Capture.open(tmp_path / "test.inspectd") as capture:
        row = capture.evidence(1)
        assert row is not None
        assert (row.acked, row.ended_by, row.how) == (len(HALF), "server", "rst")


@BOTH
async def test_a_burst_of_pipelined_requests_costs_each_no_more_than_a_few(
    run_engine: Any, durability: str
) -> None:
    count = 20_000
    answer = b"HTTP/1.1 204 None\r\n\r\n"
    async with run_engine(Crafted((Send(answer),)), durability=durability) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(get() * count))
        async with asyncio.timeout(60):
            assert await client.reader.readexactly(len(answer) * count) == answer * count
        await sending
        await client.close()
        row = await ended(running, count)
        assert (row.attempt, row.acked, row.reused) == (count, len(answer), 1)
        assert running.capture.evidence(count // 2).acked == len(answer)
        assert len(running.capture.attempts(count // 2)) == 2001
