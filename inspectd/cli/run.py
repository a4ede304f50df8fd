"""`inspectd`: an engine process, and the terminal UI as its first viewer.

The engine is a plain subprocess in a session of its own, so that ctrl-c in the screen is the screen's and a crashed
screen leaves the engine serving. While it starts, the screen's modules are imported; when it can't start, what it
says is printed as it is and no screen appears.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

import inspectd
from inspectd.cli.listening import Listening, farewell, read_listening_line
from inspectd.errors import InspectdError
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

STOP_SECONDS: Final = 15.0
"""How long the engine gets to finish what is in flight and to close a large capture."""


def run(
    arguments: Sequence[str],
    command: Sequence[str] = ("serve",),
    *,
    instead: str | None = None,
    beside: Callable[[Listening], AbstractContextManager[None]] | None = None,
) -> int:
    """Start an engine by this command with these arguments, show it until the person quits, stop it; the exit code.

    `instead` is the command line for whom has no terminal, `beside` what runs as long as the screen is shown. Raises
    `InspectdError` when the screen or the engine failed. An engine whose screen failed is left running.
    """
    own = [word for word in command[:1] if word != "serve"]
    require_terminal(instead or " ".join(["inspectd", *own, "--headless"]))
    with tempfile.TemporaryFile() as errors:
        engine = start_engine([*command, *arguments], errors)
        stop = True
        try:
            # Loading leaves no garbage, and looking for some takes 50 ms; the screen enables it when it is painted.
            gc.disable()
            from inspectd.tui import app

            listening = wait_until_listening(engine, errors)
            if isinstance(listening, int):
                return listening
            for sentence in listening.reach:
                sys.stderr.write(f"inspectd: {safe(sentence)}\n")
            capture = Path(listening.capture)
            with beside(listening) if beside is not None else contextlib.nullcontext():
                code = app.run(capture, Path(listening.control), child=engine)
            stop = code == 0  # a screen that failed takes nothing away from the clients
        finally:
            died = engine.poll()
            if stop:
                stop_engine(engine)
        print_errors(errors)
    if died is None and not stop:
        raise InspectdError(
            f"the screen failed; the engine goes on (process {engine.pid})",
            "Another screen: inspectd attach. To end it: inspectd control stop",
        )
    farewell(capture)
    if died:
        how = f"was ended by {signal.Signals(-died).name}" if died < 0 else f"ended with exit code {died}"
        raise InspectdError(f"the engine {how}", "Everything it had answered is in the capture.")
    return code


def require_terminal(instead: str) -> None:
    """Raises `InspectdError` unless the screen has a terminal to be drawn on."""
    if not (sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty()):
        raise InspectdError(
            "the screen needs a terminal, and this is none", f"Without one: {instead}", exit_code=2
        )
    if os.environ.get("TERM") == "dumb":
        raise InspectdError(
            "the screen needs a terminal whose cursor moves, and TERM=dumb says that this one's doesn't",
            f"Without one: {instead}",
            exit_code=2,
        )


def start_engine(arguments: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start `inspectd` with these arguments, with the same Python and the same inspectd as this process."""
    # -P keeps modules of the current directory out; the package itself may lie there in a checkout.
    checkout = Path(inspectd.__file__).parent.parent == Path.cwd()
    return subprocess.Popen(  # noqa: S603 - our own interpreter and a person's own arguments
        [sys.executable, *([] if checkout else ["-P"]), "-m", "inspectd", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )


def wait_until_listening(engine: subprocess.Popen[bytes], errors: IO[bytes]) -> Listening | int:
    """The engine's listening line; or its exit code, when it has said on standard error why it can't start."""
    assert engine.stdout is not None
    with engine.stdout:
        line = engine.stdout.readline()
    try:
        return read_listening_line(line)
    except msgspec.DecodeError:
        code = engine.wait()
        print_errors(errors)
        return code or 1


def stop_engine(engine: subprocess.Popen[bytes]) -> None:
    """End the engine gracefully, or at once when it doesn't end in time."""
    if engine.poll() is not None:
        return
    engine.terminate()
    try:
        engine.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        engine.kill()
        engine.wait()


def print_errors(errors: IO[bytes]) -> None:
    """What an engine has said on its standard error goes to ours."""
    errors.seek(0)
    if said := errors.read():
        sys.stderr.write(said.decode("utf-8", "backslashreplace"))
