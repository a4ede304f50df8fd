"""A coding that comes off while content arrives says what `decode_content` says of all of it, in any pieces."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.coding import decode_content
from inspectd.text.coding_stream import CodingStream, Unreadable
from tests.text.test_text_coding import CODED, TEXT

LIMIT = 1 << 20


def fed(coding: str, pieces: list[bytes], limit: int = LIMIT) -> bytes:
    stream = CodingStream.of(coding.encode())
    assert stream is not None
    out = b""
    for piece in pieces:
        out += stream.feed(piece, limit - len(out))
    return out


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_each_coding_comes_off_in_any_pieces(coding: str, size: int) -> None:
    data = CODED[coding]
    assert fed(coding, [data[at : at + size] for at in range(0, len(data), size)]) == TEXT


@given(st.sampled_from(list(CODED)), st.integers(0, 400), st.binary(max_size=20), st.integers(1, 50))
def test_what_is_broken_is_told_and_nothing_else_comes_out(
    coding: str, cut: int, junk: bytes, size: int
) -> None:
    data = CODED[coding][:cut] + junk
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    try:
        out = fed(coding, pieces)
    except Unreadable:
        assert decode_content(data, coding).error
    else:
        assert out == decode_content(data, coding).data


def test_members_are_joined_and_bounded() -> None:
    one = gzip.compress(b"one ")
    assert fed("gzip", [one * 2 + one[:5], one[5:]]) == b"one one one "
    with pytest.raises(Unreadable):
        fed("gzip", [gzip.compress(b"") * 2000])


@pytest.mark.parametrize("coding", CODED)
def test_no_more_comes_out_than_asked_for(coding: str) -> None:
    assert fed(coding, [CODED[coding]], 100) == TEXT[:100]


@pytest.mark.parametrize("coding", ["", "identity", "gzip, br", "rot13"])
def test_what_is_not_exactly_one_of_them_has_no_stream(coding: str) -> None:
    assert CodingStream.of(coding.encode()) is None
