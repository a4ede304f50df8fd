"""A connection that only answers, until rules come that leave requests to a server.

It is cheaper than one that can forward, and nothing of proxies is imported for it. When rules may forward, from now
on, it is exchanged for one that can, between two messages: the client notices nothing, and the row is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.engine.connection import Connection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from inspectd.engine.credentials import Credentials
    from inspectd.engine.proxy.routes import Forwarder
    from inspectd.engine.site import Site


class Turning(Connection):
    """A connection that can be exchanged for what `forwarding` makes."""

    __slots__ = ("_forwarding",)

    def __init__(self, site: Site, listener: int, forwarding: Callable[[Site, int], Connection]) -> None:
        super().__init__(site, listener)
        self._forwarding = forwarding

    def data_received(self, data: bytes) -> None:
        """A read brought bytes."""
        if self._site.forwards and self._between_messages:
            self._turn().data_received(data)
        else:
            super().data_received(data)

    @property
    def _between_messages(self) -> bool:
        return not (
            self._reader.pending
            or self._reader.adrift
            or self._reading
            or self._answering
            or self._closing
            or self._half_closed
            or self._deaf
            or self._stalled
            or self._choked
            or self._see_until
        )

    def _turn(self) -> Connection:
        """Give everything to a connection that can forward."""
        site = self._site
        other = self._forwarding(site, self._listener)
        for kind in Connection.__mro__:
            for name in getattr(kind, "__slots__", ()):
                if hasattr(self, name):
                    setattr(other, name, getattr(self, name))
        site.connections.discard(self)
        site.connections.add(other)
        self._transport.set_protocol(other)
        return other


class Entrance:
    """Makes the connections of an engine that answers by itself: those that can forward only when a rule may want it.

    `forwarder` makes what they share then. Until the first of them, nothing of proxies is loaded.
    """

    def __init__(self, forwarder: Callable[[], Forwarder]) -> None:
        self._make = forwarder
        self._forwarder: Forwarder | None = None

    def clear(self, site: Site, listener: int) -> Connection:
        """The connection of a client that speaks in clear text."""
        return self._relay(site, listener) if site.forwards else Turning(site, listener, self._relay)

    def encrypted(self, site: Site, credentials: Credentials) -> Callable[[int], asyncio.Protocol]:
        """Makes those of clients that speak TLS, from the number of the listener."""
        from inspectd.engine.tls import tls_protocol

        answered = tls_protocol(site, credentials)

        def accepted(listener: int) -> asyncio.Protocol:
            if not site.forwards:
                return answered(listener)
            from inspectd.engine.proxy.inside import relayed_protocol

            return relayed_protocol(site, credentials, self._shared())(listener)

        return accepted

    def _relay(self, site: Site, listener: int) -> Connection:
        from inspectd.engine.proxy.relay import Relay

        return Relay(site, listener, self._shared())

    def _shared(self) -> Forwarder:
        if self._forwarder is None:
            self._forwarder = self._make()
        return self._forwarder
