"""Hexadecimal rows hold every byte at its offset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.hexdump import HexRow, rows


def test_rows_are_numbered_from_the_offset_asked_for() -> None:
    assert rows(b"GET /\xff\r\n", offset=0x20, width=4) == [
        HexRow(0x20, ("47", "45", "54", "20"), "GET "),
        HexRow(0x24, ("2f", "ff", "0d", "0a"), "/..."),
    ]


def test_a_row_is_one_aligned_line() -> None:
    full, part = (row.line() for row in rows(b"0123456789abcdefgh"))
    assert full == "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|"
    assert part == "00000010  67 68                                             |gh|"


@given(st.binary(max_size=300), st.integers(0, 1 << 40), st.integers(1, 40))
def test_the_rows_joined_are_the_bytes(data: bytes, offset: int, width: int) -> None:
    shown = rows(data, offset, width)
    assert bytes.fromhex("".join("".join(row.pairs) for row in shown)) == data
    assert [row.offset for row in shown] == list(range(offset, offset + len(data), width))
    assert all(row.ascii.isprintable() and row.ascii.isascii() for row in shown)
    assert len("".join(row.ascii for row in shown)) == len(data)
