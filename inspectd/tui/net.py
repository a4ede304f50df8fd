"""The net under the terminal: no control, C1 or bidi character leaves in any widget's text, whoever forgot the door.

Textual writes the text of a segment to the terminal as it is. Everything from the wire goes through `text.safe`
long before; this filter sees every line of every widget once more and takes out what could act on a terminal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.segment import Segment
from textual.filter import LineFilter
from textual.strip import Strip

if TYPE_CHECKING:
    from textual.color import Color

LIVE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that a terminal obeys, or that hide or turn what stands around them."""

REPLACEMENT: Final = "�"


class TerminalNet(LineFilter):
    """Replaces every live character by U+FFFD and keeps the line's width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's signature
        """The segments, the same list when all of them are still."""
        search = LIVE.search
        if not any(search(segment.text) for segment in segments if segment.control is None):
            return segments
        width = sum(cell_len(segment.text) for segment in segments if segment.control is None)
        still = [
            segment
            if segment.control is not None
            else Segment(LIVE.sub(REPLACEMENT, segment.text), segment.style)
            for segment in segments
        ]
        return list(Strip(still).adjust_cell_length(width))
