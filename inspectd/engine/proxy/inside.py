"""Forwarded connections that are encrypted on the client's side, and those that are read in a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.engine.encrypted import Encrypting
from inspectd.engine.proxy.relay import Relay
from inspectd.engine.proxy.routes import OFFERED_AT
from inspectd.engine.tls import TlsTransport
from inspectd.text.safe import safe

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from inspectd.engine.credentials import Credentials, Refusal, Shown
    from inspectd.engine.proxy.forward import Forward
    from inspectd.engine.proxy.routes import Forwarder
    from inspectd.engine.site import Site
    from inspectd.rules.answer import Answer
    from inspectd.wire import ArrivedHead


class EncryptedRelay(Encrypting, Relay):
    """The protocol object of a connection that is forwarded, and is, or should be, encrypted."""

    def __init__(
        self,
        site: Site,
        listener: int,
        forwarder: Forwarder,
        pump: TlsTransport,
        tunnel: tuple[int, int | None] | None = None,
    ) -> None:
        super().__init__(site, listener, forwarder, tunnel)
        self._encrypt_with(pump)

    def hello(self, data: bytes, name: str | None = None, names: tuple[str, ...] = ()) -> None:
        """The ClientHello: in a tunnel, the server is asked for the name in it as well."""
        super().hello(data, name, names)
        if name is not None and self._inside is not None:
            origin = self._forwarder.destination
            if name != origin.host:
                self._forwarder = self._forwarder.inside(origin._replace(name=name))

    def _objection(self, head: ArrivedHead) -> Answer | None:
        # In clear text, it is told what this port speaks: it must not send credentials there.
        return super()._objection(head) if self.encrypted else None

    def _passes(self, forward: Forward) -> bool:
        return self.encrypted and super()._passes(forward)


class InTunnel:
    """What a client is shown in a tunnel: a certificate for the name it asks for, or for where the tunnel leads."""

    def __init__(self, credentials: Credentials, host: str) -> None:
        self._credentials = credentials
        self._host = host
        self.advice = (
            f"{credentials.advice} http://{OFFERED_AT}/ through this proxy offers the CA's certificate. A program that"
            f" pins its server's own accepts no other: leave that alone with --no-intercept {safe(host)}."
            f" Whether {safe(host)} can be reached is not known: servers are asked when a request comes."
        )

    def show(self, name: str | None, address: str) -> Shown | Refusal:
        """What a client sees that asked for `name`."""
        return self._credentials.show(name or self._host, address)


def open_inside(
    site: Site, listener: int, forwarder: Forwarder, tunnel: tuple[int, int | None]
) -> tuple[asyncio.Protocol, Relay]:
    """What reads in a tunnel (see `Relay`): what is told of its bytes, and the connection inside.

    They are the same unless the forwarder's server is spoken to through TLS.
    """
    origin = forwarder.destination
    if not origin.tls:
        plain = Relay(site, listener, forwarder, tunnel)
        return plain, plain
    assert forwarder.credentials is not None
    made: list[EncryptedRelay] = []

    def make(pump: TlsTransport) -> EncryptedRelay:
        made.append(EncryptedRelay(site, listener, forwarder, pump, tunnel))
        return made[0]

    pump = TlsTransport(InTunnel(forwarder.credentials, origin.host), make)
    return pump, made[0]


def relayed_protocol(
    site: Site, credentials: Credentials, forwarder: Forwarder
) -> Callable[[int], asyncio.Protocol]:
    """Makes the protocol object of a connection to a proxy's port that speaks TLS, from the number of its listener."""
    return lambda listener: TlsTransport(
        credentials, lambda pump: EncryptedRelay(site, listener, forwarder, pump)
    )
