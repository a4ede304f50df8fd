"""What behaviours read from a request: field values, the path and the query as they were sent.

Every function takes any head at all. What goes back into a field line from here is visible ASCII, so that nothing a
client sends can end a line of the answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from inspectd.rules.request import Request

_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?#]*+")
_NOT_VISIBLE: Final = re.compile(rb"[^!-~]")
_VISIBLE: Final = re.compile(rb"[!-~]++")
QUERY_FIELDS: Final = 1000
"""Parts of a query that are read at most."""


def values(request: Request, name: bytes) -> list[bytes]:
    """The values of all fields of this name (in lower case), in order, folds as one SP."""
    head = request.head
    if head.plain and head.get(name) is None:
        return []
    return head.head.get(name)


def value(request: Request, name: bytes) -> bytes | None:
    """The value of the only field of this name; None when there is none, or more than one."""
    found = values(request, name)
    return found[0] if len(found) == 1 else None


def origin_form(request: Request) -> tuple[bytes, bytes]:
    """The path and the query of the request target (RFC 9112 §3.2), without the `?` and without a fragment."""
    target = request.head.target
    if not target.startswith(b"/") and (absolute := _ABSOLUTE.match(target)):
        target = target[absolute.end() :]
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return path or b"/", query


def own_path(request: Request) -> bytes:
    """The path of the request, fit for a Location that leads back to it.

    What isn't visible ASCII is percent-encoded, and a path that begins with `//` gets `/.` before it: it would name
    another host (RFC 3986 §4.2).
    """
    path = visible(origin_form(request)[0])
    if path.startswith(b"//"):
        return b"/." + path
    return path if path.startswith(b"/") else b"/" + path


def visible(data: bytes) -> bytes:
    """`data` with everything but visible ASCII percent-encoded."""
    return _NOT_VISIBLE.sub(lambda found: b"%%%02X" % found[0][0], data)


def is_visible(data: bytes) -> bool:
    """Whether there is nothing but visible ASCII in it, and at least one character."""
    return _VISIBLE.fullmatch(data) is not None


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """The names and values of a query (application/x-www-form-urlencoded), undecodable bytes as surrogate escapes."""
    pieces = query.split(b"&", QUERY_FIELDS)[:QUERY_FIELDS]
    return parse_qsl(
        b"&".join(pieces).decode("utf-8", "surrogateescape"),
        keep_blank_values=True,
        errors="surrogateescape",
        encoding="utf-8",
    )
