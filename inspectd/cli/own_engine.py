"""An engine of a command's own: a forward proxy on a free port, for a program that is started beside it.

The engine is a process like the one behind the screen, in a session of its own, so that ctrl-c reaches the program and
not the engine. Options of `inspectd proxy` go to it as they were written, without being read and written anew.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from inspectd.cli.group import SectionCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inspectd.cli.listening import Listening

ADDRESS: Final = "127.0.0.1:0"
"""Where such an engine listens: on a free port of this machine alone."""

LISTENING: Final = frozenset(
    {"listen", "allow_remote", "proxy_auth", "cert", "key", "backlog", "reuse_port", "serve"}
)
"""Options of `inspectd proxy` that would change where the engine listens, and for whom: this is settled."""
PRINTING: Final = frozenset({"headless", "as_json", "verbose", "quiet"})
"""Those that say what is printed. They are read here and mean nothing to the engine."""

_WHERE: Final = frozenset(
    {"--listen", "-l", "--allow-remote", "--proxy-auth", "--cert", "--key", "--backlog", "--reuse-port"}
)
_WRITTEN: Final = "inspectd.cli.own_engine.written"


class OwnEngineCommand(SectionCommand):
    """A command that takes the options of `inspectd proxy` as well, but for those named in `without`."""

    def __init__(self, *args: Any, without: frozenset[str], **kwargs: Any) -> None:
        from inspectd.cli.forwarding import proxy

        super().__init__(*args, **kwargs)
        own = {parameter.name for parameter in self.params}
        self.passed = [
            parameter
            for parameter in proxy.params
            if isinstance(parameter, click.Option) and parameter.name not in own | without
        ]
        self.params += self.passed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and keep the values as they were written."""
        try:
            ctx.meta[_WRITTEN], _, _ = self.make_parser(ctx).parse_args(list(args))
        except click.NoSuchOption as problem:
            if problem.option_name in _WHERE:
                raise click.UsageError(
                    f"{problem.option_name} has no place here: {ctx.command_path} takes a free port of this machine"
                    " by itself, for what it starts alone. A proxy for others: inspectd proxy.",
                    ctx,
                ) from None
            raise
        return super().parse_args(ctx, args)


def engine_words(context: click.Context) -> list[str]:
    """The options for the engine that were given, as words of a command line."""
    assert isinstance(context.command, OwnEngineCommand)
    words: list[str] = []
    for option in context.command.passed:
        given = context.meta[_WRITTEN].get(option.name)
        if given is None or option.name in PRINTING:
            continue
        name = max(option.opts, key=len)
        if option.is_flag:
            words.append(name)
        else:
            words += [f"{name}={value}" for value in (given if option.multiple else [given])]
    return words


class OwnEngine(NamedTuple):
    """A running engine, and where in its capture that begins what it does now."""

    listening: Listening
    since_ns: int
    after: int
    """The newest exchange of the capture before; 0 unless an older capture is continued."""
    alive: Callable[[], bool]

    @property
    def address(self) -> str:
        """HOST:PORT of the proxy."""
        return self.listening.addresses[0]


@contextlib.contextmanager
def own_engine(words: list[str], capture: Path | None) -> Iterator[OwnEngine]:
    """Run an engine with these options, as long as the block lasts. Raises `click.exceptions.Exit` when it can't start.

    It has then said why on standard error. After the block everything it saw is in the capture.
    """
    from inspectd.cli.headless import newest_exchange
    from inspectd.cli.run import print_errors, start_engine, stop_engine, wait_until_listening

    after, since = 0 if capture is None else newest_exchange(capture), time.time_ns()
    with tempfile.TemporaryFile() as errors:
        process = start_engine(["proxy", "--serve", f"--listen={ADDRESS}", "--proxy-auth=", *words], errors)
        try:
            listening = wait_until_listening(process, errors)
            if isinstance(listening, int):
                raise click.exceptions.Exit(listening)
            yield OwnEngine(listening, since, after, lambda: process.poll() is None)
            if (code := process.poll()) is not None:
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                sys.stderr.write(
                    f"inspectd: the engine ended early ({how}): from then on there was no proxy\n"
                )
        finally:
            stop_engine(process)
        print_errors(errors)
