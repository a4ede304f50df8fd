"""Shapes of values that follow a grammar of their own: URLs, products, ranges, dates, validators, credentials.

As in `shapes`, the sentences are in the data files and only numbers and names are filled in here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inspectd.explain.names import clip
from inspectd.explain.shapes import counted, each, looked_up, parameters, part, said, span_of_time
from inspectd.explain.splitting import (
    MOST_PARTS,
    Slice,
    elements,
    inner,
    pair,
    products,
    unquoted,
    whole,
    words,
)

if TYPE_CHECKING:
    from inspectd.explain.model import Explanation, Part
    from inspectd.explain.registry import FieldEntry
    from inspectd.explain.shapes import Shape

# Patterns stay text until they are used: compiling them would cost every start of the program.
# URI = scheme ":" [ "//" authority ] path [ "?" query ] [ "#" fragment ], RFC 3986 §3
_URL = r"(?s)([A-Za-z][A-Za-z0-9+.-]{0,30}):(?://([^/?#]*+))?([^?#]*+)(?:\?([^#]*+))?(?:#(.*+))?"
# authority = [ userinfo "@" ] host [ ":" port ], RFC 3986 §3.2
_AUTHORITY = r"(?s)(?:(.*)@)?(\[[^\]]*+\]|[^:]*+)(?::(\d*+))?"
_LOOPBACK = r"(?i)(?:.*\.)?localhost|127(?:\.\d{1,3}){3}|\[?::1\]?"
# IMF-fixdate, RFC 9110 §5.6.7
_DATE = (
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) "
    r"(\d\d):(\d\d):(\d\d) GMT"
)
_OLD_DATE = (
    r"[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d "
)
_TRACE = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"


def loopback(host: str) -> bool:
    """Return whether a host name or address, without port, can only be this machine."""
    return len(host) <= 255 and re.fullmatch(_LOOPBACK, host) is not None


def authority(piece: Slice) -> list[Part]:
    """Return the host and port of an authority."""
    found: list[Part] = []
    match = re.fullmatch(_AUTHORITY, piece.text[:2048])
    if match is None:
        return [part(piece, "host", said("host-odd", piece.text))]
    at = piece.start
    if match.group(1) is not None:
        user = Slice(at, at + match.end(1), match.group(1))
        found.append(part(user, "userinfo", said("userinfo", user.text)))
    host = Slice(at + match.start(2), at + match.end(2), match.group(2))
    if host.text:
        found.append(part(host, "host", _host(host.text)))
    if match.group(3):
        port = Slice(at + match.start(3), at + match.end(3), match.group(3))
        found.append(
            part(
                port,
                "port",
                looked_up("ports", port.text) or said("port", port.text, port=clip(port.text, 12)),
            )
        )
    return found


def _host(host: str) -> Explanation:
    if loopback(host):
        return said("host-loopback", host)
    if host.startswith("["):
        return said("host-ipv6", host)
    if re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){3}", host):
        return said("host-ipv4", host)
    if host.lower().endswith((".test", ".example", ".invalid", ".local")):
        return said("host-special", host, ending=host.rpartition(".")[2].lower())
    return said("host-name", host)


def host(_entry: FieldEntry, value: str) -> list[Part]:
    """Host: a host and, unless it is the default one, a port."""
    piece = whole(value)
    return authority(piece) if piece.text else []


def url(entry: FieldEntry, value: str) -> list[Part]:
    """A URL in its parts: Referer, Location; a relative reference is a path and a query."""
    piece = whole(value)
    if not piece.text:
        return []
    known = looked_up(entry.values, piece.text)
    if known is not None:
        return [part(piece, entry.label, known)]
    match = re.fullmatch(_URL, piece.text)
    found: list[Part] = []
    at = piece.start
    if match is None:
        path, mark, query = piece.text.partition("?")
        if path:
            found.append(part(Slice(at, at + len(path), path), "path", said("url-path-relative", path)))
        if mark:
            found.append(part(Slice(at + len(path) + 1, piece.end, query), "query", said("url-query", query)))
        return found
    scheme = Slice(at, at + match.end(1), match.group(1))
    found.append(part(scheme, "scheme", looked_up("schemes", scheme.text)))
    if match.group(2):
        found += authority(Slice(at + match.start(2), at + match.end(2), match.group(2)))
    for group, label in ((3, "path"), (4, "query"), (5, "fragment")):
        content = match.group(group)
        if content:
            place = Slice(at + match.start(group), at + match.end(group), content)
            found.append(part(place, label, said(f"url-{label}", content)))
    return found


def product_list(entry: FieldEntry, value: str) -> list[Part]:
    """Products and comments: User-Agent, Server."""

    def product(piece: Slice) -> list[Part]:
        if piece.text.startswith("("):
            return _comment(entry, piece)
        name, slash, version = piece.text.partition("/")
        known = looked_up(entry.values, piece.text) or looked_up(entry.values, name, piece.text)
        if known is None:
            key = "product-version" if slash else "product"
            known = said(key, piece.text, name=clip(name), version=clip(version, 24))
        return [part(piece, entry.label, known)]

    return each(products(value), product)


def _comment(entry: FieldEntry, piece: Slice) -> list[Part]:
    """Return the statements of a comment: the platform, the processor, the engine's revision."""
    closed = piece.text.endswith(")")
    body = Slice(piece.start + 1, piece.end - closed, piece.text[1 : len(piece.text) - closed])
    found = []
    for statement in inner(body, ";"):
        first = words(statement)[:1]
        key = first[0].text.partition("/")[0] if first else ""
        known = looked_up(entry.parameters, statement.text) or looked_up(
            entry.parameters, key, statement.text
        )
        if known is None and statement.text.startswith("rv:"):
            known = looked_up(entry.parameters, "rv", statement.text)
        found.append(part(statement, "comment", known))
    return found


def byte_range(_entry: FieldEntry, value: str) -> list[Part]:
    """Range: a unit and its ranges."""
    # Range = range-unit "=" range-set ; int-range = first-pos "-" [ last-pos ] ; suffix-range = "-" suffix-length
    unit, content = pair(whole(value))
    if not unit.text:
        return []
    found = [part(unit, "unit", looked_up("range-units", unit.text) or said("range-unit-unknown", unit.text))]
    for piece in inner(content, ",") if content is not None else []:
        first, dash, last = piece.text.partition("-")
        if not dash or not re.fullmatch(r"\d*-\d*", piece.text) or piece.text == "-":
            meaning = said("range-malformed", piece.text)
        elif not first:
            meaning = said("range-suffix", piece.text, count=clip(last, 20))
        elif not last:
            meaning = said("range-open", piece.text, first=clip(first, 20))
        else:
            meaning = said("range-closed", piece.text, first=clip(first, 20), last=clip(last, 20))
        found.append(part(piece, "range", meaning))
    return found[:MOST_PARTS]


def content_range(_entry: FieldEntry, value: str) -> list[Part]:
    """Content-Range: which part of how much this content is."""
    pieces = words(whole(value))
    found = [part(pieces[0], "unit", looked_up("range-units", pieces[0].text))] if pieces else []
    for piece in pieces[1:2]:
        span, slash, complete = piece.text.partition("/")
        if span == "*":
            meaning = said("content-range-none", piece.text, complete=clip(complete, 20))
        elif slash and complete == "*":
            meaning = said("content-range-unknown", piece.text, span=clip(span, 40))
        else:
            meaning = said("content-range", piece.text, span=clip(span, 40), complete=clip(complete, 20))
        found.append(part(piece, "range", meaning))
    return found


def date(entry: FieldEntry, value: str) -> list[Part]:
    """A date, or a number of seconds where Retry-After allows one."""
    piece = whole(value)
    if not piece.text:
        return []
    if re.fullmatch(_DATE, piece.text):
        key = "date"
    elif re.match(_OLD_DATE, piece.text):
        key = "date-obsolete"
    elif span_of_time(piece.text) and entry.label == "delay":
        return [part(piece, "delay", said("delay", piece.text, time=span_of_time(piece.text)))]
    else:
        key = "date-malformed"
    return [part(piece, "date", said(key, piece.text))]


def validators(_entry: FieldEntry, value: str) -> list[Part]:
    """Entity tags, or a date where If-Range allows one: ETag, If-Match, If-None-Match, If-Range."""
    # entity-tag = [ weak ] opaque-tag ; weak = %s"W/" ; opaque-tag = DQUOTE *etagc DQUOTE
    piece = whole(value)
    if re.fullmatch(_DATE, piece.text):
        return [part(piece, "date", said("date", piece.text))]
    found = []
    for tag in elements(value):
        if tag.text == "*":
            meaning = said("etag-any", tag.text)
        elif re.fullmatch(r'W/"[^"]*"', tag.text):
            meaning = said("etag-weak", tag.text)
        elif re.fullmatch(r'"[^"]*"', tag.text):
            meaning = said("etag-strong", tag.text)
        else:
            meaning = said("etag-malformed", tag.text)
        found.append(part(tag, "entity tag", meaning))
    return found


def number(entry: FieldEntry, value: str) -> list[Part]:
    """A number with a unit, which the entry's label names: Content-Length, Age, DPR, RTT."""
    found = []
    for piece in elements(value):
        known = looked_up(entry.values, piece.text)
        if known is None and re.fullmatch(r"\d{1,19}", piece.text) and entry.label == "seconds":
            known = said("seconds", piece.text, time=span_of_time(piece.text) or piece.text)
        elif known is None and re.fullmatch(r"\d{1,19}", piece.text) and entry.label == "bytes":
            known = said("bytes", piece.text, size=_size(int(piece.text)))
        elif (
            known is None and entry.label != "bytes" and re.fullmatch(r"-?\d{1,15}(?:\.\d{1,6})?", piece.text)
        ):
            known = said("number", piece.text, unit=entry.label, number=piece.text)
        elif known is None:
            known = said("number-malformed", piece.text)
        found.append(part(piece, entry.label, known))
    return found


def _size(count: int) -> str:
    if count < 1024:
        return counted(count, "byte")
    size = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024:
            return f"{count:,} bytes ({size:.1f} {unit})"
    return f"{count:,} bytes"


def credentials(entry: FieldEntry, value: str) -> list[Part]:
    """An authentication scheme with its credentials or challenge parameters."""
    # credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
    piece = whole(value)
    scheme, _, _ = piece.text.partition(" ")
    if not scheme:
        return []
    name = Slice(piece.start, piece.start + len(scheme), scheme)
    found = [part(name, "scheme", looked_up("auth-schemes", scheme) or said("auth-scheme-unknown", scheme))]
    rest = Slice(name.end, piece.end, piece.text[len(scheme) :])
    for content in inner(rest, ","):
        named = re.match(r"[A-Za-z][A-Za-z0-9_-]*\s*=(?!=*$)", content.text)
        if named:
            found += parameters(entry, [content])
        elif scheme.lower() == "basic":
            found.append(part(content, "credentials", _basic(content.text)))
        elif content.text.startswith("eyJ") and content.text.count(".") == 2:
            found.append(part(content, "credentials", said("credentials-jwt", "token")))
        else:
            found.append(part(content, "credentials", said("credentials", "credentials")))
    return found[:MOST_PARTS]


def _basic(text: str) -> Explanation:
    import base64
    import binascii

    try:
        plain = base64.b64decode(text[:1024].encode("latin-1"), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return said("credentials-basic-malformed", "credentials")
    user, colon, password = plain.partition(":")
    if not colon:
        return said("credentials-basic-malformed", "credentials")
    return said(
        "credentials-basic", "credentials", user=clip(user), length=counted(len(password), "character")
    )


def trace_parent(_entry: FieldEntry, value: str) -> list[Part]:
    """Traceparent: version, trace, parent and flags."""
    piece = whole(value)
    match = re.fullmatch(_TRACE, piece.text)
    if match is None:
        return [part(piece, "traceparent", said("trace-malformed", piece.text))] if piece.text else []
    sampled = int(match.group(4), 16) & 1
    keys = ("trace-version", "trace-id", "trace-span", "trace-sampled" if sampled else "trace-unsampled")
    return [
        part(
            Slice(piece.start + match.start(group), piece.start + match.end(group), match.group(group)),
            label,
            said(key, match.group(group)),
        )
        for group, label, key in zip((1, 2, 3, 4), ("version", "trace", "parent", "flags"), keys, strict=True)
    ]


def links(entry: FieldEntry, value: str) -> list[Part]:
    """Targets in angle brackets and what they are to this resource: Link."""

    def link(piece: Slice) -> list[Part]:
        first, *rest = inner(piece, ";", angles=True) or [piece]
        return [part(first, "target", said("link-target", first.text)), *parameters(entry, rest)]

    return each(elements(value, angles=True), link)


def hops(entry: FieldEntry, value: str) -> list[Part]:
    """Comma list of semicolon lists, an element a proxy: Forwarded."""
    return each(elements(value), lambda piece: parameters(entry, inner(piece, ";")))


def addresses(entry: FieldEntry, value: str) -> list[Part]:
    """Addresses, the client's first: X-Forwarded-For."""
    pieces = elements(value)
    return [
        part(piece, entry.label, said("forwarded-client" if number == 0 else "forwarded-proxy", piece.text))
        for number, piece in enumerate(pieces)
    ]


def via(_entry: FieldEntry, value: str) -> list[Part]:
    """Via: the protocol each intermediary received, and its name."""

    def hop(piece: Slice) -> list[Part]:
        named = zip(words(piece), ("protocol", "intermediary"), strict=False)
        return [part(word, label, said(f"via-{label}", word.text)) for word, label in named]

    return each(elements(value), hop)


def alternatives(entry: FieldEntry, value: str) -> list[Part]:
    """Protocol and authority pairs with parameters: Alt-Svc."""

    def alternative(piece: Slice) -> list[Part]:
        first, *rest = inner(piece, ";") or [piece]
        protocol, address = pair(first)
        found = [part(protocol, "protocol", looked_up("protocols", protocol.text))]
        if address is not None:
            place = unquoted(address.text)
            key = "alternative-port" if place.startswith(":") else "alternative"
            found.append(part(address, "alternative", said(key, address.text, place=clip(place.lstrip(":")))))
        return [*found, *parameters(entry, rest)]

    return each(elements(value), alternative)


def websocket_key(entry: FieldEntry, value: str) -> list[Part]:
    """Sec-WebSocket-Key: 16 bytes in base64."""
    piece = whole(value)
    if not piece.text:
        return []
    well_formed = re.fullmatch(r"[A-Za-z0-9+/]{21}[AQgw]==", piece.text) is not None
    return [
        part(
            piece,
            entry.label,
            said("websocket-key" if well_formed else "websocket-key-malformed", piece.text),
        )
    ]


def origins(entry: FieldEntry, value: str) -> list[Part]:
    """One origin, `null` or `*`: Origin, Access-Control-Allow-Origin."""
    piece = whole(value)
    known = looked_up(entry.values, piece.text)
    return [part(piece, entry.label, known)] if known is not None else url(entry, value)


SPECIAL: dict[str, Shape] = {
    "host": host,
    "url": url,
    "origin": origins,
    "products": product_list,
    "range": byte_range,
    "content-range": content_range,
    "date": date,
    "validators": validators,
    "number": number,
    "credentials": credentials,
    "traceparent": trace_parent,
    "links": links,
    "hops": hops,
    "addresses": addresses,
    "via": via,
    "alternatives": alternatives,
    "websocket-key": websocket_key,
}
