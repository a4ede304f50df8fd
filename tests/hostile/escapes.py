"""Takes what a program wrote to a terminal apart, as a terminal would (ECMA-48, and what xterm adds to it).

Used to prove that bytes from the wire never become a control function: whatever a peer sent must come out as
text, and every control function must be one that the sink itself has a reason to send.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["text", "control", "csi", "string", "escape", "broken"]

# A string function (OSC, DCS, SOS, PM, APC) ends at BEL or ST; one that never ends swallows the rest.
_TOKEN: Final = re.compile(
    rb"(?P<csi>\x1b\[[0-?]*+[ -/]*+[@-~])"
    rb"|(?P<string>\x1b[\]PX^_].*?(?:\x07|\x1b\\|\Z))"
    rb"|(?P<escape>\x1b[ -/]*+[0-~])"
    rb"|(?P<broken>\x1b)"
    rb"|(?P<control>[\x00-\x1f\x7f])"
    rb"|(?P<text>[^\x00-\x1f\x7f]++)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A run of text, or one control function."""

    kind: Kind
    raw: bytes

    @property
    def shape(self) -> str:
        """What a control function is, without its numbers: `CSI ?h`, `CSI m`, `OSC 22`, `ESC 7`, `\\x0a`."""
        if self.kind == "csi":
            return "CSI " + re.sub(r"[\d;:]", "", self.raw[2:].decode("latin-1"))
        if self.kind == "string":
            name = {0x5D: "OSC", 0x50: "DCS", 0x58: "SOS", 0x5E: "PM", 0x5F: "APC"}[self.raw[1]]
            number = re.match(rb"\d*", self.raw[2:])
            return f"{name} {number[0].decode() if number else ''}".rstrip()
        if self.kind in {"escape", "broken"}:
            return "ESC " + self.raw[1:].decode("latin-1")
        return repr(self.raw)[2:-1]


def tokens(output: bytes) -> list[Token]:
    """The output in order; joined, the `raw` of all tokens is the output."""
    found: list[Token] = []
    for match in _TOKEN.finditer(output):
        kind: Kind = match.lastgroup  # type: ignore[assignment]
        found.append(Token(kind, match[0]))
    assert b"".join(token.raw for token in found) == output
    return found


_INERT_TEXT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def live_characters(text: bytes) -> list[str]:
    """Characters in a run of text that could act on a terminal or on what stands around them, as `U+HHHH`.

    Bytes that aren't UTF-8 are among them: terminals differ in what they make of those.
    """
    characters = text.decode("utf-8", "surrogateescape")
    return sorted({f"U+{ord(c):04X}" for c in characters if unicodedata.category(c) in _INERT_TEXT})


def assert_clean(output: bytes, *, marker: bytes, allowed: Iterable[str]) -> str:
    """The output shows the marker as text, never inside a control function, and holds only `allowed` shapes.

    Returns the text, control functions removed.
    """
    found = tokens(output)
    shapes = {token.shape: token.raw for token in found if token.kind != "text"}
    foreign = {shape: raw for shape, raw in shapes.items() if shape not in set(allowed)}
    assert not foreign, f"control functions that are not the program's own: {foreign}"
    carried = [token.raw[:200] for token in found if token.kind != "text" and marker in token.raw]
    assert not carried, f"bytes from the wire inside control functions: {carried}"
    text = b"".join(token.raw for token in found if token.kind == "text")
    assert not live_characters(text), f"live characters: {live_characters(text)}"
    assert marker in text, "nothing hostile was shown: the test proves nothing"
    return text.decode("utf-8")
