"""What a raw socket gets for each case is what `inspectd gallery show` says: every byte, the time, the end."""

from __future__ import annotations

import re
import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from inspectd.gallery.catalogue import Case, cases
from inspectd.gallery.showing import Answer, answers
from inspectd.rules.answer import preview
from inspectd.rules.program import Close, HalfClose, Op, Program, Reset, Stall
from inspectd.rules.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE = 60.0
UPLOADED = 4096
"""Bytes of content that are sent at most: the cases with more answer before it is whole."""
QUIET = 0.05

# What differs from one answer to the next: a date near now, and what a server must not repeat.
_CHANGING = re.compile(rb'(Retry-After: \w{3}, )[^\r]*?2[0-9]{3}[^\r]*|((?:nonce|opaque)=")[^"]*')


def _steady(data: bytes) -> bytes:
    return _CHANGING.sub(rb"\1\2", data)


def _connect(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=DEADLINE)


def _receive(client: socket.socket, count: int) -> tuple[bytes, type[OSError] | None]:
    """As many bytes as are expected, or what came before the end; and the error that was the end."""
    data = b""
    while len(data) < count:
        try:
            piece = client.recv(65536)
        except OSError as error:
            return data, type(error)
        if not piece:
            break
        data += piece
    return data, None


def _end(client: socket.socket) -> str:
    """How the connection ends, or that it stays open and quiet."""
    readable, _, _ = select.select([client], [], [], QUIET)
    if not readable:
        return "open"
    try:
        return "more" if client.recv(1) else "eof"
    except ConnectionResetError:
        return "reset"


def _expected_end(ops: Sequence[Op]) -> str:
    last = ops[-1] if ops else None
    if isinstance(last, Reset):
        return "reset"
    if isinstance(last, Close):
        return "eof"
    if len(ops) > 1 and isinstance(last, Stall) and isinstance(ops[-2], HalfClose):
        return "eof"
    return "eof" if isinstance(last, HalfClose) else "open"


def _asked(client: socket.socket, answer: Answer) -> None:
    client.sendall(answer.head + answer.content[:UPLOADED])


def _check(address: str, answer: Answer, opener: Answer) -> None:
    program = answer.program
    assert isinstance(program, Program)
    expected = preview(program, 1 << 26)
    with _connect(address) as client:
        if answer.reused:
            _asked(client, opener)
            assert isinstance(opener.program, Program)
            assert _receive(client, len(preview(opener.program)))[1] is None
        started = time.monotonic()
        _asked(client, answer)
        got, error = _receive(client, len(expected))
        taken = time.monotonic() - started
        assert _steady(got) == _steady(expected)
        assert taken >= 0.95 * timeline(program)[-1].at
        if error is not None:  # nothing but a reset was to come
            assert (error, _expected_end(program.ops)) == (ConnectionResetError, "reset")
            return
        wanted = _expected_end(program.ops)
        if wanted != "open":
            client.setblocking(True)
            client.settimeout(DEADLINE)
            select.select([client], [], [], DEADLINE)
        end = _end(client)
        if wanted == "eof" and len(answer.content) > UPLOADED:
            assert end in {"eof", "reset"}  # the kernel resets where bytes of the upload were left unread
        else:
            assert end == wanted


@pytest.mark.parametrize("case", cases().values(), ids=lambda case: case.name)
def test_the_socket_gets_what_is_shown(gallery_address: str, case: Case) -> None:
    made = answers(case, host=gallery_address)
    for answer in made:
        _check(gallery_address, answer, made[0])


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("empty", "eof"),
        ("reset", "reset"),
        ("close-in-content", "eof"),
        ("reset-in-content", "reset"),
        ("reset-after-answer", "reset"),
        ("chunk-early-close", "eof"),
        ("chunk-early-reset", "reset"),
        ("half-close", "eof"),
        ("stall", "open"),
        ("stall-in-content", "open"),
        ("close-and-stay", "open"),
    ],
)
def test_what_is_shown_as_a_fault_is_one(name: str, end: str) -> None:
    program = answers(cases()[name])[0].program
    assert isinstance(program, Program)
    assert _expected_end(program.ops) == end


def test_a_half_closed_connection_still_takes_what_the_client_sends(gallery_address: str) -> None:
    answer = answers(cases()["half-close"], host=gallery_address)[0]
    assert isinstance(answer.program, Program)
    with _connect(gallery_address) as client:
        _asked(client, answer)
        _receive(client, len(preview(answer.program)))
        assert client.recv(1) == b""
        client.sendall(b"GET /half-close HTTP/1.1\r\n\r\n")
        readable, _, _ = select.select([client], [], [], QUIET)
        assert not readable or client.recv(1) == b""
