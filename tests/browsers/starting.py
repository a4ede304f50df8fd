"""Starts a browser by name, or says why a test can't have it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.browsers import chromium, firefox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browsers.driver import Browser


def start(name: str, *, prepare: Callable[[Path], None] | None = None) -> Browser:
    """The browser of this name; skips without it, except where CI says that everything must be there.

    `prepare` gets the directory of its profile, which is its home as well, before it is started.
    """
    binaries = {"chromium": chromium.BINARY, "firefox": firefox.BINARY}
    starters: dict[str, Callable[..., Browser]] = {"chromium": chromium.Chromium, "firefox": firefox.Firefox}
    if binaries[name] is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI has to have it")
        pytest.skip(f"{name} is not installed")
    return starters[name](prepare=prepare)
