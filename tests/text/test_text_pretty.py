"""Content laid out for people: safe lines, nothing changed that has a meaning."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.json_lines import NotJsonError, json_lines
from inspectd.text.pretty import MAX_LINE, MAX_LINES, Pretty, pretty

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_json_keeps_its_numbers_escapes_order_and_duplicate_names() -> None:
    shown = pretty(
        b'{"b":1.0,"a":[1e400,-0,{}],"b":"\\u00e9\\n",\r\n"":[[]]}', "application/json; charset=utf-8"
    )
    assert shown == Pretty(
        "json",
        [
            "{",
            '  "b": 1.0,',
            '  "a": [',
            "    1e400,",
            "    -0,",
            "    {}",
            "  ],",
            '  "b": "\\u00e9\\n",',
            '  "": [',
            "    []",
            "  ]",
            "}",
        ],
    )


@given(values, st.booleans())
def test_laid_out_json_means_the_same(value: object, compact: bool) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    assert json.loads("\n".join(json_lines(text, max_lines=10**6))) == value


@given(st.text(st.sampled_from('[]{}",:0123456789.eE+-truefalsn \\u\n')))
def test_what_is_laid_out_is_json_and_the_rest_is_not(text: str) -> None:
    try:
        meaning = json.loads(text)
    except ValueError:
        with pytest.raises(NotJsonError):
            json_lines(text, max_lines=10**6)
    else:
        assert json.loads("\n".join(json_lines(text, max_lines=10**6))) == meaning


@pytest.mark.parametrize(
    "text", ["NaN", "[1,]", "{'a':1}", '{"a":1,}', "01", "[1 2]", "[", "]", "", "[1]]", '"\t"', "+1"]
)
def test_what_is_not_json_is_shown_as_text_with_a_note(text: str) -> None:
    shown = pretty(text.encode(), "application/problem+json")
    assert shown.kind == ("text" if text else "empty")
    assert shown.notes[:1] == (() if not text else (shown.notes[0],))
    if text:
        assert shown.notes[0].startswith("Not valid JSON: character ")


def test_json_is_recognised_without_a_content_type() -> None:
    assert pretty(b' {"a":1}').kind == "json"
    assert pretty(b'{"a":1}', "text/plain").kind == "text"


def test_a_form_becomes_pairs() -> None:
    assert pretty(b"name=Ada+L%C3%B6&x=%1b[0m&flag&=&&a=b=c", "application/x-www-form-urlencoded") == Pretty(
        "form", ["name = Ada Lö", r"x = \x1b[0m", "flag", " = ", "a = b=c"]
    )


def test_text_is_read_by_its_charset() -> None:
    assert pretty("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1").lines == ["grün"]
    assert pretty("привет".encode("koi8-r"), 'text/plain;charset="koi8-r"').lines == ["привет"]
    assert pretty("日本".encode("shift_jis"), "text/html;charset=Shift_JIS").lines == ["日本"]
    assert pretty("\ufeffx".encode("utf-16"), "").lines == ["\\ufeffx"]
    assert pretty("grün".encode(), "text/plain").lines == ["grün"]
    assert pretty(b"gr\xfcn", "text/plain").lines == [r"gr\xfcn"]


@pytest.mark.parametrize("charset", ["idna", "unicode_escape", "rot13", "zip", "x-unknown"])
def test_a_codec_that_is_no_charset_is_not_asked(charset: str) -> None:
    shown = pretty(rb"a\u202e", f"text/plain; charset={charset}")
    assert shown == Pretty(
        "text", [r"a\\u202e"], (f"The charset {charset!r} is not known here: read as UTF-8.",)
    )


def test_a_charset_that_does_not_fit_falls_back_to_utf8() -> None:
    assert pretty(b"\xffA", "text/plain; charset=us-ascii") == Pretty(
        "text", [r"\xffA"], ("Not valid us-ascii: read as UTF-8.",)
    )


def test_every_line_end_ends_a_line_and_tabs_become_spaces() -> None:
    assert pretty(b"a\r\nb\nc\rd\te", "text/plain").lines == ["a", "b", "c", "d   e"]


def test_binary_is_shown_as_hexadecimal() -> None:
    shown = pretty(b"\x89PNG\r\n\x1a\n\x00\x00", "image/png")
    assert shown.kind == "binary"
    assert shown.lines == ["00000000  89 50 4e 47 0d 0a 1a 0a  00 00                    |.PNG......|"]
    assert pretty(b"a\x00b").kind == "binary"
    assert pretty(b"a\x00b", "text/plain").kind == "text"


def test_long_content_is_cut_and_says_so() -> None:
    assert pretty(b"x\n" * (MAX_LINES + 5), "text/plain").notes == (f"The first {MAX_LINES:,} lines.",)
    assert pretty(b"x" * (MAX_LINE + 1), "text/plain").notes == (
        f"Lines are cut after {MAX_LINE:,} characters.",
    )
    big = pretty(b'{"a": "' + b"x" * (1 << 20) + b'"}', "application/json")
    assert big.kind == "json"
    assert big.notes[0] == "The first 1,048,576 of 1,048,585 bytes."


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"[" * (1 << 20), "application/json"),
        (b'{"a":' * 200_000, "application/json"),
        (b'"' + b"\\n" * 500_000, "application/json"),
        (b"[" + b"1," * 500_000, "application/json"),
        (b"a=%41&" * 170_000, "application/x-www-form-urlencoded"),
        (b"%41" * 350_000, "application/x-www-form-urlencoded"),
        (b"\t" * (1 << 20), "text/plain"),
        (b"\xcc\x81" * (1 << 19), "text/plain"),
        (b"\r" * (1 << 20), "text/plain"),
        (b"\x00" * (1 << 20), ""),
    ],
)
def test_no_content_takes_long_or_grows_without_bound(data: bytes, content_type: str) -> None:
    start = time.process_time()
    shown = pretty(data, content_type)
    assert time.process_time() - start < 3
    assert len(shown.lines) <= MAX_LINES
    assert max(map(len, shown.lines), default=0) <= MAX_LINE * 10


@given(
    st.one_of(st.binary(), st.text().map(str.encode)),
    st.sampled_from(
        [
            "",
            "application/json",
            "text/plain",
            "text/html; charset=utf-16",
            "application/x-www-form-urlencoded",
            "image/png",
        ]
    ),
)
def test_any_content_becomes_safe_lines(data: bytes, content_type: str) -> None:
    for line in pretty(data, content_type).lines:
        assert not {unicodedata.category(character) for character in line} & {
            "Cc",
            "Cf",
            "Cs",
            "Co",
            "Cn",
            "Zl",
            "Zp",
        }


@given(st.binary())
def test_any_content_type_is_read(content_type: bytes) -> None:
    assert pretty(b"text", content_type).lines
