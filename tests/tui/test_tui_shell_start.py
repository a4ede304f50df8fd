"""What the screen may not load before it is painted, and what `run` gives back."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.store import CaptureError
from inspectd.tui import app
from tests.tui.shell_scribe import Scribe, get

if TYPE_CHECKING:
    from pathlib import Path


def test_the_screen_loads_neither_httpx_nor_its_dialogs_before_the_first_paint() -> None:
    code = "import sys, inspectd.tui.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    late = (
        "httpx",
        "inspectd.engine",
        "inspectd.control.client",
        "inspectd.tui.screens",
        "markdown_it",
        "asyncpg",
    )
    assert [name for name in loaded if name in late or name.startswith("inspectd.tui.screens.")] == []


def test_run_returns_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        scribe.exchange(get("/"))
    monkeypatch.setattr(app.InspectdApp, "run", lambda self: 0)
    assert app.run(tmp_path / "a.inspectd", None) == 0


def test_run_refuses_what_is_no_capture(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="nothing"):
        app.run(tmp_path / "nothing.inspectd", None)
