"""TLS towards a server: the handshake is a client's, and what becomes of it is said in a sentence.

Nothing a server sends may raise out of a callback. RFC 8446 (TLS 1.3), RFC 6066 §3 (server_name), RFC 7301 (ALPN).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.capture.beside import TlsRecord
from inspectd.capture.servers import UNCHECKED
from inspectd.engine.alerts import ABOUT_THE_CERTIFICATE
from inspectd.engine.hello import HelloReader
from inspectd.engine.proxy.trust import names_of, shown_chain, what_is_wrong
from inspectd.engine.pump import Pump
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from inspectd.engine.alerts import Failure
    from inspectd.engine.proxy.routes import Origin
    from inspectd.engine.proxy.trust import Trust
    from inspectd.engine.proxy.upstream import Upstream

_FIRST_SHOWN: Final = 60
_RECORD_TYPES: Final = frozenset({20, 21, 22, 23})


class Trouble(NamedTuple):
    """Why there is no TLS, in a sentence; `problem` is what is wrong with the certificate, when it was that."""

    sentence: str
    problem: str | None = None


class Secure(Pump):
    """One connection's TLS. `done` is None when the handshake is complete, or says why it isn't."""

    def __init__(self, upstream: Upstream, trust: Trust, *, checked: bool, first: bytes = b"") -> None:
        """`first` is what came from the server before this was there. Raises TrustError or KeyLogError."""
        super().__init__()
        self._inner = self.upstream = upstream
        upstream.secure = self
        self._trust = trust
        self._checked = checked
        self._context = trust.context(checked=checked)
        self._first = first
        self._seen = b""
        self.record = TlsRecord(0)
        self.chain: list[bytes] = []
        self.done: asyncio.Future[Trouble | None] = asyncio.get_running_loop().create_future()

    @property
    def _origin(self) -> Origin:
        return self.upstream.origin

    @property
    def _name(self) -> str:
        """What the server's certificate has to be for."""
        return self._origin.name or self._origin.host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection: begin."""
        super().connection_made(transport)
        self.upstream.began(self)
        host = self._name.partition("%")[0].removesuffix(".")
        try:
            self._tls = tls = self._context.wrap_bio(self._in, self._out, server_hostname=host)
        except (ValueError, TypeError) as problem:  # the latter: NUL in it
            self._dead = True
            self._give_up(f"{host!r} can't be asked for in TLS: {problem}.")
            return
        self.record.sni = None if _is_address(host) else host
        self._shake(tls)
        if self._first and not self._dead:
            self.data_received(self._first)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes, as a rule."""
        if not self._seen:
            self._seen = data[:_FIRST_SHOWN]
            if data[0] not in _RECORD_TYPES:
                self._no_tls()
                return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self._give_up(f"{self._origin} closed the connection during the TLS handshake.")

    def _to_socket(self, data: bytes) -> None:
        if not self.record.hello and data:
            reader = HelloReader()
            reader.feed(data)
            self.record.hello = reader.hello
        super()._to_socket(data)

    # -- what becomes of it

    def _on_shaken(self, tls: ssl.SSLObject) -> None:
        cipher = tls.cipher()
        record = self.record
        record.version, record.cipher = tls.version(), cipher[0] if cipher else None
        record.alpn = tls.selected_alpn_protocol()
        record.shaken_ns = time.time_ns()
        certificate = tls.getpeercert(binary_form=True)
        self._note(certificate)
        if not self._checked:
            record.sentence = self._unchecked(certificate)
        if not self.done.done():
            self.done.set_result(None)
            self.upstream.connection_made(self)

    def _unchecked(self, certificate: bytes | None) -> str:
        place = self._origin.host, self._origin.port
        known = self._trust.known(place)
        if known is not None and known[0] == certificate:
            return f"{known[1]} It was used all the same: {UNCHECKED}"
        self._trust.forget(place)
        return f"The server shows another certificate than before, which was not checked: {UNCHECKED}"

    def _on_failed(self, failure: Failure, problem: ssl.SSLError) -> None:
        assert self._tls is not None
        self.chain = shown_chain(self._tls)
        self._note(self.chain[0] if self.chain else None)
        origin = self._origin
        self.record.alert = failure.alert
        if isinstance(problem, ssl.SSLCertVerificationError):
            why = what_is_wrong(problem, self.chain, self._name)
            self._give_up(f"The certificate of {origin} can't be trusted: {why}.", why)
        elif failure.by_client and failure.alert is not None:
            self._give_up(f"{origin} ended the TLS handshake with the alert {said(failure.alert)}.")
        else:
            self._give_up(f"The TLS handshake with {origin} failed: {safe(failure.reason)}.")

    def _on_left(self, how: str) -> None:
        self._give_up(f"{self._origin} closed the connection with {how} in the middle of the TLS handshake.")

    def _on_broken(self, failure: Failure) -> None:
        self.record.alert = failure.alert
        who = (
            f"the server sent the TLS alert {said(failure.alert)}"
            if failure.by_client and failure.alert is not None
            else f"TLS broke: {safe(failure.reason)}"
        )
        unchecked = "" if self._checked else f" {self.record.sentence}"  # it has to say so to its end
        self.record.sentence = f"{who[0].upper()}{who[1:]}.{unchecked}"
        self.upstream.broke(who)

    def _on_untidy(self) -> None:
        if self.record.sentence is None:
            self.record.sentence = (
                "The server's FIN came without close_notify: the end may have been cut off."
            )
        self.upstream.noted()

    def _no_tls(self) -> None:
        self._dead = True
        hint = " It speaks http: use http:// in its URL." if self._seen.startswith(b"HTTP/") else ""
        shown = clip(safe(self._seen), _FIRST_SHOWN)
        self._give_up(f"{self._origin} speaks no TLS: its first bytes were {shown}.{hint}")

    def _give_up(self, sentence: str, problem: str | None = None) -> None:
        if not self.done.done():
            self.record.sentence = sentence
            self.done.set_result(Trouble(sentence, problem))

    def _note(self, certificate: bytes | None) -> None:
        if certificate is not None:
            self.record.shown = certificate
            self.record.certificate = " ".join(names_of(certificate)) or None


def said(alert: str) -> str:
    """An alert of a server, and what a person can do about it when it is about this side's certificate."""
    if alert == "certificate_required":
        return f"{alert}: it demands a client certificate, see --client-cert"
    if alert == "handshake_failure":  # what TLS 1.2 has for a missing certificate, and for much else
        return (
            f"{alert}: it accepts nothing that was offered, or demands a client certificate (--client-cert)"
        )
    about = ABOUT_THE_CERTIFICATE.get(alert)
    return alert if about is None else f"{alert}: of this side's certificate, {about}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
