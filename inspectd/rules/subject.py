"""A request as the conditions of rules look at it: each view of it is made once, when the first condition asks.

Nothing here raises, whatever the bytes are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

from inspectd.rules.mirror import path_of
from inspectd.rules.patterns import readable

if TYPE_CHECKING:
    from inspectd.rules.request import Request

Address: TypeAlias = IPv4Address | IPv6Address

# The authority of a target in absolute-form (RFC 9112 §3.2.2), without user information.
_AUTHORITY: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://(?:[^/?#@]*+@)?([^/?#]*+)")
_PORT: Final = re.compile(r":[0-9]*\Z")
_UNREAD: Final = object()
NOT_JSON: Final = object()
"""What `Subject.json` is when the content is no JSON."""


class Subject:
    """One request under test."""

    __slots__ = ("_content", "_host", "_json", "_pairs", "path", "query", "request")

    def __init__(self, request: Request) -> None:
        target = request.head.target
        self.request = request
        self.path, self.query = split_target(target)
        self._content: bytes | None = None
        self._host: str | None = None
        self._pairs: list[tuple[str, str]] | None = None
        self._json: Any = _UNREAD

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query's names and values, decoded as forms are encoded (`+` is a space), in the order they came."""
        if self._pairs is None:
            self._pairs = _pairs(self.query or b"")
        return self._pairs

    @property
    def host(self) -> str:
        """The host that the request is for, in lower case and with its port if sent; empty when it names none.

        In absolute-form it is the target's, whatever Host says (RFC 9112 §3.2.2).
        """
        if self._host is None:
            head = self.request.head
            absolute = _AUTHORITY.match(head.target)
            self._host = readable(absolute[1] if absolute else head.get(b"host") or b"").lower()
        return self._host

    @property
    def content(self) -> bytes:
        """The content as far as it is kept, as UTF-8."""
        if self._content is None:
            self._content = readable(self.request.content).encode()
        return self._content

    @property
    def json(self) -> Any:
        """The content as JSON, or `NOT_JSON`."""
        if self._json is _UNREAD:
            try:
                self._json = msgspec.json.decode(self.request.content)
            except (ValueError, RecursionError):
                self._json = NOT_JSON
        return self._json

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of this name, which is in lower case, in the order they came."""
        head = self.request.head
        if head.plain:
            pattern = _field_pattern(name)
            if pattern is None:
                return []
            return [value.rstrip(b" \t") for value in pattern.findall(head.raw)]
        return [field.value_bytes for field in head.head.fields if field.name_bytes.strip().lower() == name]


def split_target(target: bytes) -> tuple[bytes, bytes | None]:
    """The path and the query of a request target. An absolute-form without a path has the path `/`."""
    path = path_of(target)
    _, mark, query = target.partition(b"#")[0].partition(b"?")
    return path or b"/", query if mark else None


def without_port(host: str) -> str:
    """A host without its port."""
    return _PORT.sub("", host)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    pairs = []
    for piece in query.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(data: bytes) -> str:
    return readable(unquote_to_bytes(data.replace(b"+", b" ")))


@lru_cache(maxsize=512)
def _field_pattern(name: bytes) -> re.Pattern[bytes] | None:
    """Finds the values of a field in a plain head, whose names are tokens and whose values visible ASCII."""
    if not name:
        return None
    return re.compile(rb"\n(?i:" + re.escape(name) + rb"):[\t ]*+([\t -~]*+)")


@lru_cache(maxsize=1024)
def address_of(peer: str) -> Address | None:
    """The address in `127.0.0.1:5000` or `[::1]:5000`; None for a Unix socket. Mapped ones as IPv4."""
    host = _PORT.sub("", peer).strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
