"""The life of an engine process where the system gives it little."""

from __future__ import annotations

import json
import resource
import socket
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from inspectd.cli.life import live
from inspectd.cli.open_files import RESERVED, fitting
from inspectd.engine.config import EngineConfig
from inspectd.rules.mirror import Mirror
from tests.live_engine import LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inspectd.cli.life import Started

FILES = 64
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("limits", "raised", "fit"),
    [
        ((1024, resource.RLIM_INFINITY), 4096 + RESERVED, 4096),
        ((1024, 20_000), 4096 + RESERVED, 4096),
        ((256, 1024), 1024, 1024 - RESERVED),
        ((20_000, 20_000), None, 4096),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, 4096),
        ((16, 16), 16, 1),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_and_the_rest_is_given_up(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: int | None, fit: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: asked.append(wanted))

    assert fitting(4096) == fit
    assert asked == ([] if raised is None else [(raised, limits[1])])


def test_a_connection_for_which_no_file_is_left_is_refused_in_words_and_the_control_api_goes_on(
    tmp_path: Path,
) -> None:
    few = ("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", sys.executable, "-m", "inspectd")
    with LiveEngine(tmp_path, interpreter=few) as engine, ExitStack() as clients:
        for _ in range(FILES - RESERVED):
            client = clients.enter_context(engine.connect())
            client.sendall(GET)
            assert receive_response(client).startswith(b"HTTP/1.1 200 ")

        with engine.connect() as refused:
            assert b"24 connections are open already" in receive_response(refused)
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(engine.listening["control"])
            control.sendall(b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n")
            status = json.loads(receive_response(control).partition(b"\r\n\r\n")[2])
        assert status["exchanges"] == FILES - RESERVED
        assert engine.stderr == ""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setenv("XDG_STATE_HOME", short)
        yield


class Front:
    """Ends the engine as soon as its responder was warmed."""

    stop: Callable[[], None]

    def started(self, started: Started, stop: Callable[[], None]) -> None:
        self.stop = stop

    def trouble(self, sentence: str) -> None:
        """Nothing is wrong here."""

    def stopping(self) -> None:
        """Nothing to say."""

    def stopped(self) -> None:
        """Nothing to say."""


@pytest.mark.usefixtures("runtime")
def test_what_can_not_be_loaded_ahead_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front()
    warmed: list[bool] = []

    def warm(_: Mirror) -> None:
        warmed.append(True)
        front.stop()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Mirror, "warm", warm)
    live(EngineConfig(capture=tmp_path / "a.inspectd", listen=("127.0.0.1:0",)), Mirror(), front)

    assert warmed
