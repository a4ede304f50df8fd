"""Where captures live that nobody gave a name, and how many are kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from inspectd.capture import store
from inspectd.capture.directory import captures_directory, default_path, prune_old
from inspectd.capture.trouble import CaptureError
from tests.capture.processes import WRITE_AND_WAIT, other_process
from tests.capture.traffic import finished_capture, new_writer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_captures_live_in_the_state_directory(state: Path) -> None:
    path = default_path()
    assert path.parent == state / "inspectd" / "captures"
    assert [mode(path.parent), mode(path.parent.parent)] == [0o700, 0o700]
    assert path.name.endswith(f"-{os.getpid()}.inspectd")
    store.create(path).close()
    assert default_path() != path


def test_a_state_directory_open_to_others_is_closed(state: Path) -> None:
    (state / "inspectd" / "captures").mkdir(parents=True)
    (state / "inspectd" / "captures").chmod(0o755)
    assert mode(captures_directory()) == 0o700


@pytest.mark.parametrize("given", ["", "relative/state"])
def test_without_a_proper_xdg_state_home_it_is_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert captures_directory() == tmp_path / ".local" / "state" / "inspectd" / "captures"


def test_a_state_directory_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(CaptureError, match="is a file, not a directory"):
        default_path()
    assert prune_old() == []


def test_only_the_last_captures_are_kept(state: Path) -> None:
    directory = captures_directory()
    names = [f"20260101-0000{n:02}-1.inspectd" for n in range(15)]
    for name in names:
        store.create(directory / name).close()
    (directory / f"{names[1]}-wal").touch()
    gone = prune_old()
    assert [each.name for each in gone] == names[:5]
    assert sorted(each.name for each in directory.iterdir()) == names[5:]


def test_captures_without_a_connection_go_before_those_with_traffic(state: Path) -> None:
    directory = captures_directory()
    names = [f"20260101-0000{n:02}-1.inspectd" for n in range(5)]
    for name in names:
        if name in {names[0], names[3]}:
            finished_capture(directory / name)
        else:
            store.create(directory / name).close()
        os.utime(directory / name, (1_700_000_000, 1_700_000_000))

    assert [each.name for each in prune_old(keep=3)] == [names[1], names[2]]
    assert [each.name for each in prune_old(keep=1)] == [names[4], names[0]]
    assert [each.name for each in directory.iterdir()] == [names[3]]


def test_old_captures_that_are_in_use_or_not_ours_are_left(state: Path, tmp_path: Path) -> None:
    directory = captures_directory()
    mine, other, text, link, named = (
        directory / name
        for name in (
            "20260101-000000-1.inspectd",
            "20260101-000000-2.inspectd",
            "20260101-000000-3.inspectd",
            "20260101-000000-4.inspectd",
            "important.inspectd",
        )
    )
    writer = new_writer(mine)
    text.write_text("dear diary")
    finished_capture(tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    finished_capture(named)
    unused = directory / "20260101-000000-5.inspectd"
    finished_capture(unused)
    with other_process(WRITE_AND_WAIT, other):
        assert prune_old(keep=0) == [unused]
        assert other.exists()
        assert Path(f"{other}-wal").exists()
    assert all(each.exists() for each in (mine, text, link, named, tmp_path / "elsewhere"))
    assert prune_old(keep=0) == [other]
    assert not Path(f"{other}-wal").exists()
    writer.close(1)
