"""Where messages end for different readers, and what is said of requests that are there in part."""

from __future__ import annotations

import pytest

from inspectd.lint import findings

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
ENDS = {"body-ambiguous-end", "body-embedded-request"}


def _ids(data: bytes) -> set[str]:
    return {each.id for each in findings(data, "request")}


def test_readers_that_end_at_the_same_byte_find_no_two_ends() -> None:
    found = _ids(HEAD + b"5\r\n\r\n0\r\n\r\n" + NEXT)
    assert not found & ENDS
    assert "te-with-cl" in found


@pytest.mark.parametrize("length", [b"0", b"4", b"6", b"10", b"99"])
def test_readers_that_end_elsewhere_find_another_request(length: bytes) -> None:
    assert _ids(HEAD + length + b"\r\n\r\n0\r\n\r\n" + NEXT) >= ENDS


def test_ends_differ_as_far_as_is_known_while_the_content_arrives() -> None:
    found = findings(HEAD + b"5\r\n\r\n0\r\n", "request", eof=False)
    assert "body-ambiguous-end" in {each.id for each in found}


@pytest.mark.parametrize("torn", [b"G", b"GE", b"GET", b"POS"])
def test_a_torn_word_is_no_method(torn: bytes) -> None:
    found = _ids(torn)
    assert "head-truncated" in found
    assert not {"method-unregistered", "method-lowercase"} & found


def test_a_word_that_ended_is_one() -> None:
    assert "method-unregistered" in _ids(b"GE / HTTP/1.1\r\nHost: a\r\n\r\n")


def test_an_event_stream_ends_when_somebody_leaves() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %b\r\n\r\ndata: a\n\n"
    ids = [
        {each.id for each in findings(head % kind, "response")}
        for kind in (b"text/event-stream", b"text/plain")
    ]
    assert ["resp-close-delimited" in each for each in ids] == [False, True]
