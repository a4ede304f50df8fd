"""Through another proxy: what is asked of it (CONNECT, SOCKS5), and how requests look that it forwards itself.

Its password is sent to it and goes nowhere else: rows, sentences and recorded bytes have none. RFC 9112 §3.2.2 and
RFC 9110 §9.3.6 and §11.7 (HTTP), RFC 1928 and RFC 1929 (SOCKS5).
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from inspectd.engine.proxy.routes import Failure, Origin, OriginError, Route, changed, read_authority
from inspectd.text.safe import clip, safe
from inspectd.wire import ArrivedResponseHead, ResponseReader

if TYPE_CHECKING:
    import socket

    from inspectd.wire import ArrivedHead

_PORTS: Final = {"http": 80, "socks5": 1080, "socks5h": 1080}
_HEAD: Final = 64 * 1024
_SHOWN: Final = 80
_PROXY_AUTHENTICATION: Final = 407
_MEND: Final = (
    "Write http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before HOST where it needs them."
)
_ORIGIN_FORM: Final = re.compile(rb"([^ \r\n]+ )(/[^ \r\n]*|\*)( HTTP/\d\.\d\r?\n)")

_SOCKS: Final = 5
_NO_PASSWORD: Final = 0
_PASSWORD: Final = 2
_REPLIES: Final = {
    1: "it failed",
    2: "its rules don't allow it",
    3: "the network can't be reached",
    4: "the host can't be reached",
    5: "the connection was refused",
    6: "it took too long",
    7: "it knows no CONNECT",
    8: "it doesn't know this kind of address",
}
"""RFC 1928 §6."""


class Via(NamedTuple):
    """A proxy that connections to servers go through."""

    scheme: str
    origin: Origin
    user: bytes | None = None
    password: bytes = b""

    @property
    def url(self) -> str:
        """Its URL without credentials."""
        return f"{self.scheme}://{self.origin}"

    @property
    def forwards(self) -> bool:
        """Whether it takes requests for servers itself, and not only tunnels."""
        return self.scheme == "http"

    @property
    def authorization(self) -> bytes | None:
        """The value of Proxy-Authorization (RFC 7617), when there are credentials."""
        if self.user is None:
            return None
        return b"Basic " + base64.b64encode(self.user + b":" + self.password)


def parse_via(url: str) -> Via:
    """The proxy that a URL names. Raises OriginError (exit code 2), which doesn't repeat the credentials."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    credentials, at, authority = rest.removesuffix("/").rpartition("@")
    named = f"{clip(safe(scheme), _SHOWN)}://{clip(safe(authority), _SHOWN)}" if separator else "the URL"
    if not separator or scheme not in _PORTS:
        raise OriginError(f"--via: {named} is neither http:// nor socks5://", _MEND, exit_code=2)
    origin = read_authority(authority, _PORTS[scheme])
    if origin is None or set(authority) & set("/?# \t"):
        raise OriginError(f"--via: {named} names no host, or more than a host and a port", _MEND, exit_code=2)
    if scheme == "socks5h":
        scheme = "socks5"
    if not at:
        return Via(scheme, origin)
    user, _, password = credentials.partition(":")
    via = Via(scheme, origin, unquote_to_bytes(user), unquote_to_bytes(password))
    if scheme == "socks5" and not (0 < len(unquote_to_bytes(user)) < 256 and len(via.password) < 256):
        raise OriginError(
            f"--via: the name or the password for {named} has no, or over 255, bytes", exit_code=2
        )
    return via


# ------------------------------------------------------------------------------------------- requests it forwards


def through(via: Via, head: ArrivedHead, route: Route) -> Route:
    """A request for a server as it is sent to the proxy: the target is the whole URL, and the proxy's password."""
    raw = head.raw if route.head is None else route.head
    line = _ORIGIN_FORM.match(raw)
    if line is None:
        return route
    method, path, rest = line.groups()
    target = route.origin.url.encode("ascii", "replace") + (b"" if path == b"*" else path)
    changes = [each for each in route.changes if each["what"] != "request target"]
    if target != head.target:
        changes.append(changed("request target", head.target, target))
    before, after = method + target + rest, raw[line.end() :]
    secret = via.authorization
    if secret is None:
        return route._replace(head=before + after, changes=tuple(changes))
    name = b"Proxy-Authorization: "
    changes.append(changed("field Proxy-Authorization", None, b"(not recorded)"))
    return route._replace(
        head=before + name + secret + b"\r\n" + after,
        recorded=before + name + b"*" * len(secret) + b"\r\n" + after,
        changes=tuple(changes),
    )


def refused(via: Via) -> str:
    """What an answer 407 means."""
    why = "demands credentials" if via.user is None else "did not accept the credentials"
    mend = " --via http://USER:PASSWORD@HOST:PORT gives them." if via.user is None else ""
    return f"The proxy {via.url} {why} (407).{mend}"


# ------------------------------------------------------------------------------------------------ tunnels through it


async def tunnel(via: Via, sock: socket.socket, origin: Origin) -> bytes | Failure:
    """Ask the proxy on this connection for one to `origin`; what came behind its yes, or why there is none.

    Raises OSError when the connection breaks.
    """
    connect = _connect if via.scheme == "http" else _socks
    try:
        return await connect(via, sock, origin)
    except EOFError:
        return Failure(502, f"The proxy {via.url} closed the connection before it was connected to {origin}.")


async def _connect(via: Via, sock: socket.socket, origin: Origin) -> bytes | Failure:
    name = str(origin).encode("ascii", "replace")
    request = b"CONNECT " + name + b" HTTP/1.1\r\nHost: " + name + b"\r\n"
    if (secret := via.authorization) is not None:
        request += b"Proxy-Authorization: " + secret + b"\r\n"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request + b"\r\n")
    reader = ResponseReader(max_head=_HEAD)
    reader.expect(b"CONNECT")
    got = b""
    while len(got) <= _HEAD:
        data = await loop.sock_recv(sock, _HEAD)
        if not data:
            raise EOFError
        got += data
        for event in reader.feed(data):
            if isinstance(event, ArrivedResponseHead) and not event.interim:
                return _answered(via, origin, event) or got[event.end :]
    return Failure(502, f"The proxy {via.url} did not answer CONNECT in {_HEAD} bytes.")


def _answered(via: Via, origin: Origin, head: ArrivedResponseHead) -> Failure | None:
    if not head.raw:
        return Failure(502, f"The proxy {via.url} speaks no HTTP/1.")
    if head.status[:1] == b"2":
        return None
    if head.status == b"%d" % _PROXY_AUTHENTICATION:
        return Failure(502, refused(via))
    said = clip(safe(head.status + b" " + head.reason), _SHOWN)
    return Failure(502, f"The proxy {via.url} did not connect to {origin}: it answered {said}.")


async def _socks(via: Via, sock: socket.socket, origin: Origin) -> bytes | Failure:
    loop = asyncio.get_running_loop()
    offered = bytes((_NO_PASSWORD,)) if via.user is None else bytes((_NO_PASSWORD, _PASSWORD))
    await loop.sock_sendall(sock, bytes((_SOCKS, len(offered))) + offered)
    version, method = await _exactly(sock, 2)
    if version != _SOCKS:
        return Failure(502, f"The proxy {via.url} speaks no SOCKS5.")
    if method == _PASSWORD and via.user is not None:
        user, password = via.user, via.password
        await loop.sock_sendall(sock, bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if (await _exactly(sock, 2))[1]:
            return Failure(502, f"The proxy {via.url} did not accept the credentials.")
    elif method != _NO_PASSWORD:
        mend = " --via socks5://USER:PASSWORD@HOST:PORT gives them." if via.user is None else ""
        return Failure(502, f"The proxy {via.url} demands credentials.{mend}")
    address = _address(origin.host)
    if address is None:
        return Failure(502, f"SOCKS5 can't carry a name like {clip(safe(origin.host), _SHOWN)!r}.")
    await loop.sock_sendall(sock, bytes((_SOCKS, 1, 0)) + address + origin.port.to_bytes(2))
    _, reply, _, kind = await _exactly(sock, 4)
    rest = {1: 4, 4: 16}.get(kind)
    await _exactly(sock, (rest if rest is not None else (await _exactly(sock, 1))[0]) + 2)
    if reply:
        why = _REPLIES.get(reply, f"it answered {reply}")
        return Failure(502, f"The proxy {via.url} did not connect to {origin}: {why}.")
    return b""


def _address(host: str) -> bytes | None:
    """ATYP and address (RFC 1928 §5); names are left to the proxy."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            name = host.encode("ascii")
        except UnicodeEncodeError:
            return None
        return bytes((3, len(name))) + name if len(name) < 256 else None
    return bytes((1 if address.version == 4 else 4,)) + address.packed


async def _exactly(sock: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    got = b""
    while len(got) < length:
        data = await loop.sock_recv(sock, length - len(got))
        if not data:
            raise EOFError
        got += data
    return got
