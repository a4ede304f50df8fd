"""The judge has to be right before anything is judged by it: `escapes` sees what a terminal would obey."""

from __future__ import annotations

import pytest

from tests.hostile.corpus import MARKER, PAYLOADS
from tests.hostile.escapes import assert_clean, live_characters, tokens

LIVE = [name for name in PAYLOADS if live_characters(PAYLOADS[name]) or b"\x1b" in PAYLOADS[name]]


@pytest.mark.parametrize(
    ("output", "shapes"),
    [
        (b"plain \xc3\xa9", []),
        (b"\x1b[1;38;5;3mred\x1b[0m", ["CSI m", "CSI m"]),
        (b"\x1b[?1049h\x1b[>1u\x1b[?2026$p", ["CSI ?h", "CSI >u", "CSI ?$p"]),
        (b"\x1b]52;c;QQ==\x07a\x1b]8;;http://x\x1b\\b", ["OSC 52", "OSC 8"]),
        (b"\x1bPq#1\x1b\\\x1b_G\x1b\\\x1b^x\x1b\\\x1bXy\x1b\\", ["DCS", "APC", "PM", "SOS"]),
        (b"\x1b7\x1b(B\x1bc", ["ESC 7", "ESC (B", "ESC c"]),
        (b"a\r\n\x00\x7f", ["\\r", "\\n", "\\x00", "\\x7f"]),
        (b"\x1b]0;never ends \x1b[m", ["OSC 0"]),
        (b"ends with \x1b", ["ESC "]),
    ],
)
def test_every_control_function_is_recognised(output: bytes, shapes: list[str]) -> None:
    assert [token.shape for token in tokens(output) if token.kind != "text"] == shapes


def test_c1_controls_bidi_and_broken_utf8_count_as_live() -> None:
    text = "\x9b31m\u202e\u200b\ufeff\u2028".encode() + b"\xff"
    assert live_characters(text) == ["U+009B", "U+200B", "U+2028", "U+202E", "U+DCFF", "U+FEFF"]


@pytest.mark.parametrize("name", LIVE)
def test_a_payload_shown_as_it_came_is_caught(name: str) -> None:
    with pytest.raises(AssertionError):
        assert_clean(PAYLOADS[name], marker=MARKER, allowed={"CSI m", "\\n"})


def test_a_marker_inside_an_allowed_function_is_caught() -> None:
    with pytest.raises(AssertionError, match="bytes from the wire"):
        assert_clean(b"7331\x1b[38;5;7331m", marker=MARKER, allowed={"CSI m"})


def test_an_output_without_the_marker_proves_nothing() -> None:
    with pytest.raises(AssertionError, match="proves nothing"):
        assert_clean(b"innocent", marker=MARKER, allowed=())


def test_the_text_comes_back_without_its_control_functions() -> None:
    assert assert_clean(b"\x1b[1ma 7331\x1b[0m\n", marker=MARKER, allowed={"CSI m", "\\n"}) == "a 7331"
