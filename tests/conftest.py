"""Fixtures that several parts of the tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def live_engine(tmp_path: Path) -> Iterator[Callable[..., LiveEngine]]:
    """Starts real engine processes with a capture of their own; whatever still runs at the end is killed."""
    started: list[LiveEngine] = []

    def start(*options: str, **settings: object) -> LiveEngine:
        directory = tmp_path / f"engine{len(started)}"
        directory.mkdir()
        engine = LiveEngine(directory, *options, **settings)  # type: ignore[arg-type]
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.__exit__()
