"""Editable text stands for exactly the bytes it was made from, and can't act on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.escape import Reading, TextError, read_line, still, to_bytes, to_text
from inspectd.tui.net import LIVE

WIRE = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r",
                b"\\",
                b"\\n",
                b"\\x41",
                b"\x1b[31m",
                b"\xc2\x9b",
                b"\xe2\x80\xae",
                b"\xff",
            ]
        )
        | st.sampled_from(
            [b"\0", b"\t", "é語".encode(), "e\u0301".encode(), b" ", b"a: b", b"HTTP/1.1 200 OK"]
        ),
        max_size=30,
    ).map(b"".join),
)
TYPED = st.text(st.sampled_from("\\xnrt0aF9 \nZé語:"), max_size=60)


@given(WIRE)
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    assert to_bytes(to_text(data)) == data


@given(WIRE)
def test_nothing_in_the_text_is_live_and_each_line_of_the_wire_has_its_own(data: bytes) -> None:
    text = to_text(data)
    assert LIVE.search(text.replace("\n", "")) is None
    assert text.count("\n") == data.count(b"\n")
    assert text.splitlines() == text.split("\n")[: len(text.splitlines())]


@given(TYPED)
def test_text_that_is_valid_means_the_same_when_it_is_written_again(text: str) -> None:
    try:
        data = to_bytes(text)
    except TextError:
        return
    again = to_text(data)
    assert to_bytes(again) == data
    assert to_text(to_bytes(again)) == again


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"a", "a"),
        (b"a\r\n", "a\n"),
        (b"a\n", "a\\n\n"),
        (b"a\r", "a\\r"),
        (b"a\r\r\n", "a\\r\n"),
        (b"\r\n\r\n", "\n\n"),
        (b"\n\r", "\\n\n\\r"),
        (b"a\tb", "a\\tb"),
        (b"C:\\new", "C:\\\\new"),
        (b"\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("é\u202e語".encode(), "é\\xe2\\x80\\xae語"),
        ("e\u0301".encode(), "e\\xcc\\x81"),
        (b"\xc3", "\\xc3"),
    ],
)
def test_how_bytes_are_written(data: bytes, text: str) -> None:
    assert to_text(data) == text
    assert to_bytes(text) == data


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a\\nb", b"a\nb"),
        ("a\\n", b"a\n"),
        ("a\\r\\n\nb", b"a\r\nb"),
        ("a\\x0a\nb", b"a\nb"),
        ("a\\x0D\\x0a", b"a\r\n"),
        ("\\\\n", b"\\n"),
        ("a\tb", b"a\tb"),
    ],
)
def test_an_escape_may_stand_where_it_would_not_be_written(text: str, data: bytes) -> None:
    assert to_bytes(text) == data


@pytest.mark.parametrize(
    ("text", "line", "column", "length", "what"),
    [
        ("ok\nX: \\q", 2, 4, 2, "\\q means nothing"),
        ("\\x4", 1, 1, 3, "\\x needs two hexadecimal digits"),
        ("a\\xzz", 1, 2, 2, "\\x needs two hexadecimal digits"),
        ("a\\\nb", 1, 2, 1, "a backslash alone"),
        ("\ud800", 1, 1, 1, "half of a surrogate pair"),
    ],
)
def test_what_stands_for_no_byte_is_located(
    text: str, line: int, column: int, length: int, what: str
) -> None:
    with pytest.raises(TextError) as caught:
        to_bytes(text)
    problem = caught.value.problems[0]
    assert (problem.line, problem.column, problem.length) == (line, column, length)
    assert what in problem.what
    assert problem.mend
    assert f"line {line}, column {column}" in caught.value.what


def test_every_problem_is_told() -> None:
    with pytest.raises(TextError, match="and 1 more") as caught:
        to_bytes("\\q\n\\w")
    assert [problem.line for problem in caught.value.problems] == [1, 2]


@given(WIRE)
def test_each_character_stands_for_a_byte_and_each_byte_has_a_character(data: bytes) -> None:
    reading = Reading(to_text(data))
    assert reading.data == data
    for offset in range(len(data)):
        row, column = reading.place(offset)
        assert reading.offset(row, column) <= offset
        line = reading.lines[row]
        assert list(line.places) == sorted(line.places)
        if column < len(line.places) - 1:
            following = next(
                (place for place in line.places[column:] if place > line.places[column]), line.places[-1]
            )
            assert reading.offset(row, column) <= offset < reading.starts[row] + following
        else:
            assert data[offset : offset + 1] in b"\r\n"


def test_an_escape_is_one_place() -> None:
    assert list(read_line("a\\x00b").places) == [0, 1, 1, 1, 1, 2, 3]
    assert read_line("a\\x00b").escapes == ((1, 5),)
    assert read_line("\\\\\\tb\\r\\q").escapes == ((0, 4), (5, 7))
    reading = Reading("a\\x00b\nc")
    assert reading.place(1) == (0, 1)
    assert reading.place(2) == (0, 5)
    assert reading.place(3) == (0, 6)
    assert reading.place(5) == (1, 0)


@given(st.text(max_size=80))
def test_what_is_pasted_is_stilled_and_keeps_its_lines(text: str) -> None:
    stilled = still(text)
    assert LIVE.search(stilled.replace("\n", "")) is None
    assert stilled.count("\n") == text.replace("\r\n", "\n").count("\n")


def test_what_is_pasted_keeps_its_escapes() -> None:
    assert still("a\\x00\r\n\x1b\tü") == "a\\x00\n\\x1b\\tü"
