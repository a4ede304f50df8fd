"""The write-ahead log is folded back beside the data path, and stays bounded however long the load lasts."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inspectd.capture import checkpoint
from inspectd.capture.reader import Capture
from inspectd.capture.writer import CaptureWriter

if TYPE_CHECKING:
    import pytest

PIECE = 20_000
PAGES = 600


def test_the_log_starts_anew_under_a_load_that_never_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 200_000)
    monkeypatch.setattr(checkpoint, "LONG_LOG", 1_000_000)
    path = tmp_path / "c.inspectd"
    writer = CaptureWriter(path)
    connection = writer.connection(1, "a", "b", time.time_ns())
    expected = b""
    largest = 0
    for turn in range(PAGES):
        data = os.urandom(PIECE)
        expected += data
        connection.received(data, turn)
        connection.settle(None)
        writer.flush(turn)
        writer._checkpointer._idle.wait()  # however slow this machine's disk is
        largest = max(largest, (tmp_path / "c.inspectd-wal").stat().st_size)
    assert writer.error is None
    # Without restarts the log would hold every page that was ever written.
    assert largest < PAGES * PIECE / 2
    with Capture.open(path) as capture:
        assert capture.stream_bytes(1, 0) == expected
    writer.close(time.time_ns())
    with Capture.open(path) as capture:
        assert capture.stream_bytes(1, 0) == expected


def _open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_closing_leaves_no_descriptor_and_no_log_behind(tmp_path: Path) -> None:
    before = _open_descriptors()
    writer = CaptureWriter(tmp_path / "c.inspectd")
    connection = writer.connection(1, "a", "b", time.time_ns())
    connection.received(bytes(checkpoint.EVERY), 1)
    connection.settle(None)
    writer.flush(1)
    writer.close(2)
    assert _open_descriptors() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.inspectd"]
