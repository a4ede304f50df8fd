"""Chunks: they decode back whatever their sizes, and what is asked to be wrong is wrong and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.answer import LARGE_FILE
from inspectd.rules.assemble import Finish, Stamp, assemble
from inspectd.rules.chunking import Chunking
from inspectd.rules.draft import Draft, FileSlice, Live, Script
from inspectd.rules.program import LiveProgram, Program, Send, SendFile, Wait
from inspectd.rules.units import UnitError
from inspectd.wire import read
from tests.rules.crafting import call, played, program, sent_bytes
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def body(**chunked: object) -> bytes:
    """What follows the head of an answer with the content `hello world` in chunks."""
    data = sent_bytes(program(body="hello world", auto=["transfer-encoding"], chunked=chunked or True))
    assert data.startswith(HEAD)
    return data.removeprefix(HEAD)


def test_content_is_one_chunk_unless_sizes_are_given() -> None:
    assert body() == b"b\r\nhello world\r\n0\r\n\r\n"
    assert body(sizes=[5, 3]) == b"5\r\nhello\r\n3\r\n wo\r\n3\r\nrld\r\n0\r\n\r\n"
    assert body(sizes=[100]) == body()


def test_extensions_and_trailers_are_verbatim() -> None:
    assert body(extension=";a=b", trailers=["X: 1", {"raw": "no colon"}]) == (
        b"b;a=b\r\nhello world\r\n0;a=b\r\nX: 1\r\nno colon\r\n\r\n"
    )


def test_size_lines_stand_instead_of_the_right_ones() -> None:
    assert body(sizes=[6], **{"size-lines": ["0x6"]}) == b"0x6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
    assert (
        body(**{"size-lines": ["ffffffffffffffff", "00"]}) == b"ffffffffffffffff\r\nhello world\r\n00\r\n\r\n"
    )


def test_the_last_chunk_can_be_left_out_and_line_ends_be_odd() -> None:
    assert body(last=False) == b"b\r\nhello world\r\n"
    assert body(**{"line-end": "\n"}) == b"b\nhello world\n0\n\n"
    assert body(**{"line-end": ""}) == b"bhello world0"


def test_framing_fields_are_added_when_chunks_are_and_wrong_ones_are_kept() -> None:
    assert program(body="x", chunked=True).added[-1] == "Transfer-Encoding: chunked"
    both = sent_bytes(
        program(body="x", chunked=True, headers=["Content-Length: 1"], auto=["transfer-encoding"])
    )
    assert (
        both
        == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    silent = sent_bytes(program(body="x", chunked=True, auto=["content-length"]))
    assert silent == b"HTTP/1.1 200 OK\r\n\r\n1\r\nx\r\n0\r\n\r\n"


def test_no_chunks_where_there_is_no_content() -> None:
    head = sent_bytes(
        program(body="x", chunked=True, to=call(get(method="HEAD")), auto=["transfer-encoding"])
    )
    assert head == HEAD
    for status in ("204 No", "304 No"):
        data = sent_bytes(program(respond=status, chunked=True, body="x", auto=["transfer-encoding"]))
        assert data == b"HTTP/1.1 " + status.encode() + b"\r\n\r\n"
    assert body_of_empty() == b"0\r\n\r\n"


def body_of_empty() -> bytes:
    return sent_bytes(program(chunked=True, auto=["transfer-encoding"])).removeprefix(HEAD)


def test_an_http_1_0_client_gets_the_chunks_that_the_rule_says() -> None:
    old = call(request(b"GET / HTTP/1.0\r\n\r\n"), persist=False)
    assert sent_bytes(program(body="x", chunked=True, to=old)).endswith(b"\r\n\r\n1\r\nx\r\n0\r\n\r\n")


@given(st.binary(max_size=400), st.lists(st.integers(1, 90), max_size=6))
def test_chunks_of_any_size_decode_back(data: bytes, sizes: list[int]) -> None:
    chunked = {"sizes": sizes} if sizes else True
    sent = sent_bytes(program(body_hex=data.hex(), chunked=chunked))
    stream = read(sent, "response", eof=False)
    (message,) = stream.messages
    assert message.complete
    assert message.end == len(sent)
    assert stream.content(message) == data


# -- content that takes time, or is large


def assembled(content: object, chunking: Chunking | None = None) -> Program | LiveProgram:
    draft = Draft(b"HTTP/1.1 200 OK", content=content, auto=frozenset({"transfer-encoding"}))  # type: ignore[arg-type]
    return assemble(draft, call(), Finish(Stamp("test"), chunking=chunking or Chunking()))


def test_a_script_gives_a_chunk_for_each_piece() -> None:
    made = assembled(Script((Send(b"ab"), Wait(1), Send(b"cde"), Send(b""))))
    assert played(made) == [Send(HEAD + b"2\r\nab\r\n"), Wait(1), Send(b"3\r\ncde\r\n0\r\n\r\n")]


def test_live_content_gives_a_chunk_for_each_piece() -> None:
    closed = []

    async def steps() -> AsyncIterator[Send | Wait]:
        try:
            yield Send(b"ab")
            yield Wait(1)
            yield Send(b"cde")
        finally:
            closed.append(True)

    made = assembled(Live(steps))
    assert isinstance(made, LiveProgram)
    assert played(made) == [
        Send(HEAD),
        Send(b"2\r\nab\r\n"),
        Wait(1),
        Send(b"3\r\ncde\r\n"),
        Send(b"0\r\n\r\n"),
    ]
    assert closed == [True]


def test_live_content_without_chunks_ends_with_the_connection() -> None:
    async def steps() -> AsyncIterator[Send | Wait]:
        yield Send(b"ab")

    draft = Draft(b"HTTP/1.1 200 OK", content=Live(steps))
    ops = played(assemble(draft, call(), Finish(Stamp("test"))))
    assert b"Connection: close\r\n\r\n" in ops[0].data  # type: ignore[union-attr]
    assert b"Content-Length" not in sent_bytes(ops)
    assert [type(op).__name__ for op in ops] == ["Send", "Send", "Close"]


def test_a_large_file_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * (3 * LARGE_FILE // 256))
    made = assembled(FileSlice(path, 7, 2 * LARGE_FILE + 5))
    assert isinstance(made, Program)
    assert [op.length for op in made.ops if isinstance(op, SendFile)] == [LARGE_FILE, LARGE_FILE, 5]
    assert sum(len(op.data) for op in made.ops if isinstance(op, Send)) < 200
    sent = sent_bytes(made)
    stream = read(sent, "response", eof=False)
    assert stream.messages[0].complete
    assert stream.content(stream.messages[0]) == path.read_bytes()[7 : 2 * LARGE_FILE + 12]
    sized = sent_bytes(assembled(FileSlice(path, 0, 2 * LARGE_FILE), Chunking(sizes=(10, 100_000))))
    stream = read(sized, "response", eof=False)
    assert stream.content(stream.messages[0]) == path.read_bytes()[: 2 * LARGE_FILE]
    with pytest.raises(UnitError, match="in chunks of 1"):
        assembled(FileSlice(path, 0, 2 * LARGE_FILE), Chunking(sizes=(1,)))


def test_a_live_program_that_is_never_played_harms_nobody() -> None:
    async def steps() -> AsyncIterator[Send | Wait]:
        yield Send(b"ab")

    made = assembled(Live(steps))
    assert isinstance(made, LiveProgram)
    asyncio.run(made.ops.aclose())  # type: ignore[attr-defined]
