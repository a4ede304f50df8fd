"""The checkers of requests, in the order they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inspectd.lint.subject import Checker, StreamChecker

STREAM: Final[tuple[StreamChecker, ...]] = ()
"""What lies around and between the messages."""

SYNTAX: Final[tuple[Checker, ...]] = ()
"""What a head with the certificate can't have."""

MEANING: Final[tuple[Checker, ...]] = ()
"""What any head may have, and what lies behind it."""
