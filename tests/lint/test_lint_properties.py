"""Findings of any bytes: nothing raises, ranges lie on the borders of spans, and there are never too many."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.lint import Finding, catalogue, findings, quick
from inspectd.lint.run import MOST, OF_AN_ID
from inspectd.lint.two_readings import readings
from inspectd.wire import ArrivedHead, Kind, RequestReader, spans

_EXAMPLES: Final = [
    (("response" if one.kind == "response" else "request"), one.example.wire[:2000])
    for one in catalogue().values()
]
_ODD: Final = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\xff",
    b"0",
    b"chunked",
    b"\r\n\r\n",
]


def check(data: bytes, kind: Kind, *, eof: bool) -> list[Finding]:
    """The findings of these bytes, if they keep what is promised of them."""
    found = findings(data, kind, eof=eof)
    tiles = spans(data, kind, eof=eof)
    borders = {0, len(data), *(span.start for span in tiles), *(span.end for span in tiles)}
    for each in found:
        assert each.id in catalogue()
        assert each.start <= each.end
        assert {each.start, each.end} <= borders, each
        assert all(0 <= start <= end <= len(data) for start, end in each.also)
        assert each.detail.isprintable()
    assert found == sorted(found, key=lambda each: (each.start, each.end))
    assert len(found) <= MOST
    assert all(times <= OF_AN_ID for times in Counter(each.id for each in found).values())
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Kind, bytes]:
    """An example of the catalogue with some bytes changed, and perhaps another one behind it."""
    kind, data = draw(st.sampled_from(_EXAMPLES))
    if draw(st.booleans()):
        data += draw(st.sampled_from([other for other_kind, other in _EXAMPLES if other_kind == kind]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from(_ODD) | st.binary(max_size=3)) + data[at + cut :]
    return ("request" if kind == "request" else "response"), data


@given(data=st.binary(max_size=200), eof=st.booleans(), kind=st.sampled_from(["request", "response"]))
@settings(max_examples=300)
def test_any_bytes_have_findings_that_keep_the_promises(data: bytes, eof: bool, kind: Kind) -> None:
    check(data, kind, eof=eof)
    readings(data, kind)


@given(case=mutated(), eof=st.booleans())
@settings(max_examples=600, deadline=None)
def test_mutated_messages_have_findings_that_keep_the_promises(case: tuple[Kind, bytes], eof: bool) -> None:
    kind, data = case
    check(data, kind, eof=eof)
    readings(data, kind)
    if kind == "request":
        for event in RequestReader().feed(data):
            if isinstance(event, ArrivedHead):
                quick(event)


@given(case=mutated(), request=st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_request_may_stand_before_a_response(case: tuple[Kind, bytes], request: bytes) -> None:
    findings(case[1], "response", request=request)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n" + b"A: b\rc\r\n" * 3000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b": x\r\n" * 2000 + b"A\x00: b\n" * 2000 + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n" * 3000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"01;;\nx\n" * 3000,
    ],
    ids=["bare CRs", "names", "requests", "chunks"],
)
def test_findings_are_bounded_however_much_is_wrong(data: bytes) -> None:
    assert len(check(data, "request", eof=True)) <= MOST
