"""`inspectd run -- CMD...`: a program, run through a proxy of its own.

The program keeps the terminal, its three streams and its signals, as if inspectd weren't there. Nothing is ever written
to standard output; what inspectd has to say comes on standard error, after the program has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.own_engine import LISTENING, PRINTING, OwnEngineCommand
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from inspectd.cli.own_engine import OwnEngine

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""Exit codes of a program that can't be run (POSIX.1-2024, Shell Command Language, 2.8.2)."""

_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)
"""What a terminal sends to every process in its foreground."""
_PASSED_ON: Final = (*_KEYBOARD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_HELP: Final = """Run a program, and see all that it says to servers, byte for byte.

A proxy of its own is started on a free port, and CMD with the variables that make programs use a proxy and trust
inspectd's certificate authority. No shell is in between. The program has the terminal, its streams and signals to
itself; ctrl-c is for the program. Its exit code is that of inspectd: 128+N when signal N ended it, 127 when there is no
such program, 126 when it can't be run. Afterwards a summary is printed on standard error, with the capture to open.

\b
  inspectd run -- curl https://example.test/
  inspectd run -- python app.py
  inspectd run --rules outage.toml -- npm test     rules answer first
  inspectd run --lines traffic.jsonl -- make test  JSON lines for programs
  inspectd run -- sh -c 'tool --proxy $INSPECTD_PROXY --cacert $INSPECTD_CA'

Who reads those variables:

\b
  curl, git, pip, cargo, aws, Ruby, PHP's curl    by themselves
  Python  urllib, requests, httpx; aiohttp with ClientSession(trust_env=True)
  Node    24.5 and 22.21 or newer; older ones trust the authority, but their
          fetch and http know no proxy
  Deno    by itself
  Go      but localhost and 127.0.0.1 never through a proxy, and on macOS only
          the keychain is trusted
  Java    in JAVA_TOOL_OPTIONS, which it mentions on standard error; with a
          trust store of the system's roots and ours
  browsers  don't: inspectd browser starts one

NO_PROXY is emptied, so that loopback isn't left out. A program that pins certificates refuses ours: the summary says
so, and --no-intercept HOST leaves that host alone. What CMD leaves running when it ends loses its proxy.
"""


@click.command(
    "run",
    cls=OwnEngineCommand,
    without=LISTENING | PRINTING | {"control"},
    help=_HELP,
    context_settings={"allow_interspersed_args": False},
)
@click.argument("command", metavar="-- CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--lines",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a JSON line for each exchange into this file, as inspectd --headless --json prints them.",
)
@click.option("--quiet", "-q", is_flag=True, help="No summary.")
@click.pass_context
def run(
    context: click.Context, /, command: tuple[str, ...], *, lines: Path | None, quiet: bool, **values: Any
) -> None:
    """Run a program through a proxy, and sum up what it said."""
    from inspectd.cli.own_engine import engine_words, own_engine
    from inspectd.cli.run_summary import write_lines

    with contextlib.ExitStack() as life:
        out = life.enter_context(lines.open("w", encoding="ascii")) if lines is not None else None
        with own_engine(engine_words(context), values["capture"]) as engine:
            if not quiet:
                for sentence in engine.listening.reach:
                    sys.stderr.write(f"inspectd: {safe(sentence)}\n")
            code = _run(command, engine)
        if out is not None:
            write_lines(engine, out)
        if not quiet:
            _sum_up(engine, command)
    context.exit(code)


def _run(command: Sequence[str], engine: OwnEngine) -> int:
    """Run it to its end; the exit code that a shell would show. Raises `InspectdError` when it can't be run."""
    from inspectd.cli.program_environment import program_environment, write_trust
    from inspectd.engine.ca import open_authority

    with tempfile.TemporaryDirectory(prefix="inspectd-run-") as folder, _handing_on() as handing_on:
        trust = write_trust(Path(folder), open_authority())
        try:
            process = subprocess.Popen(  # noqa: S603 - a person's own command, and no shell
                command, env=program_environment(engine.address, trust, os.environ), close_fds=False
            )
        except OSError as problem:
            from inspectd.gallery.running import not_started

            missing = isinstance(problem, FileNotFoundError)
            raise not_started(
                command, problem, "inspectd run -- curl http://example.test/", "CMD",
                exit_code=NOT_FOUND if missing else NOT_EXECUTABLE,
            ) from None  # fmt: skip
        handing_on.to(process)
        code = process.wait()
    return code if code >= 0 else 128 - code


class _HandingOn:
    """Gives the program the signals that were sent to this process alone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def to(self, process: subprocess.Popen[bytes]) -> None:
        """From now on this is the program; it gets what came before it was there, too."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def __call__(self, number: int, _: FrameType | None) -> None:
        """The handler of these signals."""
        if self._process is None:
            self._early.append(number)
        elif number not in _KEYBOARD or not _in_foreground():
            self._process.send_signal(number)


@contextlib.contextmanager
def _handing_on() -> Iterator[_HandingOn]:
    handing_on = _HandingOn()
    # What is ignored (nohup, a shell's background) stays so, for the program as well.
    before = {number: signal.getsignal(number) for number in _PASSED_ON}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handing_on)
    try:
        yield handing_on
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _in_foreground() -> bool:
    """Whether the terminal gives its signals to this process's group, and so to the program by itself."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _sum_up(engine: OwnEngine, command: Sequence[str]) -> None:
    from inspectd.cli.run_summary import summary_lines

    with contextlib.suppress(OSError):  # nobody has to read it
        for line in summary_lines(engine, command):
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
