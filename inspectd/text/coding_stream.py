"""A content coding taken off while the content is still coming (RFC 9110 §8.4.1): each byte is looked at once.

For streams that never end. What is broken is told by `Unreadable` and nothing more: `decode_content` says of all that
came what is wrong with it. Output is limited by the caller, however few bytes ask for it.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MEMBERS: Final = 1000
_WINDOW_LOG: Final = 23  # RFC 9659 §3


class Unreadable(Exception):  # noqa: N818  it is no error of this program
    """The content isn't what its coding says, or something follows it."""


class CodingStream:
    """One coding. `of` makes it, or says that there is none for what a Content-Encoding field lists."""

    def __init__(self, make: Callable[[], Any], *, again: bool) -> None:
        self._make = make
        self._again = again  # whether another member may follow one that has ended
        self._decoder = make()
        self._members = 1

    @classmethod
    def of(cls, content_encoding: bytes) -> CodingStream | None:
        """The stream for exactly one coding that has one: gzip, deflate, br, zstd."""
        match content_encoding.strip(b" \t").lower():
            case b"gzip" | b"x-gzip":
                return cls(lambda: zlib.decompressobj(31), again=True)
            case b"deflate":
                return cls(zlib.decompressobj, again=False)
            case b"br":
                return cls(_brotli, again=False)
            case b"zstd":
                return cls(_zstd, again=True)
        return None

    def feed(self, data: bytes, limit: int) -> bytes:
        """What comes out of the next bytes, at most `limit`; feed no more when it is as much. Raises `Unreadable`."""
        out = bytearray()
        while data and len(out) < limit:
            if self._decoder.eof:
                self._next_member()
            try:
                out += self._decoder.decompress(data, limit - len(out))
            except Exception as error:  # each library has its own kinds
                raise Unreadable from error
            data = self._decoder.unused_data if self._decoder.eof else b""
        return bytes(out)

    def _next_member(self) -> None:
        self._members += 1
        if not self._again or self._members > _MEMBERS:
            raise Unreadable
        self._decoder = self._make()


class _Brotli:
    """Brotli with the words of the others."""

    unused_data = b""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    @property
    def eof(self) -> bool:
        return bool(self._decoder.is_finished())

    def decompress(self, data: bytes, limit: int) -> bytes:
        out = bytearray(self._decoder.process(data, output_buffer_limit=limit))
        while len(out) < limit and not self._decoder.can_accept_more_data():
            out += self._decoder.process(b"", output_buffer_limit=limit - len(out))
        return bytes(out[:limit])


def _brotli() -> _Brotli:
    import brotli

    return _Brotli(brotli.Decompressor())


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor(options={int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG})
