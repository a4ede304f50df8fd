"""TLS between a socket and whoever speaks through it: to the socket a protocol, to that one its transport.

The library works on two buffers of memory (`ssl.MemoryBIO`); this pumps bytes between them and the socket. Nothing is
gathered here: while the inner side doesn't read, the socket is not read, and what it writes goes to the socket's own
buffer, whose state it is told. Nothing a peer sends may raise out of a callback. RFC 8446 (TLS 1.3), RFC 5246
(TLS 1.2); §6.1 of the former says how a stream ends: with close_notify, which comes before FIN here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from inspectd.engine import alerts

if TYPE_CHECKING:
    from inspectd.engine.alerts import Failure

_RECORD: Final = 16 * 1024
_MARKS: Final = 4096
_READ: Final = 256 * 1024


class Pump(asyncio.Transport, asyncio.Protocol):
    """One connection's TLS, for either side of it: a subclass begins the handshake and tells what becomes of it."""

    _inner: asyncio.Protocol
    """Who speaks through it."""
    _raw: asyncio.Transport

    def __init__(self) -> None:
        super().__init__()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._shaken = False  # the handshake is complete
        self._dead = False  # nothing can be understood any more
        self._said_goodbye = False  # close_notify is sent, or can't be
        self._early: list[bytes] = []  # what is to be sent once the handshake is complete
        self._end_early = False  # and then nothing more
        self._closing = False
        self._fin_sent = False
        self._ended = False  # the peer's close_notify or FIN has been passed on
        self._paused = False
        self._resuming = False
        self._decrypted: list[bytes] = []  # what the inner side has not taken yet
        self._plain_out = self._encrypted_out = 0  # bytes of both kinds that were given to the socket
        self._marks: deque[tuple[int, int]] | None = None  # both, while they are not acknowledged
        self._plain_acknowledged = 0

    # -- what becomes of it

    @abstractmethod
    def _on_shaken(self, tls: ssl.SSLObject) -> None:
        """The handshake is complete."""

    @abstractmethod
    def _on_failed(self, failure: Failure, problem: ssl.SSLError) -> None:
        """The handshake came to nothing, by an alert of either side."""

    @abstractmethod
    def _on_left(self, how: str) -> None:
        """The peer went away in the middle of the handshake: `how` is FIN or RST."""

    @abstractmethod
    def _on_broken(self, failure: Failure) -> None:
        """What was agreed upon broke: nothing can be read or sent any more."""

    @abstractmethod
    def _on_untidy(self) -> None:
        """The peer's FIN came without close_notify: an attacker could have cut the stream (RFC 8446 §6.1)."""

    # -- what the socket's transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection."""
        self._raw = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes, as a rule."""
        if not (self._dead or self._ended):
            self._in.write(data)
            self._go_on()

    def eof_received(self) -> bool:
        """The peer sent FIN. Returns True: this side closes in its time."""
        if not self._ended:
            self._ended = True
            if self._dead:
                pass
            elif self._shaken:
                self._on_untidy()
            elif self._begun:
                self._dead = True
                self._on_left("FIN")
        self._inner.eof_received()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        if exc is not None and self._begun and not (self._shaken or self._dead or self._closing):
            self._on_left("RST")
        self._dead = True
        self._inner.connection_lost(exc)
        self._tls = None  # its memory goes now, not when somebody looks for garbage

    def pause_writing(self) -> None:
        """The peer reads slower than this side sends."""
        if self._shaken:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The peer has read some."""
        if self._shaken:
            self._inner.resume_writing()

    # -- the handshake

    @property
    def _begun(self) -> bool:
        """Whether the handshake is under way, or complete."""
        return self._tls is not None

    def _shake(self, tls: ssl.SSLObject) -> bool:
        """Go on with the handshake; whether it is complete and all is well."""
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as problem:
            self._fail(problem)
            return False
        self._shaken = True
        self._on_shaken(tls)
        self._flush()
        early, self._early = self._early, []
        for data in early:
            self._encrypt(tls, data)
        if self._end_early:
            self.write_eof()
        return not self._dead

    def _fail(self, problem: ssl.SSLError) -> None:
        """The TLS library has given up, and perhaps has an alert to send."""
        if self._dead:
            return
        sent = self._out.read()
        failure = alerts.failure(problem, sent)
        self._dead = True
        self._early.clear()
        self._to_socket(sent)
        if self._shaken:
            self._on_broken(failure)
        else:
            self._on_failed(failure, problem)

    # -- from the peer

    def _go_on(self) -> None:
        """Take what has arrived as far as the inner side wants it."""
        tls = self._tls
        if tls is None or self._dead or not (self._shaken or self._shake(tls)) or self._paused:
            return
        ended, problem = self._decrypt(tls)
        pieces, self._decrypted = self._decrypted, []
        if pieces:
            self._inner.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if problem is not None:
            self._fail(problem)
        elif ended and not (self._ended or self._closing):
            self._ended = True
            self._inner.eof_received()

    def _decrypt(self, tls: ssl.SSLObject) -> tuple[bool, ssl.SSLError | None]:
        """Decrypt what has arrived; whether the peer's close_notify was in it, and what went wrong."""
        pieces = self._decrypted
        try:
            while piece := tls.read(_READ):
                pieces.append(piece)
                if not (self._in.pending or tls.pending()):  # to ask once more is dear: it raises
                    self._flush()
                    return False, None
        except ssl.SSLWantReadError:
            self._flush()  # the answer to a new key, for example
            return False, None
        except ssl.SSLZeroReturnError:
            return True, None
        except ssl.SSLError as problem:
            return False, problem
        return True, None

    # -- to the peer

    def _encrypt(self, tls: ssl.SSLObject, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        marks = self._marks
        most = len(view) if marks is None else _RECORD
        try:
            while view:
                length = tls.write(view[:most])
                view = view[length:]
                self._plain_out += length
                if marks is not None:
                    self._flush()
                    marks.append((self._plain_out, self._encrypted_out))
        except ssl.SSLError as problem:
            self._fail(problem)
            return
        self._flush()

    def _flush(self) -> None:
        if self._out.pending:
            self._to_socket(self._out.read())

    def _to_socket(self, data: bytes) -> None:
        if data and not self._fin_sent and not self._raw.is_closing():
            self._encrypted_out += len(data)
            self._raw.write(data)

    def say_goodbye(self) -> None:
        """Send close_notify, if that still means anything."""
        tls = self._tls
        if tls is None or not self._shaken or self._dead or self._said_goodbye:
            return
        self._said_goodbye = True
        self._decrypt(
            tls
        )  # else the library would stumble over what it has not read; what went wrong comes again
        with contextlib.suppress(ssl.SSLError):  # that the client's own is not here yet
            tls.unwrap()
        self._flush()

    # -- what the inner side asks for

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; before the handshake is complete, keep it until then."""
        if self._dead or self._said_goodbye or self._closing:
            return
        if self._shaken and self._tls is not None:
            self._encrypt(self._tls, data)
        else:
            self._early.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        """Write all of it."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """TLS can close one direction: with close_notify, and FIN after it."""
        return True

    def write_eof(self) -> None:
        """Nothing more will be sent. The peer's bytes are still read."""
        if self._early:
            self._end_early = True
            return
        self.say_goodbye()
        self._dead |= not self._shaken
        if not self._fin_sent and not self._raw.is_closing():
            self._fin_sent = True
            self._raw.write_eof()

    def close(self) -> None:
        """Send what is left, close_notify and FIN."""
        if not self._closing:
            self._closing = True
            self.say_goodbye()
            self._raw.close()

    def abort(self) -> None:
        """Close at once. What has not been sent never will be."""
        self._closing = self._dead = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Leave the peer's bytes where they are."""
        if not self._paused:
            self._paused = True
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read on, beginning with what had arrived."""
        if self._paused:
            self._paused = False
            self._raw.resume_reading()
            if not self._resuming:
                self._resuming = True
                asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        self._resuming = False
        if not self._closing:
            self._go_on()

    def is_reading(self) -> bool:
        """Whether the peer's bytes are taken."""
        return not self._paused

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket; `ssl_object` as well."""
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait in this process."""
        return self._raw.get_write_buffer_size() + sum(map(len, self._early))

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """From how many on the inner side is told to wait, and from how few to go on."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Change these."""
        self._raw.set_write_buffer_limits(high, low)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The inner side."""
        return self._inner

    # -- what the peer's system has acknowledged

    def count(self) -> None:
        """Keep account from now on of which encrypted bytes carry which."""
        self._plain_acknowledged = self._plain_out
        self._marks = deque(maxlen=_MARKS)  # without the oldest, the answer is less exact, and still true

    def acknowledged(self, encrypted: int | None) -> int | None:
        """How many bytes of the decrypted stream are behind so many acknowledged ones."""
        marks = self._marks
        if encrypted is None or marks is None:
            return None
        while marks and marks[0][1] <= encrypted:
            self._plain_acknowledged = marks.popleft()[0]
        return self._plain_acknowledged
