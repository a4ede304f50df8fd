"""Where a request is forwarded to, and in which form.

Bytes are forwarded as they came. What has to be different is listed as changes, a mapping each: `what` it is, what it
was (`from`) and what is sent instead (`to`), as text with one character a byte.
"""

from __future__ import annotations

import copy
import functools
import ipaddress
import json
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from inspectd.engine.proxy.chosen import Chosen, Treatment
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inspectd.capture.records import ConnectionRecord
    from inspectd.capture.writer import CaptureWriter
    from inspectd.engine.ca import Authority
    from inspectd.engine.config import Forwarding
    from inspectd.engine.credentials import Credentials
    from inspectd.engine.proxy.trust import Trust
    from inspectd.engine.proxy.via import Via
    from inspectd.rules.answer import Answer
    from inspectd.wire import ArrivedHead

Change: TypeAlias = dict[str, str | None]


class OriginError(InspectdError):
    """The URL of a server can't be used."""


PORTS: Final = {"http": 80, "https": 443}
"""The schemes of servers, and the port that each means where a URL names none."""


_LONGEST_HOST: Final = 255
"""No name is longer (RFC 1035 §2.3.4)."""


class Origin(NamedTuple):
    """A server: a name or an address without brackets, a port, and whether it is spoken to through TLS."""

    host: str
    port: int
    tls: bool = False
    name: str | None = None
    """What it is called in TLS, when that is not its host: as a client did whose tunnel leads to an address."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Its URL, without a port that goes without saying: https://example.test."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{str(self).removesuffix(f':{PORTS[scheme]}')}"


class Route(NamedTuple):
    """Where to, and the head that is sent; None when it is sent as it came. A `tunnel` begins behind the head.

    `recorded` is what is recorded in its place when it holds a secret, and is as long.
    """

    origin: Origin
    head: bytes | None = None
    changes: tuple[Change, ...] = ()
    tunnel: bool = False
    recorded: bytes | None = None


class Failure(NamedTuple):
    """Why a request was not answered by its server: the status that says so to the client, and a sentence."""

    status: int
    sentence: str
    refused: bool = False
    """The server's system refuses connections to this port."""


OFFERED_AT: Final = "inspectd.test"
"""The name at which a forward proxy offers its CA. Nobody has it (RFC 6761 §6.2), so nothing is taken from anybody."""


def is_offered_at(origin: Origin) -> bool:
    """Whether this is that name, however it is written."""
    return origin.host.rstrip(".").lower() == OFFERED_AT


def parse_origin(url: str) -> Origin:
    """The server that `http[s]://HOST[:PORT]` names. Raises OriginError (exit code 2) that says how to write it."""
    mend = "Write http://HOST:PORT or https://HOST:PORT, for example http://localhost:3000."
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in PORTS:
        why = (
            "names no scheme"
            if not separator
            else f"is neither http nor https: {scheme} can't be forwarded to"
        )
        raise OriginError(f"{url!r} {why}", mend, exit_code=2)
    authority = rest.removesuffix("/")
    if not authority or set(authority) & set("/?#@ \t"):
        raise OriginError(
            f"{url!r} is more than the address of a server: paths are forwarded as clients send them",
            mend,
            exit_code=2,
        )
    origin = read_authority(authority, PORTS[scheme])
    if origin is None:
        raise OriginError(f"{url!r} names no host, or no port between 1 and 65535", mend, exit_code=2)
    return origin._replace(tls=scheme == "https")


def read_authority(text: str, port: int | None) -> Origin | None:
    """`HOST[:PORT]` with IPv6 addresses in brackets (RFC 3986 §3.2); `port` is used where none is given."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            return None
        try:
            ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            return None
        digits = rest[1:]
    else:
        host, _, digits = text.partition(":")
    if (
        not host
        or len(host) > _LONGEST_HOST
        or (digits and not (digits.isascii() and digits.isdigit() and len(digits) <= 5))
    ):
        return None
    number = int(digits) if digits else port
    return Origin(host, number) if number is not None and 0 < number <= 65535 else None


def as_json(changes: Iterable[Change]) -> str | None:
    """Changes for the row; None when there are none."""
    listed = list(changes)
    return json.dumps(listed) if listed else None


class Forwarder:
    """What the connections of a proxy share: where requests go, and the capture."""

    def __init__(
        self, config: Forwarding, writer: CaptureWriter, listening: Callable[[], Iterable[tuple[str, int]]]
    ) -> None:
        """`listening` gives the addresses and ports that this engine listens on."""
        self.config = config
        self.writer = writer
        self._listening = listening
        self._route = None if config.origin is None else Route(Origin(config.origin, config.port, config.tls))
        self._host = None if config.host is None else config.host.encode("latin-1")
        self._chosen = Chosen(intercept=config.intercept, no_intercept=config.no_intercept, only=config.only)
        self.credentials: Credentials | None = None
        """What clients are shown in tunnels that are read."""
        self.authority: Authority | None = None
        """Whose certificate is offered to clients, because it signs those: there is one when tunnels are read."""
        self.password = config.password
        """What clients have to know; nothing in tunnels, whose clients have shown that they do."""
        self.unrecorded = 0
        """How many connections passed without being recorded."""

    @property
    def names_servers(self) -> bool:
        """Whether requests name their servers, as to a forward proxy."""
        return self._route is None

    @property
    def url(self) -> str:
        """What clients are told to use as their proxy: the first listener, HOST where it has any address."""
        for host, port in self._listening():
            address = _plain(host)
            name = "localhost" if address.is_loopback else f"[{host}]" if ":" in host else host
            return f"http://{'HOST' if address.is_unspecified else name}:{port}"
        return "http://HOST:PORT"

    def treatment(self, origin: Origin) -> Treatment:
        """What is done with a tunnel to this server."""
        if self.authority is not None and is_offered_at(origin):
            return Treatment.READ
        return self._chosen.treatment(origin)

    def inside(self, origin: Origin) -> Forwarder:
        """One like this for what is read in a tunnel: all of it goes to the server that the tunnel leads to."""
        inside = copy.copy(self)
        if origin.tls:
            inside.trust = self.trust  # made once, not for each tunnel
        inside._route, inside._host, inside.password = Route(origin), None, None  # noqa: SLF001 - it is this class's own
        return inside

    @property
    def destination(self) -> Origin:
        """The server that everything goes to; there is one."""
        assert self._route is not None
        return self._route.origin

    def elsewhere(self, head: ArrivedHead) -> bool:
        """Whether this request goes to a server of which nothing is to be recorded."""
        if not self.config.only or self._route is not None:
            return False
        route = self.route(head)
        if not isinstance(route, Route) or (self.authority is not None and is_offered_at(route.origin)):
            return False
        return not self._chosen.recorded(route.origin)

    def ignore(self, record: ConnectionRecord, start: int = 0) -> None:
        """Record nothing of a connection from offset `start` on, and take back what was when it was no exchange yet."""
        self.unrecorded += 1
        self.writer.let_go(record, start)

    @property
    def via(self) -> Via | None:
        """The proxy that everything goes through."""
        return self.config.via

    @functools.cached_property
    def trust(self) -> Trust:
        """What is demanded of servers that are spoken to through TLS."""
        from inspectd.engine.proxy.trust import Trust

        return Trust(self.config)

    def route(self, head: ArrivedHead) -> Route | Failure:
        """Where this request goes, or why it goes nowhere."""
        route = self._named(head)
        via = self.via
        if via is None or isinstance(route, Failure) or not via.forwards or route.tunnel or route.origin.tls:
            return route
        from inspectd.engine.proxy.via import through

        return through(via, head, route)

    def refused_on_the_way(self, route: Route) -> str | None:
        """What 407 means as an answer to a request that a proxy was to forward; None when it is the server's own."""
        via = self.via
        if via is None or not via.forwards or route.tunnel or route.origin.tls:
            return None
        from inspectd.engine.proxy.via import refused

        return refused(via)

    def route_or_answer(self, head: ArrivedHead) -> Route | Failure | Answer:
        """The same, but for requests to the name at which a forward proxy offers its CA."""
        route = self.route(head)
        if not isinstance(route, Route) or self.config.origin is not None or not is_offered_at(route.origin):
            return route
        from inspectd.engine.proxy.offering import NO_CA, offer

        if self.authority is None:
            return Failure(404, NO_CA)
        return route if route.tunnel else offer(self.authority, head, self.url)

    def _named(self, head: ArrivedHead) -> Route | Failure:
        if self._route is None:
            from inspectd.engine.proxy.targets import named

            return named(head, lambda: self.url)
        if self._host is None:
            return self._route
        return with_host(head, self._route.origin, self._host)

    def is_own(self, host: str, port: int) -> bool:
        """Whether a connection to this address would come to one of the engine's own listeners."""
        address = _plain(host)
        for own_host, own_port in self._listening():
            own = _plain(own_host)
            if own_port != port:
                continue
            if own == address or (own.is_unspecified and is_local(address)):
                return True
            if address.is_unspecified and own.is_loopback:  # to connect to "any address" is to come here
                return True
        return False


Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def _plain(host: str) -> Address:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_local(address: Address) -> bool:
    """Whether this machine has this address: only then can a socket be bound to it."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def with_host(head: ArrivedHead, origin: Origin, value: bytes) -> Route:
    """The head with another value of its first Host field; as it is when it has none, or has that value."""
    for field in head.head.fields:
        if field.name_bytes.lower() != b"host":
            continue
        if field.value_bytes == value:
            break
        after_colon = field.name[1] + 1
        start, end = (field.value[0][0], field.value[-1][1]) if field.value else (after_colon, after_colon)
        raw = head.raw[: start - head.start] + value + head.raw[end - head.start :]
        change = changed("Host", field.value_bytes, value)
        return Route(origin, raw, (change,))
    return Route(origin)


def changed(what: str, before: bytes | None, after: bytes | None) -> Change:
    """One change of a head."""
    return {
        "what": what,
        "from": None if before is None else before.decode("latin-1"),
        "to": None if after is None else after.decode("latin-1"),
    }
