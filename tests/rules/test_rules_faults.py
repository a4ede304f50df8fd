"""Faults: what is sent before the place is what would have been sent anyway, and the place is exactly where it says."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.assemble import Finish, Stamp, assemble
from inspectd.rules.draft import Draft, Live, Script
from inspectd.rules.faults import Fault, PlaceError, landmarks, parse_place
from inspectd.rules.program import Close, HalfClose, Hold, Op, Reset, Send, SendFile, Stall, Wait
from tests.rules.crafting import call, played, program, sent_bytes
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LINE = b"HTTP/1.1 200 OK\r\n"
HEAD = LINE + b"Content-Length: 10\r\n\r\n"
BODY = b"0123456789"


def ops(at: str, do: str = "reset", **keys: Any) -> list[Op]:
    """The steps of a small answer with this fault."""
    fault = {"at": at, "do": do, **keys}
    return list(program(body=BODY.decode(), auto=["content-length"], fault=fault).ops)


@pytest.mark.parametrize(
    ("at", "sent"),
    [
        ("start", b""),
        ("status-line", LINE),
        ("head", HEAD),
        ("body", HEAD + BODY),
        ("byte 0", b""),
        ("byte 3", b"HTT"),
        ("byte 40", (HEAD + BODY)[:40]),
        ("status-line+4", b"HTTP"),
        ("status-line+50%", LINE[:8]),
        ("head+20", HEAD[:20]),
        ("head+50%", HEAD[: len(HEAD) // 2]),
        ("body+0", HEAD),
        ("body+1", HEAD + b"0"),
        ("body + 50%", HEAD + b"01234"),
        ("body+33.4%", HEAD + b"012"),
        ("body+100%", HEAD + BODY),
        ("50%", (HEAD + BODY)[:24]),
        ("+50%", (HEAD + BODY)[:24]),
        ("0%", b""),
        ("100%", HEAD + BODY),
    ],
)
def test_a_place_is_exactly_where_it_says(at: str, sent: bytes) -> None:
    made = ops(at)
    assert made == ([Send(sent)] if sent else []) + [Reset()]


def test_the_end_is_a_place_and_behind_it_nothing_happens() -> None:
    whole = HEAD + BODY
    assert ops(f"byte {len(whole) - 1}") == [Send(whole[:-1]), Reset()]
    assert ops(f"byte {len(whole)}") == [Send(whole), Reset()]
    for at in (f"byte {len(whole) + 1}", "body+11", "head+1000"):
        assert ops(at) == [Send(whole)]


@pytest.mark.parametrize(
    ("do", "rest"),
    [
        ("close", [Close()]),
        ("half-close", [HalfClose()]),
        ("reset", [Reset()]),
        ("stall", [Stall()]),
        ("truncate", []),
    ],
)
def test_what_happens_at_a_place(do: str, rest: list[Op]) -> None:
    assert ops("body+5", do) == [Send(HEAD + BODY[:5]), *rest]
    assert ops("body+5", do, after="2s") == [Send(HEAD + BODY[:5]), Wait(2.0), *rest]


def test_truncated_answers_end_as_whole_ones_do() -> None:
    made = program(body="hello", auto=[], fault={"do": "truncate", "at": "body+2"})
    assert made.ops == (Send(b"HTTP/1.1 200 OK\r\n\r\nhe"), Close())


def test_garbage_goes_between() -> None:
    assert ops("body+5", "garbage", bytes="\x00\xff!") == [Send(HEAD + b"01234\x00\xff!56789")]
    assert ops("start", "garbage", bytes="x") == [Send(b"x" + HEAD + BODY)]
    assert ops("body", "garbage", bytes="x") == [Send(HEAD + BODY + b"x")]
    one, same, other = (sent_bytes(ops("head", "garbage", length=9, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == len(HEAD + BODY) + 9
    assert one.startswith(HEAD)
    assert one.endswith(BODY)


def test_several_faults_happen_in_the_order_of_their_places() -> None:
    faults = [
        {"do": "close", "at": "body+8"},
        {"do": "garbage", "at": "body+6", "bytes": "B"},
        {"do": "garbage", "at": "head", "bytes": "A", "after": 1},
        {"do": "garbage", "at": "head", "bytes": "C"},
    ]
    made = program(body=BODY.decode(), auto=["content-length"], fault=faults)
    assert made.ops == (Send(HEAD), Wait(1.0), Send(b"AC012345B67"), Close())


def test_the_first_end_is_the_end() -> None:
    faults = [
        {"do": "reset", "at": "body+8"},
        {"do": "truncate", "at": "body+2"},
        {"do": "stall", "at": "body+5"},
    ]
    made = program(body=BODY.decode(), auto=["content-length"], fault=faults)
    assert made.ops == (Send(HEAD + b"01"),)


def test_interim_responses_count_as_bytes_and_head_means_the_final_one() -> None:
    interim = b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n"
    keys: dict[str, Any] = {
        "interim": [{"respond": "103 Early", "headers": ["A: b"]}],
        "body": BODY.decode(),
        "auto": ["content-length"],
    }
    for at, sent in [
        ("byte 5", interim[:5]),
        ("status-line", interim + LINE),
        ("status-line+2", interim + b"HT"),
        ("head", interim + HEAD),
        ("head+20", interim + HEAD[:20]),
        ("body+1", interim + HEAD + b"0"),
    ]:
        assert program(fault={"do": "close", "at": at}, **keys).ops == (Send(sent), Close())


def test_chunks_are_counted_with_their_line_ends() -> None:
    keys: dict[str, Any] = {"body": "hello", "auto": [], "headers": ["A: b"], "chunked": {"sizes": [2]}}
    head = LINE + b"A: b\r\n\r\n"
    chunks = [b"2\r\nhe\r\n", b"2\r\nll\r\n", b"1\r\no\r\n", b"0\r\n\r\n"]
    for number in (1, 2, 3, 4):
        made = program(fault={"do": "reset", "at": f"chunk {number}"}, **keys)
        assert made.ops == (Send(head + b"".join(chunks[:number])), Reset())
    assert program(fault={"do": "reset", "at": "chunk 5"}, **keys).ops[-1] == Close()


def test_the_parts_of_raw_bytes_are_found() -> None:
    raw = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200\nA: b\n\nbody"
    for at, sent in [
        ("status-line", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200\n"),
        ("head", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200\nA: b\n\n"),
        ("body+50%", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200\nA: b\n\nbo"),
        ("body", raw),
    ]:
        assert program(raw=raw, fault={"do": "reset", "at": at}).ops == (Send(sent.encode()), Reset())
    for at in ("status-line", "head", "body", "body+50%"):
        assert program(raw="no head", fault={"do": "reset", "at": at}).ops == (Send(b"no head"), Reset())
    assert program(raw="", fault={"do": "reset"}).ops == (Reset(),)
    assert program(raw="", fault={"do": "stall", "at": "body"}).ops == (Stall(),)


def test_a_switch_of_protocols_is_a_final_response() -> None:
    data = b"HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    assert landmarks(data).head == 26
    assert landmarks(b"HTTP/1.1 100\r\n\r\n").start == 0


def test_waits_and_polls_come_before_the_start() -> None:
    made = program(auto=[], pace={"before": 1}, fault={"do": "reset"})
    assert made.ops == (Wait(1.0), Reset())


def test_places_in_files(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(4 << 20))
    made = program(tmp_path, body_file="big", auto=[], fault={"do": "close", "at": "body+50%"})
    assert made.ops == (Send(LINE + b"\r\n"), SendFile(path, 0, 2 << 20), Close())
    made = program(tmp_path, body_file="big", auto=[], fault={"do": "garbage", "at": "body+1", "bytes": "x"})
    assert made.ops[1:] == (SendFile(path, 0, 1), Send(b"x"), SendFile(path, 1, (4 << 20) - 1), Close())


# -- places of a connection


@pytest.mark.parametrize(
    ("before", "sent", "cut"),
    [
        (0, HEAD + BODY, False),
        (51, HEAD + BODY, True),
        (60, (HEAD + BODY)[:40], True),
        (99, b"H", True),
        (100, HEAD + BODY, False),
        (101, HEAD + BODY, False),
    ],
)
def test_bytes_of_a_connection_are_counted_over_its_answers(before: int, sent: bytes, cut: bool) -> None:
    request = get()
    request.sent = before
    fault = {"do": "reset", "at": "byte 100", "per": "connection"}
    made = program(body=BODY.decode(), auto=["content-length"], fault=fault, to=call(request))
    assert made.ops == (Send(sent), *((Reset(),) if cut else ()))


def test_bytes_of_a_connection_are_counted_over_raw_answers_too() -> None:
    request = get()
    request.sent = 7
    fault = {"do": "close", "at": "byte 9", "per": "connection"}
    assert program(raw="abcd", fault=fault, to=call(request)).ops == (Send(b"ab"), Close())


def test_byte_0_of_a_connection_is_before_its_first_answer() -> None:
    fault = {"do": "reset", "at": "byte 0", "per": "connection"}
    assert program(fault=fault).ops == (Reset(),)
    request = get()
    request.sent = 1
    assert len(program(fault=fault, auto=[], to=call(request)).ops) == 2


# -- content that takes time


def assembled(content: object, *faults: Fault) -> list[Op]:
    draft = Draft(b"HTTP/1.1 200 OK", content=content, auto=frozenset())  # type: ignore[arg-type]
    return played(assemble(draft, call(), Finish(Stamp("test"), faults=faults)))


def fault(at: str, do: str = "reset") -> Fault:
    return Fault(do, parse_place(at), garbage=b"!")


def test_faults_in_content_that_takes_time() -> None:
    script = Script((Send(b"ab"), Wait(1), Send(b"cd"), Hold("g"), Send(b"ef")))
    head = LINE + b"\r\n"
    assert assembled(script, fault("body+2")) == [Send(head + b"ab"), Reset()]
    assert assembled(script, fault("body+3")) == [Send(head + b"ab"), Wait(1), Send(b"c"), Reset()]
    assert assembled(script, fault("body+50%")) == [Send(head + b"ab"), Wait(1), Send(b"c"), Reset()]
    assert assembled(script, fault("body+2", "truncate")) == [Send(head + b"ab"), Close()]
    assert assembled(script, fault("body"))[-2:] == [Send(b"ef"), Reset()]
    stalled = Script((Send(b"ab"), Stall()))
    assert assembled(stalled) == [Send(head + b"ab"), Stall()]


def test_faults_in_live_content() -> None:
    async def steps() -> AsyncIterator[Send | Wait]:
        for piece in (b"ab", b"cd", b"ef"):
            yield Send(piece)
            yield Wait(1)

    head = Send(LINE + b"\r\n")
    live = Live(steps)
    assert assembled(live, fault("head")) == [head, Reset()]
    assert assembled(live, fault("status-line")) == [Send(LINE), Reset()]
    assert assembled(live, fault("body+3")) == [head, Send(b"ab"), Wait(1), Send(b"c"), Reset()]
    assert assembled(live, fault("body+3", "garbage"))[3:6] == [Send(b"c"), Send(b"!"), Send(b"d")]
    assert assembled(live, fault("body"))[-2:] == [Wait(1), Reset()]
    with pytest.raises(PlaceError, match="nobody knows"):
        assembled(live, fault("body+50%"))


# -- properties


_PLACES = st.one_of(
    st.sampled_from(["start", "status-line", "head", "body"]),
    st.integers(0, 200).map("byte {}".format),
    st.integers(0, 60).map("head+{}".format),
    st.integers(0, 60).map("body+{}".format),
    st.integers(0, 100).map("body+{}%".format),
    st.integers(0, 100).map("{}%".format),
)


@given(
    _PLACES,
    st.sampled_from(["close", "half-close", "reset", "stall", "truncate"]),
    st.binary(max_size=80),
    st.sampled_from(["body", "chunked", "raw", "interim"]),
    st.booleans(),
)
def test_what_is_sent_is_always_the_beginning_of_the_whole_answer(
    at: str,
    do: str,
    data: bytes,
    kind: str,
    paced: bool,
) -> None:
    keys: dict[str, Any] = {"raw_hex": data.hex()} if kind == "raw" else {"body_hex": data.hex()}
    if kind == "chunked":
        keys["chunked"] = {"sizes": [3]}
    if kind == "interim":
        keys["interim"] = ["103", "102"]
    whole = sent_bytes(program(**keys))
    pace = {"all": "3B/1s"} if paced else None
    cut = program(fault={"at": at, "do": do}, pace=pace, **keys)
    assert whole.startswith(sent_bytes(cut))


@given(_PLACES, st.binary(max_size=80), st.binary(min_size=1, max_size=9))
def test_garbage_taken_out_again_leaves_the_answer(at: str, data: bytes, garbage: bytes) -> None:
    whole = sent_bytes(program(body_hex=data.hex()))
    broken = program(
        body_hex=data.hex(), fault={"at": at, "do": "garbage", "bytes": garbage.decode("latin-1")}
    )
    sent = sent_bytes(broken)
    size = len(garbage)
    assert sent == whole or any(
        sent[place : place + size] == garbage and sent[:place] + sent[place + size :] == whole
        for place in range(len(whole) + 1)
    )


@given(st.binary(max_size=300))
def test_any_bytes_have_their_parts_in_order(data: bytes) -> None:
    found = landmarks(data)
    assert 0 <= found.start <= found.status_line <= found.head <= len(data) == found.total


@given(st.text(max_size=20))
def test_any_text_is_a_place_or_is_refused(text: str) -> None:
    with contextlib.suppress(PlaceError):
        assert parse_place(text).text == text
