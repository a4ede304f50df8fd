"""What the kernel knows about a TCP socket and Python doesn't say: round trip time, accept queue.

Linux only (`struct tcp_info`, tcp(7)). Elsewhere every function answers None, and screens say "not known here".
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import sys
import termios
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_SIZE: Final = 104
_INT: Final = struct.Struct("i")
# tcpi_bytes_acked follows 24 such words and two unsigned 64-bit members (Linux 4.1).
_ACKNOWLEDGED_SIZE: Final = 128
_ACKNOWLEDGED: Final = struct.Struct("120xQ")
# Eight one-byte members, then unsigned 32-bit ones: tcpi_unacked is the 5th of these, tcpi_sacked the 6th,
# tcpi_rtt the 16th.
_WORDS: Final = struct.Struct("8x16I")


class AcceptQueue(NamedTuple):
    """Connections that finished their handshake and wait for accept(), and how many may."""

    waiting: int
    limit: int


def _words(sock: socket.socket | TransportSocket) -> tuple[int, ...] | None:
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SIZE)
    except OSError:
        return None  # not a TCP socket, or already closed
    return _WORDS.unpack_from(info) if len(info) >= _WORDS.size else None


def round_trip_us(sock: socket.socket | TransportSocket) -> int | None:
    """The kernel's smoothed round trip time in microseconds; after accept() this is the handshake's."""
    words = _words(sock)
    return words[15] if words else None


def accept_queue(listener: socket.socket | TransportSocket) -> AcceptQueue | None:
    """The accept queue of a listening socket: Linux reuses two members of tcp_info for it."""
    words = _words(listener)
    return AcceptQueue(words[4], words[5]) if words else None


def acknowledged(sock: socket.socket | TransportSocket) -> int | None:
    """How many bytes the peer has acknowledged of all that an accepted socket has sent; None where that isn't known.

    One more when it has acknowledged a FIN. The kernel still tells when the connection was reset.
    """
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED_SIZE)
    except OSError:
        return None  # not a TCP socket, or already closed
    return int(_ACKNOWLEDGED.unpack_from(info)[0]) if len(info) >= _ACKNOWLEDGED.size else None


def is_tcp(sock: socket.socket | TransportSocket) -> bool:
    """Whether this is a TCP socket: only those have acknowledgements, and resets."""
    return sock.family in {socket.AF_INET, socket.AF_INET6}


def unacknowledged(sock: socket.socket | TransportSocket) -> int:
    """Bytes in the kernel's send queue, those included that the peer has not acknowledged; tcp(7), SIOCOUTQ."""
    try:
        return int(_INT.unpack(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(_INT.size)))[0])
    except (OSError, ValueError):
        return 0  # closed already


def reset_on_close(sock: socket.socket | TransportSocket) -> None:
    """Make the coming close() send RST instead of FIN: SO_LINGER with a time of zero, socket(7)."""
    with contextlib.suppress(OSError, ValueError):  # closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def peer_has_left(sock: socket.socket | TransportSocket | None) -> bool:
    """Whether the other side of a Unix socket has closed it, rather than said only that it will send no more.

    False where that can't be told apart: on TCP, and on other systems than Linux (unix_poll() in net/unix/af_unix.c).
    """
    if sys.platform != "linux" or sock is None or sock.family != socket.AF_UNIX or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
