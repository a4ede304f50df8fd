"""Engines and captures that have been sent the whole hostile corpus over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile import corpus
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def hostile_capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of every payload in every place; its engine has ended."""
    with LiveEngine(tmp_path_factory.mktemp("hostile"), quiet=True) as engine:
        for _, data in corpus.requests():
            corpus.send(engine.address, data)
        assert engine.stop() == 0
        assert "Traceback" not in engine.stderr
        return engine.capture


@pytest.fixture(scope="session")
def crowded_capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of few requests, each with all payloads; its engine has ended."""
    with LiveEngine(tmp_path_factory.mktemp("crowded"), quiet=True) as engine:
        for data in corpus.crowded():
            corpus.send(engine.address, data)
        assert engine.stop() == 0
        return engine.capture
