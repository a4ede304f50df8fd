"""Content codings taken off (RFC 9110 §8.4.1, RFC 8878 and RFC 9659 for zstd), for people to look at.

A peer chose these bytes: nothing here raises, the output never grows beyond a limit, however small the input
that asks for more, and a broken or cut body gives what came out before the fault. The bytes on record stay as
they are.
"""

from __future__ import annotations

import contextlib
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUT_LIMIT: Final = 8 << 20
"""Octets that decoding gives at most when the caller names no limit."""

MAX_CODINGS: Final = 8
"""Codings in a row that are taken off. Nobody needs three; a peer may list a thousand."""

_MAX_MEMBERS: Final = 1000
_GZIP: Final = 31  # the window bits that make zlib read the gzip format
_SLICE: Final = 65536
_SMALL_SLICE: Final = 1024
_NOT_BROTLI: Final = "This is not valid br."
_ZSTD_WINDOW_LOG: Final = 23  # RFC 9659 §3: a decoder in HTTP must support 8 MB, and needs no more

_Step: TypeAlias = "tuple[bytes, str, bool]"
"""What came out, what went wrong (or an empty string), whether there was more than the limit."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Content without its codings.

    `steps` names the codings taken off, in the order of that work. `error` is a sentence, empty when all went
    well; `data` is then what came out before the fault, or what stood before a coding that can't be taken
    off. `truncated` says that there was more than the limit.
    """

    data: bytes
    steps: tuple[str, ...] = ()
    error: str = ""
    truncated: bool = False


def decode_content(data: bytes, content_encoding: str | bytes, *, limit: int = OUTPUT_LIMIT) -> Decoded:
    """`data` without the codings that the value of a Content-Encoding field lists, at most `limit` octets of
    it.
    """
    if isinstance(content_encoding, bytes):
        content_encoding = content_encoding.decode("latin-1")
    codings = [name for part in content_encoding[:4096].split(",") if (name := part.strip().lower())]
    codings = [name for name in codings if name != "identity"]
    if len(codings) > MAX_CODINGS:
        return Decoded(data[:limit], (), f"{len(codings)} content codings are listed.", len(data) > limit)
    if not data:
        return Decoded(b"")
    steps: list[str] = []
    truncated = False
    for name in reversed(codings):
        decoder = _DECODERS.get(name)
        if decoder is None:
            error = f"inspectd can't take off the content coding {name[:40]!r}."
            return Decoded(data[:limit], tuple(steps), error, truncated or len(data) > limit)
        data, error, more = decoder(data, limit)
        truncated = truncated or more
        steps.append(name)
        if error and truncated and len(steps) > 1:
            error = ""  # cut by us one coding further out, not by the peer
        if error:
            return Decoded(data, tuple(steps), error, truncated)
    return Decoded(data[:limit], tuple(steps), "", truncated or len(data) > limit)


def _gzip(data: bytes, limit: int) -> _Step:
    """Gzip, any number of members one after the other (RFC 1952 §2.2)."""
    out = bytearray()
    at = 0
    for _ in range(_MAX_MEMBERS):
        start = at
        before = len(out)
        inflater = zlib.decompressobj(wbits=_GZIP)
        while not inflater.eof:
            fed = data[at : at + _SLICE]
            if not fed:
                return bytes(out), "The gzip data ends early.", False
            try:
                out += inflater.decompress(fed, limit + 1 - len(out))
            except zlib.error as error:
                if start and len(out) == before:
                    return bytes(out), "Bytes follow the gzip data.", False
                out[before:] = _before_fault(data[start:], limit - before, _GZIP)
                return bytes(out), _fault("gzip", error), False
            if len(out) > limit:
                return bytes(out[:limit]), "", True
            at += len(fed) - len(inflater.unused_data)
        if at >= len(data):
            return bytes(out), "", False
    return bytes(out), f"More than {_MAX_MEMBERS} gzip members.", False


def _deflate(data: bytes, limit: int) -> _Step:
    """Deflate is the zlib format (RFC 9110 §8.4.1.2); some send the bare format of RFC 1951 instead."""
    # RFC 1950 §2.2: CM is 8, and the first two octets are a multiple of 31.
    wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return _inflate(data, limit, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _inflate(data: bytes, limit: int, wbits: int) -> _Step:
    inflater = zlib.decompressobj(wbits=wbits)
    try:
        out = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        return _before_fault(data, limit, wbits), _fault("deflate", error), False
    if len(out) > limit:
        return out[:limit], "", True
    if not inflater.eof:
        return out, "The deflate data ends early.", False
    return out, "Bytes follow the deflate data." if inflater.unused_data else "", False


def _before_fault(data: bytes, limit: int, wbits: int) -> bytes:
    """What comes out before zlib meets the fault: it gives nothing from the call that meets it."""
    inflater = zlib.decompressobj(wbits=wbits)
    out = bytearray()
    for at in range(0, len(data), _SMALL_SLICE):
        if len(out) > limit:
            break
        fed = data[at : at + _SMALL_SLICE]
        kept = inflater.copy()
        try:
            out += inflater.decompress(fed, limit + 1 - len(out))
        except zlib.error:
            with contextlib.suppress(zlib.error):
                for octet in fed:
                    if len(out) <= limit:
                        out += kept.decompress(bytes((octet,)), limit + 1 - len(out))
            break
    return bytes(out[:limit])


def _brotli(data: bytes, limit: int) -> _Step:
    import brotli

    decoder = brotli.Decompressor()
    out = bytearray()
    at = 0
    size = _SMALL_SLICE
    finished = False
    while at < len(data):
        fed = data[at : at + size]
        try:
            part = decoder.process(fed, output_buffer_limit=limit + 1 - len(out))
        except brotli.error:
            # It gives nothing from the call that meets the fault: once more, octet by octet from here on.
            if size == 1 or finished:
                return bytes(out), "Bytes follow the br data." if finished else _NOT_BROTLI, False
            decoder = brotli.Decompressor()
            decoder.process(data[:at])
            size = 1
            continue
        out += part
        if len(out) > limit:
            return bytes(out[:limit]), "", True
        at += len(fed)
        finished = decoder.is_finished()
    return bytes(out), "" if finished else "The br data ends early.", False


def _zstd(data: bytes, limit: int) -> _Step:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    out = bytearray()
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    at = 0
    for _ in range(_MAX_MEMBERS):  # frames follow one another like the members of gzip (RFC 8878 §3.1)
        start = at
        decoder = zstd.ZstdDecompressor(options=options)
        while not decoder.eof:
            fed = data[at : at + _SMALL_SLICE]
            if not fed:
                return bytes(out), "The zstd data ends early.", False
            try:
                out += decoder.decompress(fed, limit + 1 - len(out))
            except zstd.ZstdError as error:
                if at == start and start:
                    return bytes(out), "Bytes follow the zstd data.", False
                return bytes(out), _fault("zstd", error), False
            if len(out) > limit:
                return bytes(out[:limit]), "", True
            at += len(fed) - len(decoder.unused_data)
        if at >= len(data):
            return bytes(out), "", False
    return bytes(out), f"More than {_MAX_MEMBERS} zstd frames.", False


def _fault(coding: str, error: Exception) -> str:
    return f"This is not valid {coding}: {error}"


_DECODERS: Final[dict[str, Callable[[bytes, int], _Step]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
