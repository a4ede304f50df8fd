"""Findings agree with Http11Probe (MDA2AV/Http11Probe, MIT): what has to be refused has one, what is valid has none."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from inspectd.lint import Severity, catalogue, findings
from tests.conformance.reference import REFERENCE

_FILE: Final = REFERENCE / "http11probe_cases.json"
CASES: Final[list[dict[str, Any]]] = json.loads(_FILE.read_text("utf-8"))["cases"] if _FILE.exists() else []

pytestmark = pytest.mark.skipif(not CASES, reason=f"Http11Probe's requests are not at {_FILE}")

_LOST: Final = "the file holds `?` where the probe sends other bytes"
NO_FAULT: Final = {
    "COMP-METHOD-CONNECT": "a grammatical CONNECT: whether a tunnel is wanted is for the server to say",
    "MAL-EMPTY-REQUEST": "a connection without a byte is no fault of the client",
    "MAL-NON-ASCII-URL": _LOST,
    "MAL-URL-OVERLONG-UTF8": _LOST,
}
"""Refusals that are a server's choice, not a fault of the bytes that are here."""


def worst(case: dict[str, Any]) -> Severity:
    """The worst severity found in the request of a case."""
    found = findings((case["raw"] or "").encode("latin-1"), "request")
    return max((catalogue()[each.id].level for each in found), default=Severity.GOOD)


def _is_refused(expected: str) -> bool:
    return "4" in expected and "2xx" not in expected and "200" not in expected


def _is_valid(expected: str) -> bool:
    return expected.startswith("2xx") and "400" not in expected


def test_what_must_be_refused_has_a_warning_or_an_error() -> None:
    missed = {
        case["id"]: case["expected"]
        for case in CASES
        if _is_refused(case["expected"]) and case["id"] not in NO_FAULT and worst(case) < Severity.WARNING
    }
    assert missed == {}


@pytest.mark.parametrize(
    ("name", "sent"), [("MAL-NON-ASCII-URL", b"\xc3\xa9"), ("MAL-URL-OVERLONG-UTF8", b"\xc0\xaf")]
)
def test_bytes_that_the_file_lost_are_errors(name: str, sent: bytes) -> None:
    (case,) = [case for case in CASES if case["id"] == name]
    assert "??" in case["raw"]
    found = findings(case["raw"].encode("latin-1").replace(b"??", sent), "request")
    assert Severity.ERROR in {catalogue()[each.id].level for each in found}


def test_what_is_valid_has_nothing_worse_than_info() -> None:
    alarms = {case["id"]: worst(case).word for case in CASES if _is_valid(case["expected"])}
    assert {name: word for name, word in alarms.items() if word not in {"good", "info"}} == {}


def test_exceptions_are_still_needed() -> None:
    assert [case["id"] for case in CASES if case["id"] in NO_FAULT and worst(case) >= Severity.WARNING] == []
