"""Same origin, same site or cross-site, and why (WHATWG HTML, origins and sites; the public suffix list).

The list comes with the package publicsuffixlist and is read when two names have to be told apart for the first time,
and of it only what concerns their last label.
"""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.explain.model import Reading
from inspectd.explain.names import clip
from inspectd.explain.registry import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publicsuffixlist import PublicSuffixList

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SECURE: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
# scheme "://" host [ ":" port ], the serialisation of an origin, and what follows it in a Referer
_ORIGIN: Final = re.compile(
    r"(?i)(https?|wss?)://(\[[0-9a-f:.]{2,45}\]|[^\s/:?#@\[\]]{1,255})(?::(\d{1,5}))?(?:[/?#].*)?", re.DOTALL
)
_ADDRESS: Final = re.compile(r"\[.*\]|\d{1,3}(?:\.\d{1,3}){3}")
_DISTANCE: Final = ("same-origin", "same-site", "cross-site")
_SPOKEN: Final = {
    "same-origin": "the same origin",
    "same-site": "the same site",
    "cross-site": "another site",
}


class Place(NamedTuple):
    """An origin as a triple: scheme (http or https), host in lower case, port."""

    scheme: str
    host: str
    port: int


class Relation(NamedTuple):
    """How far a page and a server are apart: a value of Sec-Fetch-Site, and which of the texts says why."""

    value: str
    why: str


def place(url: str) -> Place | None:
    """The origin that a URL, an Origin or a Referer names; None when it names none."""
    match = _ORIGIN.fullmatch(url)
    if match is None:
        return None
    scheme = match[1].lower()
    port = int(match[3]) if match[3] else _DEFAULT_PORTS[scheme]
    return Place(_SECURE[scheme], match[2].lower().rstrip("."), port)


def public_suffix(host: str) -> str:
    """The longest ending of a name under which anybody can get a name: `co.uk`; empty for addresses."""
    if not host or _ADDRESS.fullmatch(host) or len(host) > 253:
        return ""
    last = host.rpartition(".")[2]
    return str(_rules(last).publicsuffix(host) or "")


def registrable_domain(host: str) -> str:
    """The site's part of a name: the public suffix and one label more; the host itself where there is none.

    >>> registrable_domain("api.shop.example.co.uk")
    'example.co.uk'
    """
    suffix = public_suffix(host)
    if not suffix or suffix == host:
        return host
    return host[: -len(suffix) - 1].rpartition(".")[2] + "." + suffix


@lru_cache(maxsize=64)
def _rules(last: str) -> PublicSuffixList:
    """The rules of the list for names that end in this label."""
    from publicsuffixlist import PublicSuffixList

    spellings = {re.escape(last)}
    with contextlib.suppress(UnicodeError):  # then it has no other spelling
        spellings.add(re.escape(last.encode("latin-1", "replace").decode("idna")))
    wanted = re.compile(rf"(?m)^!?(?:\S*\.)?(?:{'|'.join(spellings)})$")
    return PublicSuffixList(wanted.findall(_list()), accept_unknown=True)


@lru_cache(maxsize=1)
def _list() -> str:
    from importlib.resources import files

    return files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")


def relation(page: Place, server: Place) -> Relation:
    """How far a page and a server are apart, and why."""
    if page == server:
        return Relation("same-origin", "same-origin")
    if page.scheme != server.scheme:
        return Relation("cross-site", "cross-site-scheme")
    if page.host == server.host:
        return Relation("same-site", "same-site-port")
    if registrable_domain(page.host) == registrable_domain(server.host):
        return Relation("same-site", "same-site")
    hosts = (page.host, server.host)
    if any(_ADDRESS.fullmatch(host) or "." not in host for host in hosts):
        return Relation("cross-site", "cross-site-address")
    suffix = public_suffix(page.host)
    if "." in suffix and suffix == public_suffix(server.host):
        return Relation("cross-site", "cross-site-suffix")
    if page.host == registrable_domain(page.host) and server.host == registrable_domain(server.host):
        return Relation("cross-site", "cross-site-two")
    return Relation("cross-site", "cross-site")


def site_reading(values: Mapping[str, str], host: str, *, secure: bool) -> Reading | None:
    """Whether the page that asks is of the server's site, and why; None where no page is named.

    `values` are the fields of the request, keyed in lower case; `host` is what the client was asked to reach.
    """
    asker = next((name for name in ("origin", "referer") if values.get(name)), "")
    said = values.get("sec-fetch-site", "").lower()
    if not asker or not host or said == "none":
        return None
    named = {"origin": "Origin", "referer": "Referer"}[asker]
    evidence: tuple[str, ...] = (f"{named}: {clip(values[asker], 64)}", f"host {clip(host, 64)}")
    if said:
        evidence = (*evidence, f"Sec-Fetch-Site: {clip(said, 24)}")
    if values[asker] == "null":
        return _read("cross-site-opaque", "cross-site", evidence, {})
    page = place(values[asker])
    if page is None:
        return None
    # Where a page over https asks in clear, TLS ended in front of this server: the browser saw https.
    schemes: tuple[str, ...] = ("https",) if secure or page.scheme == "https" else ("http",)
    if page.scheme == "https" and not secure and said == "cross-site":
        schemes = ("https", "http")
    servers = [server for scheme in schemes if (server := place(f"{scheme}://{host}")) is not None]
    if not servers:
        return None
    found, server = next(
        ((how, server) for server in servers if (how := relation(page, server)).value == said),
        (relation(page, servers[0]), servers[0]),
    )
    blanks = {
        "page": page.host,
        "host": server.host if page.host != server.host or found.why != "same-origin" else host,
        "scheme": page.scheme,
        "said": said,
        "relation": _SPOKEN[found.value],
    }
    if found.why in ("same-site", "cross-site"):
        blanks |= {"site": registrable_domain(server.host), "other": registrable_domain(page.host)}
    elif found.why == "cross-site-suffix":
        blanks["suffix"] = public_suffix(page.host)
    if said in _DISTANCE and said != found.value:
        return _read("redirected", said, evidence, blanks)
    return _read(found.why, found.value, evidence, blanks)


def _read(why: str, value: str, because: tuple[str, ...], blanks: dict[str, str]) -> Reading:
    entry = table("readings")["site"][why]

    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda blank: clip(blanks[blank[1]], 64), " ".join(text.split()))

    return Reading(
        filled(entry["title"]), because, filled(entry["paragraph"]), entry["source"], f"site-{value}"
    )
