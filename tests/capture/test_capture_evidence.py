"""Evidence in the capture: written with its turn, read by exchange or as a chain, gone with the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.beside import EvidenceRecord
from inspectd.capture.reader import Capture
from inspectd.capture.retention import Retention
from tests.capture.traffic import get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path


def attempt(exchange: int, previous: int | None, number: int) -> EvidenceRecord:
    record = EvidenceRecord(exchange, "r1", 100, reused=False)
    record.previous, record.attempt = previous, number
    return record


def test_evidence_is_written_with_its_turn_and_again_when_more_is_known(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    get(writer, connection)
    record = attempt(1, None, 1)
    connection.save_evidence(record)
    record.sent = 5
    writer.flush(2000)
    with Capture.open(tmp_path / "x") as capture:
        row = capture.evidence(1)
        assert row is not None
        assert (row.rule, row.planned, row.sent, row.acked, row.reused) == ("r1", 100, 5, None, 0)
        record.sent, record.acked, record.ended_by, record.how, record.after_ns = 100, 60, "client", "rst", -3
        connection.save_evidence(record)
        connection.save_evidence(record)
        writer.flush(3000)  # though nothing else has happened
        row = capture.evidence(1)
        assert row is not None
        assert (row.sent, row.acked, row.ended_by, row.how, row.after_ns) == (100, 60, "client", "rst", -3)
        assert capture.evidence(2) is None
    writer.close(4000)


def test_attempts_are_a_chain_in_both_directions_and_others_stay_apart(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for _ in range(6):
        get(writer, connection)
    for record in (
        attempt(1, None, 1),
        attempt(2, None, 1),
        attempt(4, 1, 2),
        attempt(5, 4, 3),
        attempt(6, 2, 2),
    ):
        connection.save_evidence(record)
    writer.flush(2000)
    writer.close(3000)
    with Capture.open(tmp_path / "x") as capture:
        for number in (1, 4, 5):
            assert [(row.exchange, row.attempt) for row in capture.attempts(number)] == [
                (1, 1),
                (4, 2),
                (5, 3),
            ]
        assert [row.exchange for row in capture.attempts(6)] == [2, 6]
        assert [row.exchange for row in capture.attempts(1, limit=1)] == [1, 4]
        assert [row.exchange for row in capture.attempts(5, limit=1)] == [4, 5]
        assert [row.exchange for row in capture.attempts(4, limit=0)] == [4]
        assert capture.attempts(3) == []
        assert sorted(capture.evidence_of(range(1, 7))) == [1, 2, 4, 5, 6]


def test_evidence_goes_with_its_exchange(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for number in range(1, 4):
        get(writer, connection)
        connection.save_evidence(attempt(number, number - 1 or None, number))
    writer.flush(2000)
    Retention(writer.db, 1 << 30).clear()
    with Capture.open(tmp_path / "x") as capture:
        assert len(capture.exchange_ids()) == 0
        assert capture.attempts(3) == []
        assert capture.evidence_of([1, 2, 3]) == {}
    writer.close(3000)
