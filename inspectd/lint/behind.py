"""What is said of what lies behind the heads: frames and messages of a WebSocket, events of a stream.

Readers of `inspectd.wire` find these oddities and have a sentence for each; here they get a severity, so that they can
be told beside findings. A sender who broke a MUST is an error; an end that came too early is nobody's grammar.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from inspectd.lint.model import Entry, Example
from inspectd.wire.event_stream import ODDITIES as OF_EVENTS
from inspectd.wire.websocket.oddities import ODDITIES as OF_FRAMES

_NOT_AN_ERROR: Final = {
    "ws-cut-off": "info",
    "ws-message-unfinished": "info",
    "ws-inflate-limit": "info",
    "ws-no-close": "info",
    "sse-unknown-field": "info",
    "sse-unfinished": "info",
    "sse-id-nul": "warning",
    "sse-retry-not-digits": "warning",
    "sse-invalid-utf8": "warning",
}
_OF_EVENTS_IN: Final = "HTML §9.2.6"
_NUMBER: Final = re.compile(r"\{[^}]*+\}")
_NO_EXAMPLE: Final = Example(data="", at=())


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """What is to be said of each id: its `kind` is `websocket` or `events`, its `example` is empty."""
    frames = {name: _entry(name, "websocket", *about) for name, about in OF_FRAMES.items()}
    return frames | {name: _entry(name, "events", about, _OF_EVENTS_IN) for name, about in OF_EVENTS.items()}


def _entry(name: str, kind: str, sentence: str, section: str) -> Entry:
    said = _NUMBER.sub("…", sentence)
    return Entry(
        id=name,
        kind=kind,
        severity=_NOT_AN_ERROR.get(name, "error"),
        summary=said.removesuffix("."),
        text=said,
        spec=section,
        example=_NO_EXAMPLE,
    )
