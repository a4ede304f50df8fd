"""`inspectd --headless`: the engine alone, and what it hears on standard output.

The printer is a viewer: its thread reads the capture like every other viewer, so a slow terminal or a full pipe delays
lines and nothing else, and no line is ever dropped.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from inspectd.capture.model import ExchangeRow
from inspectd.capture.reader import BytesGone, Capture
from inspectd.cli.follow import Follower
from inspectd.cli.lines import JsonLines, PlainLines, json_line
from inspectd.cli.listening import FORCED_EXIT_CODE, farewell, listening_line
from inspectd.cli.output import draws_glyphs, let_go_of_stdout, painter, require_stdout, wants_colour
from inspectd.errors import InspectdError
from inspectd.rules.passing import PASSING_ON
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from inspectd.cli.life import Started
    from inspectd.cli.lines import Lines
    from inspectd.engine.config import EngineConfig
    from inspectd.rules.responder import Responder

LOOK_SECONDS: Final = 0.03


class Headless:
    """The front of `inspectd --headless`."""

    def __init__(self, *, as_json: bool, quiet: bool, verbosity: int, capture: Path) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._verbosity = verbosity
        self._paint = painter(colour=not as_json and wants_colour())
        self._after = newest_exchange(capture)
        self._printer: Printer | None = None
        self._started: Started | None = None

    def started(self, started: Started, stop: Callable[[], None]) -> None:
        """Print the listening line, and begin to print what finishes."""
        self._started = started
        try:
            self._announce(started)
        except BrokenPipeError:
            let_go_of_stdout()
            stop()
            return
        if not self._quiet:
            self._printer = Printer(started, self._lines(), self._after, stop)
            self._printer.start()

    def trouble(self, sentence: str) -> None:
        """Say so where it doesn't get between the lines."""
        with contextlib.suppress(OSError):
            print(f"inspectd: {safe(sentence, doubling=False)}", file=sys.stderr, flush=True)

    def stopping(self) -> None:
        """Nothing to say: the lines go on until everything has finished."""

    def stopped(self) -> None:
        """Print what is left, and where the capture is."""
        if self._printer is not None:
            try:
                self._printer.finish()
            except KeyboardInterrupt:  # nobody reads the lines, and whoever waits has had enough
                os._exit(FORCED_EXIT_CODE)
        if self._started is not None and not self._quiet:
            farewell(self._started.capture, sys.stderr if self._as_json else sys.stdout)

    def _announce(self, started: Started) -> None:
        for sentence in started.reach:
            print(f"inspectd: {sentence}", file=sys.stderr, flush=True)
        if self._as_json:
            sys.stdout.write(listening_line(started))
        else:
            paint = self._paint
            addresses = " ".join(paint(_url(address), "bold") for address in started.addresses)
            sys.stdout.write(f"listening on {addresses}\n")
            if not self._quiet:
                if started.control_tcp is not None:
                    token = f"bearer token in {started.token_file}"
                    sys.stdout.write(f"control API on http://{started.control_tcp}/v1/ · {token}\n")
                label = paint(safe(started.answer), "cyan")
                if not started.answer.startswith(PASSING_ON):
                    label = f"answering with {label}"
                sys.stdout.write(f"{label} · capture {started.capture} · ctrl-c ends it\n")
        sys.stdout.flush()

    def _lines(self) -> Lines:
        if self._as_json:
            return JsonLines()
        width = (
            os.get_terminal_size(sys.stdout.fileno()).columns or None
            if sys.stdout.isatty() and not self._verbosity
            else None
        )
        return PlainLines(self._paint, width=width, verbosity=self._verbosity, ascii_only=not draws_glyphs())


class Printer(threading.Thread):
    """Writes a line for everything that finishes. `stop` is called when nobody reads them any more."""

    def __init__(self, started: Started, lines: Lines, after: int, stop: Callable[[], None]) -> None:
        super().__init__(name="inspectd printer", daemon=True)
        self._engine = started
        self._lines = lines
        self._after = after
        self._stop = stop
        self._ending = threading.Event()

    def finish(self) -> None:
        """Wait until everything in the capture has been printed."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Print until the engine has ended, or nobody reads."""
        try:
            with Capture.open(self._engine.capture) as capture:
                self._follow(capture)
        except BrokenPipeError:
            let_go_of_stdout()
        except (InspectdError, OSError) as problem:
            if isinstance(problem, OSError):  # the disk is full that the lines go to: the engine goes on
                let_go_of_stdout()
            sys.stderr.write(f"inspectd: no more lines: {problem}\n")
            return
        self._stop()

    def _follow(self, capture: Capture) -> None:
        follower = Follower(capture, after=self._after, since_ns=self._engine.started_ns)
        missed = 0
        while True:
            final = self._ending.wait(LOOK_SECONDS)
            for row in follower.finished(final=final):
                sys.stdout.write(self._line(row, capture))
            if follower.missed > missed:
                sys.stdout.write(self._missing(follower.missed - missed))
                missed = follower.missed
            sys.stdout.flush()
            if final:
                return
            if _nobody_reads():
                raise BrokenPipeError

    def _line(self, row: Any, capture: Capture) -> str:
        if not isinstance(row, ExchangeRow):
            return self._lines.connection(row, capture)
        try:
            return self._lines.exchange(row, capture)
        except BytesGone:
            return self._missing(1)

    def _missing(self, count: int) -> str:
        if isinstance(self._lines, JsonLines):
            return json_line({"type": "removed", "exchanges": count})
        return f"    · {count} exchanges were removed from the capture before they could be printed\n"


def newest_exchange(path: Path) -> int:
    """The newest exchange of a capture that is going to be continued; 0 for a new one."""
    if not path.exists() or not path.stat().st_size:
        return 0
    with Capture.open(path) as capture:
        return capture.newest_exchange()


def _nobody_reads() -> bool:
    """Whether standard output is a pipe or socket whose other end is closed."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _url(address: str) -> str:
    return address if address.startswith(("unix:", "https:")) else f"http://{address}"


def headless(values: Mapping[str, Any], config: EngineConfig, responder: Responder) -> None:
    """Run the engine until a signal or the control API ends it. Raises `InspectdError`."""
    require_stdout("inspectd --headless >lines")
    from inspectd.cli.life import live
    from inspectd.cli.rule_files import load_rule_files

    rules = load_rule_files(values["rules"])
    front = Headless(
        as_json=values["as_json"], quiet=values["quiet"], verbosity=values["verbose"], capture=config.capture
    )
    live(config, responder, front, control=values["control"], rules=rules)
