"""Which step of CORS a request is: asked for first, sent without asking, or outside of it (WHATWG Fetch)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.explain.answers import SAFE_METHODS
from inspectd.explain.model import Reading
from inspectd.explain.names import clip
from inspectd.explain.registry import table

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIMPLE_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


def cors_step(
    method: str, values: Mapping[str, str], spelled: Mapping[str, str], *, foreign: bool
) -> Reading | None:
    """Which step of CORS this is, with the evidence; None outside of CORS, and for preflights, which say it themselves.

    `values` are the fields keyed in lower case, `spelled` their names; `foreign` says whether Origin names another
    host than this one.
    """
    mode, site = values.get("sec-fetch-mode", "").lower(), values.get("sec-fetch-site", "").lower()
    if method == "OPTIONS" and "access-control-request-method" in values:
        return None
    if mode == "no-cors" and site in ("same-site", "cross-site"):
        return _read("no-cors", (f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Site: {site}"))
    asks = mode == "cors" and site in ("same-site", "cross-site")
    if not mode and not site:  # a plain http target: only Origin tells
        asks = foreign and "mozilla/" in values.get("user-agent", "").lower() and "upgrade" not in values
        asks = asks and "upgrade-insecure-requests" not in values
    if not asks or "origin" not in values:
        return None
    reasons = _unusual(method, values, spelled)
    if reasons:
        return _read("after-preflight", reasons)
    return _read("simple", (f"method {method}", "no field that needs permission"))


@lru_cache(maxsize=1)
def _unasked() -> frozenset[str]:
    """Fields that pages may set without a preflight, and those that browsers set by themselves."""
    return frozenset(table("readings")["unasked"]["fields"].split())


def _unusual(method: str, values: Mapping[str, str], spelled: Mapping[str, str]) -> tuple[str, ...]:
    """What in the request a page may send only with permission."""
    found = [] if method in SAFE_METHODS else [f"method {clip(method, 24)}"]
    kind = values.get("content-type", "")
    if kind and kind.partition(";")[0].strip(" \t").lower() not in _SIMPLE_TYPES:
        found.append(f"Content-Type: {clip(kind, 48)}")
    found += [
        clip(spelled[name], 40)
        for name in values
        if name in spelled
        and name not in _unasked()
        and name != "content-type"
        and not name.startswith(("sec-", "proxy-"))
    ]
    return tuple(found[:6])


def _read(step: str, because: tuple[str, ...]) -> Reading:
    entry = table("readings")["cors"][step]
    return Reading(
        entry["title"], because, " ".join(entry["paragraph"].split()), entry["source"], f"cors-step-{step}"
    )
