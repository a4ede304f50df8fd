"""Whatever a client sends and whatever a rule answers: a test's server goes on, and its report stays plain text."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspectd.testing import Inspectd
from tests.testing.asking import DEADLINE, ask, rest

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADS = st.sampled_from(
    [b"", b"GET / HTTP/1.1\r\n", b"POST /\xff?a=%ff&\x00 HTTP/1.1\r\nX: 1\r\n", b"\x16\x03\x01", b"PRI * "]
)


@pytest.fixture(scope="module")
def server() -> Iterator[Inspectd]:
    with Inspectd() as server:
        server.allow_unmatched()
        yield server


@given(
    head=HEADS,
    sent=st.binary(max_size=200),
    end=st.sampled_from([b"", b"\r\n\r\n"]),
    answer=st.binary(max_size=200),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_leave_a_server_that_answers(
    server: Inspectd, head: bytes, sent: bytes, end: bytes, answer: bytes
) -> None:
    server.clear()
    rule = server.on("*").raw(answer or b"x").close()
    with socket.create_connection(server.address, DEADLINE) as client, contextlib.suppress(ConnectionError):
        client.sendall(head + sent + end)
        client.shutdown(socket.SHUT_WR)
        rest(client)

    assert ask(server, "GET /after HTTP/1.1") == (answer or b"x")
    assert rule.requests[-1].path == "/after"
    for request in server.requests:
        assert request.raw.startswith(request.head)
        assert len(request.lines) == len(request.fields)
        assert isinstance(request.query, dict)
        assert repr(request).isprintable()
    shown = server.traffic()
    assert all(character == "\n" or character.isprintable() for character in shown)


def test_a_mistaken_explanation_is_safe_text(server: Inspectd) -> None:
    server.clear()
    server.on("/\x1b[31m")

    said = ask(server, b"GET /\x1b]0;x\x07 HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 404 No Rule Matches\r\n")
    assert not {0x1B, 0x07} & set(said)
    with pytest.raises(AssertionError) as caught:
        server.assert_all_called()
    assert str(caught.value).replace("\n", "").isprintable()
