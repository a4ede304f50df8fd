"""Http11Probe's requests (MDA2AV/Http11Probe, MIT): all of them are read, and what must be refused can be."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from inspectd.wire import ArrivedHead, Foreign, MessageEnd, RequestReader, TooLarge, read
from inspectd.wire.strict import refusal
from tests.conformance.reference import REFERENCE
from tests.wire.tiling import check_tiling

_FILE: Final = REFERENCE / "http11probe_cases.json"
CASES: Final[list[dict[str, Any]]] = json.loads(_FILE.read_text("utf-8"))["cases"] if _FILE.exists() else []

pytestmark = pytest.mark.skipif(not CASES, reason=f"Http11Probe's requests are not at {_FILE}")

_CONTENT: Final = "strictness is about heads; chunk lines are read leniently and shown as they are"
_LOST: Final = "the file holds `?` where the probe sends other bytes"
NOT_REFUSED: Final = {
    "RFC9112-2.3-INVALID-VERSION": "a version that isn't spoken is answered 505, not 400",
    "COMP-METHOD-CONNECT": "whether CONNECT is wanted is for the answer to say",
    "COMP-HOST-EMPTY-VALUE": "RFC 9112 §3.2 asks for an empty Host where there is no authority",
    "SMUG-CHUNK-BARE-SEMICOLON": _CONTENT,
    "SMUG-CHUNK-LEADING-SP": _CONTENT,
    "SMUG-CHUNK-EXT-CTRL": _CONTENT,
    "SMUG-CHUNK-EXT-CR": _CONTENT,
    "MAL-EMPTY-REQUEST": "there is nothing to refuse",
    "MAL-WHITESPACE-ONLY-LINE": "blank lines before a request are skipped",
    "MAL-NON-ASCII-URL": _LOST,
    "MAL-URL-OVERLONG-UTF8": _LOST,
}


def is_refused(data: bytes) -> bool:
    """Whether a strict server says no, or never gets a whole message."""
    reader = RequestReader()
    events = reader.feed(data)
    unfinished = reader.head_start is not None
    events += reader.eof()
    return unfinished or any(
        isinstance(event, TooLarge | Foreign)
        or (isinstance(event, ArrivedHead) and refusal(event) is not None)
        or (isinstance(event, MessageEnd) and not event.complete)
        for event in events
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_request_is_read_and_refused_where_it_must_be(case: dict[str, Any]) -> None:
    data = case["raw"].encode("latin-1")
    check_tiling(read(data, "request"))
    allowed = "2xx" in case["expected"] or "200" in case["expected"]
    if case["expected"].startswith("400") and not allowed:
        assert is_refused(data) == (case["id"] not in NOT_REFUSED)
    elif allowed and "400" not in case["expected"]:
        assert not is_refused(data)
