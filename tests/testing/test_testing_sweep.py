"""Sweeps: the answer of a marker, its places, and one run of the test for each of them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.errors import InspectdError
from inspectd.testing import Inspectd, answer
from inspectd.testing.sweep import Sweep, cuts_of
from tests.testing.asking import DEADLINE, rest

if TYPE_CHECKING:
    from inspectd.testing.sweep import Cut

HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n"


def cuts(*arguments: Any, **words: Any) -> list[Cut]:
    return cuts_of(pytest.mark.inspectd_sweep(*arguments, **words).mark, base=Path.cwd())


def ids(found: list[Cut]) -> list[str]:
    return [cut.id for cut in found]


def test_every_byte_of_an_answer_is_a_place() -> None:
    found = cuts(body="hello")

    assert {cut.whole for cut in found} == {HELLO}
    assert [cut.place for cut in found] == list(range(len(HELLO)))
    assert ids(found)[:3] == ["byte-0", "byte-1", "byte-2"]
    assert {cut.do for cut in found} == {"close"}


def test_lines_chunks_and_tokens_are_places() -> None:
    lines = cuts("every-line", body="hello")
    assert [HELLO[: cut.place].count(b"\n") for cut in lines] == [0, 1, 2, 3, 4]
    assert ids(lines) == [f"line-{number}" for number in range(5)]

    chunks = cuts("every-chunk", raw=CHUNKED)
    assert [CHUNKED[: cut.place][-6:] for cut in chunks] == [
        b"",
        b"ed\r\n\r\n",
        b"\nabc\r\n",
        b"\r\nde\r\n",
        b"e\r\n0\r\n",
    ]

    tokens = cuts("every-token", raw=b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n")
    assert [cut.place for cut in tokens] == [0, 8, 9, 12, 13, 15, 17, 18, 19, 20, 21, 23]


def test_places_can_be_numbers_and_ways_several() -> None:
    found = cuts([0, 17, -1], ("close", "reset"), body="hello")

    assert ids(found) == [
        *("byte-0-close", "byte-17-close", f"byte-{len(HELLO) - 1}-close"),
        *("byte-0-reset", "byte-17-reset", f"byte-{len(HELLO) - 1}-reset"),
    ]
    assert ids(cuts("every-line", body="hello", step=2, whole=True)) == [
        "line-0",
        "line-2",
        "line-4",
        "whole",
    ]


def test_an_answer_can_be_that_of_a_rule() -> None:
    text = '[[rule]]\nrespond = "201 Made"\nauto = []\nheaders = ["A: 1"]\n'

    assert {cut.whole for cut in cuts(rule=text)} == {b"HTTP/1.1 201 Made\r\nA: 1\r\n\r\n"}


def test_an_answer_can_be_said_like_that_of_a_rule() -> None:
    assert {cut.whole for cut in cuts(answer=answer("200 OK", body="hello"))} == {HELLO}
    assert {cut.whole for cut in cuts(answer="204 Done")} == {b"HTTP/1.1 204 Done\r\n\r\n"}
    assert {cut.whole for cut in cuts(answer={"raw": "\u00ff\n"})} == {b"\xff\n"}
    assert {cut.whole for cut in cuts(answer=b"\xff\n")} == {b"\xff\n"}


def test_the_places_are_the_same_in_every_run() -> None:
    assert cuts(body="x", chunked=True, interim=["103 Early"]) == cuts(
        body="x", chunked=True, interim=["103 Early"]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"cut": "every-word"}, "every-byte"),
        ({"do": "explode"}, "close"),
        ({"cut": [100_000]}, "100000"),
        ({"cut": "every-chunk", "body": "x"}, "no chunks"),
        ({"raw": b"x", "body": "x"}, "raw"),
        ({"bdoy": "x"}, "body"),
        ({"events": ["a"], "body": "x"}, "events"),
        ({"body": "x" * 20_000}, "step"),
        ({"body": "x", "step": 0}, "step=10"),
        ({"body": "x", "step": "2"}, "step=10"),
    ],
)
def test_what_can_not_be_swept_is_an_error(words: dict[str, Any], said: str) -> None:
    with pytest.raises(InspectdError, match=said):
        cuts(**words)


@pytest.mark.parametrize("do", ["close", "reset"])
@pytest.mark.parametrize("whole", [HELLO, CHUNKED, b"\n\x00", b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO])
def test_a_client_gets_exactly_what_stands_before_the_place(whole: bytes, do: str) -> None:
    with Inspectd() as server:
        for cut in cuts(raw=whole, do=do, step=5, whole=True):
            server.clear()
            sweep = Sweep(server, cut)
            with socket.create_connection(server.address, DEADLINE) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                got = b""
                while len(got) < len(sweep.sent):
                    got += client.recv(len(sweep.sent) - len(got))
                assert got == sweep.sent == whole[: cut.place]
                if do == "reset":
                    with pytest.raises(ConnectionResetError):
                        client.recv(1)
                else:
                    assert rest(client) == b""


def test_a_sweep_says_where_it_cuts() -> None:
    with Inspectd() as server:
        said = []
        for cut in cuts([0, 1, 17, len(HELLO) - 2], body="hello", whole=True):
            server.clear()
            sweep = Sweep(server, cut)
            said.append((sweep.part, sweep.content, sweep.complete))

    assert said == [
        ("start", b"", False),
        ("status-line", b"", False),
        ("head", b"", False),
        ("body", b"hel", False),
        ("whole", b"hello", True),
    ]


@pytest.mark.inspectd_sweep("every-line", do="close", body="hello")
def test_the_marker_gives_the_fixture_its_places(inspectd_sweep: Sweep) -> None:
    with socket.create_connection(inspectd_sweep.server.address, DEADLINE) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert rest(client) == inspectd_sweep.sent


@pytest.mark.inspectd_sweep("every-line", do="reset", body="hello", match="GET /x")
def test_the_marker_alone_cuts_what_the_server_answers(inspectd: Inspectd) -> None:
    with socket.create_connection(inspectd.address, DEADLINE) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            rest(client)
    assert inspectd.requests[0].rule.startswith("sweep line-")
