"""Bytes as rows of hexadecimal digits and ASCII, the view that hides nothing."""

from __future__ import annotations

from typing import Final, NamedTuple

_ASCII: Final = bytes(code if 0x20 <= code < 0x7F else ord(".") for code in range(256))
_PAIRS: Final = tuple(f"{code:02x}" for code in range(256))


class HexRow(NamedTuple):
    """One row: the offset of its first byte, two digits for each byte, each byte as ASCII or a full stop."""

    offset: int
    pairs: tuple[str, ...]
    ascii: str

    def line(self, width: int = 16) -> str:
        """The row as one line of text: `00000010  48 65 6c 6c 6f ...  |Hello...|`."""
        half = width // 2
        groups = (" ".join(self.pairs[:half]).ljust(3 * half - 1), " ".join(self.pairs[half:]))
        return f"{self.offset:08x}  {groups[0]}  {groups[1].ljust(3 * (width - half) - 1)}  |{self.ascii}|"


def rows(data: bytes, offset: int = 0, width: int = 16) -> list[HexRow]:
    """The rows of `data`, `width` bytes each, numbered from `offset`. Give it a slice: it makes every row at
    once.
    """
    shown = data.translate(_ASCII).decode("ascii")
    return [
        HexRow(offset + at, tuple(_PAIRS[byte] for byte in data[at : at + width]), shown[at : at + width])
        for at in range(0, len(data), width)
    ]
