"""Where browsers are looked for, and what is said when one can't be prepared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.browsers import firefox, nss
from inspectd.browsers.finding import find, profiles_folder
from inspectd.browsers.process import BrowserProcess, new_profile
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable


def program(folder: Path, name: str, text: str = "exit 3") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Puts a program on a PATH on which there is nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return lambda name, text="exit 3": program(tmp_path, name, text)


@pytest.mark.skipif(sys.platform == "darwin", reason="looks into /Applications first")
@pytest.mark.parametrize("name", ["firefox", "firefox-esr"])
def test_it_is_found_on_the_path_under_its_usual_names(only: Callable[..., Path], name: str) -> None:
    assert find("firefox") is None
    path = only(name)
    assert find("firefox") == path


def test_a_snap_gets_its_profile_where_it_can_see_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "snap" / "firefox" / "common"
    (tmp_path / "snap").mkdir()
    inside = program(tmp_path / "snap", "launcher")
    assert profiles_folder("firefox", inside) is None  # this snap was never started
    place.mkdir(parents=True)
    assert profiles_folder("firefox", inside) == place
    assert profiles_folder("firefox", program(tmp_path, "firefox")) is None


def test_a_firefox_that_does_not_start_is_said_with_its_last_words(
    only: Callable[..., Path], tmp_path: Path
) -> None:
    broken = only("firefox", "echo 'no display here' >&2; exit 3")
    assert not nss.has_certutil()
    certificate = tmp_path / "ca.pem"
    certificate.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    profile = tmp_path / "profile"
    profile.mkdir()
    with pytest.raises(InspectdError, match="exit code 3: no display here"):
        firefox.prepare(broken, profile, proxy="127.0.0.1:9", certificate=certificate, authority="x")
    assert "marionette" not in (profile / "user.js").read_text()


def test_the_profile_goes_with_the_browser_and_a_failure_is_told(tmp_path: Path) -> None:
    profile = new_profile("test", tmp_path)
    process = BrowserProcess([str(program(tmp_path, "it", "echo bye >&2; exit 4"))], profile)
    assert process.wait(60) == 4
    process.close()
    process.close()
    assert (process.failure, process.last_words) == ("exit code 4", "bye")
    assert not Path(profile.name).exists()


def test_being_asked_to_end_is_no_failure(tmp_path: Path) -> None:
    process = BrowserProcess([str(program(tmp_path, "it", "exec sleep 600"))], new_profile("test", tmp_path))
    process.end()
    process.close(seconds=60)
    assert process.wait() == -15
    assert process.failure == ""


def test_a_program_that_is_not_there_leaves_no_profile(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BrowserProcess([str(tmp_path / "none")], new_profile("test", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_preferences_are_written_as_javascript() -> None:
    made = firefox.user_js({"a": True, "b": 'x"y\\', "c": 5})
    assert made == 'user_pref("a", true);\nuser_pref("b", "x\\"y\\\\");\nuser_pref("c", 5);\n'
