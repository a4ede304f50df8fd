"""What a browser says of itself and of where a request comes from, held against itself (Fetch Metadata, Client Hints).

Nothing here proves who sent a request: whoever writes a request can write these fields as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted, value_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

_SAFE: Final = frozenset({b"GET", b"HEAD"})
_BROWSER: Final = re.compile(rb"Mozilla/5\.0 .*?(?:(Chrome|Firefox|Version)/([0-9]{1,4}))")
# The first versions with Sec-Fetch-*; Safari has had them since 16.4, and says so in Version/
_FIRST: Final = {b"Chrome": 76, b"Firefox": 90, b"Version": 17}
_CHROMIUM: Final = re.compile(rb"Chrome/([0-9]{1,4})\.")
_BRAND: Final = re.compile(rb"\"Chromium\";[ ]*+v=\"([0-9]{1,4})\"")
_PROGRAM: Final = re.compile(
    rb"(?i:curl/|wget/|python|aiohttp/|httpx/|go-http-client/|okhttp/|java/|apache-httpclient/|libwww-perl|ruby"
    rb"|postmanruntime/|insomnia/|httpie/|php/|guzzlehttp/)"
)
_LOOPBACK: Final = re.compile(
    rb"(?i:localhost|[a-z0-9\-.]++\.localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]++)?+\Z"
)
_PLATFORMS: Final = (
    (b'"Android"', b"Android"), (b'"Windows"', b"Windows NT"), (b'"macOS"', b"Macintosh"), (b'"Linux"', b"Linux"),
)  # fmt: skip
_EXAMINED: Final = 1024


def sources(subject: Subject) -> Iterator[Finding]:
    """Sec-Fetch-Site beside Origin and Referer."""
    site, origin = subject.first(b"sec-fetch-site"), subject.first(b"origin")
    if site is None:
        return
    place = site.value_bytes
    source = origin if origin is not None and _of_a_page(origin) else subject.first(b"referer")
    if place == b"none" and source is not None and b"sec-purpose" not in subject.fields:
        yield Finding("fetch-none-with-source", *source.name, "", (value_range(site),))
    if origin is None:
        mode = subject.first(b"sec-fetch-mode")
        if mode is not None and mode.value_bytes == b"cors" and place in {b"cross-site", b"same-site"}:
            yield Finding("fetch-cors-no-origin", *value_range(mode), "", (value_range(site),))


def _of_a_page(origin: Field) -> bool:
    return origin.value_bytes.startswith((b"http://", b"https://"))


def senders(subject: Subject) -> Iterator[Finding]:
    """Sec-Fetch-* where no browser is, and none where one should be."""
    agent = subject.first(b"user-agent")
    if agent is None:
        return
    name = agent.value_bytes[:_EXAMINED]
    fetch = subject.first(b"sec-fetch-mode") or subject.first(b"sec-fetch-site")
    if fetch is not None:
        if _PROGRAM.match(name):
            yield of_name("fetch-metadata-program", fetch, quoted(name))
        return
    if b"upgrade" in subject.fields or subject.method not in _SAFE | {b"POST"} or not _trustworthy(subject):
        return
    found = _BROWSER.match(name)
    if found is not None and int(found[2]) >= _FIRST[found[1]]:
        yield of_value("fetch-metadata-missing", agent)


def _trustworthy(subject: Subject) -> bool:
    """Whether browsers send these fields to such an origin: over TLS, or to this machine."""
    host = subject.first(b"host")
    return bool(subject.context.tls) or (host is not None and _LOOPBACK.match(host.value_bytes) is not None)


def hints(subject: Subject) -> Iterator[Finding]:
    """Sec-CH-UA-* beside User-Agent."""
    agent, brands = subject.first(b"user-agent"), subject.first(b"sec-ch-ua")
    if agent is None or brands is None:
        return
    name = agent.value_bytes[:_EXAMINED]
    said, brand = _CHROMIUM.search(name), _BRAND.search(brands.value_bytes[:_EXAMINED])
    if said is None:
        if b"Firefox/" in name:
            yield Finding(
                "hints-contradict", *value_range(brands), "Firefox in User-Agent", (value_range(agent),)
            )
    elif brand is not None and brand[1] != said[1]:
        detail = f"version {brand[1].decode()}, and {said[1].decode()} in User-Agent"
        yield Finding("hints-contradict", *value_range(brands), detail, (value_range(agent),))
    platform = subject.first(b"sec-ch-ua-platform")
    if platform is not None and said is not None:
        told = next((word for hint, word in _PLATFORMS if hint == platform.value_bytes), None)
        if told is not None and told not in name and not _as_desktop(subject):
            detail = f"{quoted(platform.value_bytes)}, and no {told.decode()} in User-Agent"
            yield Finding("hints-contradict", *value_range(platform), detail, (value_range(agent),))


def _as_desktop(subject: Subject) -> bool:
    """Whether a phone may be asking for the page of a desktop, so that its User-Agent names another system."""
    return subject.values(b"sec-ch-ua-platform") == [b'"Android"'] and subject.values(
        b"sec-ch-ua-mobile"
    ) == [b"?0"]


SETTLED: Final = (sources, senders, hints)
