"""The engine: opens the listeners, looks after connections, keeps the capture, starts and stops in good order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Final

from inspectd.capture.retention import Retention
from inspectd.capture.writer import CaptureWriter
from inspectd.engine import listener as listeners
from inspectd.engine.accepting import Doors, serve
from inspectd.engine.config import DEFAULT_LISTEN, Limits
from inspectd.engine.connection import Connection
from inspectd.engine.holds import HoldDesk
from inspectd.engine.news import News
from inspectd.engine.site import Site
from inspectd.engine.turning import Entrance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.engine.accepting import AcceptState
    from inspectd.engine.config import EngineConfig, Forwarding
    from inspectd.engine.credentials import Credentials
    from inspectd.engine.handshakes import Handshakes
    from inspectd.engine.news import Listener
    from inspectd.engine.player import Gates
    from inspectd.engine.proxy.routes import Forwarder
    from inspectd.rules.answer import Answer
    from inspectd.rules.responder import Responder
    from inspectd.rules.tables import AcceptTable, TlsTable

TICK: Final = 0.25
"""Seconds between two looks at connections on which nothing happens."""
TRIM_AGAIN: Final = 0.02
"""Seconds between two slices while the capture is over its bound."""
_PRIVATE_BACKLOG: Final = 128
"""A Unix socket whose accept queue is full refuses a client at once: many tests may ask at the same time."""
_PRIVATE_LIMITS: Final = Limits(idle_timeout=3600.0, connections=64)

_OPEN_TO_ALL: Final = (
    "Whoever can connect can use the proxy, and reach what this machine reaches: "
    "--proxy-auth makes it ask for a password."
)
_UNCHECKED: Final = (
    "The certificates of servers are not checked (--insecure): "
    "whoever stands between can read and change what is sent."
)


class Engine:
    """A socket server that records everything and answers with what its responder says.

    `start` opens the listeners and returns; `stop` lets what is in flight finish, then closes the capture.
    """

    def __init__(self, config: EngineConfig, responder: Responder) -> None:
        self.config = config
        self.started_ns = 0
        self._credentials: Handshakes | None = None
        self._shown_in_tunnels: Handshakes | None = None
        self._forwarder: Forwarder | None = None
        self.holds = HoldDesk()
        """Exchanges that wait for a person to decide."""
        self._responder = responder
        self._opened: list[listeners.Opened] = []
        self._doors: Doors
        self._private: list[tuple[Site, asyncio.Server]] = []
        self._ticker: asyncio.TimerHandle
        self._trimmer: asyncio.TimerHandle
        self._site: Site
        self._writer: CaptureWriter
        self._retention: Retention
        self._news: News

    # -- life

    async def start(self) -> list[str]:
        """Bind, open the capture and listen; the addresses as they were bound.

        Raises ListenError, CaptureError, CertificateError or CaError, and then leaves nothing open and no capture.
        """
        config = self.config
        if any(listeners.parse(asked).tls for asked in config.listen):
            self._credentials = _credentials(config)
        self._shown_in_tunnels = _in_tunnels(config.forwarding)
        self._opened = self.open_listeners()
        try:
            self._writer = CaptureWriter(config.capture)
        except BaseException:
            for opened in self._opened:
                opened.close()
            raise
        self._retention = Retention(self._writer.db, config.keep_bytes)
        self._site = Site(
            self._responder,
            config.limits,
            writer=self._writer,
            durability=config.durability,
            strict=config.strict,
            holds=self.holds,
        )
        if config.forwarding is not None:
            self._forwarder = self._forwarding(config.forwarding)
            self._forwarder.credentials = self._shown_in_tunnels
            if self._shown_in_tunnels is not None:
                self._forwarder.authority = self._shown_in_tunnels.issuer
            _load_ahead(self._forwarder)
        self._news = News(self._writer)
        self.started_ns = time.time_ns()
        await self._listen()
        self.commit()
        self._tick()
        self._trim()
        return self.addresses

    def open_listeners(self) -> list[listeners.Opened]:
        """Bind and listen as configured, in any thread: `renew` takes what this gives. Raises ListenError."""
        config = self.config
        return listeners.open_all(
            config.listen,
            backlog=config.backlog,
            reuse_port=config.reuse_port,
            defaults=config.listen == DEFAULT_LISTEN,
            remote=config.forwarding is None or config.forwarding.remote,
        )

    async def _listen(self) -> None:
        """Accept connections on the listeners that are open."""
        site, forwarder, credentials = self._site, self._forwarder, self._credentials
        entrance = Entrance(self._for_rules)
        clear: Callable[[Site, int], asyncio.Protocol] = entrance.clear
        tls: Callable[[int], asyncio.Protocol] | None = None
        if forwarder is not None:
            from inspectd.engine.proxy.relay import Relay

            relayed = forwarder
            clear = lambda site, number: Relay(site, number, relayed)  # noqa: E731
        if credentials is not None:
            tls = _speak_tls(site, credentials, forwarder, entrance)
        self._doors = Doors(site, self._writer, self._opened, self.config.backlog, clear=clear, tls=tls)
        await self._doors.open()

    def _for_rules(self) -> Forwarder:
        """What connections share of an engine that answers by itself, when rules leave requests to servers."""
        from inspectd.engine.config import Forwarding
        from inspectd.engine.proxy.ruled import RuledOnly

        return self._forwarding(Forwarding(), RuledOnly)

    def _forwarding(self, config: Forwarding, kind: type[Forwarder] | None = None) -> Forwarder:
        """What connections that can be forwarded share."""
        from inspectd.engine.proxy.routes import Forwarder

        def listening() -> list[tuple[str, int]]:
            found = [opened.sock for opened in self._opened if opened.path is None]
            private = [sock for _, server in self._private for sock in server.sockets]
            found += [sock for sock in private if sock.family != socket.AF_UNIX]
            # One that stops may still connect to servers for what is in flight: its listeners are closed by then.
            return [sock.getsockname()[:2] for sock in found if sock.fileno() >= 0]

        return (kind or Forwarder)(config, self._writer, listening)

    async def silence(self) -> None:
        """Close the listeners and end every connection: nothing comes any more, and what came is recorded."""
        await self._end_all()
        self.commit()

    async def _end_all(self) -> None:
        self._doors.close()
        for connection in list(self._site.connections):
            connection.abort()
        await _emptied(self._site)

    async def renew(
        self,
        *,
        forget: bool = True,
        opened: list[listeners.Opened] | None = None,
        settled: Callable[[], None] | None = None,
    ) -> list[str]:
        """Begin afresh in the same process: end every connection, open the listeners again.

        Nothing that clients of before do comes to those who ask from now on: with port 0 the port is another one. With
        `forget` what was recorded goes as well; in both cases ids go on counting, and so tell before from after.
        `opened` are listeners that were opened ahead, with clients in their queues perhaps; `settled` is called when
        all of before is gone and nobody has been let in yet. Returns the addresses as they were bound; raises
        ListenError, and then nothing listens.
        """
        await self._end_all()
        self.holds.hold_next(0)
        self._site.forget_what_was()
        if forget:
            self.clear()
        if settled is not None:
            settled()
        self._opened = []
        self._opened = opened or self.open_listeners()
        await self._listen()
        return self.addresses

    async def listen_private(
        self, sock: socket.socket, responder: Responder, refusal: Callable[[int, str], Answer]
    ) -> None:
        """Serve a bound socket with `responder` and record nothing of it: the control API's way in.

        `refusal` makes the answer to what never comes to the responder: garbage, an endless head.
        """
        site = Site(responder, _PRIVATE_LIMITS, refusal=refusal)
        server = await serve(lambda: Connection(site, 0), sock, _PRIVATE_BACKLOG)
        self._private.append((site, server))

    async def stop(self) -> None:
        """Stop accepting, finish what is in flight (at most `config.grace` seconds), close the capture."""
        self._doors.close()
        sites = [self._site, *(site for site, _ in self._private)]
        for site in sites:
            site.stopping = True
            site.holds.release_all(outcome="stopped")
            for connection in list(site.connections):
                connection.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.grace):
                await _emptied(self._site)
        for _, server in self._private:
            server.close()
        for site in sites:
            for connection in list(site.connections):
                connection.abort()
            await _emptied(site)
        self._ticker.cancel()
        self._trimmer.cancel()
        self._writer.close(time.time_ns())

    def _tick(self) -> None:
        now = time.time_ns()
        sites = [self._site, *(site for site, _ in self._private)]
        for site in sites:
            for connection in list(site.connections):
                connection.tick(now)
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _trim(self) -> None:
        """Take a short slice of what the capture must let go; soon again while there is more."""
        more = self._retention.step()
        self._trimmer = asyncio.get_running_loop().call_later(TRIM_AGAIN if more else TICK, self._trim)

    # -- what front ends ask for

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""
        return [opened.address for opened in self._opened]

    @property
    def warnings(self) -> list[str]:
        """Who can reach listeners that aren't on the loopback address, and what isn't checked, a sentence each."""
        found = [sentence for opened in self._opened if (sentence := listeners.reach(opened))]
        forwarding = self.config.forwarding
        if forwarding is None:
            return found
        if found and forwarding.origin is None and forwarding.password is None:
            found.append(_OPEN_TO_ALL)
        return found if forwarding.verify else [*found, _UNCHECKED]

    @property
    def capture(self) -> Path:
        """The capture file."""
        return self.config.capture

    @property
    def responder(self) -> Responder:
        """Who answers."""
        return self._responder

    def set_responder(self, responder: Responder) -> None:
        """Answer with this from the next request on."""
        self._responder = responder
        self._site.answer_with(responder)

    @property
    def exchanges(self) -> int:
        """How many exchanges were recorded, those since deleted included."""
        return self._writer.newest_exchange

    @property
    def connections(self) -> int:
        """How many connections were recorded, those since deleted included."""
        return self._writer.newest_connection

    @property
    def unrecorded(self) -> int:
        """How many connections passed without being recorded, because they went to other servers than asked for."""
        return 0 if self._forwarder is None else self._forwarder.unrecorded

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._site.connections)

    @property
    def problem(self) -> str | None:
        """What is wrong with the engine or its capture, in a sentence."""
        return self._writer.problem or self._site.problem or self._doors.problem

    def set_accept(self, table: AcceptTable | None) -> None:
        """Do this to new connections from now on, before a byte of them is read; let them in with None."""
        self._doors.set(table)

    def set_handshakes(self, tables: tuple[TlsTable, ...]) -> None:
        """Let the handshakes that come next go wrong as these tables say; the first that fits a name counts."""
        for shown in (self._credentials, self._shown_in_tunnels):
            if shown is not None:
                shown.tables = tables

    @property
    def shakes_hands(self) -> bool:
        """Whether a listener speaks TLS, or tunnels are looked into: without, what is set for handshakes is idle."""
        return self._credentials is not None or self._shown_in_tunnels is not None

    @property
    def accept_state(self) -> AcceptState:
        """What happens to new connections now."""
        return self._doors.state

    @property
    def gates(self) -> Gates:
        """The gates that programs wait at."""
        return self._site.gates

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with what happens to which exchange, when a reader can see it; returns what ends that.

        What can happen: `News`. It is called in the engine's loop and must not raise.
        """
        return self._news.subscribe(listener)

    def flush(self) -> None:
        """Commit what has happened until now, so that a reader sees it whatever the durability is."""
        for connection in self._site.connections:
            connection.look()
        self._writer.flush(time.time_ns())

    def commit(self) -> None:
        """Put everything that has happened into the capture now, whatever the durability."""
        self._writer.flush(time.time_ns())

    def clear(self) -> None:
        """Forget everything that has ended. Ids go on counting, and no request is one that came before."""
        self._site.attempts.clear()
        self._writer.flush(time.time_ns())
        self._retention.clear()
        self._trimmer.cancel()
        self._trim()


def _credentials(config: EngineConfig) -> Handshakes:
    """What https listeners show. Only who speaks TLS pays for its modules."""
    from inspectd.engine.credentials import credentials
    from inspectd.engine.handshakes import Handshakes

    return Handshakes(credentials(config))


def _in_tunnels(config: Forwarding | None) -> Handshakes | None:
    """What clients are shown in tunnels that are read, when any are."""
    from inspectd.engine.proxy.chosen import reads_nothing

    if config is None or not config.intercept or reads_nothing(config.no_intercept):
        return None
    from inspectd.engine import ca
    from inspectd.engine.credentials import Issued
    from inspectd.engine.handshakes import Handshakes

    return Handshakes(Issued(ca.open_authority()))


def _load_ahead(forwarder: Forwarder) -> None:
    """Import what connections come to need: in the middle of one, there may be no descriptor left to open a file."""
    if forwarder.names_servers:
        import inspectd.engine.proxy.admission
        import inspectd.engine.proxy.offering
        import inspectd.engine.proxy.targets
    if forwarder.credentials is not None:
        import inspectd.engine.proxy.inside  # noqa: F401


def _speak_tls(
    site: Site, credentials: Credentials, forwarder: Forwarder | None, entrance: Entrance
) -> Callable[[int], asyncio.Protocol]:
    """What makes connections encrypted."""
    if forwarder is None:
        return entrance.encrypted(site, credentials)
    from inspectd.engine.proxy.inside import relayed_protocol

    return relayed_protocol(site, credentials, forwarder)


async def _emptied(site: Site) -> None:
    empty = asyncio.Event()
    site.when_empty(empty.set)
    await empty.wait()
