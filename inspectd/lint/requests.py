"""The checkers of requests, in the order they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.lint import (
    bodies,
    chunked,
    connections,
    content_length,
    declared,
    fetch_metadata,
    fields,
    hosts,
    lines,
    meanings,
    request_line,
    stream,
    targets,
    transfer_encoding,
    values,
)

if TYPE_CHECKING:
    from inspectd.lint.subject import Checker, StreamChecker

STREAM: Final[tuple[StreamChecker, ...]] = stream.CHECKERS
"""What lies around and between the messages."""

SYNTAX: Final[tuple[Checker, ...]] = (
    *request_line.SYNTAX,
    *targets.SYNTAX,
    *lines.CHECKERS,
    *fields.SYNTAX,
    *values.SYNTAX,
)
"""What a head with the certificate can't have."""

MEANING: Final[tuple[Checker, ...]] = (
    *request_line.MEANING,
    *targets.MEANING,
    *fields.MEANING,
    *values.MEANING,
    *content_length.CHECKERS,
    *transfer_encoding.CHECKERS,
    *chunked.CHECKERS,
    *connections.MEANING,
    *meanings.MEANING,
    *declared.MEANING,
)
"""What any line of a head may have, and what lies behind the head."""

SETTLED: Final[tuple[Checker, ...]] = (
    *hosts.SETTLED,
    *bodies.CHECKERS,
    *connections.SETTLED,
    *meanings.SETTLED,
    *declared.SETTLED,
    *fetch_metadata.SETTLED,
)
"""What can be said when no field line can come any more: that something is absent, or goes with nothing else."""
