"""The root command: `inspectd` with the terminal UI, `--headless` without, and every other command by its name."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, Final

import click

from inspectd import __version__
from inspectd.cli.group import LazyCommand, LazyGroup
from inspectd.cli.options import engine_options, flag, is_headless, output_options
from inspectd.cli.output import let_go_of_stdout
from inspectd.errors import InspectdError

_COMMANDS: Final = {
    "reverse": LazyCommand(
        "inspectd.cli.forwarding", "reverse", "Stand before a real server and see all that passes."
    ),
    "proxy": LazyCommand(
        "inspectd.cli.forwarding", "proxy", "Be the proxy of clients and see all that passes."
    ),
    "run": LazyCommand(
        "inspectd.cli.run_program",
        "run",
        "Run a program through a proxy of its own, and sum up what it said.",
    ),
    "browser": LazyCommand(
        "inspectd.cli.browser", "browser", "Start a browser through a proxy of its own, and the screen."
    ),
    "attach": LazyCommand("inspectd.cli.attach", "attach", "Open the screen on an engine that is running."),
    "open": LazyCommand("inspectd.cli.open_capture", "open_capture", "Open the screen on a capture file."),
    "list": LazyCommand("inspectd.cli.listing", "command", "Print a capture's exchanges, a line each."),
    "show": LazyCommand("inspectd.cli.show", "command", "Print one exchange, or its exact bytes."),
    "anatomy": LazyCommand(
        "inspectd.cli.anatomy", "anatomy", "Explain the bytes of a message from a file or a pipe."
    ),
    "lint": LazyCommand(
        "inspectd.cli.lint", "command", "Find what is wrong or odd in a capture or a file; for CI."
    ),
    "explain": LazyCommand(
        "inspectd.cli.explain", "explain", "Explain a name: 418, no-cache, te-with-cl, FIN."
    ),
    "export": LazyCommand("inspectd.cli.export", "command", "Turn a capture into a rule file."),
    "playback": LazyCommand("inspectd.cli.playback", "command", "Serve the answers of a capture again."),
    "rules": LazyCommand("inspectd.cli.rules", "rules", "Check rule files, and see what they answer."),
    "gallery": LazyCommand(
        "inspectd.cli.gallery", "gallery", "Ready crafted answers to serve, or to run a client against."
    ),
    "control": LazyCommand(
        "inspectd.cli.control", "control", "Ask a running engine, change its answer or rules."
    ),
    "ca": LazyCommand(
        "inspectd.cli.ca", "command", "The CA of https listeners: show, trust, export, remove it."
    ),
    "serve": LazyCommand("inspectd.cli.serve", "serve"),
}

_EXAMPLES: Final = (
    ("inspectd", "watch localhost:8080"),
    ('inspectd --answer "503 Back Soon"', "everybody gets this status line"),
    ("inspectd -a 200 -H 'X-A: 1' --body hi", "with this field and content"),
    ("inspectd --rules api.toml", "by the rules of this file"),
    ("inspectd reverse http://localhost:3000", "before a real server, byte for byte"),
    ("inspectd proxy", "a proxy for http_proxy and curl -x"),
    ("inspectd run -- python app.py", "one program through a proxy, summed up"),
    ("inspectd browser http://localhost:3000", "a fresh browser through a proxy"),
    ("inspectd --listen 9000 --capture a.inspectd", "another port, a capture to keep"),
    ("inspectd --listen https://8443", "over TLS; see inspectd ca"),
    ("inspectd --headless", "no screen: a line an exchange"),
    ("inspectd --headless --json | jq .target", "JSON lines for programs"),
    ("inspectd explain Sec-Fetch-Mode: navigate", "what it means, and who says so"),
    ("inspectd open a.inspectd", "look at a capture again"),
    ("inspectd playback a.inspectd", "serve what was answered in it again"),
)


@click.group(
    "inspectd",
    cls=LazyGroup,
    lazy_commands=_COMMANDS,
    examples=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="[OPTIONS]",
    subcommand_metavar="[COMMAND]",
    help="See every byte that HTTP clients send, what each byte means, and what a client does when the answer is"
    " exactly the bytes you chose.",
)
@output_options
@engine_options
@click.version_option(__version__, message="inspectd %(version)s")
@click.pass_context
def root(context: click.Context, /, **values: Any) -> None:
    """Run the engine and its screen, or the engine alone."""
    if context.invoked_subcommand is not None:
        given = [name for name in values if _given(context, name)]
        if given:
            raise click.UsageError(
                f"{flag(context, given[0])} is no option of `inspectd {context.invoked_subcommand}`."
            )
        return
    if is_headless(context):
        from inspectd.cli.headless import headless
        from inspectd.cli.options import answer_request, engine_config
        from inspectd.control.answer import responder_for

        headless(values, engine_config(values), responder_for(answer_request(values)))
        return
    from inspectd.cli.run import run

    context.exit(run(context.obj))


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def run_command_line(arguments: list[str]) -> int:
    """Runs a command line; its exit code. A person's mistake becomes one or two lines on standard error."""
    _prepare_streams()
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        code = root.main(
            args=arguments, prog_name="inspectd", standalone_mode=False, obj=arguments, color=colour
        )
    except click.NoSuchOption as problem:
        listen = "The port is chosen with --listen: inspectd --listen 9000"
        asks_for_port = problem.option_name in {"-p", "--port"} and _path(problem) == "inspectd"
        mend = listen if asks_for_port else f"See {_path(problem)} --help"
        return complain(problem.format_message(), mend, problem.exit_code)
    except click.UsageError as problem:
        return complain(problem.format_message(), f"See {_path(problem)} --help", problem.exit_code)
    except click.ClickException as problem:
        return complain(problem.format_message(), "", problem.exit_code)
    except InspectdError as problem:
        return complain(problem.what, problem.mend, problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as problem:  # the disk is full that the output goes to, the folder has vanished
        let_go_of_stdout()
        return complain(f"{problem.filename or 'the output'}: {problem.strerror or problem}", "", 1)
    return code if isinstance(code, int) else 0


def _path(problem: click.UsageError) -> str:
    return problem.ctx.command_path if problem.ctx is not None else "inspectd"


def _prepare_streams() -> None:
    """Make the three streams safe to use whatever they were started with."""
    # A descriptor below 3 that is closed would be given to the next socket, and whoever prints would write into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it lives as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a glyph that the locale lacks must not end the program
            stream.reconfigure(errors="backslashreplace")


def complain(what: str, mend: str, code: int) -> int:
    """Says what is wrong and how to mend it, in two lines at most; returns `code`."""
    from inspectd.text.safe import safe

    lines = f"inspectd: {safe(what)}\n" + (f"  {safe(mend)}\n" if mend else "")
    sys.stderr.write(lines)
    return code
