"""Content in chunks, rightly or deliberately wrongly framed (RFC 9112 §7.1).

    chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF

Memory stays flat: a large file is sent from where it is, with the lines of the framing between its slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.rules.answer import LARGE_FILE
from inspectd.rules.draft import FileSlice, Script
from inspectd.rules.faults import CHUNK_END
from inspectd.rules.program import Send, SendFile
from inspectd.rules.units import UnitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.rules.faults import Item
    from inspectd.rules.program import Hold, Stall, Wait

MOST_CHUNKS: Final = 1 << 16
"""Chunks that content may be cut into; of a file each of them is a step of the program."""


LARGEST_SIZED: Final = 64 << 20
"""Bytes of content in memory that are cut into chunks of given sizes at most."""


class ChunkingError(UnitError):
    """Content that can't be cut in this way."""


_COPIED: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Chunking:
    """How chunks are made. `sizes` come one after the other and the last one repeats; none: a chunk for each piece.

    `size_lines` stand instead of the right size lines, the last chunk's included when there are so many. `trailers` are
    whole field lines. Without `last` the content never ends.
    """

    sizes: tuple[int, ...] = ()
    extension: bytes = b""
    trailers: tuple[bytes, ...] = ()
    size_lines: tuple[bytes, ...] = ()
    line_end: bytes = b"\r\n"
    last: bool = True

    def start(self, *, marked: bool = True) -> Chunker:
        """What makes the chunks of one answer; `marked` says whether anybody asks where each of them ends."""
        return Chunker(self, marked=marked)


class Chunker:
    """The chunks of one answer, as its content becomes known."""

    def __init__(self, chunking: Chunking, *, marked: bool = True) -> None:
        self._chunking = chunking
        self._marked = marked
        self._count = 0

    def content(self, content: bytes | FileSlice | Script) -> Iterator[Item]:
        """All of the content in chunks, with its end. Raises `ChunkingError` for too many of them."""
        if isinstance(content, Script):
            self._check(sum(len(step.data) for step in content.steps if isinstance(step, Send)))
            for step in content.steps:
                yield from self.step(step)
        elif isinstance(content, FileSlice):
            yield from self._file(content)
        else:
            self._check(len(content))
            yield from self._bytes(content)
        yield from self.end()

    def _check(self, size: int) -> None:
        sizes = self._chunking.sizes
        if sizes and (size > LARGEST_SIZED or size // sizes[-1] > MOST_CHUNKS):
            raise ChunkingError(
                f"{size} bytes of content in chunks of {sizes[-1]}",
                f"Take larger sizes, or less content: up to {MOST_CHUNKS} chunks and {LARGEST_SIZED >> 20} MiB.",
            )

    def step(self, step: Send | Wait | Hold | Stall) -> Iterator[Item]:
        """A piece of content, or a pause between two."""
        if not isinstance(step, Send):
            yield step
        elif len(step.data) < _COPIED or self._chunking.sizes:
            yield from self._bytes(step.data)
        else:  # the same piece may come many times: it is there once
            end = self._chunking.line_end
            yield Send(self._size_line(len(step.data)) + end)
            yield step
            yield Send(end)
            yield CHUNK_END

    def end(self) -> Iterator[Item]:
        """The last chunk and the trailer section."""
        chunking = self._chunking
        if chunking.last:
            lines = (self._size_line(0), *chunking.trailers, b"", b"")
            yield Send(chunking.line_end.join(lines))
            yield CHUNK_END

    def _bytes(self, data: bytes) -> Iterator[Item]:
        chunks = self._cut(data)
        if self._marked:
            for chunk in chunks:
                yield Send(chunk)
                yield CHUNK_END
        elif data:
            yield Send(b"".join(chunks))

    def _cut(self, data: bytes) -> Iterator[bytes]:
        end = self._chunking.line_end
        at = 0
        while at < len(data):
            size = self._next_size(len(data) - at)
            piece = data[at : at + size]
            at += size
            yield b"".join((self._size_line(len(piece)), end, piece, end))

    def _file(self, slice_: FileSlice) -> Iterator[Item]:
        end = self._chunking.line_end
        left = slice_.length
        if left // self._smallest > MOST_CHUNKS:
            raise ChunkingError(
                f"a file of {left} bytes in chunks of {self._smallest}",
                f"Take larger sizes: a file can be cut into {MOST_CHUNKS} chunks.",
            )
        while left:
            size = self._next_size(min(left, LARGE_FILE), left)
            yield Send(self._size_line(size) + end)
            yield SendFile(slice_.path, slice_.offset + slice_.length - left, size)
            yield Send(end)
            yield CHUNK_END
            left -= size

    @property
    def _smallest(self) -> int:
        sizes = self._chunking.sizes
        return sizes[-1] if sizes else LARGE_FILE

    def _next_size(self, usual: int, left: int | None = None) -> int:
        sizes = self._chunking.sizes
        if not sizes:
            return usual
        return min(sizes[min(self._count, len(sizes) - 1)], usual if left is None else left)

    def _size_line(self, size: int) -> bytes:
        given = self._chunking.size_lines
        self._count += 1
        if self._count <= len(given):
            return given[self._count - 1]
        return b"%x%s" % (size, self._chunking.extension)
