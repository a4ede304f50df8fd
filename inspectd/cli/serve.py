"""`inspectd serve`: the engine process behind the terminal UI. It says one JSON line and then only serves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from inspectd.cli.group import SectionCommand
from inspectd.cli.options import answer_request, engine_config, engine_options
from inspectd.cli.output import let_go_of_stdout

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.cli.life import Started


class Announcement:
    """Prints the listening line for the process that started this one, then lets go of standard output."""

    def started(self, started: Started, stop: Callable[[], None]) -> None:  # noqa: ARG002 - nobody stops it from here
        from inspectd.cli.listening import listening_line

        sys.stdout.write(listening_line(started))
        sys.stdout.flush()
        let_go_of_stdout()

    def trouble(self, sentence: str) -> None:
        """The screen learns of it from the status."""

    def stopping(self) -> None:
        """Nothing to say."""

    def stopped(self) -> None:
        """Nothing to say."""


@click.command("serve", cls=SectionCommand, hidden=True)
@engine_options
def serve(**values: Any) -> None:
    """Run an engine without a front end; the first line on standard output says where it listens, as JSON."""
    from inspectd.cli.life import live
    from inspectd.cli.rule_files import load_rule_files
    from inspectd.control.answer import responder_for

    live(
        engine_config(values),
        responder_for(answer_request(values)),
        Announcement(),
        control=values["control"],
        rules=load_rule_files(values["rules"]),
    )
