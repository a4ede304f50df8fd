"""What an engine is told before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.engine.proxy.admission import Password
    from inspectd.engine.proxy.dial import Resolved
    from inspectd.engine.proxy.via import Via

Durability: TypeAlias = Literal["commit", "relaxed"]
"""`commit`: an exchange is in the capture before its last byte leaves. `relaxed`: within 50 ms."""

DEFAULT_LISTEN = ("127.0.0.1:8080", "[::1]:8080")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may take. Times are seconds, sizes bytes."""

    head: int = 64 * 1024
    """A longer head is answered 431."""
    request_line: int = 8000
    """A longer request line is answered 414 (RFC 9112 §3 asks for at least 8000)."""
    head_timeout: float = 60.0
    """From the first byte of a head to its end; then 408."""
    handshake_timeout: float = 10.0
    """From the first byte of a ClientHello to the end of the TLS handshake."""
    idle_timeout: float = 300.0
    """Without a byte between messages; then a silent FIN. Within a message's content; then 408."""
    silence_timeout: float = 3600.0
    """Without a byte either way in a tunnel, or while a server owes an answer; half a tunnel gets `idle_timeout`."""
    connections: int = 4096
    """Open at once; a further one is answered 503."""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What is forwarded where, when the responder passes requests on."""

    origin: str | None = None
    """The server: its name or address, without brackets; None: each request names its own, as to a forward proxy."""
    port: int = 80
    """Its port."""
    tls: bool = False
    """It is spoken to through TLS."""
    host: str | None = None
    """The value of Host that the server is sent instead of the client's; None leaves that as it is."""
    on_error: Literal["answer", "reset"] = "answer"
    """When the server fails, the client gets an answer that says how, or an RST."""
    allow_remote: bool = False
    """A forward proxy may listen where other machines reach it."""
    password: Password | None = None
    """What clients of a forward proxy have to know."""
    connect_timeout: float = 10.0
    """Seconds that it may take to be connected to a server, TLS included."""
    verify: bool = True
    """Servers whose certificates can't be trusted are not spoken to."""
    trust: tuple[Path, ...] = ()
    """PEM files of authorities that are trusted beside those of the system."""
    client_certificate: Path | None = None
    """PEM file that servers are shown which ask for a certificate."""
    client_key: Path | None = None
    """Its key, when that is not in the same file."""
    via: Via | None = None
    """The proxy that servers are reached through."""
    resolve: tuple[Resolved, ...] = ()
    """Addresses of names that are not looked up."""
    intercept: bool = False
    """What tunnels carry (CONNECT, SOCKS) is read: TLS is decrypted, with a certificate of inspectd's own CA."""
    no_intercept: tuple[str, ...] = ()
    """Globs of HOST or HOST:PORT whose tunnels are carried as they are."""
    only: tuple[str, ...] = ()
    """Globs of HOST or HOST:PORT that are recorded; what goes elsewhere passes, and is counted. None: everything is."""
    tunnel_wait: float = 1.0
    """Seconds that a client gets to speak first in its tunnel; then the server may."""

    @property
    def url(self) -> str | None:
        """The server's URL; None when each request names its own."""
        if self.origin is None:
            return None
        from inspectd.engine.proxy.routes import Origin

        return Origin(self.origin, self.port, self.tls).url

    @property
    def remote(self) -> bool:
        """Whether other machines may reach the listeners."""
        return self.origin is not None or self.allow_remote


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Where to listen, what to keep, how strict to be."""

    capture: Path
    listen: tuple[str, ...] = DEFAULT_LISTEN
    backlog: int = 128
    reuse_port: bool = False
    keep_bytes: int = 2 * 1024**3
    durability: Durability = "commit"
    strict: bool = False
    certificate: Path | None = None
    """PEM file that https listeners show; None: inspectd's own CA makes one for each name."""
    key: Path | None = None
    """Its key, when that is not in the same file."""
    limits: Limits = field(default_factory=Limits)
    forwarding: Forwarding | None = None
    """None: whatever the responder says is answered here."""
    grace: float = 5.0
    """Seconds a graceful stop gives to what is in flight."""
