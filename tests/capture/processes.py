"""Another process that has a capture open."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def other_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `code`, which prints a line when it is ready and then waits for its standard input."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        try:
            yield process
        finally:
            process.kill()


WRITE_AND_WAIT = """
import sys
from pathlib import Path
from tests.capture.traffic import get, new_writer, open_connection
writer = new_writer(Path(sys.argv[1]))
connection = open_connection(writer)
for n in range(50):
    get(writer, connection, f"/{n}", now=1000 + n)
    writer.flush(1001 + n)
print("ready", flush=True)
sys.stdin.read()
"""
