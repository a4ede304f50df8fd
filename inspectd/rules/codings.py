"""Content codings put on, right or deliberately wrong (RFC 9110 §8.4.1; RFC 1950, RFC 1952, RFC 7932, RFC 8878).

The same content always gives the same bytes. Content passes through memory in pieces; only the result is kept, and
content that is larger than `LARGEST` or `LARGEST_FILE` is refused: a program holds what it sends.
"""

from __future__ import annotations

import sys
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.rules.answer import file_state, read_slice
from inspectd.rules.draft import Conversation, FileSlice, Live, Script
from inspectd.rules.program import Send
from inspectd.rules.units import UnitError, wire_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from inspectd.rules.draft import Content
    from inspectd.rules.program import Hold, Stall, Wait
    from inspectd.rules.tables import CodingTable

LARGEST: Final = 256 << 20
"""Bytes of content that are encoded at most; it is done once."""

LARGEST_FILE: Final = 64 << 20
"""Bytes of a file that are encoded at most; it is done again whenever the file changes, while clients wait."""


class CodingError(UnitError):
    """Content that can't be encoded in this way."""


_PIECE: Final = 1 << 18
_KEPT: Final = 4  # encoded contents that are remembered
_CUT: Final = 8  # bytes that `truncate` leaves out: as many as a gzip trailer has
_GARBAGE: Final = b"\x00inspectd: these bytes follow the end of the encoded content\x00"


class Encoder(Protocol):
    """One coding over one content."""

    def add(self, data: bytes, *, flush: bool) -> bytes:
        """What comes out for these bytes; with `flush` a decoder gets all of them from what came out so far."""

    def end(self) -> bytes:
        """What is left."""


class _Zlib:
    """gzip (RFC 1952, without a time or a name) and deflate, which is the zlib format (RFC 9110 §8.4.1.2)."""

    def __init__(self, wbits: int) -> None:
        self._deflater = zlib.compressobj(6, zlib.DEFLATED, wbits)

    def add(self, data: bytes, *, flush: bool) -> bytes:
        out = self._deflater.compress(data)
        return out + self._deflater.flush(zlib.Z_SYNC_FLUSH) if flush else out

    def end(self) -> bytes:
        return self._deflater.flush()


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._compressor = brotli.Compressor(quality=5)

    def add(self, data: bytes, *, flush: bool) -> bytes:
        out = bytes(self._compressor.process(data))
        return out + bytes(self._compressor.flush()) if flush else out

    def end(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self._compressor = zstd.ZstdCompressor()

    def add(self, data: bytes, *, flush: bool) -> bytes:
        if flush:
            return self._compressor.compress(data, self._compressor.FLUSH_BLOCK)
        return self._compressor.compress(data, self._compressor.CONTINUE)

    def end(self) -> bytes:
        return self._compressor.flush()


_GZIP: Final = zlib.MAX_WBITS | 16


def _encoder(name: str) -> Encoder:
    match name:
        case "gzip":
            return _Zlib(_GZIP)
        case "deflate":
            return _Zlib(zlib.MAX_WBITS)
        case "br":
            return _Brotli()
        case _:
            return _Zstd()


class _Stack:
    """Several codings, one over the other."""

    def __init__(self, names: Iterable[str]) -> None:
        self._encoders = [_encoder(name) for name in names]

    def add(self, data: bytes, *, flush: bool) -> bytes:
        for encoder in self._encoders:
            data = encoder.add(data, flush=flush)
        return data

    def end(self) -> bytes:
        data = b""
        for encoder in self._encoders:
            data = encoder.add(data, flush=False) + encoder.end()
        return data


@dataclass(frozen=True, slots=True)
class Codings:
    """Codings in the order in which they are put on, how they are damaged, and what the answer says about them.

    `field_line` is empty when it says nothing.
    """

    names: tuple[str, ...]
    field_line: bytes = b""
    damage: str | None = None
    members: int = 1
    _kept: OrderedDict[object, bytes] = field(default_factory=OrderedDict, repr=False, compare=False)

    def encode(self, content: Content, times: int = 1) -> Content:
        """The content, so many `times` in a row if it is bytes, with its codings on.

        A `Script` keeps its steps, and a client can decode what it has of them. Raises `CodingError` for content that
        is too large, or can't be damaged in this way.
        """
        if isinstance(content, Live):
            return self._live(content)
        if isinstance(content, Conversation):
            return content
        if isinstance(content, Script):
            return self._script(content)
        key = (content, file_state(content.path) if isinstance(content, FileSlice) else times)
        known = self._kept.get(key)
        if known is None:
            known = self._kept[key] = self._whole(content, times)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return known

    def _whole(self, content: bytes | FileSlice, times: int) -> bytes:
        size = content.length if isinstance(content, FileSlice) else len(content) * times
        most = LARGEST_FILE if isinstance(content, FileSlice) else LARGEST
        if size > most:
            raise CodingError(
                f"{size} bytes of content can't be encoded", f"Up to {most >> 20} MiB can: take less."
            )
        out = bytearray()
        share = -(-size // self.members) if self.members > 1 else 0
        stack = _Stack(self.names)
        left = share
        for piece in _pieces(content, times):
            rest = piece
            while share and len(rest) > left:
                out += stack.add(rest[:left], flush=False) + stack.end()
                rest, stack, left = rest[left:], _Stack(self.names), share
            left -= len(rest)
            out += stack.add(rest, flush=False)
        out += stack.end()
        return damaged(bytes(out), self.damage)

    def _script(self, content: Script) -> Script:
        if self.members > 1:
            raise CodingError("content that takes time is one gzip member", "Leave 'members' out.")
        stack = _Stack(self.names)
        steps: list[Send | Wait | Hold | Stall] = [
            Send(stack.add(step.data, flush=True)) if isinstance(step, Send) else step
            for step in content.steps
        ]
        end = stack.end()
        if end:
            steps.append(Send(end))
        if self.damage is None:
            return Script(tuple(steps))
        wrong = damaged(b"".join(step.data for step in steps if isinstance(step, Send)), self.damage)
        at = 0
        for index, step in enumerate(steps):
            if isinstance(step, Send):
                steps[index] = Send(wrong[at : at + len(step.data)])
                at += len(step.data)
        if at < len(wrong):
            steps.append(Send(wrong[at:]))
        return Script(tuple(step for step in steps if not isinstance(step, Send) or step.data))

    def _live(self, content: Live) -> Live:
        if self.damage not in {None, "truncate"} or self.members > 1:
            raise CodingError(
                "content without an end can't be damaged in this way",
                'Only damage = "truncate" works: the end of the coding isn\'t sent.',
            )

        async def steps() -> AsyncIterator[Send | Wait | Hold | Stall]:
            stack = _Stack(self.names)
            async for step in content.steps():
                yield Send(stack.add(step.data, flush=True)) if isinstance(step, Send) else step
            if self.damage is None:
                yield Send(stack.end())

        return Live(steps)


def compile_codings(table: CodingTable) -> Codings | None:
    """What a table says. Raises `CodingError` when it can't be done; None when there is nothing to do."""
    names = tuple(name for name in table.apply if name != "identity")
    if table.members > 1 and set(names) != {"gzip"}:
        raise CodingError("only gzip has members", 'Write apply = ["gzip"].')
    if table.damage == "checksum" and (not names or names[-1] not in {"gzip", "deflate"}):
        raise CodingError("only gzip and deflate end with a checksum", 'Use damage = "flip" for the others.')
    if table.damage is not None and not names:
        raise CodingError("there is no coding to damage", 'Write apply = ["gzip"], for example.')
    said = ", ".join(table.apply) if table.say is None else table.say
    line = b"Content-Encoding: " + wire_bytes(said) if said else b""
    if any(end in line for end in (b"\r", b"\n")):
        raise CodingError(
            "a line end in the value of Content-Encoding", "Write the field line under 'headers'."
        )
    return Codings(names, line, table.damage, table.members)


def damaged(data: bytes, damage: str | None) -> bytes:
    """Encoded content, broken: its last bytes gone, a bit in its middle or its checksum flipped, or more behind it."""
    match damage:
        case "truncate":
            return data[:-_CUT]
        case "flip":
            return _flipped(data, len(data) // 2)
        case "checksum":
            # gzip ends with CRC32 and ISIZE, four octets each (RFC 1952 §2.3.1), zlib with ADLER32 (RFC 1950 §2.2)
            return _flipped(data, len(data) - (8 if data[:2] == b"\x1f\x8b" else 4))
        case "garbage-after":
            return data + _GARBAGE
        case _:
            return data


def _flipped(data: bytes, at: int) -> bytes:
    if not 0 <= at < len(data):
        return data
    return data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]


def _pieces(content: bytes | FileSlice, times: int) -> Iterator[bytes]:
    if isinstance(content, FileSlice):
        for at in range(0, content.length, _PIECE):
            yield read_slice(content.path, content.offset + at, min(_PIECE, content.length - at))
        return
    copies = max(1, _PIECE // max(1, len(content)))
    whole, rest = divmod(times, copies)
    if whole:
        piece = content * copies
        for _ in range(whole):
            yield piece
    if rest:
        yield content * rest
