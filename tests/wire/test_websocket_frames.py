"""Frames: what a header says, a span for each bit, what is wrong with it; for any bytes in any pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.wire.span import BitSpan, Role, Span
from inspectd.wire.websocket import Deflate, Frame, FrameReader, Opcode, frame_spans, unmask
from tests.wire.frames import DEFLATES, MASK, ODD, STREAMS, Case, frame, pieces

if TYPE_CHECKING:
    from inspectd.wire.websocket.frame import AnySpan


def read(data: bytes, *, client: bool = False, deflate: Deflate | None = None) -> list[Frame]:
    reader = FrameReader(client=client, deflate=deflate)
    return reader.feed(data) + reader.eof()


def bit_range(span: AnySpan) -> tuple[int, int]:
    if isinstance(span, BitSpan):
        first = span.start * 8 + span.bit
        return first, first + span.bits
    return span.start * 8, span.end * 8


def test_the_first_example_of_the_specification_is_a_text() -> None:
    (found,) = read(b"\x81\x05Hello")
    assert found == Frame(0, 7, 2, True, False, False, False, 1, False, b"", 5, True)
    assert (found.name, found.control) == ("text", False)


def test_the_parts_of_a_masked_frame_have_their_bits() -> None:
    data = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    (found,) = read(data, client=True)
    assert frame_spans(found) == [
        BitSpan(0, 1, Role.WS_FIN, 0, 1),
        BitSpan(0, 1, Role.WS_RSV1, 1, 1),
        BitSpan(0, 1, Role.WS_RSV2, 2, 1),
        BitSpan(0, 1, Role.WS_RSV3, 3, 1),
        BitSpan(0, 1, Role.WS_OPCODE, 4, 4),
        BitSpan(1, 2, Role.WS_MASK, 0, 1),
        BitSpan(1, 2, Role.WS_PAYLOAD_LENGTH, 1, 7),
        Span(2, 6, Role.WS_MASKING_KEY),
        Span(6, 11, Role.WS_PAYLOAD),
    ]
    values = [span.value(data[span.start]) for span in frame_spans(found) if isinstance(span, BitSpan)]
    assert values == [1, 0, 0, 0, 1, 1, 5]
    assert unmask(data[6:], found.mask) == b"Hello"


@pytest.mark.parametrize(("size", "spans"), [(125, 0), (126, 2), (65535, 2), (65536, 8)])
def test_a_long_length_has_a_span_behind_its_seven_bits(size: int, spans: int) -> None:
    (found,) = read(frame(2, bytes(size), mask=MASK), client=True)
    lengths = [span for span in frame_spans(found) if span.role is Role.WS_PAYLOAD_LENGTH]
    assert sum(span.end - span.start for span in lengths[1:]) == spans
    assert (found.length, found.oddities) == (size, ())


def test_a_close_frame_shows_code_and_reason() -> None:
    (found,) = read(frame(8, b"\x03\xe8bye", mask=MASK), client=True)
    assert frame_spans(found)[-2:] == [Span(6, 8, Role.WS_CLOSE_CODE), Span(8, 11, Role.WS_CLOSE_REASON)]


@pytest.mark.parametrize("size", range(1, 14))
def test_every_cut_header_is_tiled(size: int) -> None:
    data = frame(2, length=70000, mask=MASK)[:size]
    (found,) = read(data, client=True)
    assert (found.complete, found.end) == (False, size)
    assert found.mask == data[10:]
    assert bit_range(frame_spans(found)[-1])[1] == size * 8


@pytest.mark.parametrize("name", ODD)
def test_what_is_wrong_with_a_frame_lies_within_it_and_names_its_section(name: str) -> None:
    case: Case = ODD[name]
    found = read(case.data, client=case.client, deflate=case.deflate)
    oddities = [(each, oddity) for each in found for oddity in each.oddities]
    about_messages = {"ws-message-unfinished", "ws-invalid-utf8", "ws-inflate-error"}
    wanted = [each for each in case.ids if each not in about_messages and not each.startswith("ws-close-")]
    assert [oddity.id for _, oddity in oddities] == wanted
    for each, oddity in oddities:
        assert each.start <= oddity.start < oddity.end <= each.end
        assert oddity.section.startswith("RFC ")
        assert oddity.sentence.endswith(".")


def test_a_frame_that_claims_all_there_can_be_costs_nothing() -> None:
    reader = FrameReader(client=False)
    assert reader.feed(frame(2, length=(1 << 64) - 1)) == []
    for _ in range(100):
        assert reader.feed(bytes(65536)) == []
    (cut,) = reader.eof()
    assert (cut.length, cut.end - cut.payload_start, cut.complete) == ((1 << 64) - 1, 6553600, False)


def test_a_sink_is_given_the_payload_as_it_comes_and_nothing_twice() -> None:
    class Sink:
        def __init__(self) -> None:
            self.said: list[tuple[str, object]] = []

        def frame_begins(self, frame: Frame) -> None:
            self.said.append(("begins", frame.length))

        def payload(self, frame: Frame, data: bytes, at: int) -> None:
            self.said.append((f"at {at}", unmask(data, frame.mask, at)))

        def frame_ends(self, frame: Frame) -> None:
            self.said.append(("ends", frame.complete))

    sink = Sink()
    reader = FrameReader(client=True, sink=sink)
    data = frame(2, b"abcdef", mask=MASK)
    reader.feed(data[:9])
    reader.feed(data[9:] + frame(9, mask=MASK)[:3])
    reader.eof()
    assert sink.said == [
        ("begins", 6),
        ("at 0", b"abc"),
        ("at 3", b"def"),
        ("ends", True),
        ("begins", 0),
        ("ends", False),
    ]


def test_what_is_arriving_is_shown_as_far_as_it_has_come() -> None:
    reader = FrameReader(client=False)
    assert reader.unfinished() is None
    reader.feed(b"\x82")
    arriving = reader.unfinished()
    assert arriving is not None
    assert (arriving.opcode, arriving.end, arriving.complete) == (Opcode.BINARY, 1, False)
    reader.feed(b"\x05ab")
    arriving = reader.unfinished()
    assert arriving is not None
    assert (arriving.length, arriving.end, arriving.complete) == (5, 4, False)


@given(STREAMS, st.booleans(), DEFLATES)
def test_spans_tile_every_bit_of_any_bytes(data: bytes, client: bool, deflate: Deflate | None) -> None:
    at = byte = 0
    for each in read(data, client=client, deflate=deflate):
        assert each.start == byte
        byte = each.end
        for span in frame_spans(each):
            first, end = bit_range(span)
            assert first == at < end
            at = end
    assert (byte, at) == (len(data), len(data) * 8)


@given(STREAMS, st.booleans(), DEFLATES, st.lists(st.integers(0, 1000), max_size=6))
def test_any_split_gives_the_same_frames(
    data: bytes, client: bool, deflate: Deflate | None, cuts: list[int]
) -> None:
    reader = FrameReader(client=client, deflate=deflate)
    found = [each for piece in pieces(data, cuts) for each in reader.feed(piece)] + reader.eof()
    whole = FrameReader(client=client, deflate=deflate)
    assert found == whole.feed(data) + whole.eof()
    assert reader.ending == whole.ending


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 300))
def test_a_mask_is_taken_off_from_any_place(data: bytes, mask: bytes, at: int) -> None:
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    assert unmask(masked[at:], mask, at) == data[at:]
    assert unmask(masked * 300, b"\0\0\0\0") == masked * 300


def test_a_long_payload_is_unmasked_across_slices() -> None:
    data = bytes(range(256)) * 1000
    assert unmask(unmask(data, MASK, 3), MASK, 3) == data
    assert unmask(data, MASK, 3)[200_000] == data[200_000] ^ MASK[(200_000 + 3) % 4]
