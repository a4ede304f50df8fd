"""The checkers of responses, in the order they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.lint import chunked, content_length, fields, lines, transfer_encoding, values

if TYPE_CHECKING:
    from inspectd.lint.subject import Checker, StreamChecker

STREAM: Final[tuple[StreamChecker, ...]] = ()
"""What lies around and between the messages."""

SYNTAX: Final[tuple[Checker, ...]] = (
    *lines.CHECKERS,
    *fields.SYNTAX,
    *values.SYNTAX,
)
"""What a head with the certificate can't have."""

MEANING: Final[tuple[Checker, ...]] = (
    *fields.MEANING,
    *values.MEANING,
    *content_length.CHECKERS,
    *transfer_encoding.CHECKERS,
    *chunked.CHECKERS,
)
"""What any line of a head may have, and what lies behind the head."""

SETTLED: Final[tuple[Checker, ...]] = ()
"""What can be said when no field line can come any more: that something is absent, or goes with nothing else."""
