"""Opening listening sockets: addresses as a person writes them, each step noted with its time, clear errors.

`HOST:PORT`, `[IPv6]:PORT`, `PORT`, `:PORT` and `unix:PATH` are understood, and `https://` before all but the
last. A name is resolved, and every address it has is bound. Port 0 asks the system for a free port; all addresses of
one entry then share it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from inspectd.errors import InspectdError

HTTPS: Final = "https://"
PRIVILEGED: Final = 1024
_PORT_TRIES: Final = 16
_FIRST_STEPS: Final = 16
_LAST_STEPS: Final = 100

_EVERY_TCP: Final = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    *([(socket.SOL_SOCKET, socket.SO_REUSEPORT)] if hasattr(socket, "SO_REUSEPORT") else []),
)
_OPTIONS: Final = {
    socket.AF_INET: _EVERY_TCP,
    socket.AF_INET6: (*_EVERY_TCP, (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)),
}
"""What a socket must have in common with the one whose name it takes over."""


class ListenError(InspectdError):
    """A listener can't be opened as asked."""


@dataclass(frozen=True, slots=True)
class Address:
    """One entry of `--listen`, understood. `path` is set for a Unix socket, `host` and `port` otherwise."""

    asked: str
    host: str = ""
    port: int = 0
    path: Path | None = None
    tls: bool = False


@dataclass(slots=True)
class Opened:
    """A listening socket and how it came to be: `steps` holds (ns, call, detail)."""

    sock: socket.socket
    address: str
    asked: str
    opened_ns: int
    steps: list[tuple[int, str, str]] = field(default_factory=list)
    path: Path | None = None
    inode: tuple[int, int] | None = None
    """Device and number of the file at `path`, by which a file that took its place is told apart."""
    tls: bool = False
    """It speaks TLS; `address` then begins with `https://`."""
    _name: Any = field(init=False, repr=False)
    _options: list[tuple[int, int, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._name = str(self.path) if self.path is not None else self.sock.getsockname()
        self._options = [
            (level, option, self.sock.getsockopt(level, option))
            for level, option in _OPTIONS.get(self.sock.family, ())
        ]

    @property
    def loopback(self) -> bool:
        """Only programs on this machine can reach it."""
        if self.path is not None:
            return True
        host = self.host.split("%")[0]
        return ipaddress.ip_address(host).is_loopback

    @property
    def host(self) -> str:
        """The IP address it was bound to; empty for a Unix socket."""
        return "" if self.path is not None else str(self._name[0])

    @property
    def listening(self) -> bool:
        """The kernel takes connections on it."""
        return self.sock.fileno() >= 0 and bool(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def listen(self, backlog: int, why: str) -> None:
        """Listen (again) with this many places in the queue. Raises OSError when another has taken the address."""
        if self.sock.fileno() < 0:
            self._bind_again()
        self.sock.listen(backlog)
        self.note("listen", f"backlog {backlog}: {why}")

    def unlisten(self, why: str) -> None:
        """Stop listening and keep the address: the kernel refuses connections to a socket that is only bound.

        Raises OSError when the address is lost to another program.
        """
        self._bind_again()
        self.note("bind", f"without listening: {why}")

    def _bind_again(self) -> None:
        """A new socket takes the place of the one there was, bound to the same name."""
        family = self.sock.family
        self.sock.close()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)  # noqa: FBT003
            for level, option, value in self._options:
                sock.setsockopt(level, option, value)
            if self.path is not None:
                self._remove_name()
            sock.bind(self._name)
            if self.path is not None:
                self.inode = _inode(self.path)
        except OSError:
            sock.close()
            raise
        self.sock = sock

    def _remove_name(self) -> None:
        """Take a Unix socket's name off the file system, unless it is another's by now."""
        assert self.path is not None
        with contextlib.suppress(OSError):
            if _inode(self.path) == self.inode:
                self.path.unlink()

    def note(self, call: str, detail: str) -> None:
        """Add to the steps; of very many, the first and the last are kept."""
        self.steps.append((time.time_ns(), call, detail))
        del self.steps[_FIRST_STEPS:-_LAST_STEPS]

    def close(self) -> None:
        """Close the socket and take a Unix socket's name off the file system, unless it is another's by now."""
        self.sock.close()
        if self.path is not None:
            self._remove_name()


def parse(text: str) -> Address:
    """Understand one address. Raises ListenError (exit code 2) that says how to write it."""
    if text.startswith("unix:"):
        if not text[5:]:
            raise _usage(text, "names no path")
        try:
            return Address(text, path=Path(text[5:]).expanduser())
        except RuntimeError as problem:
            raise _usage(text, "names the home of nobody known here") from problem
    if text.lower().startswith(HTTPS):
        place = _parse_place(text, text[len(HTTPS) :].removesuffix("/"))
        return Address(text, host=place.host, port=place.port, tls=True)
    if "://" in text:
        raise _usage(text, "is a URL, not an address")
    return _parse_place(text, text)


def _parse_place(asked: str, text: str) -> Address:
    """Understand host and port, in what was `asked` for. Raises ListenError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        if not port.isdigit():
            raise _usage(asked, "has no port")
        host = "127.0.0.1"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _usage(asked, "is an IPv6 address without brackets")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise _usage(asked, f"has no port between 0 and 65535 ({port!r})")
    return Address(asked, host=host or "0.0.0.0", port=int(port))  # noqa: S104  `:8080` asks for every address


def _usage(text: str, why: str) -> ListenError:
    mend = "write HOST:PORT (127.0.0.1:8080, [::1]:8080, localhost:0), a bare PORT, https:// before these, or unix:PATH"
    return ListenError(f"--listen {text!r} {why}", mend, exit_code=2)


def open_all(
    asked: tuple[str, ...], *, backlog: int, reuse_port: bool, defaults: bool = False, remote: bool = True
) -> list[Opened]:
    """Bind and listen on every address, or raise ListenError and leave none open.

    With `defaults`, an address family that this machine lacks is passed over while another one works. Without
    `remote`, addresses that other machines can reach are refused.
    """
    opened: list[Opened] = []
    absent: list[ListenError] = []
    try:
        for text in asked:
            try:
                opened += _open(
                    parse(text), backlog=backlog, reuse_port=reuse_port, everywhere=_wildcards(asked)
                )
            except ListenError as problem:
                if not (
                    defaults
                    and isinstance(problem.__cause__, OSError)
                    and problem.__cause__.errno in _NO_FAMILY
                ):
                    raise
                absent.append(problem)
        if not opened:
            raise absent[0] if absent else _usage("", "names no address")
        if not remote and (reachable := next((one for one in opened if not one.loopback), None)) is not None:
            raise ListenError(
                f"--listen {reachable.asked}: other machines could use this proxy, and reach what this one reaches",
                "listen on 127.0.0.1 or [::1], or say --allow-remote",
                exit_code=2,
            )
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


_NO_FAMILY: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def _wildcards(asked: tuple[str, ...]) -> bool:
    """IPv4's wildcard address is asked for as well, so an IPv6 wildcard must not take its port too."""
    return any(text.removeprefix(HTTPS).startswith(("0.0.0.0:", ":")) for text in asked)


def _open(address: Address, *, backlog: int, reuse_port: bool, everywhere: bool) -> list[Opened]:
    if address.path is not None:
        return [_open_unix(address, address.path, backlog)]
    candidates = _resolve(address)
    for _ in range(_PORT_TRIES):
        opened: list[Opened] = []
        port = address.port
        try:
            for family, host in candidates:
                listener = _open_tcp(
                    address, family, host, port, backlog, reuse_port=reuse_port, alone=everywhere
                )
                opened.append(listener)
                port = listener.sock.getsockname()[1]
        except ListenError as problem:
            for listener in opened:
                listener.close()
            taken = isinstance(problem.__cause__, OSError) and problem.__cause__.errno == errno.EADDRINUSE
            if address.port == 0 and opened and taken:
                continue  # the free port of the first address is taken on the second: ask for another
            if opened and isinstance(problem.__cause__, OSError) and problem.__cause__.errno in _NO_FAMILY:
                candidates = candidates[:1]  # the name has an address this machine can't use
                continue
            raise
        else:
            return opened
    raise ListenError(f"--listen {address.asked}: no port is free on all of its addresses", "name a port")


def _resolve(address: Address) -> list[tuple[socket.AddressFamily, str]]:
    with contextlib.suppress(OSError, ValueError):
        socket.inet_pton(socket.AF_INET, address.host)
        return [(socket.AF_INET, address.host)]
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise ListenError(
            f"--listen {address.asked}: no such host: {address.host} ({why})",
            "use a name or an address of this machine, for example 127.0.0.1, ::1 or localhost",
        ) from problem
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _open_tcp(
    address: Address,
    family: socket.AddressFamily,
    host: str,
    port: int,
    backlog: int,
    *,
    reuse_port: bool,
    alone: bool,
) -> Opened:
    steps: list[tuple[int, str, str]] = []

    def note(call: str, detail: str) -> None:
        steps.append((time.time_ns(), call, detail))

    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as problem:
        raise _cannot(address, host, port, problem) from problem
    try:
        note(
            "socket",
            f"{family.name}, SOCK_STREAM: TCP over {'IPv6' if family == socket.AF_INET6 else 'IPv4'}",
        )
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        note("setsockopt", "SO_REUSEADDR: bind although old connections of this port are in TIME-WAIT")
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            note("setsockopt", "SO_REUSEPORT: share the port with other sockets that ask for it too")
        if family == socket.AF_INET6:
            both = host == "::" and not alone
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
            note("setsockopt", f"IPV6_V6ONLY: {'off, IPv4 clients come here too' if both else 'on'}")
        sock.bind((host, port))
        bound = render(sock.getsockname())
        note("bind", bound)
        sock.listen(backlog)
        note("listen", f"backlog {backlog}")
        sock.setblocking(False)  # noqa: FBT003
    except OSError as problem:
        sock.close()
        raise _cannot(address, host, port, problem) from problem
    if address.tls:
        bound = f"{HTTPS}{bound}"
    return Opened(sock, bound, address.asked, steps[0][0], steps, tls=address.tls)


def _open_unix(address: Address, path: Path, backlog: int) -> Opened:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    steps = [(time.time_ns(), "socket", "AF_UNIX, SOCK_STREAM: a stream between programs of this machine")]
    try:
        _remove_stale(path)
        sock.bind(str(path))
        inode = _inode(path)
        steps.append((time.time_ns(), "bind", str(path)))
        sock.listen(backlog)
        steps.append((time.time_ns(), "listen", f"backlog {backlog}"))
        sock.setblocking(False)  # noqa: FBT003
    except OSError as problem:
        sock.close()
        mend = {
            errno.EADDRINUSE: "another program listens there, or the path is an ordinary file; name another path",
            errno.ENOENT: f"make the folder first: mkdir -p {path.parent}",
            errno.EACCES: "name a path in a folder you may write to",
        }.get(problem.errno or 0, "a path may be about 100 bytes long; name a shorter one")
        raise ListenError(f"--listen {address.asked}: {problem.strerror or problem}", mend) from problem
    asked = render(address.asked.removeprefix("unix:"))
    return Opened(sock, render(str(path)), asked, steps[0][0], steps, path, inode)


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _remove_stale(path: Path) -> None:
    """Take away a socket file that nobody listens on any more; anything else is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _cannot(address: Address, host: str, port: int, problem: OSError) -> ListenError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    shown = where if where == address.asked else f"{address.asked} ({where})"
    if problem.errno == errno.EADDRINUSE:
        free = f"choose another port, for example --listen {where.rpartition(':')[0]}:0 for a free one"
        return ListenError(f"--listen {shown}: the port is taken by another program", f"stop it, or {free}")
    if problem.errno in {errno.EACCES, errno.EPERM} and 0 < port < PRIVILEGED:
        mend = f"take a port from {PRIVILEGED} on, for example {port + 8000}"
        return ListenError(
            f"--listen {shown}: ports below {PRIVILEGED} need rights you don't have here", mend
        )
    if problem.errno in _NO_FAMILY:
        mend = "use an address of this machine (see `ip address`), 127.0.0.1, or 0.0.0.0 for all"
        return ListenError(f"--listen {shown}: this machine has no such address", mend)
    return ListenError(f"--listen {shown}: {problem.strerror or os.strerror(problem.errno or 0)}")


def render(name: object) -> str:
    """A socket's own or peer name as people write it; a Unix peer usually has none."""
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    raw = name if isinstance(name, bytes) else os.fsencode(str(name or ""))
    return f"unix:{raw.decode('utf-8', 'backslashreplace')}" if raw else "unix"


def reach(opened: Opened) -> str | None:
    """One sentence on who can reach a listener that isn't on the loopback address; None for one that is."""
    if opened.loopback:
        return None
    host = opened.host
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        return f"{opened.address}: every machine that can reach any address of this one can connect"
    return f"{opened.address}: every machine that can reach {host} can connect"
