"""Validators, preconditions and ranges (RFC 9110 §13, §14), right and wrong in one way at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.answer import imf_fixdate
from inspectd.rules.behaviour import ranges
from inspectd.rules.behaviour.conditional import http_date, matches
from inspectd.rules.draft import CraftProblems, Draft, FileSlice
from tests.rules.behaviour.drafting import NOW, Acting, content_of
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = b"0123456789"
THEN = "Mon, 13 Nov 2023 22:13:20 GMT"
BEFORE = "Sun, 12 Nov 2023 22:13:20 GMT"
AFTER = "Tue, 14 Nov 2023 00:00:00 GMT"
TAGGED = {"etag": '"v1"', "last-modified": THEN}


def _ask(*lines: str, method: str = "GET", conditional: Any = None, content: bytes = DIGITS) -> Draft:
    acting = Acting(conditional=conditional or TAGGED)
    return acting(get("/", *lines, method=method), draft=Draft(b"HTTP/1.1 200 OK", [b"X-A: b"], content))


def _code(*lines: str, **given: Any) -> int:
    return int(_ask(*lines, **given).status_line.split(b" ")[1])


def test_validators_are_said_and_listed_as_added() -> None:
    draft = _ask()
    assert draft.fields == [
        b"X-A: b",
        b'ETag: "v1"',
        b"Last-Modified: " + THEN.encode(),
        b"Accept-Ranges: bytes",
    ]
    assert draft.added == [line.decode() for line in draft.fields[1:]]


def test_validators_of_the_rules_own_fields_count_and_are_not_doubled() -> None:
    acting = Acting(conditional=True)
    own = Draft(b"HTTP/1.1 200 OK", [b'etag:  "mine" '], DIGITS)
    draft = acting(get("/", 'If-None-Match: "mine"'), draft=own)
    assert draft.status_line == b"HTTP/1.1 304 Not Modified"
    assert draft.fields == [b'etag:  "mine" ']


def test_an_automatic_tag_belongs_to_the_content() -> None:
    tags = {_ask(conditional=True, content=content).get(b"etag") for content in (b"a", b"a", b"b")}
    assert len(tags) == 2


def test_a_file_has_a_tag_and_the_time_of_its_last_change(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(DIGITS)
    os.utime(file, (NOW - 86400, NOW - 86400))
    content = FileSlice(file, 0, 10)
    draft = Acting(conditional=True)(draft=Draft(b"HTTP/1.1 200 OK", content=content))
    assert draft.get(b"last-modified") == THEN.encode()
    again = Acting(conditional=True)(draft=Draft(b"HTTP/1.1 200 OK", content=content))
    assert again.get(b"etag") == draft.get(b"etag")
    os.utime(file, (NOW + 99999, NOW + 99999))
    later = Acting(conditional=True)(draft=Draft(b"HTTP/1.1 200 OK", content=content))
    assert later.get(b"last-modified") == imf_fixdate(NOW).encode()
    assert later.get(b"etag") != draft.get(b"etag")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (['If-None-Match: "v1"'], 304),
        (['If-None-Match: W/"v1"'], 304),
        (['If-None-Match: "v0", W/"v1" , "v2"'], 304),
        (['If-None-Match: "v0"', 'If-None-Match: "v1"'], 304),
        (["If-None-Match: *"], 304),
        (['If-None-Match: "v0"'], 200),
        (["If-None-Match: v1"], 200),
        (['If-None-Match: "v0"', f"If-Modified-Since: {AFTER}"], 200),
        ([f"If-Modified-Since: {THEN}"], 304),
        ([f"If-Modified-Since: {AFTER}"], 304),
        ([f"If-Modified-Since: {BEFORE}"], 200),
        ([f"If-Modified-Since: {THEN}", f"If-Modified-Since: {THEN}"], 200),
        (["If-Modified-Since: yesterday"], 200),
        (["If-Modified-Since: Monday, 13-Nov-23 22:13:20 GMT"], 304),
        (["If-Modified-Since: Mon Nov 13 22:13:20 2023"], 304),
        (['If-Match: "v1"'], 200),
        (["If-Match: *"], 200),
        (['If-Match: W/"v1"'], 412),
        (['If-Match: "v2"'], 412),
        (['If-Match: "v2"', 'If-None-Match: "v1"'], 412),
        (['If-Match: "v1"', 'If-None-Match: "v1"'], 304),
        ([f"If-Unmodified-Since: {BEFORE}"], 412),
        ([f"If-Unmodified-Since: {THEN}"], 200),
        (['If-Match: "v1"', f"If-Unmodified-Since: {BEFORE}"], 200),
        (["If-Unmodified-Since: soon"], 200),
        (["Range: bytes=0-1", 'If-None-Match: "v1"'], 304),
    ],
)
def test_preconditions_come_in_the_order_of_the_specification(lines: list[str], code: int) -> None:
    assert _code(*lines) == code


def test_a_304_keeps_what_a_cache_needs_and_has_no_content() -> None:
    own = [b"Content-Type: text/plain", b"Vary: Accept", b"Cache-Control: no-cache", b"Set-Cookie: a=b"]
    acting = Acting(conditional=TAGGED)
    draft = acting(get("/", 'If-None-Match: "v1"'), draft=Draft(b"HTTP/1.0 200 OK", list(own), DIGITS))
    assert draft.status_line == b"HTTP/1.0 304 Not Modified"
    assert draft.fields == [*own[1:], b'ETag: "v1"']
    assert (draft.content, draft.final) == (b"", True)


def test_other_methods_get_412_where_a_get_gets_304() -> None:
    assert _code('If-None-Match: "v1"', method="PUT") == 412
    assert _code('If-None-Match: "v1"', method="HEAD") == 304
    assert _code(f"If-Modified-Since: {AFTER}", method="PUT") == 200
    assert _code('If-None-Match: "v1"', method="OPTIONS") == 200


def test_only_a_success_is_conditional() -> None:
    acting = Acting(conditional=TAGGED)
    for status in (b"HTTP/1.1 404 Not Found", b"HTTP/1.1 503", b"HTTP/1.1", b"what"):
        draft = acting(get("/", 'If-None-Match: "v1"', "Range: bytes=0-1"), draft=Draft(status, [], DIGITS))
        assert (draft.status_line, draft.fields, draft.content) == (status, [], DIGITS)


@pytest.mark.parametrize(
    ("value", "content_range", "content"),
    [
        ("bytes=0-0", b"bytes 0-0/10", b"0"),
        ("bytes=2-4", b"bytes 2-4/10", b"234"),
        ("BYTES=7-", b"bytes 7-9/10", b"789"),
        ("bytes=-3", b"bytes 7-9/10", b"789"),
        ("bytes=-99", b"bytes 0-9/10", DIGITS),
        ("bytes=0-99999999999999999999999", b"bytes 0-9/10", DIGITS),
        ("bytes= ,1-1, ", b"bytes 1-1/10", b"1"),
        ("bytes=1-1,50-60", b"bytes 1-1/10", b"1"),
    ],
)
def test_one_range_is_a_206_with_its_place(value: str, content_range: bytes, content: bytes) -> None:
    draft = _ask(f"Range: {value}")
    assert draft.status_line == b"HTTP/1.1 206 Partial Content"
    assert draft.get(b"content-range") == content_range
    assert draft.content == content


@pytest.mark.parametrize(
    "value", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99-100,10-11", "bytes=" + "9" * 5000 + "-"]
)
def test_what_lies_beyond_the_content_is_a_416(value: str) -> None:
    draft = _ask(f"Range: {value}")
    assert draft.status_line == b"HTTP/1.1 416 Range Not Satisfiable"
    assert draft.get(b"content-range") == b"bytes */10"
    assert draft.content == b""


@pytest.mark.parametrize(
    "value",
    [
        "bytes=4-2", "bytes=", "bytes", "bytes=a-b", "bytes=--1", "bytes=1", "items=0-1", "bytes=0-1;2-3",
        "bytes=0x1-2",
        "bytes=0-9,0-9", "bytes=" + ",".join(f"{n % 10}-{n % 10}" for n in range(17)), "bytes=+1-2", "bytes=1 - 2",
    ],
)  # fmt: skip
def test_a_range_that_is_malformed_or_greedy_is_ignored(value: str) -> None:
    draft = _ask(f"Range: {value}")
    assert (draft.status_line, draft.content) == (b"HTTP/1.1 200 OK", DIGITS)
    assert draft.get(b"content-range") is None


def test_several_ranges_are_parts_in_the_order_they_were_asked_for() -> None:
    acting = Acting(conditional=TAGGED)
    draft = acting(
        get("/", "Range: bytes=8-, 0-1"),
        draft=Draft(b"HTTP/1.1 200 OK", [b"Content-Type: text/x"], DIGITS, added=["Content-Type: text/x"]),
    )
    kind = draft.get(b"content-type") or b""
    boundary = kind.removeprefix(b"multipart/byteranges; boundary=")
    assert len(boundary) == 24
    assert draft.content == (
        b"--B\r\nContent-Type: text/x\r\nContent-Range: bytes 8-9/10\r\n\r\n89"
        b"\r\n--B\r\nContent-Type: text/x\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--B--\r\n"
    ).replace(b"B\r\nC", boundary + b"\r\nC").replace(b"--B--", b"--" + boundary + b"--")
    assert draft.get(b"content-range") is None
    assert "Content-Type: text/x" not in draft.added


def test_a_range_of_a_file_stays_a_slice_of_it(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(DIGITS * 10)
    acting = Acting(conditional=True)
    draft = acting(
        get("/", "Range: bytes=5-14"), draft=Draft(b"HTTP/1.1 200 OK", content=FileSlice(file, 3, 90))
    )
    assert draft.content == FileSlice(file, 8, 10)
    assert content_of(draft) == b"8901234567"
    both = acting(
        get("/", "Range: bytes=0-0,-1"), draft=Draft(b"HTTP/1.1 200 OK", content=FileSlice(file, 3, 90))
    )
    assert b"bytes 89-89/90\r\n\r\n2\r\n" in content_of(both)


def test_large_parts_are_not_gathered_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    acting = Acting(conditional=True)
    content = FileSlice(file, 0, 1 << 40)
    one = acting(get("/", "Range: bytes=1000000000000-"), draft=Draft(b"HTTP/1.1 200 OK", content=content))
    assert one.content == FileSlice(file, 10**12, (1 << 40) - 10**12)
    two = acting(get("/", "Range: bytes=0-9999999,-1"), draft=Draft(b"HTTP/1.1 200 OK", content=content))
    assert (two.status_line, two.content) == (b"HTTP/1.1 200 OK", content)


def test_ranges_are_for_get_and_can_be_switched_off() -> None:
    assert _code("Range: bytes=0-1", method="HEAD") == 200
    assert _code("Range: bytes=0-1", method="POST") == 200
    off = _ask("Range: bytes=0-1", conditional={"ranges": False})
    assert (off.status_line, off.fields) == (b"HTTP/1.1 200 OK", [b"X-A: b"])
    coded = Acting(conditional=True, coding="gzip")(get("/", "Range: bytes=0-1"))
    assert (coded.status_line, coded.get(b"accept-ranges")) == (b"HTTP/1.1 200 OK", None)


@pytest.mark.parametrize(
    ("if_range", "code"),
    [
        ('"v1"', 206),
        ('W/"v1"', 200),
        ('"v2"', 200),
        (THEN, 206),
        (AFTER, 200),
        (BEFORE, 200),
        ("what", 200),
        ('"v1", "v2"', 200),
    ],
)
def test_if_range_wants_the_very_same_representation(if_range: str, code: int) -> None:
    assert _code("Range: bytes=0-1", f"If-Range: {if_range}") == code


def test_a_date_of_this_second_is_too_weak_for_if_range() -> None:
    now = imf_fixdate(NOW)
    assert _code("Range: bytes=0-1", f"If-Range: {now}", conditional={"last-modified": now}) == 200


@pytest.mark.parametrize(
    ("wrong", "status", "content_range", "content"),
    [
        ("ignore-range", b"HTTP/1.1 200 OK", None, DIGITS),
        ("content-range-off-by-one", b"HTTP/1.1 206 Partial Content", b"bytes 3-5/10", b"234"),
        ("content-range-other-total", b"HTTP/1.1 206 Partial Content", b"bytes 2-4/11", b"234"),
        ("no-content-range", b"HTTP/1.1 206 Partial Content", None, b"234"),
        ("always-304", b"HTTP/1.1 304 Not Modified", None, b""),
    ],
)
def test_one_thing_can_be_wrong(
    wrong: str, status: bytes, content_range: bytes | None, content: bytes
) -> None:
    draft = _ask("Range: bytes=2-4", conditional={"wrong": wrong})
    assert (draft.status_line, draft.get(b"content-range"), draft.content) == (status, content_range, content)


def test_a_date_that_is_none_is_refused_when_the_rule_is_read() -> None:
    with pytest.raises(CraftProblems) as caught:
        Acting(conditional={"last-modified": "2023-11-13"})
    assert [problem.key for problem in caught.value.problems] == ["conditional.last-modified"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sunday, 06-Nov-33 08:49:37 GMT", 2014879777),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    ],
)
def test_a_date_has_three_forms(text: str, seconds: int | None) -> None:
    assert http_date(text.encode(), NOW) == seconds


def _the_specification(value: bytes, size: int) -> list[tuple[int, int]] | None:
    """RFC 9110 §14.1.1 and §14.1.2 once more, spec by spec with Python's own slices."""
    content = range(size)
    found = []
    for spec in value.split(b"=", 1)[1].split(b","):
        first, _, last = (part.strip().decode() for part in spec.partition(b"-"))
        if not first:
            wanted = content[max(0, size - int(last)) :]
        else:
            wanted = content[int(first) : int(last) + 1 if last else None]
        if wanted:
            found.append((wanted[0], wanted[-1] + 1))
    return found


_POSITION = st.integers(0, 40)
_SPECS = st.lists(
    st.tuples(_POSITION, st.integers(0, 20)).map(lambda both: f"{both[0]}-{both[0] + both[1]}")
    | _POSITION.map(lambda first: f"{first}-")
    | _POSITION.map(lambda last: f"-{last}"),
    min_size=1,
    max_size=5,
)


@given(_SPECS, st.integers(1, 50))
def test_ranges_are_those_of_the_specification(specs: list[str], size: int) -> None:
    value = f"bytes={', '.join(specs)}".encode()
    expected = _the_specification(value, size)
    assert expected is not None
    greedy = sum(end - first for first, end in expected) > size
    assert ranges.asked_for(value, size) == (None if greedy else expected)


@given(st.binary(max_size=80) | st.from_regex(rb"bytes=[0-9,\- ]{0,80}", fullmatch=True), st.integers(0, 100))
def test_any_range_is_read_and_stays_inside(value: bytes, size: int) -> None:
    for span in ranges.asked_for(value, size) or []:
        assert 0 <= span.first < span.end <= size


@given(st.binary(max_size=200), st.booleans())
def test_any_list_of_tags_is_read(value: bytes, weakly: bool) -> None:
    matches(value, b'"a"', weakly=weakly)
    http_date(value, NOW)
    if b'"a"' not in value and value.strip(b" \t") != b"*":
        assert not matches(value, b'"a"', weakly=weakly)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["If-Match", "If-None-Match", "If-Range", "Range", "If-Modified-Since"]),
            st.binary(max_size=30),
        )
    )
)
def test_any_request_gets_a_sound_answer(lines: list[tuple[str, bytes]]) -> None:
    raw = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in lines)
    draft = Acting(conditional=TAGGED)(
        request(b"GET / HTTP/1.1\r\n" + raw + b"\r\n"), draft=Draft(b"HTTP/1.1 200 OK", [], DIGITS)
    )
    assert draft.status_line.split(b" ")[1] in {b"200", b"206", b"304", b"412", b"416"}
    assert not any(b"\n" in line or b"\r" in line for line in draft.fields)
