"""What is wrong with an exchange that was recorded: its findings that are worse than info."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.capture.findings import found_in
from inspectd.lint import Severity, entry

if TYPE_CHECKING:
    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture

TRUE_OF_SERVERS: Final = {
    "cache-vary-encoding",  # nginx compresses without Vary unless gzip_vary is on
    "resp-content-type-missing",  # the tests' program for Node sets none
}
"""What servers of the tests really do wrong."""


def wrong(capture: Capture, row: ExchangeRow) -> list[tuple[str | None, ...]]:
    """Method, target, id and detail of each error and warning in the two messages."""
    return [
        (row.method, row.target, finding.id, finding.detail)
        for side in found_in(capture, row)
        for finding in side
        if entry(finding.id).level > Severity.INFO
    ]
