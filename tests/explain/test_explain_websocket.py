"""Every number in a WebSocket frame has an explanation, and every entry of the data file is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from inspectd import explain
from inspectd.explain import registry, websocket
from inspectd.wire.websocket import Deflate, FrameReader, Opcode, allowed_close_code, frame_spans
from inspectd.wire.websocket.frame import opcode_name
from inspectd.wire.websocket.oddities import ODDITIES
from tests.explain.test_explain_data import SOURCE, problems
from tests.wire.frames import MASK, STREAMS, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.explain import Explanation


def every_explanation() -> Iterator[tuple[str, Explanation]]:
    for number in range(16):
        yield f"opcode {number}", websocket.opcode(number)
    for number in (*range(990, 1020), 2999, 3000, 4000, 4999, 5000, 65535):
        yield f"close code {number}", websocket.close_code(number)
    for deflate in (None, Deflate(), Deflate(client_no_context_takeover=True, client_max_window_bits=8)):
        yield f"agreement {deflate}", websocket.agreement(deflate)
    for data in (
        frame(1, b"a"),
        frame(9, bytes(126), rsv=7, fin=False, mask=MASK),
        frame(2, length=1 << 32),
        frame(8, b"\x03\xe8a"),
    ):
        reader = FrameReader(client=True)
        for each in reader.feed(data) + reader.eof():
            for span in frame_spans(each):
                yield f"{span}", websocket.part(span, data[span.start : span.end])


def test_every_entry_is_complete_short_and_plain() -> None:
    assert [problem for place, found in every_explanation() for problem in problems(place, found)] == []


def test_opcodes_are_named_as_the_reader_names_them() -> None:
    assert set(registry.table("websocket")["opcodes"]) == {str(opcode.value) for opcode in Opcode}
    for number in range(16):
        assert websocket.opcode(number).title == opcode_name(number)


def test_the_codes_of_the_registry_are_those_that_may_be_sent_and_those_that_are_never() -> None:
    known = {int(code) for code in registry.table("websocket")["close"]}
    assert {code for code in range(1000, 3000) if allowed_close_code(code)} == known - {
        1004,
        1005,
        1006,
        1015,
    }


@pytest.mark.parametrize(
    ("code", "title", "word"),
    [
        (1000, "1000 Normal Closure", "purpose"),
        (1006, "1006 Abnormal Closure", "without a close frame"),
        (7, "7", "no close code"),
        (2000, "2000", "kept for the protocol"),
        (3999, "3999", "framework"),
        (4999, "4999", "application"),
        (5000, "5000", "end at 4999"),
    ],
)
def test_a_close_code_is_explained(code: int, title: str, word: str) -> None:
    found = explain.close_code(code)
    assert found.title == title
    assert word in found.sentence


def test_an_agreement_says_for_each_side_what_it_may_do() -> None:
    found = websocket.agreement(Deflate(server_no_context_takeover=True, client_max_window_bits=8))
    assert "The client compresses its messages leaning on those before them, with a window of 256 bytes" in (
        found.paragraph
    )
    assert "The server compresses its messages each on its own, with a window of 32 KiB" in found.paragraph
    assert websocket.agreement(Deflate()).paragraph.startswith("Both compress their messages leaning on")


def test_every_oddity_is_a_sentence_with_its_section() -> None:
    for sentence, section in ODDITIES.values():
        assert sentence[0].isupper() or sentence[0] == "{"
        assert sentence.endswith(".")
        assert SOURCE.fullmatch(section)


@given(STREAMS)
def test_every_part_of_any_frame_is_explained(data: bytes) -> None:
    reader = FrameReader(client=False)
    for each in reader.feed(data) + reader.eof():
        for span in frame_spans(each):
            assert websocket.part(span, data[span.start : span.end]).sentence
