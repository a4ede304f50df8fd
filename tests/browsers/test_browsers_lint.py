"""Findings raise no false alarm about a real browser: its visit and the mirror's answers to it have neither an error
nor a warning, and what made each request is read right.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from inspectd.capture.findings import found_in
from inspectd.capture.reader import Capture
from inspectd.explain import head
from tests.lint.wrong import wrong
from tests.live_engine import ROOT

if TYPE_CHECKING:
    from tests.browsers.conftest import Visit

READ_AS: Final = {
    "link": "click on a link",
    "form-get": "form sent with GET",
    "form-post": "form sent with POST by a person",
    "form-multipart": "form sent with POST by a person",
    "image": "image",
    "script": "classic script",
    "style": "style sheet",
    "iframe": "iframe",
    "fetch-get": "fetch()",
    "fetch-put": "fetch()",
    "fetch-cross": "fetch()",
    "beacon": "sendBeacon",
}
"""What the reading of an action's request names."""


def title(line: dict[str, Any]) -> str:
    """The title of the first reading of a request."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in line["fields"]]
    readings = head(line["method"], line["target"], fields, version=b"HTTP/1.1")
    return readings[0].title if readings else ""


def test_nothing_is_wrong_with_an_honest_visit(visit: Visit) -> None:
    with Capture.open(visit.capture) as capture:
        rows = capture.exchanges(capture.exchange_ids())
        assert [told for row in rows for told in wrong(capture, row)] == []


def test_lint_finds_no_more_in_the_capture(visit: Visit) -> None:
    """The connection that began TLS on the clear port is the one thing wrong, and it isn't HTTP."""
    command = [sys.executable, "-m", "inspectd", "lint", "--json", "--fail-on", "never", str(visit.capture)]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120).stdout)
    severe = [each["id"] for each in told["findings"] if each["severity"] in {"warning", "error"}]
    assert severe == ["stream-tls-hello"]


def test_what_pages_may_have_browsers_send_is_worth_showing_and_no_more(visit: Visit) -> None:
    with Capture.open(visit.capture) as capture:
        odd, text = (capture.exchange(line["id"]) for line in (visit.odd, visit.text))
        assert odd is not None
        assert text is not None
        assert {"target-raw-char", "cookie-odd-pair"} <= {each.id for each in found_in(capture, odd).request}
        assert "query-percent-crlf" in {each.id for each in found_in(capture, text).request}


@pytest.mark.parametrize("action", READ_AS)
def test_what_made_a_request_is_read_right(visit: Visit, action: str) -> None:
    requests = visit.triggered[action]
    assert READ_AS[action] in title(requests[-1])
    assert ["preflight" in title(each) for each in requests[:-1]] == [True] * (len(requests) - 1)


def test_pages_are_read_right(visit: Visit) -> None:
    assert "address typed in" in title(visit.page)
    assert "script" in title(visit.text)
