"""TLS on the side of a listener: who comes is read first, then shown a certificate that fits.

The ClientHello is recorded and understood before anything is answered. What turns out to be no TLS is handed to the
connection as it came. Nothing a peer sends may raise out of a callback. RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.engine import alerts
from inspectd.engine.credentials import Refusal
from inspectd.engine.encrypted import Encrypted
from inspectd.engine.hello import Arrival, HelloReader
from inspectd.engine.pump import Pump
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from inspectd.engine.alerts import Failure
    from inspectd.engine.credentials import Credentials
    from inspectd.engine.encrypted import Encrypting
    from inspectd.engine.site import Site

_TOO_LONG: Final = "The ClientHello is longer than 64 KiB."


class TlsTransport(Pump):
    """One client's TLS."""

    def __init__(self, credentials: Credentials, make: Callable[[TlsTransport], Encrypting]) -> None:
        """`make` gives the connection, which is told what is decrypted and what becomes of the handshake."""
        super().__init__()
        self._credentials = credentials
        self._advice = credentials.advice
        self.wanted = ""
        """What a rule wants of this handshake, in a sentence; empty when none does."""
        self._connection = self._inner = make(self)
        self._hello: HelloReader | None = HelloReader()  # until it is known what the client speaks
        self._clear = (
            False  # no TLS, and yet the bytes come by here: whoever carries a tunnel knows nobody else
        )

    # -- what the socket's transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection was accepted."""
        super().connection_made(transport)
        self._connection.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes, as a rule."""
        if self._clear:
            self._connection.data_received(data)
        elif self._hello is None or self._dead or self._ended:
            super().data_received(data)
        else:
            self._greet(self._hello, data)

    def eof_received(self) -> bool:
        """The client sent FIN. Returns True: this side closes in its time."""
        hello = self._hello
        if hello is not None and hello.data and not self._closing:
            self._connection.hello(hello.hello)
        return super().eof_received()

    def pause_writing(self) -> None:
        """The client reads slower than this side sends."""
        if self._clear:
            self._connection.pause_writing()
        else:
            super().pause_writing()

    def resume_writing(self) -> None:
        """The client has read some."""
        if self._clear:
            self._connection.resume_writing()
        else:
            super().resume_writing()

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
        if isinstance(shown, Refusal):
            self._connection.hello(hello.hello, name)
            self._refuse(shown)
            return
        self.wanted = shown.advice
        self._advice = shown.advice or self._advice
        self._connection.hello(hello.hello, name, shown.names)
        self._tls = shown.context.wrap_bio(self._in, self._out, server_side=True)
        self._in.write(hello.data)
        self._go_on()

    def _on_shaken(self, tls: ssl.SSLObject) -> None:
        cipher = tls.cipher()
        self._connection.shaken(tls.version(), cipher[0] if cipher else None, tls.selected_alpn_protocol())

    def _on_failed(self, failure: Failure, problem: ssl.SSLError) -> None:  # noqa: ARG002 - `failure` says it all
        self._connection.failed(failure, self._advice)

    def _on_left(self, how: str) -> None:
        if self._hello is not None:
            self._connection.hello(self._hello.hello)
        self._connection.left(how, self._advice)

    def _on_broken(self, failure: Failure) -> None:
        self._connection.broken(failure)

    def _on_untidy(self) -> None:
        self._connection.untidy()

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.do == "abort":
            self.give_up(refusal.sentence, refusal.alert)
        else:
            self._dead = True
            self._early.clear()
            self._connection.unanswered(refusal.do, refusal.sentence)

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
        if raw.get_protocol() is self:
            raw.set_protocol(self._connection)
        else:
            self._clear = True
        for early in self._early:
            raw.write(early)
        self._connection.in_clear(raw, data)
        if self._end_early:
            raw.write_eof()


def tls_protocol(site: Site, credentials: Credentials) -> Callable[[int], asyncio.Protocol]:
    """Makes the protocol object of a connection from the number of its listener."""
    return lambda listener: TlsTransport(credentials, lambda pump: Encrypted(site, listener, pump))
