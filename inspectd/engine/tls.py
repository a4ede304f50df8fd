"""TLS between a socket and a connection: to the socket a protocol, to the connection its transport.

The library works on two buffers of memory (`ssl.MemoryBIO`); this pumps bytes between them and the socket. Nothing is
gathered here: while the connection doesn't read, the socket is not read, and what the connection writes goes to the
socket's own buffer, whose state it is told. Nothing a peer sends may raise out of a callback. RFC 8446 (TLS 1.3),
RFC 5246 (TLS 1.2); §6.1 of the former says how a stream ends: with close_notify, which comes before FIN here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from inspectd.engine import alerts
from inspectd.engine.encrypted import Encrypted
from inspectd.engine.hello import Arrival, HelloReader
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.engine.credentials import Credentials
    from inspectd.engine.encrypted import Encrypting
    from inspectd.engine.site import Site

_RECORD: Final = 16 * 1024
_MARKS: Final = 4096
_READ: Final = 256 * 1024
_TOO_LONG: Final = "The ClientHello is longer than 64 KiB."


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One connection's TLS."""

    def __init__(self, credentials: Credentials, make: Callable[[TlsTransport], Encrypting]) -> None:
        """`make` gives the connection, which is told what is decrypted and what becomes of the handshake."""
        super().__init__()
        self._credentials = credentials
        self._connection = make(self)
        self._hello: HelloReader | None = HelloReader()  # until it is known what the client speaks
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._shaken = False  # the handshake is complete
        self._dead = False  # nothing can be understood any more
        self._said_goodbye = False  # close_notify is sent, or can't be
        self._early: list[bytes] = []  # what is to be sent once the handshake is complete
        self._end_early = False  # and then nothing more
        self._closing = False
        self._fin_sent = False
        self._ended = False  # the client's close_notify or FIN has been passed on
        self._paused = False
        self._resuming = False
        self._decrypted: list[bytes] = []  # what the connection has not taken yet
        self._plain_out = self._encrypted_out = 0  # bytes of both kinds that were given to the socket
        self._marks: deque[tuple[int, int]] | None = None  # both, while they are not acknowledged
        self._plain_acknowledged = 0

    # -- what the socket's transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection was accepted."""
        self._raw = cast("asyncio.Transport", transport)
        self._connection.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes, as a rule."""
        if self._dead or self._ended:
            return
        if self._hello is not None:
            self._greet(self._hello, data)
            return
        self._in.write(data)
        self._go_on()

    def eof_received(self) -> bool:
        """The client sent FIN. Returns True: this side closes in its time."""
        hello = self._hello
        if hello is not None and hello.data and not self._closing:
            self._connection.hello(hello.hello)
        if not self._ended:
            self._ended = True
            if self._dead:
                pass
            elif self._shaken:
                self._connection.untidy()
            elif self._begun:
                self._dead = True
                self._connection.left("FIN", self._credentials.advice)
        self._connection.eof_received()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        hello = self._hello
        if exc is not None and self._begun and not (self._shaken or self._dead or self._closing):
            if hello is not None:
                self._connection.hello(hello.hello)
            self._connection.left("RST", self._credentials.advice)
        self._dead = True
        self._connection.connection_lost(exc)
        self._tls = None  # its memory goes now, not when somebody looks for garbage

    def pause_writing(self) -> None:
        """The client reads slower than this side sends."""
        if self._shaken:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has read some."""
        if self._shaken:
            self._connection.resume_writing()

    # -- the handshake

    @property
    def _begun(self) -> bool:
        """The client has sent something that looked like TLS."""
        return self._tls is not None or (self._hello is not None and bool(self._hello.data))

    def _greet(self, hello: HelloReader, data: bytes) -> None:
        first = not hello.data
        match hello.feed(data):
            case Arrival.INCOMPLETE:
                if first:
                    self._connection.hello(hello.hello)
            case Arrival.CLEAR:
                self._speak_clear(bytes(hello.data))
            case Arrival.TOO_LONG:
                self.give_up(_TOO_LONG, "decode_error")
            case Arrival.HELLO | Arrival.DAMAGED:
                self._hello = None
                self._begin(hello)

    def _begin(self, hello: HelloReader) -> None:
        """Choose a certificate, and let the TLS library answer."""
        asked = hello.server_name
        name = None if asked is None else asked.decode("ascii", "backslashreplace")
        local = self._raw.get_extra_info("sockname")
        try:
            shown = self._credentials.show(name, local[0] if isinstance(local, tuple) else "")
        except (InspectdError, OSError, ValueError) as problem:
            self._connection.hello(hello.hello, name)
            why = problem.what if isinstance(problem, InspectdError) else str(problem)
            self.give_up(f"No certificate could be made for the client: {why}", "internal_error")
            return
        self._connection.hello(hello.hello, name, shown.names)
        self._tls = shown.context.wrap_bio(self._in, self._out, server_side=True)
        self._in.write(hello.data)
        self._go_on()

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
        cipher = tls.cipher()
        self._shaken = True
        self._connection.shaken(tls.version(), cipher[0] if cipher else None, tls.selected_alpn_protocol())
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
            self._connection.broken(failure)
        else:
            self._connection.failed(failure, self._credentials.advice)

    def give_up(self, sentence: str, alert: str) -> None:
        """End a handshake from this side, for this reason."""
        if self._dead:
            return
        self._dead = True
        if self._hello is not None:
            self._connection.hello(self._hello.hello)
        self._early.clear()
        self._to_socket(alerts.fatal(alert))
        self._connection.given_up(sentence, alert)

    def _speak_clear(self, data: bytes) -> None:
        """The client speaks no TLS: from here on the connection has the socket's transport for its own."""
        raw = self._raw
        self._dead = True
        if self._fin_sent or self._closing:
            return
        self._hello = None
        raw.set_protocol(self._connection)
        for early in self._early:
            raw.write(early)
        self._connection.in_clear(raw, data)
        if self._end_early:
            raw.write_eof()

    # -- from the client

    def _go_on(self) -> None:
        """Take what has arrived as far as the connection wants it."""
        tls = self._tls
        if tls is None or self._dead or not (self._shaken or self._shake(tls)) or self._paused:
            return
        ended, problem = self._decrypt(tls)
        pieces, self._decrypted = self._decrypted, []
        if pieces:
            self._connection.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if problem is not None:
            self._fail(problem)
        elif ended and not (self._ended or self._closing):
            self._ended = True
            self._connection.eof_received()

    def _decrypt(self, tls: ssl.SSLObject) -> tuple[bool, ssl.SSLError | None]:
        """Decrypt what has arrived; whether the client's close_notify was in it, and what went wrong."""
        pieces = self._decrypted
        try:
            while piece := tls.read(_READ):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            self._flush()  # the answer to a new key, for example
            return False, None
        except ssl.SSLZeroReturnError:
            return True, None
        except ssl.SSLError as problem:
            return False, problem
        return True, None

    # -- to the client

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

    # -- what the connection asks for

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
        """Nothing more will be sent. The client's bytes are still read."""
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
        """Leave the client's bytes where they are."""
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
        """Whether the client's bytes are taken."""
        return not self._paused

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket; `ssl_object` as well."""
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait in this process."""
        return self._raw.get_write_buffer_size() + sum(map(len, self._early))

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """From how many on the connection is told to wait, and from how few to go on."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Change these."""
        self._raw.set_write_buffer_limits(high, low)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The connection."""
        return self._connection

    # -- what the client's system has acknowledged

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


def tls_protocol(site: Site, credentials: Credentials) -> Callable[[int], asyncio.Protocol]:
    """Makes the protocol object of a connection from the number of its listener."""
    return lambda listener: TlsTransport(credentials, lambda pump: Encrypted(site, listener, pump))
