"""On the way to a connection: addresses are looked up, raced (RFC 8305), and a proxy or TLS comes in between.

Each step is measured. Whatever goes wrong is one sentence that says where, and nothing stays open behind it.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from inspectd.engine.proxy.routes import Failure, Origin, OriginError, read_authority
from inspectd.engine.proxy.upstream import Upstream
from inspectd.errors import InspectdError
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

    from inspectd.engine.proxy.routes import Forwarder
    from inspectd.engine.proxy.secure import Secure
    from inspectd.engine.proxy.upstream import Owner

_HEAD_START: Final = 0.25
"""Seconds that an address has before the next one is tried beside it (RFC 8305 §8)."""


class Resolved(NamedTuple):
    """Addresses that a person gave for a name and a port; the name * stands for all."""

    host: str
    port: int
    addresses: tuple[str, ...]


def parse_resolve(text: str) -> Resolved:
    """What `HOST:PORT:ADDR[,ADDR]` says, as curl's --resolve. Raises OriginError (exit code 2)."""
    mend = "Write HOST:PORT:ADDRESS, for example example.test:443:127.0.0.1; * as HOST stands for all."
    bracketed = text.startswith("[")
    host, _, rest = text[1:].partition("]:") if bracketed else text.partition(":")
    digits, _, listed = rest.partition(":")
    addresses = tuple(address.strip("[]") for address in listed.split(",") if address)
    place = read_authority(f"[{host}]:{digits}" if bracketed else f"{host}:{digits}", None)
    if place is None or not addresses:
        raise OriginError(f"--resolve {text!r} is not HOST:PORT:ADDRESS", mend, exit_code=2)
    for address in addresses:
        try:
            ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise OriginError(
                f"--resolve {text!r}: {address!r} is no IP address", mend, exit_code=2
            ) from None
    return Resolved(place.host.lower(), place.port, addresses)


class Dial:
    """On the way to a connection. `cancel` ends it."""

    __slots__ = (
        "_began",
        "_forwarder",
        "_owner",
        "_stage",
        "_task",
        "_tunnel",
        "connect_ns",
        "failed",
        "origin",
        "resolve_ns",
        "tls_ns",
    )

    def __init__(self, owner: Owner, origin: Origin, forwarder: Forwarder, *, tunnel: bool = True) -> None:
        """Without `tunnel`, a proxy on the way that forwards requests itself gets them."""
        self.origin = origin
        self.resolve_ns = self.connect_ns = 0
        self.tls_ns: int | None = None
        self.failed: Upstream | None = None
        """The connection that there was, and whose TLS came to nothing."""
        self._began = time.monotonic_ns()
        self._owner = owner
        self._forwarder = forwarder
        self._tunnel = tunnel
        self._stage = f"{origin} did not accept a connection"
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._task.cancel()

    async def _run(self) -> None:
        seconds = self._forwarder.config.connect_timeout
        try:
            async with asyncio.timeout(seconds):
                result = await self._connect()
        except TimeoutError:
            result = Failure(504, f"{self._stage} within {seconds:g} s.")
        except InspectdError as problem:
            result = Failure(502, f"{problem.what}.")
        except Exception as problem:  # noqa: BLE001  whatever goes wrong, the client gets an answer
            result = Failure(502, f"Connecting to {self.origin} failed: {type(problem).__name__}: {problem}.")
        if result is not None:
            self._owner.not_connected(self, result)

    def made(self, upstream: Upstream) -> None:
        """The connection is there."""
        if self.origin.tls:
            self.tls_ns = time.monotonic_ns() - self._began - self.resolve_ns - self.connect_ns
        self._owner.connected(self, upstream)

    def _reached(self) -> None:
        """What is encrypted from here on is no part of the way."""
        self.connect_ns = time.monotonic_ns() - self._began - self.resolve_ns

    # -- the steps

    async def _connect(self) -> Failure | None:
        if not self.origin.tls:
            opened = await self._open()
            if isinstance(opened, Failure):
                return opened
            sock, first = opened
            await asyncio.get_running_loop().create_connection(lambda: self._upstream(first), sock=sock)
            return None
        return await self._shake_hands()

    def _upstream(self, first: bytes = b"") -> Upstream:
        via = self._forwarder.via
        return Upstream(self._owner, self.origin, self, via=None if via is None else via.url, first=first)

    async def _open(self) -> tuple[socket.socket, bytes] | Failure:
        """A socket on which the server is spoken to, and what came on it already."""
        via = self._forwarder.via
        hop = self.origin if via is None else via.origin
        places = await self._places(hop)
        if isinstance(places, Failure):
            return places
        self.resolve_ns = self.resolve_ns or time.monotonic_ns() - self._began
        sock = await self._race(hop, places)
        if isinstance(sock, Failure):
            return sock
        if _is_itself(sock):
            sock.close()
            return _why_not(hop, ConnectionRefusedError(errno.ECONNREFUSED, ""), self._who)
        first: bytes | Failure = b""
        try:
            if via is not None and (self._tunnel or self.origin.tls or not via.forwards):
                from inspectd.engine.proxy.via import tunnel

                self._stage = f"The proxy {via.url} did not connect to {self.origin}"
                first = await tunnel(via, sock, self.origin)
        except OSError as problem:
            sock.close()
            assert via is not None
            return Failure(502, f"The proxy {via.url} broke the connection: {_words(problem)}.")
        except BaseException:
            sock.close()
            raise
        if isinstance(first, Failure):
            sock.close()
            return first
        self._reached()
        return sock, first

    async def _places(self, hop: Origin) -> list[AddrInfoType] | Failure:
        """Where the next hop is."""
        loop = asyncio.get_running_loop()
        host = hop.host.lower()
        for given in self._forwarder.config.resolve:
            if given.host in {host, "*"} and given.port == hop.port:
                return [place for address in given.addresses for place in _literal(address, hop.port)]
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            pass
        else:
            return _literal(hop.host, hop.port)
        try:
            found = await loop.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else str(problem)
            whose = "the name" if self._forwarder.via is None else "the proxy's name"
            return Failure(502, f"No address is known for {whose} {hop.host!r}: {why}.")
        return cast("list[AddrInfoType]", list(dict.fromkeys(found)))

    async def _race(self, hop: Origin, places: list[AddrInfoType]) -> socket.socket | Failure:
        """Connect to whichever address answers first, in their order with a head start each."""
        others = [place for place in places if not self._forwarder.is_own(str(place[4][0]), hop.port)]
        round_in_circles = Failure(
            508, f"{hop} is this proxy's own address: the request would go round in circles for ever."
        )
        if not others and places:
            return round_in_circles
        try:
            if len(others) == 1:
                return await _straight(others[0])
            from aiohappyeyeballs import start_connection

            return await start_connection(others, happy_eyeballs_delay=_HEAD_START)
        except (OSError, RuntimeError) as problem:
            if len(others) < len(places):
                return round_in_circles
            return _why_not(hop, problem, self._who)

    @property
    def _who(self) -> str:
        """What the next hop is called before its address."""
        return "" if self._forwarder.via is None else "The proxy "

    async def _shake_hands(self) -> Failure | None:
        """TLS on a new connection; on another one without checks, when that is how it is wanted."""
        trust = self._forwarder.trust
        place = (self.origin.host, self.origin.port)
        verify = self._forwarder.config.verify
        known = None if verify else trust.known(place)
        secure = await self._try(checked=known is None)
        if isinstance(secure, Failure):
            return secure
        trouble = secure.done.result()
        if trouble is not None and trouble.problem is not None and not verify:
            secure.abort()
            trust.remember(place, secure.chain[0] if secure.chain else b"", trouble.sentence)
            secure = await self._try(checked=False)
            if isinstance(secure, Failure):
                return secure
            trouble = secure.done.result()
        if trouble is None:
            return None
        self.tls_ns = time.monotonic_ns() - self._began - self.resolve_ns - self.connect_ns
        self.failed = secure.upstream
        secure.upstream.gone = True
        secure.close()
        advice = " --trust FILE accepts certificates of an issuer, --insecure any." if trouble.problem else ""
        return Failure(502, f"{trouble.sentence}{advice}")

    async def _try(self, *, checked: bool) -> Secure | Failure:
        """One handshake, to its end."""
        from inspectd.engine.proxy.secure import Secure

        opened = await self._open()
        if isinstance(opened, Failure):
            return opened
        sock, first = opened
        self._stage = f"{self.origin} did not complete the TLS handshake"
        try:
            upstream = self._upstream()
            secure = Secure(upstream, self._forwarder.trust, checked=checked, first=first)
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: secure, sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            await secure.done
        except asyncio.CancelledError:
            if secure.done.cancelled():  # or else it was complete in the same moment, and is somebody's
                upstream.gone = True
                transport.abort()
                raise
        return secure


def _literal(address: str, port: int) -> list[AddrInfoType]:
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return cast("list[AddrInfoType]", found)


async def _straight(place: AddrInfoType) -> socket.socket:
    """Connect to the only address there is."""
    sock = socket.socket(place[0], place[1], place[2])
    try:
        sock.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(sock, place[4])
    except BaseException:
        sock.close()
        raise
    return sock


def _is_itself(sock: socket.socket) -> bool:
    """Whether both ends are this one: when nothing listens on a port that the system hands out to those who connect,
    it may hand it out to who connects to it (RFC 9293 §3.5, simultaneous opening).
    """
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:  # it is gone again, which its owner will hear
        return False


def _why_not(origin: Origin, problem: OSError | RuntimeError, who: str) -> Failure:
    if getattr(problem, "errno", None) == errno.ECONNREFUSED:
        return Failure(502, f"{who}{origin} refused the connection: nothing listens there.", refused=True)
    return Failure(502, f"{who}{origin} can't be reached: {_words(problem)}.")


def _words(problem: Exception) -> str:
    number = getattr(problem, "errno", None)
    return os.strerror(number) if number else safe(str(problem)) or type(problem).__name__
