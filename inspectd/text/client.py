"""A short name for a client, from its User-Agent field (RFC 9110 §10.1.5): fit for a narrow column."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from inspectd.text.safe import cells, clip, safe

WIDTH: Final = 24
"""Cells that a client's name takes at most."""

_READ: Final = 1024
"""Bytes of a User-Agent value that are looked at."""

# First match wins: whoever pretends to be somebody else as well stands before that somebody. How much of the
# version is kept: browsers count majors, tools minors.
_CLIENTS: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\bHeadlessChrome/(\d+)", "HeadlessChrome"),
        (r"\b(?:Edg|EdgA|EdgiOS|Edge)/(\d+)", "Edge"),
        (r"\b(?:OPR|OPT|Opera)/(\d+)", "Opera"),
        (r"\bVivaldi/(\d+)", "Vivaldi"),
        (r"\bSamsungBrowser/(\d+)", "Samsung"),
        (r"\bYaBrowser/(\d+)", "Yandex"),
        (r"\bElectron/(\d+)", "Electron"),
        (r"\b(Googlebot|bingbot|DuckDuckBot|YandexBot|Applebot)(?:-\w+)?/(\d+)", ""),
        (r"\b(?:FxiOS|Firefox)/(\d+)", "Firefox"),
        (r"\b(?:CriOS|Chrome|Chromium)/(\d+)", "Chrome"),
        (r"\bVersion/(\d+)\S* (?:Mobile/\S+ )?Safari/", "Safari"),
        (r"^python-httpx/(\d+(?:\.\d+)?)", "httpx"),
        (r"\baiohttp/(\d+(?:\.\d+)?)", "aiohttp"),
        (r"^PostmanRuntime/(\d+(?:\.\d+)?)", "Postman"),
        (r"^ApacheBench/(\d+(?:\.\d+)?)", "ab"),
        (r"^([^\s/();]{1,64})/v?(\d+(?:\.\d+)?)", ""),
    )
)


def client_name(user_agent: bytes) -> str:
    """`Chrome 156`, `curl 8.14`, the first word of an unknown agent, or "". Safe for a terminal."""
    return _client_name(user_agent[:_READ])


def short_client(name: str, width: int) -> str:
    """The name in at most `width` cells. What makes it too long may be `Headless`: the version tells more then.

    Of a version at least the first number is shown, or nothing: `Chrome 1…` could be any.
    """
    if cells(name) <= width:
        return name
    name = name.removeprefix("Headless")
    product, _, version = name.rpartition(" ")
    first = f"{product} {version.partition('.')[0]}"
    if product and version[:1].isdigit() and cells(name) > width and cells(first) >= width:
        return clip(first if cells(first) == width else product, width)
    return clip(name, width)


@lru_cache(maxsize=1024)
def _client_name(user_agent: bytes) -> str:
    text = user_agent.decode("utf-8", "surrogateescape").strip()
    for pattern, name in _CLIENTS:
        if match := pattern.search(text):
            product = name or match[1]
            return _short(f"{product} {match[match.lastindex or 1]}")
    first = text.split(None, 1)
    return _short(first[0]) if first else ""


def _short(name: str) -> str:
    return clip(safe(name.encode("utf-8", "surrogateescape")), WIDTH)
