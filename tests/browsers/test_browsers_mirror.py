"""A real browser loads the mirror page and uses every action on it: what is recorded is what crossed the wire,
and each request carries the fetch metadata of its trigger (W3C Fetch Metadata §2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.reader import Capture

if TYPE_CHECKING:
    from tests.browsers.conftest import Visit


class Metadata(NamedTuple):
    """A request's method and its Sec-Fetch-* fields; None where there is none."""

    method: str
    dest: str | None
    mode: str | None
    site: str | None
    user: str | None = None


def metadata(line: dict[str, Any]) -> Metadata:
    """The same, from an exchange's JSON line."""
    fields = {name.lower(): value for name, value in line["fields"]}
    return Metadata(
        line["method"], *(fields.get(f"sec-fetch-{part}") for part in ("dest", "mode", "site", "user"))
    )


EXPECTED = {
    "link": Metadata("GET", "document", "navigate", "same-origin", "?1"),
    "form-get": Metadata("GET", "document", "navigate", "same-origin", "?1"),
    "form-post": Metadata("POST", "document", "navigate", "same-origin", "?1"),
    "form-multipart": Metadata("POST", "document", "navigate", "same-origin", "?1"),
    "image": Metadata("GET", "image", "no-cors", "same-origin"),
    "script": Metadata("GET", "script", "no-cors", "same-origin"),
    "style": Metadata("GET", "style", "no-cors", "same-origin"),
    "iframe": Metadata("GET", "iframe", "navigate", "same-origin"),
    "fetch-get": Metadata("GET", "empty", "cors", "same-origin"),
    "fetch-put": Metadata("PUT", "empty", "cors", "same-origin"),
    "fetch-cross": Metadata("GET", "empty", "cors", "cross-site"),
    "beacon": Metadata("POST", "empty", "no-cors", "same-origin"),
}

# A frame that a click puts into the page: Chromium takes its navigation for the person's own, Firefox doesn't.
EXPECTED_OF = {("chromium", "iframe"): EXPECTED["iframe"]._replace(user="?1")}


def test_the_engine_stops_cleanly_after_a_browsers_visit(visit: Visit) -> None:
    assert visit.exit_code == 0


def test_every_connection_is_recorded_byte_for_byte(visit: Visit) -> None:
    witnessed = {each.peer: (bytes(each.to_engine), bytes(each.to_browser)) for each in visit.connections}
    recorded = {}
    with Capture.open(visit.capture) as capture:
        number = 1
        while row := capture.connection(number):
            streams = (capture.stream_bytes(number, INCOMING), capture.stream_bytes(number, OUTGOING))
            recorded[row.peer] = streams
            assert (row.bytes_in, row.bytes_out) == (len(streams[0]), len(streams[1]))
            number += 1
    assert recorded.keys() == witnessed.keys()
    assert sum(len(streams[0]) for streams in witnessed.values()) > 5000
    for peer, streams in witnessed.items():
        assert recorded[peer] == streams, f"connection from {peer} differs from what crossed the wire"


def test_the_messages_of_a_connection_joined_are_its_stream(visit: Visit) -> None:
    with Capture.open(visit.capture) as capture:
        number = 1
        while connection := capture.connection(number):
            if connection.kind is None:
                rows = capture.exchanges_of(number)
                requests = b"".join(capture.request_bytes(row) for row in rows)
                responses = b"".join(capture.response_bytes(row) for row in rows)
                assert requests == capture.stream_bytes(number, INCOMING)
                assert responses == capture.stream_bytes(number, OUTGOING)
            number += 1


def test_a_typed_address_is_a_navigation_from_nowhere(visit: Visit) -> None:
    assert metadata(visit.page) == Metadata("GET", "document", "navigate", "none", "?1")


@pytest.mark.parametrize("action", EXPECTED)
def test_a_request_carries_the_fetch_metadata_of_its_trigger(visit: Visit, action: str) -> None:
    expected = EXPECTED_OF.get((visit.browser, action), EXPECTED[action])
    assert metadata(visit.triggered[action][-1]) == expected


@pytest.mark.parametrize("action", EXPECTED)
def test_the_capture_holds_the_columns_of_each_trigger(visit: Visit, action: str) -> None:
    line = visit.triggered[action][-1]
    with Capture.open(visit.capture) as capture:
        row = capture.exchange(line["id"])
    assert row is not None
    expected = EXPECTED[action]
    assert (row.method, row.dest, row.mode, row.site) == expected[:4]
    assert row.client is not None
    assert row.client.startswith({"chromium": "HeadlessChrome ", "firefox": "Firefox "}[visit.browser])


def test_a_plain_name_gets_no_fetch_metadata(visit: Visit) -> None:
    """Browsers send it to potentially trustworthy origins only; http on a name that isn't loopback's is none."""
    assert metadata(visit.plain_name) == Metadata("GET", None, None, None)


def test_the_favicon_is_answered_without_content(visit: Visit) -> None:
    with Capture.open(visit.capture) as capture:
        rows = [row for row in capture.exchanges(capture.exchange_ids()) if row.target == "/favicon.ico"]
    assert {row.status for row in rows} <= {"204"}
    assert rows


def test_https_on_the_clear_port_is_a_row_that_says_so(visit: Visit) -> None:
    assert "localhost" in visit.tls["sentence"]
    [hello] = [each for each in visit.connections if each.peer == visit.tls["peer"]]
    assert hello.to_engine.startswith(b"\x16\x03\x01")
    assert hello.to_browser.startswith(b"\x15\x03"), "a TLS client understands an alert, not HTTP"


def test_connections_that_never_sent_a_byte_are_rows_of_their_own(visit: Visit) -> None:
    silent = {each.peer for each in visit.connections if not each.to_engine}
    with Capture.open(visit.capture) as capture:
        listed = {row.peer: row.kind for row in capture.list_connections_after() if not row.bytes_in}
    assert silent, "the page asked for a preconnect"
    assert listed == dict.fromkeys(silent, "preconnect")
    assert all(not each.to_browser for each in visit.connections if not each.to_engine)
