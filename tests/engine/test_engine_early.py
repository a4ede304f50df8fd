"""Answers that don't wait for the whole request: at the head, or somewhere in the content."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import State
from inspectd.engine.config import Limits
from inspectd.rules.program import Close, Program, Reset, Send, Wait
from inspectd.rules.request import CONTENT_PREFIX
from inspectd.rules.responder import ORDINARY, Plan

if TYPE_CHECKING:
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

BOTH = pytest.mark.parametrize("durability", ["commit", "relaxed"])


def head(length: int, *fields: str, target: str = "/early") -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"PUT {target} HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {length}\r\n\r\n".encode()


def echo(request: Request) -> bytes:
    text = b"%s %d %s" % (
        request.head.target,
        request.content_length,
        b"whole" if request.complete else b"part",
    )
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text


class Early:
    """Answers targets that begin with /early as planned, others when all has come."""

    description = status_line = ""
    content_kept = CONTENT_PREFIX

    def __init__(self, plan: Plan, *ops: Op) -> None:
        self._plan = plan
        self._ops = ops
        self.planned: list[Request] = []
        self.asked: list[Request] = []

    def plan(self, request: Request) -> Plan:
        self.planned.append(request)
        return self._plan if request.head.target.startswith(b"/early") else ORDINARY

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        self.asked.append(request)
        return Program((*(self._ops or (Send(echo(request)),)), *(() if persist else (Close(),))), rule="r")


@BOTH
async def test_at_the_head_the_answer_comes_first_and_the_connection_goes_on(
    run_engine: Any, durability: str
) -> None:
    responder = Early(Plan(0))
    async with run_engine(responder, durability=durability) as running:
        client = await running.connect()
        await client.send(head(5))
        await client.until(b"/early 0 part")
        row = running.capture.exchange(1)
        await client.send(b"12345" + head(2, target="/later") + b"ok")
        await client.until(b"/later 2 whole")
        await client.close()
        row = await running.exchange(1)
        assert State(row.state) & (State.REQUEST_COMPLETE | State.ABORTED) == State.REQUEST_COMPLETE
        assert running.capture.request_bytes(row) == head(5) + b"12345"
        assert row.answered_ns < row.received_ns
        assert [request.content for request in responder.asked] == [b"", b"ok"]


@BOTH
@pytest.mark.parametrize("coding", ["length", "chunked"])
async def test_after_so_much_content(run_engine: Any, durability: str, coding: str) -> None:
    responder = Early(Plan(1000))
    async with run_engine(responder, durability=durability) as running:
        client = await running.connect()
        if coding == "length":
            await client.send(head(3000) + bytes(999))
        else:
            await client.send(
                b"PUT /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e7\r\n" + bytes(999)
            )
        await running.eventually(lambda: running.engine.exchanges == 1)
        assert responder.asked == []
        await client.send(bytes(1) if coding == "length" else b"\r\n7d1\r\n" + bytes(1))
        await client.until(b"/early 1000 part")
        await client.send(
            bytes(2000) + (b"" if coding == "length" else b"\r\n0\r\n\r\n") + head(0, target="/next")
        )
        await client.until(b"/next 0 whole")
        await client.close()
        row = await running.exchange(1)
        assert State(row.state) & State.REQUEST_COMPLETE


async def test_less_content_than_that_is_answered_at_its_end(run_engine: Any) -> None:
    async with run_engine(Early(Plan(1000))) as running:
        client = await running.connect()
        await client.send(head(3) + b"abc" + head(2000, target="/other") + bytes(2000))
        await client.until(b"/early 3 whole")
        await client.until(b"/other 2000 whole")
        await client.close()


async def test_a_request_without_content_needs_no_plan(run_engine: Any) -> None:
    responder = Early(Plan(0))
    async with run_engine(responder) as running:
        await running.ask(b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (responder.planned, len(responder.asked)) == ([], 1)


@BOTH
async def test_a_connection_can_be_reset_in_the_middle_of_an_upload(run_engine: Any, durability: str) -> None:
    async with run_engine(Early(Plan(1000), Reset()), durability=durability) as running:
        client = await running.connect()
        await client.send(head(10_000_000) + bytes(1000))
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()
        row = await running.exchange(1)
        assert "cut off" in row.label
        assert row.res_len is None
        assert (await running.closed()).how == "rst"
        evidence = running.capture.evidence(1)
        assert (evidence.sent, evidence.ended_by, evidence.how) == (0, "server", "rst")


async def test_an_early_refusal_that_closes_reaches_a_client_that_goes_on_sending(run_engine: Any) -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with run_engine(Early(Plan(0), Send(refusal), Close())) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(head(30_000_000) + bytes(30_000_000)))
        assert await client.rest() == refusal
        await asyncio.gather(sending, return_exceptions=True)
        await client.close()


async def test_an_early_answer_waits_for_the_answers_before_it(run_engine: Any) -> None:
    class Slow(Early):
        def respond(self, request: Request, *, now: float, persist: bool) -> Program:
            program = super().respond(request, now=now, persist=persist)
            slow = request.head.target == b"/slow"
            return Program((Wait(0.2), *program.ops)) if slow else program

    async with run_engine(Slow(Plan(0))) as running:
        client = await running.connect()
        await client.send(head(0, target="/slow") + head(5) + b"12")
        assert (await client.until(b"part")).endswith(b"/early 2 part")
        await client.send(b"345" + head(0, target="/last"))
        await client.until(b"/last 0 whole")
        await client.close()
        async with asyncio.timeout(60):  # all of it comes before the turn of the early one
            client = await running.connect()
            await client.send(head(0, target="/slow") + head(5) + b"12345")
            await client.until(b"/early 5 whole")
            await client.close()


async def test_a_client_that_is_never_invited_waits(run_engine: Any) -> None:
    async with run_engine(Early(Plan(None, invite=False)), limits=Limits(idle_timeout=0.3)) as running:
        client = await running.connect()
        await client.send(head(5, "Expect: 100-continue"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.reader.read(1)
        await client.send(b"12345")
        assert (await client.until(b"whole")).startswith(b"HTTP/1.1 200 ")
        await client.close()


async def test_a_final_answer_instead_of_an_invitation_closes_the_connection(run_engine: Any) -> None:
    async with run_engine(Early(Plan(0))) as running:
        client = await running.connect()
        await client.send(head(5, "Expect: 100-continue"))
        assert (await client.rest()).endswith(b"/early 0 part")
        await client.close()


async def test_an_upload_that_stops_after_its_answer_gets_no_second_one(run_engine: Any) -> None:
    async with run_engine(Early(Plan(0)), limits=Limits(idle_timeout=0.3)) as running:
        client = await running.connect()
        await client.send(head(5) + b"12")
        assert (await client.rest()).count(b"HTTP/1.1 ") == 1
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "timeout")


async def test_a_stop_does_not_wait_for_the_rest_of_an_answered_upload(run_engine: Any) -> None:
    async with run_engine(Early(Plan(0)), grace=30.0) as running:
        client = await running.connect()
        await client.send(head(5) + b"12")
        await client.until(b"part")
        client.writer.write_eof()
    assert await client.rest() == b""
    await client.close()


async def test_the_responder_says_how_much_content_it_wants(run_engine: Any) -> None:
    responder = Early(ORDINARY)
    responder.content_kept = 300_000
    content = bytes(range(256)) * 2000
    async with run_engine(responder) as running:
        await running.ask(head(len(content)) + content)
        (request,) = responder.asked
        assert request.content == content[:300_000]
        assert isinstance(request.content, bytes)
        assert request.content_length == len(content)


async def test_a_planner_that_fails_costs_nobody_an_answer(run_engine: Any) -> None:
    class Broken(Early):
        def plan(self, request: Request) -> Plan:
            raise ValueError("no plan")

    async with run_engine(Broken(Plan(0))) as running:
        answer = await running.ask(head(2) + b"ok")
        assert b"/early 2 whole" in answer
        assert "no plan" in running.engine.problem


async def test_what_was_sent_before_on_the_connection_is_told(run_engine: Any) -> None:
    responder = Early(ORDINARY)
    async with run_engine(responder) as running:
        client = await running.connect()
        await client.send(head(0))
        first = await client.until(b"whole")
        await client.send(head(0))
        await client.until(b"whole")
        await client.close()
        assert [request.sent for request in responder.asked] == [0, len(first)]
