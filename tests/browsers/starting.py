"""Starts a browser by name, or says why a test can't have it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from inspectd.browsers.finding import find
from tests.browsers import chromium, firefox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browsers.driver import Browser


def need(name: str) -> None:
    """Skip without the browser of this name, except where CI says that everything must be there: fail."""
    if find(name) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI has to have it")
        pytest.skip(f"{name} is not installed")


def start(name: str, *, prepare: Callable[[Path], None] | None = None, proxy: str | None = None) -> Browser:
    """The browser of this name; see `need`.

    `prepare` gets the directory of its profile, which is its home as well, before it is started.
    All it asks for, loopback included, goes through `proxy` (HOST:PORT).
    """
    need(name)
    starters: dict[str, Callable[..., Browser]] = {"chromium": chromium.Chromium, "firefox": firefox.Firefox}
    return starters[name](prepare=prepare, proxy=proxy)
