"""A server for each test that asks for one, made without the pytest plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.testing import Inspectd

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Inspectd]:
    """A running server; what nobody provided for fails the test."""
    with Inspectd() as server:
        yield server
