"""What a forward proxy makes of a request: the server that its target names, and the head that is sent there.

Only what a proxy has to change is changed (RFC 9112 §3.2): an absolute target becomes the origin form, Host is the
target's, and fields that are meant for the proxy stay here. Every other byte of the head is sent as it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.engine.proxy.routes import (
    OFFERED_AT,
    PORTS,
    Change,
    Failure,
    Origin,
    Route,
    changed,
    read_authority,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.wire import ArrivedHead

# absolute-URI of the schemes http and https: authority, then what the origin form is made of (RFC 3986 §4.3)
_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*+)://([^/?#]*+)(.*)", re.DOTALL)
_FOR_PROXIES: Final = b"proxy-"
# The lines of these fields in a head that is known to be grammatical.
_PLAIN_LINES: Final = re.compile(rb"\n((?i:host|proxy-[^:\n]*+)):[\t ]*+([\t -~]*+)(?=\r\n)")
_SHOWN: Final = 200

NOT_FOR_A_PROXY: Final = (
    "This is a proxy, and the request names no server: set it as the proxy of a client, for example "
    f"curl -x {{proxy}} http://example.test/. Through it, http://{OFFERED_AT}/ offers the certificate of its CA."
)


class _Edit(NamedTuple):
    """Bytes of a head, counted from its first one, and what is sent instead."""

    start: int
    end: int
    new: bytes


class _Line(NamedTuple):
    """A field line, and where it and its value are, counted from the head's first byte."""

    name: bytes
    value: bytes
    start: int
    end: int
    value_start: int
    value_end: int


def named(head: ArrivedHead, proxy: Callable[[], str]) -> Route | Failure:
    """Where the target of a request says that it goes. `proxy` gives the URL of this one, for whom it goes nowhere."""
    if head.method == b"CONNECT":
        origin = _authority(head.target, None)
        if origin is None:
            return Failure(400, f"CONNECT names no HOST:PORT to connect to: {_text(head.target)!r}.")
        return Route(origin, tunnel=True)
    absolute = _ABSOLUTE.fullmatch(head.target)
    if absolute is None:
        return Failure(400, NOT_FOR_A_PROXY.format(proxy=proxy()))
    scheme, authority, rest = absolute.groups()
    port = PORTS.get(scheme.lower().decode("ascii"))
    if port is None:
        return Failure(
            501, f"Targets of the scheme {_text(scheme)!r} are not forwarded, only http and https."
        )
    authority = authority.rpartition(b"@")[2]  # user information is for the client (RFC 9110 §4.2.4)
    origin = _authority(authority, port)
    if origin is None:
        return Failure(400, f"The target names no host: {_text(head.target)!r}.")
    return _rewritten(head, origin._replace(tls=port == PORTS["https"]), authority, rest)


def _authority(text: bytes, port: int | None) -> Origin | None:
    try:
        return read_authority(text.decode("ascii"), port)
    except UnicodeDecodeError:
        return None


def _text(data: bytes) -> str:
    return data[:_SHOWN].decode("ascii", "backslashreplace")


def _rewritten(head: ArrivedHead, origin: Origin, authority: bytes, rest: bytes) -> Route:
    """The head in origin form."""
    if rest.startswith(b"/"):
        target = rest
    elif not rest and head.method == b"OPTIONS":
        target = b"*"  # RFC 9112 §3.2.4
    else:
        target = b"/" + rest
    edits: list[_Edit] = []
    changes: list[Change] = []
    place = _target_at(head)
    if place is not None:
        edits.append(_Edit(*place, target))
        changes.append(changed("request target", head.target, target))
    host_seen = False
    for line in _lines(head):
        name = line.name.lower()
        if name.startswith(_FOR_PROXIES):
            edits.append(_Edit(line.start, line.end, b""))
            changes.append(changed(f"field {line.name.decode('latin-1')}", line.value, None))
        elif name == b"host" and not host_seen:
            host_seen = True
            if not _same_host(line.value, authority, origin):
                edits.append(_Edit(line.value_start, line.value_end, authority))
                changes.append(changed("Host", line.value, authority))
    if not host_seen and head.version == b"HTTP/1.1":
        line_end = head.raw.find(b"\n") + 1
        edits.append(_Edit(line_end, line_end, b"Host: " + authority + b"\r\n"))
        changes.append(changed("Host", None, authority))
    return Route(origin, _edited(head.raw, edits), tuple(changes))


def _target_at(head: ArrivedHead) -> tuple[int, int] | None:
    """Where the target is, counted from the head's first byte."""
    if head.plain:
        start = len(head.method) + 1
        return start, start + len(head.target)
    place = head.head.target
    return None if place is None else (place[0] - head.start, place[1] - head.start)


def _lines(head: ArrivedHead) -> Iterator[_Line]:
    """The field lines that may have to be changed. Of a plain head they can be told without reading all of it."""
    if head.plain:
        for found in _PLAIN_LINES.finditer(head.raw):
            value = found[2].rstrip(b"\t ")
            start = found.start(2) if value else found.end(1) + 1
            yield _Line(found[1], value, found.start() + 1, found.end() + 2, start, start + len(value))
        return
    base = head.start
    for field in head.head.fields:
        start = field.value[0][0] if field.value else field.name[1] + 1
        end = field.value[-1][1] if field.value else start
        yield _Line(
            field.name_bytes,
            field.value_bytes,
            field.start - base,
            field.end - base,
            start - base,
            end - base,
        )


def _same_host(value: bytes, authority: bytes, origin: Origin) -> bool:
    default = b":443" if origin.tls else b":80"
    return value.lower().removesuffix(default) == authority.lower().removesuffix(default)


def _edited(raw: bytes, edits: list[_Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for edit in sorted(edits):
        pieces += (raw[at : edit.start], edit.new)
        at = edit.end
    return b"".join([*pieces, raw[at:]])
