"""A changed file is noticed, however it was saved, and only once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inspectd.rules.watch import Watched

if TYPE_CHECKING:
    from pathlib import Path


def test_each_way_of_saving_is_noticed_once(tmp_path: Path) -> None:
    path, other = tmp_path / "a.toml", tmp_path / "b.toml"
    path.write_text("one")
    other.write_text("one")
    watched = Watched([path, other])
    assert watched.changed() == []

    path.write_text("three")  # in place, another size
    assert [watched.changed(), watched.changed()] == [[path], []]

    state = path.stat()  # in place, the same size; the time moves by a nanosecond
    path.write_text("seven")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert [watched.changed(), watched.changed()] == [[path], []]

    fresh = tmp_path / "a.toml.new"  # another file, renamed onto it, with size and time of the old one
    fresh.write_text("eight")
    state = path.stat()
    os.utime(fresh, ns=(state.st_atime_ns, state.st_mtime_ns))
    fresh.replace(path)
    assert [watched.changed(), watched.changed()] == [[path], []]

    other.write_text("x")
    path.write_text("y")
    assert [watched.changed(), watched.changed()] == [[path, other], []]


def test_a_file_that_is_away_for_a_moment_has_changed_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("one")
    watched = Watched([path])
    path.unlink()
    assert watched.changed() == []
    path.write_text("two")
    assert [watched.changed(), watched.changed()] == [[path], []]


def test_a_file_that_stays_away_is_reported_once_and_again_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("one")
    watched = Watched([path])
    path.unlink()
    assert [watched.changed() for _ in range(4)] == [[], [path], [], []]
    path.write_text("two")
    assert [watched.changed() for _ in range(2)] == [[path], []]


def test_a_file_that_was_renamed_away_and_back_has_not_changed_its_content_but_is_read_again(
    tmp_path: Path,
) -> None:
    path, away = tmp_path / "a.toml", tmp_path / "away"
    path.write_text("one")
    watched = Watched([path])
    path.rename(away)
    assert watched.changed() == []
    away.rename(path)
    assert watched.changed() in ([], [path]), "a change time may tell, or not: both are right"
    assert watched.changed() == []


def test_a_file_that_is_not_there_yet_is_noticed_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "later.toml"
    watched = Watched([path, tmp_path / "bad\0name"])
    assert watched.changed() == []
    path.write_text("")
    assert watched.changed() == [path]
