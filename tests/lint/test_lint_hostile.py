"""Sizes and shapes that are meant to hurt: each must be done in seconds; a quadratic checker needs hours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from inspectd.lint import findings
from inspectd.lint.run import MOST
from inspectd.lint.two_readings import readings
from tests.lint.shapes import MORE
from tests.wire.shapes import SHAPES, as_response

if TYPE_CHECKING:
    from inspectd.wire import Kind

BUDGET_S: Final = 8.0
"""Far above what linear checkers take on a slow machine, far below what a quadratic one does."""
SIZE: Final = 100_000


@pytest.mark.parametrize("shape", [*SHAPES, *MORE])
@pytest.mark.parametrize("kind", ["request", "response"])
def test_findings_of_a_hostile_stream_are_there_in_no_time(shape: str, kind: Kind) -> None:
    data = (SHAPES.get(shape) or MORE[shape])(SIZE)
    if kind == "response":
        data = as_response(data)
    started = time.process_time()
    found = findings(data, kind)
    readings(data, kind)
    assert time.process_time() - started < BUDGET_S
    assert len(found) <= MOST
