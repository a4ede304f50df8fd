"""Event streams: lines, fields and events as WHATWG HTML §9.2.6 reads them; for any bytes in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.wire.event_stream import EventReader, SseEvent, event_spans
from inspectd.wire.span import Role
from tests.wire.frames import pieces


def read(data: bytes, *, limit: int = 1 << 20) -> list[SseEvent]:
    reader = EventReader(limit=limit)
    return reader.feed(data) + reader.eof()


def told(data: bytes) -> list[tuple[bytes | None, bytes]]:
    """What a browser would tell the page: type and data."""
    return [(each.event, each.data) for each in read(data) if each.dispatched]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        # the examples of §9.2.6
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(None, b"YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [(None, b"first event"), (None, b"second event"), (None, b" third event")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [(None, b""), (None, b"\n")]),
        (b"data:test\n\ndata: test\n\n", [(None, b"test"), (None, b"test")]),
        # line ends, and what is ignored
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [(None, b"a"), (None, b"b"), (None, b"c")]),
        (b"\xef\xbb\xbfdata: bom\n\n", [(None, b"bom")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: two\n\n", []),
        (b"event: add\ndata: 1\nDATA: 2\n\n", [(b"add", b"1")]),
        (b"data:\n\nid: 1\n\n", [(None, b"")]),
        (b"event: alone\n\ndata: x\n\n", [(None, b"x")]),
    ],
)
def test_what_a_page_is_told(data: bytes, events: list[tuple[bytes | None, bytes]]) -> None:
    assert told(data) == events


def test_ids_last_and_can_be_cleared() -> None:
    found = read(b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
    assert [(each.id, each.last_id) for each in found] == [(b"1", b"1"), (None, b"1"), (b"", b"")]


@pytest.mark.parametrize(
    ("line", "oddity"),
    [
        (b"id: a\x00b", "sse-id-nul"),
        (b"retry: 1s", "sse-retry-not-digits"),
        (b"retry:", "sse-retry-not-digits"),
        (b"what: ever", "sse-unknown-field"),
        (b"data: \xff", "sse-invalid-utf8"),
        (b" data: x", "sse-unknown-field"),
    ],
)
def test_lines_that_are_ignored_or_mended_are_told(line: bytes, oddity: str) -> None:
    (found,) = read(line + b"\n\n")
    (each,) = found.oddities
    assert each.id == oddity
    assert 0 <= each.start < each.end <= len(line)
    assert (found.id, found.retry) == (None, None)


def test_the_time_to_wait_is_a_number_of_any_length() -> None:
    reader = EventReader()
    (found,) = reader.feed(b"retry: 3000\n\n")
    assert (found.retry, reader.retry) == (3000, 3000)
    (found,) = reader.feed(b"retry: " + b"9" * 10_000 + b"\n\n")
    assert found.retry == 1 << 62


def test_events_and_their_places() -> None:
    data = b"\xef\xbb\xbf: hi\n: there\n\n\n\ndata: a\n\ndata: cut"
    comment, event, cut = read(data)
    assert (comment.start, comment.end, comment.comment, comment.dispatched) == (0, 17, b" hi\n there", False)
    assert data[event.start : event.end] == b"data: a\n\n"
    assert (cut.complete, cut.dispatched, cut.data, cut.end) == (False, False, b"cut", len(data))
    assert [each.id for each in cut.oddities] == ["sse-unfinished"]


def test_what_is_beyond_the_limit_is_counted() -> None:
    (found,) = read(b"data: " + b"x" * 1000 + b"\ndata: y\n\n", limit=100)
    assert (found.size, len(found.data), found.truncated) == (1002, 94, True)


def test_what_is_arriving_is_shown() -> None:
    reader = EventReader()
    reader.feed(b"data: a\nda")
    arriving = reader.unfinished()
    assert arriving is not None
    assert (arriving.data, arriving.complete) == (b"a", False)
    assert reader.feed(b"ta: b\n\n")[0].data == b"a\nb"
    assert reader.unfinished() is None


def test_a_line_has_a_span_for_each_part() -> None:
    data = b"data: a:b\r\n:note\rretry\n\n"
    assert [(span.role, data[span.start - 10 : span.end - 10]) for span in event_spans(data, 10)] == [
        (Role.SSE_FIELD_NAME, b"data"),
        (Role.COLON, b":"),
        (Role.SP, b" "),
        (Role.SSE_FIELD_VALUE, b"a:b"),
        (Role.CRLF, b"\r\n"),
        (Role.COLON, b":"),
        (Role.SSE_COMMENT, b"note"),
        (Role.SSE_CR, b"\r"),
        (Role.SSE_FIELD_NAME, b"retry"),
        (Role.LF, b"\n"),
        (Role.EMPTY_LINE, b"\n"),
    ]


ODD_BYTES = (b"\x00", b"\xe2\x82\xac", b"\xff", b"\xef\xbb\xbf")
STREAMS = st.one_of(
    st.binary(max_size=120),
    st.lists(
        st.sampled_from(
            (
                b"data",
                b"id",
                b"event",
                b"retry",
                b": ",
                b":",
                b"x",
                b"12",
                b"\n",
                b"\r",
                b"\r\n",
                b"\n\n",
                *ODD_BYTES,
            )
        ),
        max_size=40,
    ).map(b"".join),
)


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=6), st.sampled_from([5, 1 << 20]))
def test_any_split_gives_the_same_events(data: bytes, cuts: list[int], limit: int) -> None:
    reader = EventReader(limit=limit)
    found = []
    for piece in pieces(data, cuts):
        found += reader.feed(piece)
        reader.unfinished()
    assert found + reader.eof() == read(data, limit=limit)


@given(STREAMS)
def test_spans_tile_any_bytes(data: bytes) -> None:
    at = 0
    for start, end, _ in event_spans(data):
        assert start == at < end
        at = end
    assert at == len(data)


@given(STREAMS)
def test_events_lie_one_behind_the_other(data: bytes) -> None:
    at = 0
    for each in read(data):
        assert at <= each.start < each.end <= len(data)
        assert len(each.data) == each.size
        at = each.end
