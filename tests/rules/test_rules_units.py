"""Durations, sizes, rates and bytes as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.units import UnitError, duration, rate, size, wire_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        ("2s", 2.0),
        ("1m", 60.0),
        ("1m30s", 90.0),
        ("1 h", 3600.0),
        ("0.5s", 0.5),
        (" 20us ", 0.00002),
        ("3", 3.0),
        (3, 3.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "2 x", "1s2", "-1s", "1e3", "nan", "2sec", "400d", -1, float("nan"), float("inf"), True],
)
def test_what_is_no_duration_says_how_to_write_one(text: str | float) -> None:
    with pytest.raises(UnitError) as caught:
        duration(text)
    assert '"300ms"' in caught.value.mend


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4KiB", 4096),
        ("4K", 4096),
        ("2MB", 2_000_000),
        ("1.5k", 1536),
        ("10", 10),
        ("10 B", 10),
        (7, 7),
        ("1GiB", 1 << 30),
    ],
)
def test_sizes(text: str | int, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "x", "4 XB", "-1", -1, "1.5", "0.3k", "99999999GB", True, "4Ki B"])
def test_what_is_no_size_says_how_to_write_one(text: str | int) -> None:
    with pytest.raises(UnitError) as caught:
        size(text)
    assert '"4KiB"' in caught.value.mend


def test_a_rate_with_a_number_in_its_time_is_taken_at_its_word() -> None:
    assert rate("1B/20ms") == (1, 0.02)
    assert rate("100B/1s") == (100, 1.0)
    assert rate("3/1m") == (3, 60.0)


@pytest.mark.parametrize("text", ["4KiB/s", "1B/s", "60B/s", "10MB/s", "1/m", "7B/ms"])
def test_a_speed_comes_out_exactly_with_pauses_that_a_clock_can_keep(text: str) -> None:
    piece, pause = rate(text)
    amount, _, unit = text.partition("/")
    assert piece / pause == pytest.approx(size(amount) / duration(f"1{unit}"))
    assert piece >= 1
    assert pause >= 0.01


@pytest.mark.parametrize("text", ["", "4KiB", "4KiB/", "/s", "0B/s", "1B/0s", "x/s", "1B/s/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        rate(text)


def test_characters_up_to_ff_are_bytes_and_the_rest_is_utf_8() -> None:
    assert wire_bytes("a\x00\xe9\r\n") == b"a\x00\xe9\r\n"
    assert wire_bytes("\xe9→") == b"\xe9\xe2\x86\x92"
    with pytest.raises(UnitError):
        wire_bytes("\ud800")


@given(st.binary())
def test_every_byte_can_be_written(data: bytes) -> None:
    assert wire_bytes(data.decode("latin-1")) == data


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    for read in (duration, size, rate, wire_bytes):
        with contextlib.suppress(UnitError):
            read(text)
