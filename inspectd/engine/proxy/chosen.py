"""Which tunnels are read, which are only carried, and which are not even recorded.

Patterns are globs over HOST or HOST:PORT, in which `*` stands for any text and `?` for one character; the case of
letters means nothing in names (RFC 4343).
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.engine.proxy.routes import Origin


class Treatment(enum.Enum):
    """What is done with a tunnel."""

    READ = "read"
    """It is looked into: TLS is decrypted, and HTTP is recorded as such."""
    CARRY = "carry"
    """Its bytes are recorded as they are."""
    IGNORE = "ignore"
    """Its bytes pass, and nothing is recorded of them."""


class Globs:
    """Some patterns, and whether a server fits one of them."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_compiled(pattern) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def fit(self, origin: Origin) -> bool:
        """Whether one of them fits the host, or the host and the port."""
        host, place = origin.host, str(origin)
        return any(pattern.fullmatch(host) or pattern.fullmatch(place) for pattern in self._patterns)


class Chosen:
    """What the options --no-intercept and --only say about tunnels."""

    def __init__(self, *, intercept: bool, no_intercept: Iterable[str], only: Iterable[str]) -> None:
        self._intercept = intercept
        self._left_alone = Globs(no_intercept)
        self._only = Globs(only)

    def treatment(self, origin: Origin) -> Treatment:
        """What is done with a tunnel to this server."""
        if not self.recorded(origin):
            return Treatment.IGNORE
        return Treatment.READ if self._intercept and not self._left_alone.fit(origin) else Treatment.CARRY

    def recorded(self, origin: Origin) -> bool:
        """Whether anything is recorded of what goes to this server."""
        return not self._only or self._only.fit(origin)


def reads_nothing(patterns: Iterable[str]) -> bool:
    """Whether these patterns leave every server alone."""
    return any(pattern and set(pattern) == {"*"} for pattern in patterns)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE | re.DOTALL)
