"""A connection to a port that speaks TLS: an ordinary one, to which decrypted bytes come, with a row about the rest.

What is not TLS comes here too. It is read like on any other port, so that it is recorded as what it is, and a request
in clear text is told what this port speaks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from inspectd.capture.beside import TlsRecord
from inspectd.engine import tcp
from inspectd.engine.alerts import ABOUT_THE_CERTIFICATE
from inspectd.engine.connection import Connection
from inspectd.engine.credentials import FLAW
from inspectd.engine.evidence import Witness

if TYPE_CHECKING:
    import asyncio

    from inspectd.engine.alerts import Failure
    from inspectd.engine.pending import Pending
    from inspectd.engine.site import Site
    from inspectd.engine.tls import TlsTransport
    from inspectd.rules.program import LiveProgram, Program

SPEAKS_HTTPS: Final = "This port speaks https, and the request came in clear text: use https:// in the URL."
_IN_CLEAR: Final = "The first bytes were not TLS. They were read as they came."
_AHEAD: Final = " A browser's connection ahead of need, or a port check."
_OVER: Final = (
    " It was opened ahead of need, or the client missed the name it wanted in the certificate,"
    " or it pins another certificate."
)
_REFUSED: Final = "tls-refused"
_FAILED: Final = "tls-failed"


class TlsWitness(Witness):
    """Knows how many bytes of the answers the client's system has acknowledged: the kernel counts encrypted ones."""

    pump: TlsTransport

    def _acknowledged(self) -> int | None:
        return self.pump.acknowledged(super()._acknowledged())


class Encrypting(Connection):
    """What a connection that is, or should be, encrypted does beside all that others do.

    It has no slots, or it could not be combined with another kind of connection.
    """

    _hello_ns: int
    _pump: TlsTransport
    _tls: TlsRecord | None

    def _encrypt_with(self, pump: TlsTransport) -> None:
        """Say who decrypts and encrypts; the first thing to be done."""
        self.encrypted = True
        self._pump = pump
        self._tls = None
        self._hello_ns = 0

    # -- what the transport says

    def hello(self, data: bytes, name: str | None = None, names: tuple[str, ...] = ()) -> None:
        """The ClientHello, or what came of it, with the name in it and those in the certificate it is answered with.

        An ordinary one is committed with the request that follows, or after a moment.
        """
        tls = self._noted(soon=not names)
        tls.hello = data
        tls.sni = name
        tls.certificate = " ".join(names) or None

    def shaken(self, version: str | None, cipher: str | None, alpn: str | None) -> None:
        """The handshake is complete."""
        tls = self._noted(soon=False)
        tls.version, tls.cipher, tls.alpn = version, cipher, alpn
        tls.shaken_ns = time.time_ns()
        tls.sentence = self._pump.wanted or None

    def failed(self, failure: Failure, advice: str) -> None:
        """The handshake came to nothing, by an alert of the client or of this side."""
        about = ABOUT_THE_CERTIFICATE.get(failure.alert or "")
        if failure.by_client and about is not None:
            self._came_to_nothing(
                _REFUSED,
                f"The client refused the certificate{self._after()}: {about} (alert {failure.alert}). {advice}",
                failure.alert,
            )
        elif failure.by_client:
            self._came_to_nothing(
                _FAILED,
                f"The client ended the handshake{self._after()} with the alert {failure.alert}.{self._wanted()}",
                failure.alert,
            )
        else:
            told = f" The client was told so by the alert {failure.alert}." if failure.alert else ""
            self._came_to_nothing(
                _FAILED,
                f"The handshake failed{self._after()}: {failure.reason}.{told}{self._wanted()}",
                failure.alert,
            )
        self.part(at_once=not failure.by_client)

    def given_up(self, sentence: str, alert: str | None = None) -> None:
        """The handshake came to nothing because of this side, which has said so with an alert, if any."""
        self._came_to_nothing(_FAILED, sentence, alert)
        self.part(at_once=True)

    def unanswered(self, how: str, sentence: str) -> None:
        """The ClientHello gets no answer, on purpose: FIN (`close`), RST (`reset`), or nothing at all (`stall`)."""
        self._came_to_nothing(_FAILED, sentence)
        if how == "stall":
            self.stall()
        elif how == "reset":
            self.close("rst")
        else:
            self.part(at_once=True)

    def left(self, how: str, advice: str) -> None:
        """The client went away in the middle of the handshake: `how` is FIN or RST."""
        tls = self._noted()
        if tls.certificate is not None:
            self._came_to_nothing(
                _REFUSED,
                f"The client left with {how}{self._after()}, having seen the certificate and without an alert: many do"
                f" that when they don't accept it. {advice}",
            )
        else:
            self._came_to_nothing(_FAILED, f"Half a ClientHello: {_bytes(len(tls.hello))}, then {how}.")

    def broken(self, failure: Failure) -> None:
        """What was agreed upon broke: nothing can be read or sent any more."""
        who = "the client sent the alert" if failure.by_client else failure.reason
        alert = f" {failure.alert}" if failure.by_client else ""
        tls = self._noted()
        tls.alert = failure.alert
        tls.sentence = f"TLS broke: {who}{alert}.{self._wanted()}"
        self._finish_reading(f"TLS broke ({who}{alert})")
        self.close("fin")
        self._site.turn.soon()

    def untidy(self) -> None:
        """The client's FIN came without close_notify: an attacker could have cut the stream (RFC 8446 §6.1)."""
        tls = self._noted()
        if tls.sentence is None or tls.sentence == self._pump.wanted:
            tls.sentence = f"The client's FIN came without close_notify.{self._wanted()}"

    def in_clear(self, transport: asyncio.Transport, data: bytes) -> None:
        """It isn't TLS that the client speaks: these bytes, and all that follow, are taken as they are."""
        self.encrypted = False
        self._transport = transport
        tls = self._noted()
        tls.sentence = _IN_CLEAR
        self.data_received(data)

    def part(self, *, at_once: bool) -> None:
        """Nothing will be said any more. A client that ended it itself is given the time to send its FIN first."""
        if at_once:
            self._end_of_answers()
        elif self._closing is None:
            self._closing = "fin"
            self._closing_ns = time.time_ns()
            self._stop_reading()
        self._site.turn.soon()

    # -- the row

    def _noted(self, *, soon: bool = True) -> TlsRecord:
        if self._tls is None:
            self._tls = TlsRecord(self._record.id)
            self._hello_ns = time.time_ns()
        self._record.save_tls(self._tls)
        if soon:
            self._site.turn.soon()
        return self._tls

    def _came_to_nothing(self, kind: str, sentence: str, alert: str | None = None) -> None:
        tls = self._noted()
        tls.sentence, tls.alert = sentence, alert
        if self._record.kind in {None, "preconnect"}:
            self._record.describe(kind, sentence)
        self._stop_reading()

    def _wanted(self) -> str:
        return f" {self._pump.wanted}" if self._pump.wanted else ""

    def _after(self) -> str:
        return f" {(time.time_ns() - self._hello_ns) / 1e6:.1f} ms after its ClientHello"

    # -- what an ordinary connection does otherwise

    def _plan(self, pending: Pending) -> None:
        if self.encrypted:
            super()._plan(pending)
        else:
            self._answer_early(pending)  # nobody needs its content

    def _answer(self, pending: Pending) -> None:
        if self.encrypted:
            super()._answer(pending)
        else:
            self._refuse(400, SPEAKS_HTTPS, pending.exchange)

    def _watch(self, pending: Pending, program: Program | LiveProgram, rule: str) -> None:
        if self._witness is None and self.encrypted and self._site.recorded:
            sock = self._transport.get_extra_info("socket")
            self._witness = witness = TlsWitness(self._record, sock, self._site.attempts)
            witness.pump = self._pump
            if tcp.acknowledged(sock) is not None:
                self._pump.count()
        super()._watch(pending, program, rule)

    def tick(self, now: int) -> None:
        """Look after a connection on which nothing may have happened for a while; called a few times a second."""
        tls = self._tls
        limit = self._site.limits.handshake_timeout
        shaking = tls is not None and tls.shaken_ns is None and self.encrypted
        if shaking and self._closing is None and now - self._hello_ns > limit * 1e9:
            self._pump.give_up(f"The handshake was not complete after {limit:g} s.", "handshake_failure")
        super().tick(now)
        self._say_how_far(_AHEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        super().connection_lost(exc)
        self._say_how_far(_OVER)

    def _say_how_far(self, why: str) -> None:
        """Of a connection without a request, say what there was of TLS."""
        record, tls = self._record, self._tls
        if tls is None or record.kind != "preconnect" or record.bytes_in:
            return
        done = "complete" if tls.shaken_ns is not None else "under way"
        wanted = self._pump.wanted
        kind, sentence = "preconnect", f"TLS handshake {done}, no request.{self._wanted() or why}"
        if wanted.startswith(FLAW) and why is _OVER and tls.shaken_ns is not None:
            kind = _REFUSED
            sentence = f"The client left after the handshake, with no request and no alert. {wanted}"
        if record.sentence != sentence:
            record.describe(kind, sentence)
            self._site.turn.soon()

    def abort(self) -> None:
        """The engine stops now."""
        if self._playing is None and not self._transport.get_write_buffer_size():
            self._pump.say_goodbye()
        super().abort()


class Encrypted(Encrypting):
    """The protocol object of a connection that is, or should be, encrypted, and is answered here."""

    def __init__(self, site: Site, listener: int, pump: TlsTransport) -> None:
        super().__init__(site, listener)
        self._encrypt_with(pump)


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"
