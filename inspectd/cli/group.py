"""A click group whose commands are imported when they are called, and help pages in sections.

`inspectd --help` must be fast and `inspectd --headless` must not pay for the terminal UI, so a command is a
module name, an attribute and one line of help until somebody runs it.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from inspectd.cli.output import let_go_of_stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class LazyCommand(NamedTuple):
    """Where a command is defined, and what the group's help says about it. No help: it is hidden."""

    module: str
    attribute: str
    help: str = ""


class SectionOption(click.Option):
    """An option that the help page shows under `section`."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


def option(
    *names: str, section: str, **attributes: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`click.option` with the section of the help page it stands in."""
    return click.option(*names, cls=SectionOption, section=section, **attributes)


class Formatter(click.HelpFormatter):
    """Headings in bold; click drops the styles when the output isn't a terminal."""

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{click.style(heading, bold=True)}\n")

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix if prefix is not None else "Usage: ")

    def write_examples(self, examples: Sequence[tuple[str, str]]) -> None:
        """Command lines to copy, each with what it does."""
        with self.section("Examples"):
            self.write_dl([(click.style(line, fg="cyan"), what) for line, what in examples], col_max=52)


class Sections:
    """Help in sections: a mixin for commands and groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options by section, in the order of their first option."""
        command = cast("click.Command", self)
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in command.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue  # the usage line names it and the text explains it
            if (record := parameter.get_help_record(ctx)) is not None:
                section = parameter.section if isinstance(parameter, SectionOption) else "Options"
                sections.setdefault(section, []).append(record)
        sections["Options"] = sections.pop("Options", [])
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=28)


class PlainContext(click.Context):
    """A context whose help pages have the headings of `Formatter`."""

    formatter_class = Formatter


class SectionCommand(Sections, click.Command):
    """A command whose help page is in sections."""

    context_class = PlainContext


class SectionGroup(Sections, click.Group):
    """A group whose help page looks like that of the root command."""

    context_class = PlainContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without a command its help page says which there are. Wrong usage it is all the same."""
        if not args and self.no_args_is_help:
            click.echo(ctx.get_help(), err=True, color=ctx.color)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands in the order in which they were defined, then the options."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (click.style(name, fg="cyan"), command.get_short_help_str(100))
                    for name, command in self.commands.items()
                ]
            )
        super().format_options(ctx, formatter)


class LazyGroup(Sections, click.Group):
    """A group over `LazyCommand`s. Without a command it runs itself."""

    context_class = PlainContext

    def __init__(
        self,
        *args: Any,
        lazy_commands: Mapping[str, LazyCommand],
        examples: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.invoke_without_command = True
        self.no_args_is_help = False
        self.lazy_commands = dict(lazy_commands)
        self.examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. That nobody reads its output to the end (`| head`) is no failure."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            let_go_of_stdout()
            return 0
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order in which they were given."""
        return list(self.lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports and returns the command, or None."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{lazy.module}:{lazy.attribute} is not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command, or says which one was probably meant."""
        name = args[0]
        if name in self.lazy_commands:
            return super().resolve_command(ctx, args)
        message = f"There is no command {name!r}."
        if name.isdigit():
            message += f" A port is chosen with: inspectd --listen {name}"
        elif Path(name).is_file():
            message += f" A capture is opened with: inspectd open {name}"
        elif near := difflib.get_close_matches(
            name, [n for n, c in self.lazy_commands.items() if c.help], n=1
        ):
            message += f" Did you mean {near[0]!r}?"
        raise click.UsageError(message, ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples and commands, then the options; no command is imported for it."""
        if self.examples and isinstance(formatter, Formatter):
            formatter.write_examples(self.examples)
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (click.style(name, fg="cyan"), lazy.help)
                    for name, lazy in self.lazy_commands.items()
                    if lazy.help
                ]
            )
        super().format_options(ctx, formatter)
