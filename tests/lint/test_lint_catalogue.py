"""Every entry of the catalogue is shown by its example, at the right bytes, and by nothing that is clean."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import inspectd.lint
from inspectd.lint import Entry, Finding, Severity, catalogue, entry, findings
from inspectd.lint.catalogue import dropped
from tests.conformance.reference import REFERENCE
from tests.lint.clean import CLEAN, CLEAN_ANSWERS

if TYPE_CHECKING:
    from inspectd.wire import Kind

ENTRIES: Final = list(catalogue().values())
_FOREIGN: Final = REFERENCE / "findings.md"
_CODE: Final = Path(inspectd.lint.__file__).parent
_ID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+\Z")
_SECTION: Final = re.compile(
    r"RFC \d{4,5} (?:§|Appendix )|RFC 6265bis §|RFC 7239\b|Fetch\b|HAProxy's|RFC \d{4}\Z|HTML\b|WHATWG"
    r"|(?:CSP Level 3|Clear Site Data|Referrer Policy|Server Timing|User-Agent Client Hints) §"
)
_REQUEST_LINE: Final = re.compile(rb"(?:GET|POST) (/[^ ]*) HTTP/1\.1")


def found_in(one: Entry) -> list[Finding]:
    """The findings of an entry's example."""
    example = one.example
    kind: Kind = "response" if one.kind == "response" else "request"
    request = None if example.request is None else example.request.encode("latin-1")
    return findings(example.wire, kind, eof=example.eof, request=request, context=example.context)


@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: str(one.id))
def test_example_has_the_finding_at_its_bytes(one: Entry) -> None:
    ranges = [((each.start, each.end), *each.also) for each in found_in(one) if each.id == one.id]
    assert one.example.at in ranges


@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: str(one.id))
def test_entry_is_whole(one: Entry) -> None:
    assert _ID.match(one.id)
    assert one.kind in {"request", "response", "message"}
    assert isinstance(one.level, Severity)
    assert 0 < len(one.summary) <= 120
    assert not one.summary.endswith(".")
    assert one.text.endswith(".")
    assert "\n" not in one.text
    assert _SECTION.match(one.spec), one.spec
    assert not one.verdicts or ("2026-02-12" in one.verdicts and one.verdicts.endswith("."))
    for other in one.see:
        assert entry(other).id != one.id


@pytest.mark.parametrize(
    "one", [one for one in ENTRIES if one.kind == "message"], ids=lambda one: str(one.id)
)
def test_what_is_true_of_both_kinds_is_found_in_responses(one: Entry) -> None:
    data = _REQUEST_LINE.sub(rb"HTTP/1.1 200 \1", one.example.wire, count=1)
    found = findings(data, "response", eof=one.example.eof, request=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert one.id in {each.id for each in found}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_request_has_nothing_but_good_notes(name: str) -> None:
    found = findings(CLEAN[name], "request")
    assert {each.id: entry(each.id).level for each in found if entry(each.id).level > Severity.GOOD} == {}
    assert found


@pytest.mark.parametrize("name", CLEAN)
def test_request_that_is_still_coming_has_nothing_wrong(name: str) -> None:
    data = CLEAN[name]
    for end in range(len(data)):
        worse = [
            each
            for each in findings(data[:end], "request", eof=False)
            if entry(each.id).level > Severity.INFO
        ]
        assert worse == [], data[:end]


@pytest.mark.parametrize("name", CLEAN_ANSWERS)
def test_clean_answer_has_nothing_but_good_notes(name: str) -> None:
    request, data = CLEAN_ANSWERS[name]
    found = findings(data, "response", request=request)
    assert {each.id: entry(each.id).level for each in found if entry(each.id).level > Severity.GOOD} == {}
    assert found


@pytest.mark.parametrize("name", CLEAN_ANSWERS)
def test_answer_that_is_still_coming_has_nothing_wrong(name: str) -> None:
    request, data = CLEAN_ANSWERS[name]
    for end in range(len(data)):
        found = findings(data[:end], "response", eof=False, request=request)
        assert [each for each in found if entry(each.id).level > Severity.INFO] == [], data[:end]


def test_ids_in_the_code_are_those_of_the_catalogue() -> None:
    """Each id that a checker can name has an entry, and each entry a checker that names it."""
    named: set[str] = set()
    for path in _CODE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in catalogue():
                named.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in {"Finding", "of_value", "of_name"} and isinstance(first, ast.Constant):
                    assert first.value in catalogue()
    assert named == set(catalogue())


@pytest.mark.skipif(not _FOREIGN.exists(), reason=f"the reference catalogue is not at {_FOREIGN}")
def test_reference_catalogue_is_covered() -> None:
    rows = re.findall(r"^\| ([a-z0-9-]+) \| [^|]* \| [EWI] \|", _FOREIGN.read_text("utf-8"), re.MULTILINE)
    kept = set(catalogue()) | set(dropped())
    assert len(rows) == 285
    assert [row for row in rows if row not in kept] == []
    assert [
        name for name, reason in dropped().items() if name in catalogue() or not reason.endswith(".")
    ] == []
