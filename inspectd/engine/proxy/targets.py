"""What a forward proxy makes of a request: the server that its target names, and the head that is sent there.

Only what a proxy has to change is changed (RFC 9112 §3.2): an absolute target becomes the origin form, Host is the
target's, and fields that are meant for the proxy stay here. Every other byte of the head is sent as it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.engine.proxy.routes import OFFERED_AT, Change, Failure, Origin, Route, changed, read_authority

if TYPE_CHECKING:
    from inspectd.wire import ArrivedHead

# absolute-URI of the scheme http: authority, then what the origin form is made of (RFC 3986 §4.3)
_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*+)://([^/?#]*+)(.*)", re.DOTALL)
_FOR_PROXIES: Final = b"proxy-"
_SHOWN: Final = 200

NOT_FOR_A_PROXY: Final = (
    "This is a proxy, and the request names no server: set it as the proxy of a client, for example "
    f"curl -x http://HOST:PORT http://example.test/. Through it, http://{OFFERED_AT}/ offers the certificate of its CA."
)


class _Edit(NamedTuple):
    """Bytes of a head, counted from its first one, and what is sent instead."""

    start: int
    end: int
    new: bytes


def named(head: ArrivedHead) -> Route | Failure:
    """Where the target of a request says that it goes."""
    if head.method == b"CONNECT":
        origin = _authority(head.target, None)
        if origin is None:
            return Failure(400, f"CONNECT names no HOST:PORT to connect to: {_text(head.target)!r}.")
        return Route(origin, tunnel=True)
    absolute = _ABSOLUTE.fullmatch(head.target)
    if absolute is None:
        return Failure(400, NOT_FOR_A_PROXY)
    scheme, authority, rest = absolute.groups()
    if scheme.lower() != b"http":
        return Failure(
            501, f"Targets of the scheme {_text(scheme)!r} are not forwarded: clients use CONNECT for https."
        )
    authority = authority.rpartition(b"@")[2]  # user information is for the client (RFC 9110 §4.2.4)
    origin = _authority(authority, 80)
    if origin is None:
        return Failure(400, f"The target names no host: {_text(head.target)!r}.")
    return _rewritten(head, origin, authority, rest)


def _authority(text: bytes, port: int | None) -> Origin | None:
    try:
        return read_authority(text.decode("ascii"), port)
    except UnicodeDecodeError:
        return None


def _text(data: bytes) -> str:
    return data[:_SHOWN].decode("ascii", "backslashreplace")


def _rewritten(head: ArrivedHead, origin: Origin, authority: bytes, rest: bytes) -> Route:
    """The head in origin form."""
    whole = head.head
    base = head.start
    if rest.startswith(b"/"):
        target = rest
    elif not rest and head.method == b"OPTIONS":
        target = b"*"  # RFC 9112 §3.2.4
    else:
        target = b"/" + rest
    edits: list[_Edit] = []
    changes: list[Change] = []
    if whole.target is not None:
        edits.append(_Edit(whole.target[0] - base, whole.target[1] - base, target))
        changes.append(changed("request target", head.target, target))
    host_seen = False
    for field in whole.fields:
        name = field.name_bytes.lower()
        if name.startswith(_FOR_PROXIES):
            edits.append(_Edit(field.start - base, field.end - base, b""))
            changes.append(changed(f"field {field.name_bytes.decode('latin-1')}", field.value_bytes, None))
        elif name == b"host" and not host_seen:
            host_seen = True
            if not _same_host(field.value_bytes, authority):
                start = field.value[0][0] if field.value else field.name[1] + 1
                end = field.value[-1][1] if field.value else start
                edits.append(_Edit(start - base, end - base, authority))
                changes.append(changed("Host", field.value_bytes, authority))
    if not host_seen and head.version == b"HTTP/1.1":
        line_end = head.raw.find(b"\n") + 1
        edits.append(_Edit(line_end, line_end, b"Host: " + authority + b"\r\n"))
        changes.append(changed("Host", None, authority))
    return Route(origin, _edited(head.raw, edits), tuple(changes))


def _same_host(value: bytes, authority: bytes) -> bool:
    return value.lower().removesuffix(b":80") == authority.lower().removesuffix(b":80")


def _edited(raw: bytes, edits: list[_Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for edit in sorted(edits):
        pieces += (raw[at : edit.start], edit.new)
        at = edit.end
    return b"".join([*pieces, raw[at:]])
