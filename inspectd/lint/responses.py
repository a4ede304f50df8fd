"""The checkers of responses, in the order they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.lint import (
    bodies,
    caching,
    chunked,
    content_length,
    cookies,
    cors,
    fields,
    lines,
    policies,
    response_connection,
    response_content,
    response_fields,
    response_framing,
    response_line,
    transfer_encoding,
    values,
)

if TYPE_CHECKING:
    from inspectd.lint.subject import Checker, StreamChecker

STREAM: Final[tuple[StreamChecker, ...]] = (
    *response_line.STREAM,
    *response_framing.STREAM,
    *response_connection.STREAM,
)
"""What lies around and between the messages."""

SYNTAX: Final[tuple[Checker, ...]] = (
    *response_line.SYNTAX,
    *lines.CHECKERS,
    *fields.SYNTAX,
    *values.SYNTAX,
)
"""What a head with the certificate can't have."""

MEANING: Final[tuple[Checker, ...]] = (
    *response_line.MEANING,
    *response_framing.MEANING,
    *response_connection.MEANING,
    *response_fields.MEANING,
    *response_content.MEANING,
    *caching.MEANING,
    *cookies.MEANING,
    *policies.MEANING,
    *fields.MEANING,
    *values.MEANING,
    *content_length.CHECKERS,
    *transfer_encoding.CHECKERS,
    *chunked.CHECKERS,
)
"""What any line of a head may have, and what lies behind the head."""

SETTLED: Final[tuple[Checker, ...]] = (
    bodies.two_ends,
    *response_framing.SETTLED,
    *response_connection.SETTLED,
    *response_fields.SETTLED,
    *response_content.SETTLED,
    *caching.SETTLED,
    *cors.SETTLED,
    *policies.SETTLED,
)
"""What can be said when no field line can come any more: that something is absent, or goes with nothing else."""
