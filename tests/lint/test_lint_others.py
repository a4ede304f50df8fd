"""What other parsers say to the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.lint.others import verdicts

GOOD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_parsers_take_what_is_good_and_say_why_they_refuse(parser: str) -> None:
    pytest.importorskip(parser)

    def said(data: bytes, accepted: bool | None) -> str:
        (verdict,) = [each for each in verdicts(data, "request") if each.parser.startswith(parser)]
        assert verdict.accepted is accepted
        return verdict.sentence

    assert said(GOOD, True) == "takes it"
    assert said(GOOD[:-2], None) == "waits for more"
    assert said(b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n", False)
    assert said(GOOD + b"no http", True) == "takes it"


def test_responses_are_read_as_answers() -> None:
    (verdict, *_) = verdicts(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "response", method=b"HEAD")
    assert verdict.accepted
    (verdict, *_) = verdicts(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "response")
    assert verdict.accepted is False
    (verdict, *_) = verdicts(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "response", method=b"G\x00T")
    assert verdict.accepted


@given(st.binary(), st.sampled_from(["GET", "HEAD", "CONNECT", "", "a b", "\x1b"]))
def test_any_bytes_have_a_verdict(data: bytes, method: str) -> None:
    for kind in ("request", "response"):
        for verdict in verdicts(data, kind, method=method.encode()):
            assert "\x1b" not in verdict.sentence
