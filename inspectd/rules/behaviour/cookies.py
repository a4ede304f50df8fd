"""Cookies to set (RFC 6265 §4.1, and the attributes of its successor): one Set-Cookie line each, as given.

Names, values and attributes are not judged: a client author may want the wrong ones. Only a line end is refused.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from inspectd.rules.behaviour.words import gathered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.behaviour.words import Words
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.tables import CookieTable


def written(cookie: str | CookieTable) -> str:
    """The value of the Set-Cookie field: a text stands for itself."""
    if isinstance(cookie, str):
        return cookie
    parts = [f"{cookie.name}={cookie.value}"]
    attributes = (
        ("Path", cookie.path),
        ("Domain", cookie.domain),
        ("Max-Age", cookie.max_age),
        ("Expires", cookie.expires),
        ("Secure", cookie.secure),
        ("HttpOnly", cookie.http_only),
        ("SameSite", cookie.same_site),
        ("Partitioned", cookie.partitioned),
    )
    for name, said in attributes:
        if said is True:
            parts.append(name)
        elif said is not None and said is not False:
            parts.append(f"{name}={said}")
    return "; ".join(parts)


def step(given: Sequence[str | CookieTable], words: Words) -> Step:
    """The step that sets these cookies. Raises `CraftError`."""
    lines = gathered(
        partial(words.line, f"cookies[{index}]", written(cookie)) for index, cookie in enumerate(given)
    )

    def cookies(call: Call, draft: Draft) -> Draft:
        for line in lines:
            draft.put(b"Set-Cookie: " + line(call))
        return draft

    return cookies
