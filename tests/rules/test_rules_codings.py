"""Content codings: they decode back, say what they should, and are broken exactly where it was asked for."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.codings import LARGEST, LARGEST_FILE, compile_codings
from inspectd.rules.draft import FileSlice, Live, Script
from inspectd.rules.program import Send, Wait
from inspectd.rules.tables import CodingTable
from inspectd.rules.units import UnitError
from inspectd.text.coding import decode_content
from tests.rules.crafting import program, sent_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from inspectd.rules.codings import Codings
    from inspectd.rules.draft import Content

NAMES = st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd"]), min_size=1, max_size=3)


def codings(*names: Any, **keys: Any) -> Codings:
    made = compile_codings(CodingTable(apply=names, **keys))
    assert made is not None
    return made


def encoded(made: Codings, content: Content) -> bytes:
    out = made.encode(content)
    if isinstance(out, Script):
        return b"".join(step.data for step in out.steps if isinstance(step, Send))
    assert isinstance(out, bytes)
    return out


@given(st.binary(max_size=5000), NAMES)
def test_codings_decode_back(data: bytes, names: list[str]) -> None:
    decoded = decode_content(encoded(codings(*names), data), ", ".join(names))
    assert (decoded.data, decoded.error) == (data, "")


@given(
    st.lists(st.binary(min_size=1, max_size=200), max_size=6),
    st.sampled_from(["gzip", "deflate", "br", "zstd"]),
)
def test_what_was_sent_of_a_stream_can_be_decoded_at_any_time(pieces: list[bytes], name: str) -> None:
    out = codings(name).encode(Script(tuple(Send(piece) for piece in pieces)))
    assert isinstance(out, Script)
    sent = plain = b""
    for step, piece in zip(out.steps, pieces, strict=False):
        assert isinstance(step, Send)
        sent, plain = sent + step.data, plain + piece
        assert decode_content(sent, name).data == plain


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=6), NAMES)
def test_a_stream_decodes_back(pieces: list[bytes], names: list[str]) -> None:
    script = Script(tuple(step for piece in pieces for step in (Send(piece), Wait(1))))
    decoded = decode_content(encoded(codings(*names), script), ", ".join(names))
    assert (decoded.data, decoded.error) == (b"".join(pieces), "")


def test_the_same_content_gives_the_same_bytes() -> None:
    first = encoded(codings("gzip"), b"hello")
    assert encoded(codings("gzip"), b"hello") == first
    assert first[4:8] == bytes(4)  # MTIME
    assert gzip.decompress(first) == b"hello"


def test_deflate_is_the_zlib_format_and_br_is_brotli() -> None:
    assert zlib.decompress(encoded(codings("deflate"), b"hello")) == b"hello"
    assert brotli.decompress(encoded(codings("br"), b"hello")) == b"hello"


@pytest.mark.parametrize("members", [2, 3, 7])
def test_gzip_comes_in_members(members: int) -> None:
    data = bytes(range(100))
    out = encoded(codings("gzip", members=members), data)
    assert out.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == members
    assert gzip.decompress(out) == data


def test_more_members_than_bytes_are_as_many_as_there_are_bytes() -> None:
    assert gzip.decompress(encoded(codings("gzip", members=9), b"abc")) == b"abc"
    assert gzip.decompress(encoded(codings("gzip", members=9), b"")) == b""


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "garbage-after"])
def test_damage_is_where_it_was_asked_for(name: str, damage: Any) -> None:
    data = b"hello, " * 100
    good = encoded(codings(name), data)
    bad = encoded(codings(name, damage=damage), data)
    if damage == "truncate":
        assert bad == good[:-8]
    elif damage == "flip":
        assert len(bad) == len(good)
        assert [at for at in range(len(good)) if bad[at] != good[at]] == [len(good) // 2]
    else:
        assert bad.startswith(good)
        assert len(bad) > len(good)
    decoded = decode_content(bad, name)
    assert decoded.error or decoded.data != data


def test_a_wrong_checksum_is_wrong_and_nothing_else_is() -> None:
    for name in ("gzip", "deflate"):
        decoded = decode_content(encoded(codings(name, damage="checksum"), b"hello" * 99), name)
        assert decoded.error
        assert decoded.data == b"hello" * 99 or decoded.data == b""
    good = encoded(codings("gzip"), b"hello")
    bad = encoded(codings("gzip", damage="checksum"), b"hello")
    assert good[:-8] == bad[:-8]
    assert good[-4:] == bad[-4:]
    assert zlib.decompressobj(-15).decompress(bad[10:]) == b"hello"


def test_a_damaged_stream_keeps_its_pauses() -> None:
    script = Script((Send(b"hello"), Wait(1), Send(b"world")))
    good = codings("gzip").encode(script)
    assert isinstance(good, Script)
    for damage in ("truncate", "flip", "garbage-after", "checksum"):
        bad = codings("gzip", damage=damage).encode(script)
        assert isinstance(bad, Script)
        assert [step for step in bad.steps if isinstance(step, Wait)] == [Wait(1)]
        assert encoded(codings("gzip", damage=damage), script) != encoded(codings("gzip"), script)


def test_a_stream_has_no_members() -> None:
    with pytest.raises(UnitError, match="one gzip member"):
        codings("gzip", members=2).encode(Script((Send(b"a"),)))
    with pytest.raises(UnitError, match="without an end"):
        codings("gzip", members=2).encode(live(b"a"))


def test_few_encoded_contents_are_remembered() -> None:
    made = codings("gzip")
    kept = [made.encode(b"%d" % number) for number in range(9)]
    assert made.encode(b"8") is kept[8]
    assert made.encode(b"0") is not kept[0]
    assert made.encode(b"0") == kept[0]


def test_a_file_is_encoded_and_encoded_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"hello" * 200_000)
    made = codings("gzip")
    first = made.encode(FileSlice(path, 5, 999_990))
    assert gzip.decompress(encoded(made, FileSlice(path, 5, 999_990))) == b"hello" * 199_998
    assert made.encode(FileSlice(path, 5, 999_990)) is first
    path.write_bytes(b"world" * 300_000)
    assert gzip.decompress(encoded(made, FileSlice(path, 5, 999_990))) == b"world" * 199_998


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="can't be encoded"):
        codings("gzip").encode(b"x" * 1024, LARGEST)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(UnitError, match="can't be encoded"):
        codings("gzip").encode(FileSlice(tmp_path / "big", 0, LARGEST_FILE + 1))


def test_a_bomb_is_small_and_is_made_once() -> None:
    made = program(body="0" * 1024, body_repeat=64 * 1024, coding="gzip")
    head, _, content = sent_bytes(made).partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert len(content) < 100_000
    inflater = zlib.decompressobj(31)
    size = len(inflater.decompress(content, 1 << 27))
    assert size == 64 << 20


def live(*pieces: bytes) -> Live:
    async def steps() -> AsyncIterator[Send | Wait]:
        for piece in pieces:
            yield Send(piece)
            yield Wait(0)

    return Live(steps)


async def _collected(content: Content) -> list[bytes]:
    assert isinstance(content, Live)
    return [step.data async for step in content.steps() if isinstance(step, Send)]


def test_live_content_is_encoded_piece_by_piece() -> None:
    sent = asyncio.run(_collected(codings("gzip").encode(live(b"hello", b"world"))))
    assert decode_content(sent[0], "gzip").data == b"hello"
    assert gzip.decompress(b"".join(sent)) == b"helloworld"
    cut = asyncio.run(_collected(codings("gzip", damage="truncate").encode(live(b"hello"))))
    assert cut == sent[:1]
    with pytest.raises(UnitError):
        codings("gzip", damage="flip").encode(live())


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"coding": "gzip"}, b"Content-Encoding: gzip"),
        ({"coding": ["gzip", "br"]}, b"Content-Encoding: gzip, br"),
        ({"coding": {"apply": ["gzip"], "say": "br"}}, b"Content-Encoding: br"),
        ({"coding": {"apply": ["gzip"], "say": ""}}, None),
        ({"coding": {"say": "gzip"}}, b"Content-Encoding: gzip"),
        ({"coding": "identity"}, b"Content-Encoding: identity"),
        ({"coding": "gzip", "headers": ["content-encoding: x"]}, None),
    ],
)
def test_the_answer_says_what_it_is_told_to_say(keys: dict[str, Any], line: bytes | None) -> None:
    made = program(body="hello", **keys)
    head = sent_bytes(made).partition(b"\r\n\r\n")[0].split(b"\r\n")
    said = [found for found in head if found.startswith(b"Content-Encoding")]
    assert said == ([] if line is None else [line])
    assert (line is None) or line.decode() in made.added


def test_the_length_is_that_of_the_encoded_content() -> None:
    head, _, content = sent_bytes(program(body="hello" * 100, coding="br")).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(content) in head
    assert brotli.decompress(content) == b"hello" * 100
