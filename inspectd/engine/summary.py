"""The few words that the traffic list shows of a request's head.

A client repeats itself: on one connection the field lines of request after request are the same bytes. So the words
are looked up by those bytes, and found anew only when they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.capture.model import State
from inspectd.text.client import client_name

if TYPE_CHECKING:
    from inspectd.capture.records import ExchangeRecord
    from inspectd.wire import ArrivedHead

TARGET_KEPT: Final = 4096
"""Bytes of a target in the summary row; the pages hold all of them."""
VALUE_KEPT: Final = 1024
"""Bytes of other words there."""

_COMPLETE: Final = State.HEAD_COMPLETE.value
_PLAIN: Final = State.HEAD_COMPLETE.value | State.PLAIN.value
_AMBIGUOUS: Final = State.AMBIGUOUS.value

_SECTIONS: Final = 512
_SECTION_SIZE: Final = 4096


class Summary(NamedTuple):
    """Text for the columns of the list; None where the field is absent."""

    client: str
    dest: str | None
    mode: str | None
    site: str | None
    host: str | None


def shown(raw: bytes) -> str:
    """Bytes from the wire as text for a column, undecodable ones as `\\xNN`. Not yet safe for a terminal."""
    return raw.decode("utf-8", "backslashreplace")


def _value(head: ArrivedHead, name: bytes) -> str | None:
    raw = head.get(name)
    return None if raw is None else shown(raw[:VALUE_KEPT])


def summarise(head: ArrivedHead) -> Summary:
    """Read the fields that the list shows."""
    return Summary(
        client_name(head.get(b"user-agent") or b""),
        _value(head, b"sec-fetch-dest"),
        _value(head, b"sec-fetch-mode"),
        _value(head, b"sec-fetch-site"),
        _value(head, b"host"),
    )


class Summaries:
    """Remembers the summaries of the last few hundred field sections."""

    def __init__(self) -> None:
        self._known: dict[bytes, Summary] = {}

    def of(self, head: ArrivedHead) -> Summary:
        """The summary of a head."""
        section = head.section
        if section is None or len(section) > _SECTION_SIZE:
            return summarise(head)
        summary = self._known.get(section)
        if summary is None:
            if len(self._known) >= _SECTIONS:
                self._known.clear()
            summary = self._known[section] = summarise(head)
        return summary

    def describe(self, exchange: ExchangeRecord, head: ArrivedHead) -> None:
        """Fill in what a head says of its exchange."""
        exchange.state |= _PLAIN if head.plain else _COMPLETE
        if head.framing.alternatives:
            exchange.state |= _AMBIGUOUS
        exchange.method = shown(head.method)
        exchange.target = shown(head.target[:TARGET_KEPT])
        exchange.version = shown(head.version)
        exchange.req_head = head.end - head.start
        exchange.client, exchange.dest, exchange.mode, exchange.site, exchange.host = self.of(head)
