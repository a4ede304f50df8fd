"""Plain words find exchanges: literally, in any of the columns, and without ever reading the whole file at once."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from inspectd.capture import reader
from inspectd.capture.reader import Capture
from tests.capture.traffic import get, new_writer, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    rows: list[dict[str, str | None]] = [
        {"target": "/plain"},
        {"target": "/100%"},
        {"target": "/under_score"},
        {"target": "/back\\slash"},
        {"target": "/", "client": "Firefox 153", "dest": "image", "mode": "no-cors"},
        {"method": None, "target": None, "status": None, "reason": None, "host": None},
        {"target": "/", "status": "418", "reason": "I'm a teapot"},
        {"target": "/Grüße", "host": "Example.Org:8080"},
    ]
    for n, values in enumerate(rows):
        _, exchange = get(writer, connection, now=1000 + n)
        for column, value in values.items():
            setattr(exchange, column, value)
    hello = open_connection(writer)
    hello.describe("tls", "A TLS hello, 100% sure.")
    writer.flush(2000)
    with Capture.open(tmp_path / "x") as opened:
        yield opened
    writer.close(3000)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("plain", [1]),
        ("PLAIN", [1]),
        ("%", [2]),
        ("_", [3]),
        ("\\", [4]),
        ("k\\s", [4]),
        ("firefox image no-cors", [5]),
        ("firefox audio", []),
        ("  get   418 ", [7]),
        ("not-there", []),
        ("I'm", [7]),
        ("8080", [8]),
        ("Grüße", [8]),
        ("get 200 example.test", [5, 4, 3, 2, 1]),
        ("'; DROP TABLE exchange; --", []),
    ],
)
def test_every_word_must_be_found_literally_somewhere(capture: Capture, words: str, found: list[int]) -> None:
    assert list(chain.from_iterable(capture.search(words))) == found


def test_the_ids_can_be_bounded(capture: Capture) -> None:
    assert list(chain.from_iterable(capture.search("", after=2, before=6))) == [5, 4, 3]
    assert list(chain.from_iterable(capture.search("get", after=4))) == [8, 7, 5]


def test_chunks_come_newest_first_and_may_be_empty(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SEARCH_STRETCH", 3)
    assert [list(chunk) for chunk in capture.search("get")] == [[8, 7], [5, 4, 3], [2, 1]]
    assert [list(chunk) for chunk in capture.search("plain")] == [[], [], [1]]


def test_connections_are_found_by_what_they_were(capture: Capture) -> None:
    assert list(capture.search_connections("tls hello")) == [2]
    assert list(capture.search_connections("100%")) == [2]
    assert list(capture.search_connections("127.0.0.1")) == [2]
    assert list(capture.search_connections("preconnect")) == []
