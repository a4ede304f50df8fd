"""Lines, tokens and rows of the byte view, without a screen."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.explain import value_parts
from inspectd.text.safe import cells
from inspectd.tui.widgets.panes.document import Document
from inspectd.tui.widgets.panes.hexrows import HexRows
from inspectd.tui.widgets.panes.prose import fold, wrap
from inspectd.tui.widgets.wireview import Run, byte_at
from inspectd.wire import Role, spans

CHUNKED = (
    b"POST /x HTTP/1.1\r\nHost: a\r\nX-Fold: one\r\n two\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;n=v\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET /next HTTP/1.0\r\n\r\n"
)


def document(data: bytes) -> Document:
    return Document(data, spans(data, "request"))


def text_of(rows: Document, width: int) -> list[str]:
    return [
        "".join(run.text for run in rows.row(index, width)).rstrip() for index in range(rows.height(width))
    ]


def test_every_part_of_a_chunked_request_has_its_labelled_line() -> None:
    assert text_of(document(CHUNKED), 80) == [
        "0000  request line POST·/x·HTTP/1.1↵",
        "0012  field 1/3    Host:·a↵",
        "001b  field 2/3    X-Fold:·one↵",
        "0028               ·two↵",
        "002e  field 3/3    Transfer-Encoding:·chunked↵",
        "004a  end of head  ↵",
        "004c  chunk 1      5;n=v↵",
        "0053  chunk data   hello",
        "0058  chunk end    ↵",
        "005a  last chunk   0↵",
        "005d  trailer 1/1  X-Sum:·1↵",
        "0067  end of body  ↵",
        "0069  request line GET·/next·HTTP/1.0↵",
        "007d  end of head  ↵",
    ]


def test_rows_that_are_too_long_go_on_below_with_their_own_offset() -> None:
    assert text_of(document(b"GET / HTTP/1.1\r\nA: 0123456789abcdefghij\r\n\r\n"), 32) == [
        "0000  request line GET·/·HTTP/1.",
        "000d               1↵",
        "0010  field 1/1    A:·0123456789",
        "001d               abcdefghij↵",
        "0029  end of head  ↵",
    ]


def test_the_cursor_visits_every_byte_in_order_from_left_to_right() -> None:
    rows = document(CHUNKED)
    stop = rows.stop_at(0)
    assert stop is not None
    visited = [stop]
    while (after := rows.move(visited[-1], 1)) != visited[-1]:
        visited.append(after)
    assert b"".join(CHUNKED[each.start : each.end] for each in visited) == CHUNKED
    back = [visited[-1]]
    while (before := rows.move(back[-1], -1)) != back[-1]:
        back.append(before)
    assert back[::-1] == visited


def test_a_value_with_parts_is_a_stop_of_its_own_and_then_each_part_is() -> None:
    data = b"GET / HTTP/1.1\r\nAccept-Encoding: gzip, br;q=0.5\r\n\r\n"
    tiles = spans(data, "request")

    def parts(number: int) -> list[tuple[int, int]]:
        start, end, role = tiles[number]
        if role is not Role.FIELD_VALUE:
            return []
        return [
            (start + each.start, start + each.end) for each in value_parts("Accept-Encoding", data[start:end])
        ]

    rows = Document(data, tiles, parts=parts)
    stop = rows.stop_at(data.index(b"gzip"))
    assert stop is not None
    walked = []
    for _ in range(5):
        walked.append(data[stop.start : stop.end])
        stop = rows.move(stop, 1)
    assert walked == [b"gzip, br;q=0.5", b"gzip", b"br", b"q=0.5", b"\r\n"]
    part = rows.stop_at(data.index(b"br;"), part=True)
    assert part is not None
    assert (data[part.start : part.end], part.part) == (b"br", 1)


def test_going_down_from_a_value_lands_on_the_value_below() -> None:
    rows = document(CHUNKED)
    stop = rows.stop_at(CHUNKED.index(b"a\r\n"))
    assert stop is not None
    below = rows.move_line(stop, 1)
    assert CHUNKED[below.start : below.end] == b"one"
    above = rows.move_line(stop, -1)
    assert CHUNKED[above.start : above.end] == b"/x"


MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                b"GET / HTTP/1.1\r\n",
                b"A: b\r\n",
                b"A:\n",
                b" fold\r\n",
                b"\r\n",
                b"\n",
                b"\x00\xff",
                b"5\r\nhello\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Length: 3\r\n",
                b"abc",
                "é中\u202e".encode(),
                b"\\x1b",
                b"\x1b[",
            ]
        ),
        max_size=12,
    ).map(b"".join),
)


@given(MESSAGES, st.integers(30, 90))
def test_any_bytes_are_shown_whole_in_order_and_within_the_width(data: bytes, width: int) -> None:
    rows = document(data)
    assert b"".join(data[line.start : line.end] for line in rows.lines) == data
    covered = 0
    for index in range(rows.height(width)):
        row = rows.row(index, width)
        assert sum(cells(run.text) for run in row) <= width
        for run in row:
            if run.start >= 0:
                assert run.start == covered
                covered = run.end
    assert covered == len(data)


@given(MESSAGES, st.integers(30, 90))
def test_the_row_of_a_byte_shows_it(data: bytes, width: int) -> None:
    rows = document(data)
    for offset in range(0, len(data), 7):
        assert any(run.start <= offset < run.end for run in rows.row(rows.row_of(offset, width), width))


def test_bytes_that_are_no_text_are_not_read_as_characters_by_chance() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"
    rows = text_of(document(head + b"\x16\x03\xcc\xa9\n\xc0+\xff\xc8\x9b\nz"), 120)
    assert rows[-1].endswith(r"content      \x16\x03\xcc\xa9↓\xc0+\xff\xc8\x9b↓z")
    assert text_of(document(head + "Grüße, țț\n".encode()[:12]), 120)[-1].endswith("Grüße,·ț\\xc8")


def test_a_chunk_that_begins_within_a_character_is_text() -> None:
    body = "ß=Grüße".encode()
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        body[:1], len(body) - 1, body[1:],
    )  # fmt: skip
    assert any(row.endswith(r"\x9f=Grüße") for row in text_of(document(data), 120))


def test_long_content_is_bounded_and_the_rest_is_counted() -> None:
    content = b"x" * 50_000
    data = b"POST / HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + content
    lines = text_of(document(data), 80)
    assert lines[-1].strip() == "… 45,904 bytes more: 3 Body, 4 Hex"
    assert len(lines) < 100


def test_hex_rows_hold_sixteen_bytes_where_there_is_room_and_eight_where_not() -> None:
    data = bytes(range(0x30, 0x30 + 20))
    rows = HexRows(lambda offset, limit: data[offset : offset + limit], len(data))
    assert ["".join(run.text for run in rows.row(index, 80)) for index in range(rows.height(80))] == [
        "0000  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  0123456789:;<=>?",
        "0010  40 41 42 43                                       @ABC",
    ]
    assert rows.height(50) == 3
    assert "".join(run.text for run in rows.row(2, 50)) == "0010  40 41 42 43              @ABC"


def test_hex_rows_read_only_the_pages_they_show() -> None:
    asked: list[int] = []

    def read(offset: int, limit: int) -> bytes:
        asked.append(offset)
        return bytes(limit)

    rows = HexRows(read, 4 << 30)
    rows.row(rows.row_of(3 << 30, 80), 80)
    assert rows.height(80) == (4 << 30) // 16
    assert asked == [3 << 30]


@pytest.mark.parametrize(("x", "offset"), [(0, -1), (5, 0), (7, 2), (8, 3), (11, 3), (12, 4), (40, -1)])
def test_a_cell_of_a_row_belongs_to_a_byte(x: int, offset: int) -> None:
    row = [Run("0000 "), Run("GET", "method", 0, 3), Run("\\x00", "escape", 3, 4), Run("中", "plain", 4, 7)]
    assert byte_at(row, x) == offset


def test_prose_breaks_between_words_and_long_words_anywhere() -> None:
    rows = wrap([Run("What is "), Run("averyveryverylongword", "value"), Run(" for?")], 12, indent=2)
    assert ["".join(run.text for run in row) for row in rows] == [
        "  What is ",
        "  averyveryv",
        "  erylongwor",
        "  d for?",
    ]


def test_a_run_of_megabytes_is_folded_in_linear_time() -> None:
    def seconds(size: int) -> float:
        started = time.process_time()
        rows = fold([Run("x" * size, "plain", 0, size)], 50)
        assert (rows[-1][-1].end, len(rows)) == (size, -(-size // 50))
        return time.process_time() - started

    seconds(100_000)
    assert min(seconds(1_600_000) for _ in range(3)) < 40 * min(seconds(200_000) for _ in range(3))


def test_folding_never_splits_an_escape() -> None:
    rows = fold([Run("ab", "plain", 0, 2), Run("\\u202e", "escape", 2, 5), Run("c", "plain", 5, 6)], 6)
    assert ["".join(run.text for run in row) for row in rows] == ["ab", "\\u202e", "c"]
