"""Where the requests went that were read in a tunnel: their own targets are only paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from inspectd.capture.model import ConnectionRow, ExchangeRow, TlsRow


# What the label of a CONNECT ends with whose tunnel was looked into.
_READ_IN: Final = re.compile(r", read as .* in (c\d+)\Z")


class Rows(Protocol):
    """The part of `inspectd.capture.reader.Capture` that is needed here."""

    def connection(self, number: int, /) -> ConnectionRow | None: ...
    def tls(self, connection: int, /) -> TlsRow | None: ...


def scheme_of(connection: ConnectionRow | None, tls: TlsRow | None) -> str | None:
    """`https://` or `http://` for a connection that was read in a tunnel; None for one of its own."""
    if connection is None or connection.inside is None:
        return None
    return "http://" if tls is None else "https://"


def read_in(row: ExchangeRow) -> str | None:
    """`c12`: the connection that was read in the tunnel which this CONNECT opened; None of every other exchange."""
    found = _READ_IN.search(row.label) if row.method == "CONNECT" and row.label else None
    return None if found is None else found[1]


def scheme_in_tunnel(capture: Rows, connection: ConnectionRow | None) -> str | None:
    """The same, with what the capture says of its encryption."""
    inside = connection is not None and connection.inside is not None
    return scheme_of(connection, capture.tls(connection.id)) if inside and connection is not None else None


def whole_target(row: ExchangeRow, scheme: str | None) -> str:
    """The target of a request, with the server before it when it was read in a tunnel; text as it came, unsafe."""
    target = row.target or ""
    if scheme is None or not row.host or "://" in target.partition("?")[0]:
        return target
    return f"{scheme}{row.host}{target if target.startswith('/') else f'/{target}'}"


def url_in_tunnel(capture: Rows, row: ExchangeRow) -> str | None:
    """The URL of an exchange that was read in a tunnel; None for another one."""
    scheme = scheme_in_tunnel(capture, capture.connection(row.connection))
    return None if scheme is None else whole_target(row, scheme)
