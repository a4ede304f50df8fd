"""An engine and a client of its control API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.control.client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live_engine import LiveEngine

    Start = Callable[..., LiveEngine]


@pytest.fixture
def engine(live_engine: Start) -> LiveEngine:
    return live_engine()


@pytest.fixture
def client(engine: LiveEngine) -> Iterator[ControlClient]:
    with ControlClient(Path(engine.listening["control"])) as client:
        yield client
