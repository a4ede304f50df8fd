"""Whether an answer may be kept by caches and used again, and why (RFC 9111 §3 and §4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.explain.model import Reading
from inspectd.explain.names import clip
from inspectd.explain.registry import table
from inspectd.explain.shapes import span_of_time
from inspectd.explain.splitting import elements, pair, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

MOST_FIELDS: Final = 1000
LONGEST: Final = 8192
_LONGEST_TIME: Final = 1 << 31
"""RFC 9111 §1.2.2: larger numbers of seconds count as this one."""

# Heuristically cacheable status codes, RFC 9110 §15.1.
_BY_DEFAULT: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})


def cacheability(
    method: str,
    request: Iterable[tuple[bytes, bytes]],
    status: int,
    response: Iterable[tuple[bytes, bytes]],
) -> Reading:
    """Whether the answer to a request may be kept and used again, for how long, and by whom; `kind` is `caching-…`."""
    asked, said = _fields(request), _fields(response)
    why, because, blanks = _why(method, asked, status, said)
    entry = table("readings")["caching"][why]
    blanks |= {"method": clip(method, 24) or "(no method)", "status": str(status)}
    paragraph = " ".join(_filled(entry["paragraph"], blanks).split())
    if why in _KEPT:
        paragraph = " ".join([paragraph, *_shared(asked, said)])
    return Reading(
        _filled(entry["title"], blanks), tuple(because), paragraph, entry["source"], f"caching-{why}"
    )


_KEPT: Final = frozenset({"no-cache", "fresh", "expires", "stale", "heuristic", "partial", "pragma"})


def _why(
    method: str, asked: Mapping[str, str], status: int, said: Mapping[str, str]
) -> tuple[str, list[str], dict[str, str]]:
    """Which of the texts holds, the evidence for it, and what fills its blanks."""
    control = _directives(said.get("cache-control", ""))
    quoted = [f"Cache-Control: {clip(said['cache-control'], 64)}"] if control else []
    if status < 200:
        return "interim", [f"status {status}"], {}
    if method not in ("GET", "HEAD"):
        return "method", [f"method {clip(method, 24) or '(none)'}"], {}
    if status == 304:
        return "not-modified", ["status 304", *quoted], {}
    if "no-store" in control:
        return "no-store", quoted, {}
    if "no-store" in _directives(asked.get("cache-control", "")):
        return "request-no-store", [f"the request's Cache-Control: {clip(asked['cache-control'], 64)}"], {}
    if any(piece.text == "*" for piece in elements(said.get("vary", ""))):
        return "vary", ["Vary: *"], {}
    if "no-cache" in control and not control["no-cache"]:
        return "no-cache", quoted, {}
    if status == 206:
        return "partial", ["status 206", *quoted], {}
    return _lifetime(status, said, control, quoted)


def _lifetime(
    status: int, said: Mapping[str, str], control: Mapping[str, str], quoted: list[str]
) -> tuple[str, list[str], dict[str, str]]:
    """For how long it is fresh: by max-age, by Expires, by nothing (RFC 9111 §4.2.1)."""
    seconds = _seconds(control.get("max-age", ""))
    if seconds is None and "max-age" not in control and "expires" in said:
        if "date" not in said and (until := _date(said["expires"])) is not None:
            return (
                "expires",
                [*quoted, f"Expires: {clip(said['expires'], 40)}", "no Date"],
                {"until": str(until)},
            )
        seconds, quoted = _until(said), [*quoted, f"Expires: {clip(said['expires'], 40)}"]
    elif "max-age" in control and seconds is None:
        seconds = 0  # what can't be read counts as stale, RFC 9111 §4.2.1
    if seconds is None and "s-maxage" not in control:
        if status in _BY_DEFAULT or "public" in control:
            if "no-cache" in said.get("pragma", "").lower() and not control:
                return "pragma", [f"Pragma: {clip(said['pragma'], 40)}", "no Cache-Control"], {}
            return "heuristic", [f"status {status}", *(quoted or ["neither max-age nor Expires"])], {}
        return "status", [f"status {status}", *(quoted or ["neither max-age nor Expires"])], {}
    if seconds is None:
        seconds = _seconds(control["s-maxage"]) or 0
    age = _seconds(said.get("age", "")) or 0
    if age:
        quoted = [*quoted, f"Age: {age}"]
    left = seconds - age
    if left <= 0:
        return "stale", quoted, {}
    return "fresh", quoted, {"time": span_of_time(str(left))}


def _shared(asked: Mapping[str, str], said: Mapping[str, str]) -> Iterable[str]:
    """What else matters: who may keep it, for which requests, and how it is confirmed."""
    texts = table("readings")["shared"]
    control = _directives(said.get("cache-control", ""))
    shared = seconds if (seconds := _seconds(control.get("s-maxage", ""))) is not None else None
    if "private" in control:
        yield texts["private"]
    elif "authorization" in asked and not control.keys() & {"public", "s-maxage", "must-revalidate"}:
        yield texts["authorization"]
    elif shared is not None:
        yield _filled(texts["s-maxage"], {"time": span_of_time(str(shared))})
    elif "set-cookie" in said:
        yield texts["cookie"]
    if names := ", ".join(clip(piece.text, 40) for piece in elements(said.get("vary", ""))[:6]):
        yield _filled(texts["vary"], {"names": names})
    if names := " or ".join(name for name in ("ETag", "Last-Modified") if name.lower() in said):
        yield _filled(texts["validator"], {"names": names})


def _fields(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The values of each field joined as one list, keyed in lower case."""
    found: dict[str, str] = {}
    for number, (name, value) in enumerate(fields):
        if number >= MOST_FIELDS:
            break
        key = name[:LONGEST].decode("latin-1").lower()
        text = value[:LONGEST].decode("latin-1").strip(" \t")
        # Of fields that hold one value the first counts; a cache sees lists joined.
        if key not in found:
            found[key] = text
        elif key in ("cache-control", "vary", "pragma") and len(found[key]) < LONGEST:
            found[key] += f", {text}"
    return found


def _directives(value: str) -> dict[str, str]:
    """Cache directives by name in lower case, the first of each (RFC 9111 §4.2.1)."""
    found: dict[str, str] = {}
    for piece in elements(value):
        name, content = pair(piece)
        found.setdefault(name.text.lower(), "" if content is None else unquoted(content.text))
    return found


def _seconds(text: str) -> int | None:
    """A number of seconds (delta-seconds), or None when it is none."""
    if not re.fullmatch(r"\d{1,20}", text, re.ASCII):
        return None
    return min(int(text), _LONGEST_TIME)


def _until(said: Mapping[str, str]) -> int:
    """The seconds from Date to Expires; an Expires that is no date is in the past (RFC 9111 §5.3)."""
    expires, date = _date(said["expires"]), _date(said.get("date", ""))
    if expires is None or date is None:
        return 0
    return min(int((expires - date).total_seconds()), _LONGEST_TIME)


def _date(text: str) -> datetime | None:
    """The point in time that an HTTP date names, or None."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(text[:64])
        # The forms without a zone mean GMT as well (RFC 9110 §5.6.7).
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _filled(text: str, blanks: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda blank: blanks[blank[1]], text)
