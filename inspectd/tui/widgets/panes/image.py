"""The type and the dimensions of an image, from its first bytes. Total over any bytes; decodes no pixel."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SVG: Final = re.compile(rb"<svg\b[^>]{0,2000}")
_SVG_SIZE: Final = re.compile(rb"""\b(width|height)\s{0,5}=\s{0,5}["']([0-9.]{1,10})""")
_JPEG_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_LONGEST_SEARCH: Final = 256 * 1024


class Image(NamedTuple):
    """What an image says about itself; width and height in pixels, None where it doesn't say."""

    kind: str
    width: int | None = None
    height: int | None = None


def image_of(data: bytes) -> Image | None:
    """The image that begins with these bytes, or None when they begin none that is known here.

    >>> image_of(b"GIF89a" + bytes([16, 0, 8, 0]))
    Image(kind='GIF', width=16, height=8)
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Image("PNG", _big(data, 16, 4), _big(data, 20, 4))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Image("GIF", _little(data, 6, 2), _little(data, 8, 2))
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"\x00\x00\x01\x00") and len(data) >= 8:
        return Image("ICO", data[6] or 256, data[7] or 256)
    if data.startswith(b"BM") and len(data) >= 26:
        return Image("BMP", _little(data, 18, 4), _little(data, 22, 4))
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        at = data.find(b"ispe", 0, 4096)
        return Image("AVIF", _big(data, at + 8, 4), _big(data, at + 12, 4)) if at >= 0 else Image("AVIF")
    found = _SVG.search(data, 0, 4096)
    if found:
        sizes = {
            name: int(float(value))
            for name, value in _SVG_SIZE.findall(found[0])
            if value.count(b".") < 2 and value != b"."
        }
        return Image("SVG", sizes.get(b"width"), sizes.get(b"height"))
    return None


def _big(data: bytes, at: int, size: int) -> int | None:
    return int.from_bytes(data[at : at + size], "big") if len(data) >= at + size else None


def _little(data: bytes, at: int, size: int) -> int | None:
    return int.from_bytes(data[at : at + size], "little") if len(data) >= at + size else None


def _jpeg(data: bytes) -> Image:
    """The size stands in the frame header, behind segments that each say their length (ITU-T T.81 §B.2.2)."""
    at = 2
    while at + 9 <= min(len(data), _LONGEST_SEARCH) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            return Image("JPEG", _big(data, at + 7, 2), _big(data, at + 5, 2))
        if marker == 0xFF:
            at += 1
            continue
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return Image("JPEG")


def _webp(data: bytes) -> Image:
    form = data[12:16]
    if form == b"VP8X" and len(data) >= 30:
        return Image(
            "WebP", 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        )
    if form == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return Image("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if form == b"VP8 " and len(data) >= 30:
        width, height = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        return Image("WebP", width & 0x3FFF, height & 0x3FFF)
    return Image("WebP")
