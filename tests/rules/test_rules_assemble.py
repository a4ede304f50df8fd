"""Drafts become programs: every behaviour's answer is framed, broken and paced like any other, in little memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.assemble import REPEATED, Finish, Stamp, assemble, content_size, repeated
from inspectd.rules.draft import Call, Draft, Live, Script
from inspectd.rules.program import Close, Hold, LiveProgram, Program, Reset, Send, Stall, Wait
from inspectd.wire import read
from tests.rules.crafting import call, played, program, reply, sent_bytes
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def test_a_challenge_is_faulted_and_paced_like_the_answer_behind_it() -> None:
    keys: dict[str, Any] = {"auth": {"bearer": "t"}, "body": "secret", "coding": "gzip"}
    whole = sent_bytes(program(**keys))
    assert whole.startswith(b"HTTP/1.1 401 ")
    assert b"Content-Encoding" not in whole
    cut = program(fault={"do": "reset", "at": "status-line"}, **keys)
    assert cut.ops == (Send(b"HTTP/1.1 401 Unauthorized\r\n"), Reset())
    asked = call(get("/", "Authorization: Bearer t"))
    assert b"Content-Encoding: gzip\r\n" in sent_bytes(program(to=asked, **keys))


def test_a_poll_has_its_other_answer_in_the_hold() -> None:
    made = program(
        poll={"gate": "g", "timeout": "2s", "otherwise": "299 Late"}, body="x", auto=["content-length"]
    )
    hold, answer = made.ops
    assert isinstance(hold, Hold)
    assert (hold.gate, hold.timeout) == ("g", 2.0)
    assert hold.otherwise == (Send(b"HTTP/1.1 299 Late\r\nContent-Length: 0\r\n\r\n"),)
    assert answer == Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")


def test_a_range_is_cut_by_its_own_length() -> None:
    asked = call(get("/", "Range: bytes=2-5"))
    keys: dict[str, Any] = {"body": "0123456789", "conditional": True, "to": asked}
    assert sent_bytes(program(**keys)).endswith(b"\r\n\r\n2345")
    cut = program(fault={"do": "close", "at": "body+50%"}, **keys)
    assert sent_bytes(cut).endswith(b"\r\n\r\n23")
    assert cut.ops[-1] == Close()


def test_a_fresh_answer_and_a_304_share_a_rule() -> None:
    made = reply(body="hello", conditional={"etag": '"a"'}, chunked=True)
    assert sent_bytes(made.program(call())).endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    again = sent_bytes(made.program(call(get("/", 'If-None-Match: "a"'))))
    assert again.startswith(b"HTTP/1.1 304 ")
    assert again.endswith(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in again


def test_events_that_repeat_are_live_and_can_be_broken_at_a_byte() -> None:
    keys: dict[str, Any] = {"events": {"send": ["a", "b"], "every": "1s", "repeat": True}, "auto": []}
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
    place = len(head) + 20
    made = reply(fault={"do": "reset", "at": f"byte {place}"}, **keys).program(call())
    assert isinstance(made, LiveProgram)
    ops = played(made)
    assert ops == [
        Send(head),
        Send(b"data: a\n\n"),
        Wait(1.0),
        Send(b"data: b\n\n"),
        Wait(1.0),
        Send(b"da"),
        Reset(),
    ]


def test_each_call_of_a_live_answer_begins_at_the_beginning() -> None:
    keys: dict[str, Any] = {"events": {"send": ["a"], "every": "1s", "repeat": True}}
    made = reply(fault={"do": "close", "at": "body+30"}, **keys)
    first, second = made.program(call()), made.program(call())
    assert first is not second
    assert played(first) == played(second)


def test_events_that_end_in_silence_have_no_length() -> None:
    made = program(events={"send": ["a"], "close": False})
    assert b"Content-Length" not in sent_bytes(made)
    assert made.ops[-1] == Stall()


def test_a_head_request_for_events_gets_a_head() -> None:
    keys: dict[str, Any] = {"events": {"send": ["a"], "every": "1s", "repeat": True}}
    made = reply(**keys).program(call(get(method="HEAD")))
    assert isinstance(made, Program)
    assert sent_bytes(made).endswith(b"\r\n\r\n")


def test_pace_and_coding_reach_live_content() -> None:
    keys: dict[str, Any] = {"events": {"send": ["a"], "every": "1s", "repeat": True}}
    made = reply(pace={"all": "2B/1s"}, coding="gzip", fault={"do": "close", "at": "body+20"}, **keys)
    ops = played(made.program(call()))
    assert all(op.pace is not None for op in ops if isinstance(op, Send))
    assert b"Content-Encoding: gzip" in sent_bytes(ops)


# -- sizes


def test_the_size_of_content_is_known_when_it_ends() -> None:
    async def steps() -> AsyncIterator[Send | Wait]:
        yield Send(b"x")

    assert content_size(b"abc") == 3
    assert content_size(Script((Send(b"ab"), Wait(1), Send(b"c")))) == 3
    assert content_size(Script((Send(b"ab"), Stall()))) is None
    assert content_size(Live(steps)) is None


@given(st.binary(min_size=1, max_size=9), st.integers(1, 50))
def test_repeated_content_is_what_it_says(data: bytes, times: int) -> None:
    assert repeated(data, times) == data * times


def test_much_repeated_content_is_in_shared_pieces() -> None:
    content = repeated(b"abc", 5_000_000)
    assert isinstance(content, Script)
    assert content_size(content) == 15_000_000
    pieces = [step.data for step in content.steps if isinstance(step, Send)]
    assert all(len(piece) <= REPEATED and len(piece) % 3 == 0 for piece in pieces)
    assert len({id(piece) for piece in pieces}) <= 2


def test_enormous_files_take_little_memory_in_chunks_and_without(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(20 << 30)
    for keys in ({}, {"chunked": True}, {"chunked": True, "fault": {"do": "reset", "at": "body+50%"}}):
        made = reply(tmp_path, body_file="huge", **keys)
        tracemalloc.start()
        try:
            made.program(call())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 32 << 20


# -- properties

_CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.one_of(st.binary(max_size=20).map(Send), st.just(Wait(1.0))), max_size=5).map(
        lambda steps: Script(tuple(steps))
    ),
)


@given(_CONTENTS, st.sampled_from([b"GET", b"HEAD", b"POST"]), st.booleans(), st.booleans())
def test_every_draft_is_one_whole_response(
    content: bytes | Script,
    method: bytes,
    old: bool,
    persist: bool,
) -> None:
    asked = request(method + (b" / HTTP/1.0" if old else b" / HTTP/1.1") + b"\r\nHost: a\r\n\r\n")
    draft = Draft(b"HTTP/1.1 200 OK", content=content)
    made = assemble(draft, Call(asked, 0.0, persist), Finish(Stamp("")))
    sent = sent_bytes(made)
    stream = read(sent, "response", eof=False, methods=(method,))
    (message,) = stream.messages
    assert message.complete
    assert message.end == len(sent)
    closes = any(isinstance(op, Close) for op in played(made))
    assert closes is (not persist)
    assert (b"Connection: close" in sent) is closes
    plain = (
        content
        if isinstance(content, bytes)
        else b"".join(step.data for step in content.steps if isinstance(step, Send))
    )
    assert stream.content(message) == (b"" if method == b"HEAD" else plain)


def test_what_live_content_raises_reaches_whoever_plays_it() -> None:
    async def collect(made: LiveProgram) -> list[object]:
        return [op async for op in made.ops]

    async def broken() -> AsyncIterator[Send | Wait]:
        yield Send(b"x")
        raise ValueError("gone")

    draft = Draft(b"HTTP/1.1 200 OK", content=Live(broken))
    live = assemble(draft, call(), Finish(Stamp("")))
    assert isinstance(live, LiveProgram)
    with pytest.raises(ValueError, match="gone"):
        asyncio.run(collect(live))


def test_a_file_that_is_gone_is_a_500_behind_a_behaviour_too(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    made = reply(tmp_path, body_file="a", conditional=True)
    assert sent_bytes(made.program(call())).endswith(b"0123456789")
    path.unlink()
    answer = sent_bytes(made.program(call()))
    assert answer.startswith(b"HTTP/1.1 500 ")
