"""The door to a terminal: nothing that acts, hides or deceives gets through, and nothing is lost on the way."""

from __future__ import annotations

import re
import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from inspectd.text.safe import (
    ASCII,
    MAX_MARKS,
    UNICODE,
    Glyphs,
    Piece,
    cells,
    clip,
    html,
    pad,
    safe,
    wire_text,
)

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

anything = st.text()
surrogates = st.text(st.characters(categories=("Cs", "Lu", "Cc", "Cf", "Mn", "Po")))
TROUBLE = [
    *(b"\\", b"x", b"1b", b"u", b"U", b"\x1b", b"\xff", b"\r\n", b"\n", b"\r", b"\t", b" ", b"n", b"r", b"a"),
    *("é".encode(), "\u0301".encode(), "漢".encode(), "\u202e".encode(), b"\xed\xa0\x80", b"\xc0\xaf"),
]
wire_bytes = st.one_of(
    st.binary(), st.text().map(str.encode), st.lists(st.sampled_from(TROUBLE)).map(b"".join)
)

_ESCAPES = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def unescape(shown: str) -> bytes:
    """Read `safe` bytes back, by nothing but the rule that the module states."""
    out = bytearray()
    at = 0
    for match in _ESCAPES.finditer(shown):
        out += shown[at : match.start()].encode()
        if match[1]:
            out.append(int(match[1], 16))
        elif match[2] or match[3]:
            out += chr(int(match[2] or match[3], 16)).encode()
        else:
            out += b"\\"
        at = match.end()
    return bytes(out + shown[at:].encode())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"plain text, nothing else", "plain text, nothing else"),
        ("häuser 漢字 ❤ עברית", "häuser 漢字 ❤ עברית"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"\x9b31m", r"\x9b31m"),
        (b"\xc2\x9b31m", r"\u009b31m"),
        ("\x9b31m", r"\u009b31m"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\u202etxt.exe\u2066", r"a\u202etxt.exe\u2066"),
        ("zero\u200bwidth\u200d\ufeff", r"zero\u200bwidth\u200d\ufeff"),
        ("tag\U000e0041\U000e007f", r"tag\U000e0041\U000e007f"),
        ("❤\ufe0f", r"❤\ufe0f"),
        ("葛\U000e0100", r"葛\U000e0100"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ("\ud800", r"\ud800"),
        (b"\xc0\xaf\xe0\x80\x9b", r"\xc0\xaf\xe0\x80\x9b"),
        (b"\x00\x7f\r\t\n", r"\x00\x7f\x0d\x09\x0a"),
        ("\u2028\u2029\x85", r"\u2028\u2029\u0085"),
        ("\ue000\U000f0000", r"\ue000\U000f0000"),
        ("no\u00a0break\u3000wide", r"no\u00a0break\u3000wide"),
        ("[bold red]markup[/]", "[bold red]markup[/]"),
        ("\u0301on nothing", r"\u0301on nothing"),
        ("e\u0301", "e\u0301"),
        ("Z" + "\u0301" * 5, "Z" + "\u0301" * MAX_MARKS + r"\u0301\u0301"),
        ("\x1b\u0301", r"\x1b\u0301"),
        ("\u1112\u1161\u11ab", "\u1112" + r"\u1161\u11ab"),
        ("🇫🇷", r"\U0001f1eb\U0001f1f7"),
        ("👍🏽", "👍" + r"\U0001f3fd"),
        ("x\u20e3", r"x\u20e3"),
        ("", ""),
    ],
)
def test_a_character_stays_or_becomes_a_visible_escape(text: str | bytes, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (rb"\x1b", r"\\x1b"),
        (rb"C:\temp", r"C:\temp"),
        (rb"\\", r"\\" + "\\"),
        (b"\\\x1b", r"\\\x1b"),
        (b"\\u202e", r"\\u202e"),
        ("end\\", "end\\"),
    ],
)
def test_a_typed_backslash_is_doubled_only_where_it_could_be_misread(typed: str | bytes, shown: str) -> None:
    assert safe(typed) == shown


def test_text_whose_grammar_rules_out_a_mistake_may_keep_its_backslashes() -> None:
    assert safe(r'{"a": "\u00e9\n"}' + "\x1b", doubling=False) == r'{"a": "\u00e9\n"}\x1b'


def test_only_a_lone_line_feed_stays_when_lines_are_allowed() -> None:
    assert (
        safe(b"one\ntwo\r\nthree\x0b\x0c\xe2\x80\xa8", newline=True)
        == "one\ntwo\\x0d\nthree\\x0b\\x0c\\u2028"
    )
    assert safe("\n\u0301", newline=True) == "\n\\u0301"
    assert safe("\\\nx", newline=True) == "\\\nx"


def test_every_character_of_unicode_is_safe_and_as_wide_as_textual_takes_it_for() -> None:
    for code in range(sys.maxunicode + 1):
        shown = safe("a" + chr(code))
        assert cells(shown) == cell_len(shown, unicode_version="17.0.0"), hex(code)
        assert not {unicodedata.category(character) for character in shown} & FORBIDDEN, hex(code)


@given(st.one_of(anything, surrogates, wire_bytes))
def test_nothing_live_gets_through(text: str | bytes) -> None:
    for newline in (False, True):
        shown = safe(text, newline=newline)
        live = {character for character in shown if unicodedata.category(character) in FORBIDDEN}
        assert live <= ({"\n"} if newline else set())
        assert cells(shown.replace("\n", "")) == cell_len(shown.replace("\n", ""))


@given(wire_bytes)
def test_escaped_bytes_can_be_read_back_without_doubt(data: bytes) -> None:
    assert unescape(safe(data)) == data


@given(wire_bytes, wire_bytes)
def test_different_bytes_look_different(one: bytes, other: bytes) -> None:
    assert (safe(one) == safe(other)) == (one == other)


@given(st.text(st.characters(categories=("Mn", "Mc", "Me", "Lu")), max_size=200))
def test_no_base_carries_more_marks_than_allowed(text: str) -> None:
    run = 0
    for character in safe(text):
        run = run + 1 if unicodedata.category(character) in {"Mn", "Mc", "Me"} else 0
        assert run <= MAX_MARKS


@pytest.mark.parametrize("unit", ["\x1b", "\\", "\u0301", "é", "\x00a", "\\x", "\U000e0001"])
def test_the_time_is_linear_in_the_length(unit: str) -> None:
    def fastest(length: int) -> float:
        text = unit * length
        took = []
        for _ in range(3):
            start = time.process_time()
            safe(text)
            wire_text(text.encode())
            took.append(time.process_time() - start)
        return min(took)

    fastest(1000)
    assert fastest(80_000) < 40 * fastest(10_000) + 0.05  # 8 times the length; quadratic would be 64 times


@given(st.one_of(anything, wire_bytes))
def test_html_is_safe_text_without_markup(text: str | bytes) -> None:
    shown = html(text)
    assert not set("<>\"'") & set(shown)
    assert not re.search(r"&(?!(?:amp|lt|gt|quot|#x27);)", shown)


@given(wire_bytes, st.sampled_from([UNICODE, ASCII]))
def test_pieces_cover_every_byte_once_and_in_order(data: bytes, glyphs: Glyphs) -> None:
    at = 0
    for piece in wire_text(data, glyphs):
        assert piece.start == at
        assert piece.end > at
        assert piece.text
        at = piece.end
        assert not {unicodedata.category(character) for character in piece.text} & FORBIDDEN
        if not piece.special:
            assert piece.text.encode() == data[piece.start : piece.end]
            assert len(piece.text) == 1 or piece.text.isascii() or cells(piece.text) <= 2
    assert at == len(data)


@given(wire_bytes)
def test_joined_pieces_are_as_wide_as_their_sum(data: bytes) -> None:
    pieces = wire_text(data)
    joined = "".join(piece.text for piece in pieces)
    assert cell_len(joined) == sum(cells(piece.text) for piece in pieces)


def test_the_glyphs_of_a_head() -> None:
    assert wire_text(b"GET  /a\tb\r\n\r\n\n\x00\xff\\x \xe2\x80\xae") == [
        Piece("GET", 0, 3, special=False),
        Piece("··", 3, 5, special=True),
        Piece("/a", 5, 7, special=False),
        Piece("→", 7, 8, special=True),
        Piece("b", 8, 9, special=False),
        Piece("↵", 9, 11, special=True),
        Piece("↵", 11, 13, special=True),
        Piece("↓", 13, 14, special=True),
        Piece(r"\x00", 14, 15, special=True),
        Piece(r"\xff", 15, 16, special=True),
        Piece("\\\\", 16, 17, special=True),
        Piece("x", 17, 18, special=False),
        Piece("·", 18, 19, special=True),
        Piece(r"\u202e", 19, 22, special=True),
    ]


def test_the_ascii_glyphs_are_letters_that_a_peer_can_not_imitate() -> None:
    assert "".join(piece.text for piece in wire_text(b"a \\r\r\n", ASCII)) == r"a \\r\r\n"


def test_a_mark_shares_the_piece_of_its_base() -> None:
    assert wire_text("cafe\u0301 \u0301".encode()) == [
        Piece("caf", 0, 3, special=False),
        Piece("e\u0301", 3, 6, special=False),
        Piece("·", 6, 7, special=True),
        Piece(r"\u0301", 7, 9, special=True),
    ]


@pytest.mark.parametrize(
    ("text", "width", "clipped"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("漢字漢字", 8, "漢字漢字"),
        ("漢字漢字", 7, "漢字漢…"),
        ("漢字漢字", 6, "漢字…"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("é" * 9, 1, "…"),
        ("anything", 0, ""),
        ("é漢", -1, ""),
        ("", 0, ""),
    ],
)
def test_clipped_text_fits_and_says_that_it_is_cut(text: str, width: int, clipped: str) -> None:
    assert clip(text, width) == clipped


@given(st.one_of(anything, wire_bytes), st.integers(-1, 30))
def test_clipped_and_padded_text_has_its_width(text: str | bytes, width: int) -> None:
    shown = safe(text)
    clipped = clip(shown, width)
    assert cells(clipped) <= max(width, 0)
    assert clipped == shown or cells(shown) > width
    for padded in (pad(clipped, width), pad(clipped, width, right=True)):
        assert cells(padded) == max(width, 0)


def test_padding_goes_to_the_side_that_is_asked_for() -> None:
    assert (pad("漢", 4), pad("漢", 4, right=True), pad("long", 2)) == ("漢  ", "  漢", "long")
