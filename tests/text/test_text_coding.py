"""Content codings come off within bounds, whatever a peer sends."""

from __future__ import annotations

import gzip
import sys
import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.coding import Decoded, decode_content

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = b"The quick brown fox jumps over the lazy dog. " * 200

CODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstd.compress(TEXT),
}


@pytest.mark.parametrize("coding", CODED)
def test_each_coding_comes_off(coding: str) -> None:
    assert decode_content(CODED[coding], coding) == Decoded(TEXT, (coding,))
    assert decode_content(CODED[coding], f" {coding.upper()} ".encode()) == Decoded(TEXT, (coding,))


def test_deflate_without_its_zlib_wrapper_comes_off_too() -> None:
    assert decode_content(zlib.compress(TEXT)[2:-4], "deflate") == Decoded(TEXT, ("deflate",))


def test_codings_come_off_in_the_reverse_order_of_the_list() -> None:
    coded = brotli.compress(gzip.compress(TEXT))
    assert decode_content(coded, "gzip, identity, br") == Decoded(TEXT, ("br", "gzip"))


def test_members_of_gzip_and_frames_of_zstd_are_joined() -> None:
    assert decode_content(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip").data == b"one two"
    assert decode_content(zstd.compress(b"one ") + zstd.compress(b"two"), "zstd").data == b"one two"


@pytest.mark.parametrize("value", ["", "identity", ", ,"])
def test_content_without_a_coding_stays(value: str) -> None:
    assert decode_content(TEXT, value) == Decoded(TEXT)


def test_no_content_is_no_fault() -> None:
    assert decode_content(b"", "gzip") == Decoded(b"")


def test_an_unknown_coding_stops_the_work_and_is_named() -> None:
    assert decode_content(gzip.compress(TEXT), "aws-chunked, gzip") == Decoded(
        TEXT, ("gzip",), "inspectd can't take off the content coding 'aws-chunked'."
    )


def test_more_codings_than_anybody_needs_are_left_alone() -> None:
    assert decode_content(TEXT, "gzip," * 9) == Decoded(TEXT, (), "9 content codings are listed.")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_cut_body_says_so_and_gives_what_came_out(coding: str) -> None:
    noise = bytes(index * index * 7919 % 251 for index in range(90_000))
    coded = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}[
        coding
    ]
    cut = decode_content(coded(noise + TEXT * 50)[:-4], coding)
    assert cut.error == f"The {coding} data ends early."
    assert (noise + TEXT * 50).startswith(cut.data)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bytes_after_the_end_are_named_and_the_content_kept(coding: str) -> None:
    assert decode_content(CODED[coding] + b"zz", coding) == Decoded(
        TEXT, (coding,), f"Bytes follow the {coding} data."
    )


def test_a_wrong_checksum_keeps_the_content() -> None:
    broken = CODED["gzip"][:-8] + b"\x00" * 8
    decoded = decode_content(broken, "gzip")
    assert decoded.data == TEXT
    assert decoded.error.startswith("This is not valid gzip")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_gives_no_more_than_the_limit_and_takes_no_more_memory(coding: str) -> None:
    zeros = bytes(64 << 20)
    coders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, 1),
        "deflate": lambda data: zlib.compress(data, 1),
        "br": lambda data: bytes(brotli.compress(data, quality=1)),
        "zstd": zstd.compress,
    }
    bomb = coders[coding](zeros)
    tracemalloc.start()
    decoded = decode_content(bomb, coding, limit=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded == Decoded(bytes(100_000), (coding,), "", truncated=True)
    assert peak < 4 << 20


def test_a_bomb_inside_a_bomb_is_bounded_at_each_step() -> None:
    bomb = gzip.compress(gzip.compress(bytes(64 << 20), 1), 1)
    assert decode_content(bomb, "gzip, gzip", limit=50_000) == Decoded(
        bytes(50_000), ("gzip", "gzip"), "", truncated=True
    )


def test_a_cut_of_our_own_is_not_blamed_on_the_peer() -> None:
    noise = bytes(index * index * 7919 % 251 for index in range(90_000))
    decoded = decode_content(gzip.compress(gzip.compress(noise * 3, 0)), "gzip, gzip", limit=1000)
    assert decoded.truncated
    assert not decoded.error
    assert noise.startswith(decoded.data)


def test_a_flood_of_empty_members_ends_soon() -> None:
    flood = gzip.compress(b"") * 200_000
    start = time.process_time()
    assert decode_content(flood, "gzip").error == "More than 1000 gzip members."
    assert time.process_time() - start < 2


@given(st.binary(max_size=2000), st.sampled_from([*CODED, "gzip, br", "zstd,deflate"]), st.integers(1, 5000))
def test_any_bytes_decode_to_something_within_the_limit(data: bytes, coding: str, limit: int) -> None:
    assert len(decode_content(data, coding, limit=limit).data) <= limit


@given(st.sampled_from(list(CODED)), st.integers(0, 4000), st.integers(0, 255), st.integers(1, 20_000))
def test_a_changed_byte_never_raises(coding: str, at: int, octet: int, limit: int) -> None:
    data = bytearray(CODED[coding])
    data[at % len(data)] = octet
    assert len(decode_content(bytes(data), coding, limit=limit).data) <= limit


@given(st.binary())
def test_any_list_of_codings_is_read(value: bytes) -> None:
    assert decode_content(TEXT, value).data is not None
