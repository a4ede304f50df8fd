"""Where browsers are installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES: Final = ("chromium", "firefox")
"""The kinds of browsers that can be started; Chrome, Edge and Brave are kinds of Chromium."""

# The program itself before a distribution's wrapper script, which adds flags of its own (Debian: --disable-pings).
_PLACES: Final[Mapping[str, Sequence[str]]] = {
    "chromium": ("/usr/lib/chromium/chromium", "/usr/lib64/chromium-browser/chromium-browser"),
    "firefox": (),
}
_MACOS: Final[Mapping[str, Sequence[str]]] = {
    "chromium": (
        "Chromium.app/Contents/MacOS/Chromium",
        "Google Chrome.app/Contents/MacOS/Google Chrome",
        "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        "Brave Browser.app/Contents/MacOS/Brave Browser",
    ),
    "firefox": (
        "Firefox.app/Contents/MacOS/firefox",
        "Firefox Developer Edition.app/Contents/MacOS/firefox",
    ),
}
_ON_PATH: Final[Mapping[str, Sequence[str]]] = {
    "chromium": (
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
        "microsoft-edge",
        "brave-browser",
    ),
    "firefox": ("firefox-esr", "firefox"),
}


def find(name: str) -> Path | None:
    """The program of the browser with one of `NAMES`; None when it isn't installed."""
    places = [Path(place) for place in _PLACES[name]]
    if sys.platform == "darwin":
        folders = (Path("/Applications"), Path.home() / "Applications")
        places = [folder / app for app in _MACOS[name] for folder in folders]
    for place in places:
        if place.is_file():
            return place
    found = next(filter(None, map(shutil.which, _ON_PATH[name])), None)
    return None if found is None else Path(found)


def profiles_folder(name: str, program: Path) -> Path | None:
    """Where this program can have a profile; None: wherever temporary files are.

    A program in a snap sees neither /tmp nor hidden folders of the person's home.
    """
    confined = Path.home() / "snap" / name / "common"
    return confined if "snap" in program.resolve().parts and confined.is_dir() else None
