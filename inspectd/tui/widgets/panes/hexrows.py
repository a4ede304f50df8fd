"""A hexdump as rows, read by pages, so that a message of any size costs a screenful."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.tui.widgets.panes.prose import Page
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inspectd.tui.widgets.panes.prose import Block

_PAGE: Final = 16 * 1024
_PAGES_KEPT: Final = 16
_PRINTABLE: Final = tuple(chr(code) if 0x20 <= code < 0x7F else "." for code in range(256))
_HEX: Final = tuple(f"{code:02x}" for code in range(256))


class HexRows:
    """Offset, bytes in hexadecimal, the same bytes as ASCII; a byte's style comes from `style_of(offset)`."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        total: int,
        *,
        style_of: Callable[[int], str] | None = None,
        notes: Sequence[Block] = (),
    ) -> None:
        self.total = total
        self._read = read
        self._style_of = style_of or (lambda _: "plain")
        self._pages: dict[int, bytes] = {}
        self._digits = max(4, len(f"{max(0, total - 1):x}"))
        self._notes = Page(notes)
        """Rows above the dump."""

    def per_row(self, width: int) -> int:
        """How many bytes stand in a row of this many cells."""
        return 16 if width >= self._digits + 2 + 16 * 3 + 2 + 16 else 8

    def height(self, width: int) -> int:
        """Rows at this width."""
        return self._notes.height(width) + -(-self.total // self.per_row(width))

    def row_of(self, offset: int, width: int) -> int:
        """The row of the byte at `offset`."""
        return self._notes.height(width) + offset // self.per_row(width)

    def byte(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, through the pages kept in memory."""
        out = b""
        while count > 0:
            number, within = divmod(offset, _PAGE)
            page = self._pages.get(number)
            if page is None:
                if len(self._pages) >= _PAGES_KEPT:
                    self._pages.clear()
                page = self._pages[number] = self._read(number * _PAGE, _PAGE)
            piece = page[within : within + count]
            if not piece:
                break
            out += piece
            offset += len(piece)
            count -= len(piece)
        return out

    def row(self, index: int, width: int) -> Sequence[Run]:
        """One row."""
        above = self._notes.height(width)
        if index < above:
            return self._notes.row(index, width)
        count = self.per_row(width)
        at = (index - above) * count
        data = self.byte(at, count)
        runs = [Run(f"{at:0{self._digits}x}  ", "faint")]
        shown: list[Run] = []
        for number, code in enumerate(data):
            offset = at + number
            style = self._style_of(offset)
            runs.append(Run(_HEX[code], style, offset, offset + 1))
            runs.append(Run("  " if number == 7 and count == 16 else " "))
            shown.append(Run(_PRINTABLE[code], style, offset, offset + 1))
        missing = count - len(data)
        pad = 3 * missing + (1 if count == 16 and len(data) < 8 else 0) + 1
        return [*runs, Run(" " * pad), *shown]
