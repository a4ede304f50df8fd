"""What registries and browsers say of a name: whether it is registered, its structured type, who supports it.

From `data/registered.toml` (IANA) and `data/browsers.toml` (browser-compat-data); both say of which date they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from inspectd.explain.registry import table

_BROWSERS: Final = ("Chrome", "Firefox", "Safari")
_STATES: Final = ("permanent", "provisional", "deprecated", "obsoleted")


@dataclass(frozen=True, slots=True)
class Support:
    """From which version on a browser sends or obeys a field, and since which it doesn't any more; empty: never."""

    browser: str
    since: str
    until: str
    partial: bool

    @property
    def words(self) -> str:
        """`Chrome since 80`, `no Safari`."""
        if not self.since:
            return f"not {self.browser}"
        if self.until:
            return f"{self.browser} from {self.since} to {self.until}"
        return f"{self.browser} since {self.since}" + (" in part" if self.partial else "")


@dataclass(frozen=True, slots=True)
class Registration:
    """What is known of a field beside its meaning.

    `state` is IANA's word (`permanent`, `provisional`, `deprecated`, `obsoleted`) or empty; `structured` is `list`,
    `dictionary`, `item` or empty; `support` is empty where every browser has always had it, or nothing is known.
    """

    state: str
    structured: str
    support: tuple[Support, ...]


def registered_as_of() -> str:
    """The date of the registry of field names: a year and a month."""
    return str(table("registered")["fields"]["as_of"])


def supported_as_of() -> str:
    """The date of what is known about browsers."""
    return str(table("browsers")["as_of"])


def registration(name: str) -> Registration:
    """What is known of a field by its name, whatever its case."""
    key = name.lower()
    return Registration(_states().get(key, ""), structured_type(key), _support().get(key, ()))


def structured_type(name: str) -> str:
    """`list`, `dictionary` or `item` for a field whose value is structured (RFC 9651), or an empty text."""
    return _structured().get(name.lower(), "")


@lru_cache(maxsize=1)
def _states() -> dict[str, str]:
    known = table("registered")["fields"]
    return {name.lower(): state for state in _STATES for name in known[state].split()}


@lru_cache(maxsize=1)
def _structured() -> dict[str, str]:
    known = table("registered")["structured"]
    return {name.lower(): kind for kind, names in known.items() for name in names.split()}


@lru_cache(maxsize=1)
def _support() -> dict[str, tuple[Support, ...]]:
    return {
        name.lower(): tuple(_one(browser, text) for browser, text in zip(_BROWSERS, versions, strict=True))
        for name, versions in table("browsers")["support"].items()
    }


def _one(browser: str, text: str) -> Support:
    since, _, until = text.removeprefix("~").partition("-")
    return Support(browser, "the next version" if since == "preview" else since, until, text.startswith("~"))
