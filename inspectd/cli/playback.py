"""`inspectd playback`: a capture as the server that it was recorded from."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from inspectd.cli.group import SectionCommand, option
from inspectd.cli.options import engine_config, forwarding_options, is_headless
from inspectd.cli.servers import SERVERS, reaching, server_options
from inspectd.errors import InspectdError
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.cli.headless import Headless
    from inspectd.engine.config import EngineConfig
    from inspectd.export.playing import Playback, Repeat

PLAY: Final = "What to play"
_LISTED: Final = 50
_REACHING: Final = ("trust", "insecure", "client_cert", "client_key", "via", "resolve")

_HELP: Final = """Answer as was answered in the capture FILE: the same bytes to the same requests.

The same request answered differently gets those answers in their order. What was cut off is cut off again and ends as
it ended: FIN, RST, silence. Fields such as Date and Set-Cookie are those of the recording. Answers are read from the
capture when they are asked for, so it may be as large as it likes; it has to stay where it is.

A request for which nothing was recorded is answered 501 with the recorded ones that came nearest, and why they are
others; --headless lists such requests at its end. --match says how much of a request has to be as recorded.

\b
  inspectd playback a.inspectd                      on http://localhost:8080
  inspectd playback a.inspectd --match strict       with the same content
  inspectd playback a.inspectd --timing --headless  with the waits of then
  inspectd playback a.inspectd --otherwise http://localhost:3000

To change answers, make a rule file of the capture: inspectd export FILE --rules -o rules.toml.
"""


@click.command("playback", cls=SectionCommand, help=_HELP)
@click.argument("recording", metavar="FILE", type=click.Path(path_type=Path))
@option(
    "--match",
    section=PLAY,
    metavar="PARTS",
    default="usual",
    show_default=True,
    help="What of a request has to be as recorded: method, path, query, host, body, headers:NAME with commas between;"
    " or usual (method,path,query,host), strict (and body), loose (method,path). The host counts where several were"
    " recorded.",
)
@option(
    "--repeat",
    section=PLAY,
    type=click.Choice(["last", "cycle", "404"]),
    default="last",
    show_default=True,
    help="After the last recorded answer to a request: that one again, all from the first on, or no answer.",
)
@option(
    "--timing",
    section=PLAY,
    is_flag=True,
    help="Wait before each answer, and in it, as long as was waited then.",
)
@option(
    "--otherwise",
    section=PLAY,
    metavar="URL",
    help="Pass on to this server (http or https) what was not recorded, as inspectd reverse does.",
)
@server_options
@click.option("--serve", is_flag=True, hidden=True, help="Be the engine of a screen.")
@forwarding_options
@click.pass_context
def command(
    context: click.Context,
    /,
    recording: Path,
    match: str,
    repeat: str,
    *,
    timing: bool,
    otherwise: str | None,
    **values: Any,
) -> None:
    """Play a capture back."""
    from inspectd.capture.reader import Capture
    from inspectd.export.likeness import likeness
    from inspectd.export.playing import Manner, play

    manner = Manner(likeness(match), cast("Repeat", repeat), timing)
    headless = is_headless(context)
    _another(values.get("capture"), recording)
    if not headless and not values["serve"]:
        from inspectd.cli.run import run

        Capture.open(recording).close()  # what is wrong with it is said before a screen appears
        context.exit(run(context.obj[1:], (context.obj[0], "--serve")))
    config = engine_config(values)
    if otherwise is not None:
        config = _forwarding(config, otherwise, values)
    elif any(values[name] for name in _REACHING):
        raise click.UsageError(f"The options under {SERVERS!r} mean nothing without --otherwise URL.")
    with Capture.open(recording) as capture:
        playback = play(capture, manner, otherwise)
        if left_out := playback.left_out.sentence:
            print(f"inspectd: left out: {left_out}", file=sys.stderr)
        _live(playback, config, values, headless=headless)


def _another(capture: Path | None, recording: Path) -> None:
    """What is played must not grow by being played."""
    if capture is not None and capture.exists() and recording.exists() and capture.samefile(recording):
        raise InspectdError(
            f"--capture {capture} is the capture that is played",
            "Name another file for what happens now.",
            exit_code=2,
        )


def _forwarding(config: EngineConfig, url: str, values: dict[str, Any]) -> EngineConfig:
    from inspectd.engine.config import Forwarding
    from inspectd.engine.proxy.routes import parse_origin

    origin = parse_origin(url)
    forwarding = Forwarding(origin.host, origin.port, tls=origin.tls)
    return replace(config, forwarding=reaching(forwarding, values))


def _live(playback: Playback, config: EngineConfig, values: dict[str, Any], *, headless: bool) -> None:
    from inspectd.cli.life import live
    from inspectd.cli.rule_files import load_rule_files
    from inspectd.cli.serve import Announcement

    rules = load_rule_files(values["rules"])
    if not headless:
        live(config, playback, Announcement(), control=values["control"], rules=rules)
        return
    from inspectd.cli.output import require_stdout

    require_stdout("inspectd playback FILE --headless >lines")
    live(config, playback, _front(values, config), control=values["control"], rules=rules)
    _tell(playback)


def _front(values: dict[str, Any], config: EngineConfig) -> Headless:
    from inspectd.cli.headless import Headless

    return Headless(
        as_json=values["as_json"], quiet=values["quiet"], verbosity=values["verbose"], capture=config.capture
    )


def _tell(playback: Playback) -> None:
    """The requests that there was no answer for."""
    missed = sorted(playback.missed.items(), key=lambda each: (-each[1], each[0]))
    if not missed:
        return
    count = sum(playback.missed.values())
    lines = [f"inspectd: nothing was recorded for {count:,} request{'s' * (count != 1)}:"]
    lines += [f"  {asked}{f' ({count:,} times)' if count > 1 else ''}" for asked, count in missed[:_LISTED]]
    if len(missed) > _LISTED:
        lines.append(f"  ... and {len(missed) - _LISTED:,} others")
    print("\n".join(safe(line, doubling=False) for line in lines), file=sys.stderr)
