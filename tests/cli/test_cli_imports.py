"""What a command imports: nothing of the terminal UI, of httpx or of another command before it is needed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live_engine import LiveEngine, environment

if TYPE_CHECKING:
    from pathlib import Path

_IMPORTED = re.compile(r"^import time:[^|]*\|[^|]*\| *(\S+)$", re.MULTILINE)


def imported_by(tmp_path: Path, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "inspectd", *arguments],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return set(_IMPORTED.findall(done.stderr))


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("options", [("--json",), ("-vv",), ("--quiet",)])
def test_the_headless_path_imports_neither_textual_nor_httpx(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    interpreter = (sys.executable, "-X", "importtime", "-m", "inspectd")
    if "--json" in options:
        with LiveEngine(tmp_path, interpreter=interpreter) as engine:
            with engine.connect() as client:
                client.sendall(b"GET  / HTTP/1.1\nX: 1\n\n")
                client.recv(65536)
            engine.exchange(id=1)
            assert engine.stop() == 0
            imported = set(_IMPORTED.findall(engine.stderr))
    else:
        with subprocess.Popen(
            [*interpreter, "--headless", "--listen", "127.0.0.1:0", *options],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("listening on")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
            imported = set(_IMPORTED.findall(said))

    assert "inspectd.engine.server" in imported
    assert packages(imported).isdisjoint({"textual", "rich", "httpx", "httpcore", "pygments", "markdown_it"})
    assert packages(imported).isdisjoint({"re2", "minijinja", "jsonpath", "tomli_w", "brotli"})
    assert imported.isdisjoint({"inspectd.rules.book", "inspectd.rules.file", "inspectd.rules.tables"})
    # asyncio imports ssl by itself; what costs time and memory is the rest
    assert "cryptography" not in packages(imported)
    assert imported.isdisjoint({"inspectd.engine.tls", "inspectd.engine.credentials", "inspectd.engine.ca"})


def test_serve_imports_no_more_than_headless(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "inspectd", "serve", "--listen", "127.0.0.1:0"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        os.kill(line["pid"], signal.SIGTERM)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 0
    assert packages(set(_IMPORTED.findall(said))).isdisjoint({"textual", "rich", "httpx", "httpcore"})


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("no-such-command",), ("--no-such-option",)]
)
def test_help_version_and_mistakes_import_neither_engine_nor_screen(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    imported = imported_by(tmp_path, *arguments)

    assert "click" in imported
    assert packages(imported).isdisjoint({"textual", "httpx", "asyncio", "sqlite3", "msgspec"})


def test_an_interrupt_while_modules_are_loaded_is_no_traceback(tmp_path: Path) -> None:
    interrupted = (
        "import builtins, inspectd.cli\n"
        "load = builtins.__import__\n"
        "def interrupt(name, *rest):\n"
        "    if name == 'click':\n"
        "        raise KeyboardInterrupt\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = interrupt\n"
        "inspectd.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", interrupted],
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
