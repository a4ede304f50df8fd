"""What all tests of the screen share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pilot look whether the app is idle every 4 ms.

    It waits after each key until a turn passed in which the app hardly worked. Textual's turns take 20 ms, so that
    a key costs 40 ms where nothing happens, and up to 2 s where timers tick in every turn.
    """
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.004)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 0.001)
