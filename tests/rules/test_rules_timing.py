"""Pace: the same bytes in the same order, in pieces, each part at its own."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.program import Close, Pace, Send, SendFile, Wait
from inspectd.rules.timing import join
from tests.rules.crafting import program, sent_bytes

if TYPE_CHECKING:
    from pathlib import Path

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def ops(**keys: Any) -> tuple[Any, ...]:
    return program(body="hello", auto=["content-length"], **keys).ops


def test_head_and_body_have_paces_of_their_own() -> None:
    assert ops(pace={"before": "300ms", "head": "1B/20ms", "body": "2B/1s"}) == (
        Wait(0.3),
        Send(HEAD, Pace(1, 0.02)),
        Send(b"hello", Pace(2, 1.0)),
    )
    assert ops(pace={"body": "2B/1s"}) == (Send(HEAD), Send(b"hello", Pace(2, 1.0)))
    assert ops(pace={"all": "2B/1s", "body": "1B/1s"}) == (
        Send(HEAD, Pace(2, 1.0)),
        Send(b"hello", Pace(1, 1.0)),
    )
    assert ops(pace={"before": 2}) == (Wait(2.0), Send(HEAD + b"hello"))


def test_jitter_and_seed_reach_the_pace() -> None:
    (_, body) = ops(pace={"body": "2B/1s", "jitter": 0.5, "seed": 7})
    assert body.pace == Pace(2, 1.0, 0.5, 7)


def test_the_head_of_raw_bytes_is_found() -> None:
    made = program(raw="HTTP/1.1 100\n\nHTTP/1.1 200\nA: b\n\nbody\n\nmore", pace={"body": "1B/1s"})
    assert made.ops == (Send(b"HTTP/1.1 100\n\nHTTP/1.1 200\nA: b\n\n"), Send(b"body\n\nmore", Pace(1, 1.0)))
    assert program(raw="no head", pace={"body": "1B/1s"}).ops == (Send(b"no head"),)
    assert program(raw="no head", pace={"head": "1B/1s"}).ops == (Send(b"no head", Pace(1, 1.0)),)


def test_chunks_are_one_trickle_with_their_framing() -> None:
    made = program(body="hello", auto=[], headers=["A: b"], chunked={"sizes": [2]}, pace={"body": "1B/1s"})
    _, body, _ = made.ops
    assert body == Send(b"2\r\nhe\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n", Pace(1, 1.0))


def test_between_a_file_and_its_framing_there_is_a_pause(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(2 << 20))
    made = program(tmp_path, body_file="big", chunked=True, pace={"body": "1MiB/1s"})
    kinds = [type(op) for op in made.ops[1:8]]
    assert kinds == [Send, Wait, SendFile, Wait, Send, Wait, SendFile]


def test_interim_heads_trickle_like_the_head() -> None:
    made = program(interim=["103", {"respond": "102", "after": 1}], auto=[], pace={"head": "1B/1s"})
    assert made.ops == (
        Send(b"HTTP/1.1 103\r\n\r\n", Pace(1, 1.0)),
        Wait(1.0),
        Send(b"HTTP/1.1 102\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Pace(1, 1.0)),
        Close(),
    )


_PACES = st.fixed_dictionaries(
    {},
    optional={
        "before": st.just("1s"),
        "head": st.sampled_from(["1B/1s", "100B/s"]),
        "body": st.sampled_from(["3B/1s", "1MB/s"]),
        "all": st.just("5B/1s"),
    },
)


@given(_PACES, st.binary(max_size=100), st.booleans(), st.booleans())
def test_pace_changes_no_byte(pace: dict[str, str], body: bytes, chunked: bool, raw: bool) -> None:
    keys = {"raw_hex": body.hex()} if raw else {"body_hex": body.hex(), "chunked": chunked}
    assert sent_bytes(program(pace=pace, **keys)) == sent_bytes(program(**keys))


@given(st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=8))
def test_joining_changes_no_byte(pieces: list[tuple[int, bool]]) -> None:
    pace = Pace(7, 1.0)
    steps = [Send(bytes(size), pace if paced else None) for size, paced in pieces]
    joined = join(steps)
    assert sum(len(op.data) for op in joined if isinstance(op, Send)) == sum(size for size, _ in pieces)
    for one, other in pairwise(joined):
        if isinstance(one, Send) and isinstance(other, Send) and one.pace is other.pace:
            assert one.pace is None
