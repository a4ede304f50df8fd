"""Where control sockets lie, and which engines answer."""

from __future__ import annotations

import socket
import stat
from typing import TYPE_CHECKING

import pytest

from inspectd.control import places
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory with a path short enough for a socket."""
    import shutil
    import tempfile
    from pathlib import Path

    directory = Path(tempfile.mkdtemp(prefix="i", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    yield directory
    shutil.rmtree(directory)


def listener(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


def test_the_directory_is_made_for_this_user_alone(runtime: Path) -> None:
    directory = places.socket_directory()

    assert directory == runtime / "inspectd"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_that_others_may_enter_is_refused_with_the_way_out(runtime: Path) -> None:
    (runtime / "inspectd").mkdir(mode=0o755)
    (runtime / "inspectd").chmod(0o755)

    with pytest.raises(InspectdError, match="only you may enter") as refused:
        places.socket_directory()

    assert refused.value.mend.endswith(f"chmod 700 {runtime / 'inspectd'}")


def test_a_link_in_place_of_the_directory_is_refused(runtime: Path, tmp_path: Path) -> None:
    (runtime / "inspectd").symlink_to(tmp_path)

    with pytest.raises(InspectdError, match="only you may enter"):
        places.socket_directory()


def test_a_path_too_long_for_a_socket_falls_back_to_a_short_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("r" * 100)))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("s" * 100)))

    directory = places.socket_directory()

    assert directory.name.startswith("inspectd-")
    assert len(str(places.socket_path())) <= places.LONGEST_SOCKET_PATH


def test_a_relative_directory_is_ignored(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    monkeypatch.chdir(runtime)
    monkeypatch.setenv("HOME", str(runtime))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "here")
    monkeypatch.setenv("XDG_STATE_HOME", "there")

    assert places.socket_directory() == runtime / ".local" / "state" / "inspectd" / "run"


@pytest.mark.usefixtures("runtime")
def test_engines_that_answer_are_found_newest_first_and_stale_sockets_removed() -> None:
    import os

    with listener(places.socket_path(11)), listener(places.socket_path(12)):
        os.utime(places.socket_path(11), ns=(1, 1))
        listener(places.socket_path(13)).close()
        places.token_path(13).write_text("left behind")
        (places.socket_directory() / "notes.txt").write_text("not ours")

        found = places.running_engines()

    assert [engine.pid for engine in found] == [12, 11]
    assert not places.socket_path(13).exists()
    assert not places.token_path(13).exists()
    assert (places.socket_directory() / "notes.txt").exists()
