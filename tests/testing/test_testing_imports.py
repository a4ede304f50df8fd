"""The plugin is in every run of pytest: it loads nothing of the engine before a test asks for it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_TELL = "import sys; open('modules', 'w').write(' '.join(sys.modules))"
_HEAVY = {
    "textual",
    "rich",
    "httpx",
    "httpcore",
    "asyncio",
    "sqlite3",
    "msgspec",
    "uvloop",
    "re2",
    "minijinja",
    "click",
}


def imported(tmp_path: Path, test: str) -> set[str]:
    """What a run of pytest with this test imports; no plugin but ours is loaded."""
    (tmp_path / "test_it.py").write_text(f"{test}\n    {_TELL}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "inspectd.pytest_plugin",
            "test_it.py",
        ],
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout
    return set((tmp_path / "modules").read_text().split())


def test_a_run_without_a_test_of_ours_loads_nothing_but_the_plugin(tmp_path: Path) -> None:
    modules = imported(tmp_path, "def test_it():\n    pass")

    assert {name for name in modules if name.startswith("inspectd")} == {"inspectd", "inspectd.pytest_plugin"}
    assert not {name.partition(".")[0] for name in modules} & _HEAVY


def test_a_test_of_ours_loads_the_engine_and_neither_screen_nor_http_client(tmp_path: Path) -> None:
    modules = imported(tmp_path, "def test_it(inspectd):\n    inspectd.on('/x').reply('204 Done')")

    assert "inspectd.engine.server" in modules
    assert not {name.partition(".")[0] for name in modules} & {
        "textual",
        "rich",
        "httpx",
        "httpcore",
        "click",
    }
    assert not [
        name for name in modules if name.startswith(("inspectd.control", "inspectd.tui", "inspectd.cli"))
    ]


@pytest.mark.parametrize("line", ["import inspectd.testing", "from inspectd.testing import Inspectd, answer"])
def test_the_api_needs_no_pytest(line: str) -> None:
    said = f"{line}; import sys; assert not {{'pytest', '_pytest', 'httpx', 'textual'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", said], check=True, timeout=60)


def test_it_works_without_uvloop() -> None:
    said = """
import sys
sys.modules["uvloop"] = None
import asyncio, urllib.request
from inspectd.testing import Inspectd
with Inspectd() as server:
    server.on("/x").reply("200 OK", body="hello")
    with urllib.request.urlopen(server.url("/x")) as response:
        assert response.read() == b"hello"
    assert server.stage.call(asyncio.get_running_loop).__class__.__module__.startswith("asyncio.")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", said], check=True, timeout=60)
