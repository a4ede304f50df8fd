"""ClientHellos put together byte by byte, the way RFC 8446 §4.1.2 writes them down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def counted(width: int, data: bytes) -> bytes:
    """Data behind its length."""
    return len(data).to_bytes(width, "big") + data


def numbers(values: Iterable[int], width: int = 2) -> bytes:
    """Numbers one behind the other."""
    return b"".join(value.to_bytes(width, "big") for value in values)


def extension(kind: int, data: bytes) -> bytes:
    """An extension."""
    return kind.to_bytes(2, "big") + counted(2, data)


def server_name(name: bytes) -> bytes:
    """The extension that names the host."""
    return extension(0, counted(2, b"\x00" + counted(2, name)))


def protocols(*names: bytes) -> bytes:
    """The extension that offers protocols."""
    return extension(16, counted(2, b"".join(counted(1, name) for name in names)))


def message(
    extensions: bytes | None,
    *,
    suites: Sequence[int] = (0x1301,),
    version: int = 0x0303,
    session_id: bytes = b"",
) -> bytes:
    """A ClientHello as a handshake message; without `extensions`, one from before there were any."""
    body = version.to_bytes(2, "big") + bytes(range(32)) + counted(1, session_id)
    body += counted(2, numbers(suites)) + counted(1, b"\x00")
    if extensions is not None:
        body += counted(2, extensions)
    return b"\x01" + counted(3, body)


def record(data: bytes, content_type: int = 22, version: int = 0x0301) -> bytes:
    """One record."""
    return bytes((content_type,)) + version.to_bytes(2, "big") + counted(2, data)


def in_records(data: bytes, size: int) -> bytes:
    """A message cut into records of at most `size` bytes."""
    return b"".join(record(data[at : at + size]) for at in range(0, len(data), size))


# A hello with one of everything that is taken apart, GREASE included (RFC 8701).
EVERYTHING: Final = (
    extension(0x2A2A, b"")
    + server_name(b"a.example")
    + extension(10, counted(2, numbers((0x3A3A, 29, 23))))
    + extension(11, counted(1, b"\x00"))
    + extension(35, b"")
    + protocols(b"\x4a\x4a", b"h2", b"http/1.1")
    + extension(5, b"\x01\x00\x00\x00\x00")
    + extension(13, counted(2, numbers((0x0403, 0x0804))))
    + extension(
        51, counted(2, numbers((0x3A3A,)) + counted(2, b"\x00") + numbers((29,)) + counted(2, bytes(32)))
    )
    + extension(45, counted(1, b"\x01\x0b"))
    + extension(43, counted(1, numbers((0x5A5A, 0x0304, 0x0303))))
    + extension(27, counted(1, numbers((2,))))
    + extension(17613, counted(2, counted(1, b"h2")))
    + extension(0xFE0D, b"\x00" + bytes(60))
    + extension(42, b"")
    + extension(0x6A6A, b"\x00")
    + extension(21, bytes(17))
    + extension(41, counted(2, counted(2, b"ticket") + bytes(4)) + counted(2, counted(1, bytes(32))))
)
EVERYTHING_SUITES: Final = (0x1A1A, 0x1301, 0x1302, 0xC02B, 0x00FF)


def hello(name: bytes = b"a.example") -> bytes:
    """A short hello of today that asks for a host, in one record."""
    return record(
        message(server_name(name) + protocols(b"h2", b"http/1.1") + extension(43, counted(1, b"\x03\x04")))
    )


def full_hello() -> bytes:
    """A hello with everything in it."""
    return record(message(EVERYTHING, suites=EVERYTHING_SUITES, session_id=bytes(32)))
