"""`inspectd browser`: a browser with a profile of its own, through a proxy of its own, and the screen that shows it.

The browser is ended when inspectd ends, and its profile removed. The engine is a process beside this one in both modes,
with the screen and without.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import string
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from inspectd.cli.group import option
from inspectd.cli.options import is_headless
from inspectd.cli.own_engine import ADDRESS, LISTENING, OwnEngineCommand, engine_words, own_engine
from inspectd.errors import InspectdError
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inspectd.browsers.process import BrowserProcess
    from inspectd.cli.listening import Listening

BROWSER: Final = "The browser"
LOOK_SECONDS: Final = 0.2
"""How often it is looked whether the engine still lives, while the browser is waited for."""
_URL: Final = re.compile(r"(?i)(?:[a-z][a-z0-9+.-]*://|(?:about|data|view-source|javascript):).")
_OF_AUTHORITIES: Final = frozenset(string.ascii_letters + string.digits + "-._~:[]%")
_INSTALL: Final = (
    "Debian: apt install chromium or firefox-esr; macOS: brew install --cask chromium or firefox"
)

_HELP: Final = """Start a browser, and see all that its pages ask servers for, byte for byte.

The browser is one that is installed, with a new profile that is removed in the end: no cookies, no extensions, nothing
of your own. All it asks for goes through a proxy of its own on a free port, localhost as well, and it trusts inspectd's
certificate authority, so that https is seen too. What it does for pages is left as it is; what it asks for by itself
(updates, telemetry, lists of dangerous sites, start pages) is switched off.

\b
  inspectd browser                                 Chromium, or else Firefox
  inspectd browser firefox http://localhost:3000
  inspectd browser chromium https://example.test/ --rules outage.toml
  inspectd browser --headless --json | jq .target  lines, not the screen

BROWSER is chromium (also Chrome, Edge and Brave) or firefox. URL is opened first. Ending inspectd ends the browser.
Without the screen, closing the browser ends inspectd; with it, what was recorded stays on the screen until you quit.

Chromium is told the public key of the authority on its command line, and that it is being tested, so that it doesn't
warn of that. Firefox gets the certificate into the profile's own database. Nothing else on this machine trusts anything
because of it.
"""


class Choice(NamedTuple):
    """Which browser, and what it opens."""

    name: str
    program: Path
    url: str
    window: bool


@click.command("browser", cls=OwnEngineCommand, without=LISTENING | {"control"}, help=_HELP)
@click.argument("words", metavar="[BROWSER] [URL]", nargs=-1)
@option(
    "--no-window",
    section=BROWSER,
    is_flag=True,
    help="Start the browser without a window, for scripts and tests: it loads URL and goes on until inspectd ends.",
)
@click.pass_context
def browser(context: click.Context, /, words: tuple[str, ...], *, no_window: bool, **values: Any) -> None:
    """Run an engine that is a proxy, and a browser that uses it."""
    headless = is_headless(context)
    choice = chosen(words, window=not no_window)
    if headless:
        context.exit(_headless(context, choice, values))
    from inspectd.cli.run import run

    arguments = (f"--listen={ADDRESS}", *engine_words(context))
    started: list[BrowserProcess] = []

    @contextlib.contextmanager
    def beside(listening: Listening) -> Iterator[None]:
        with running(choice, listening) as process:
            started.append(process)
            # Its profile goes when it ends, not when the screen does.
            threading.Thread(target=process.wait_and_close, name="browser's end", daemon=True).start()
            yield

    code = run(arguments, ("proxy", "--serve"), instead="inspectd browser --headless", beside=beside)
    for process in started:
        complain(choice, process)
    context.exit(code)


def chosen(words: tuple[str, ...], *, window: bool) -> Choice:
    """What the words of the command line ask for. Raises `click.UsageError` and `InspectdError`."""
    from inspectd.browsers.finding import NAMES, find

    name = words[0].lower() if words and words[0].lower() in NAMES else None
    rest = words if name is None else words[1:]
    if len(rest) > 1 or any(word.startswith("-") for word in rest):
        raise click.UsageError(f"One URL, and before it {' or '.join(NAMES)}: {' '.join(rest)!r} is neither.")
    url = opened_url(rest[0]) if rest else "about:blank"
    for each in NAMES if name is None else (name,):
        program = find(each)
        if program is not None:
            if window and _no_display():
                raise InspectdError(
                    "there is no display to open a browser's window on",
                    "Without a window: inspectd browser --no-window --headless URL",
                )
            return Choice(each, program, url, window)
    raise InspectdError(f"{name or 'a browser'} is not installed, or not where it usually is", _INSTALL)


def opened_url(word: str) -> str:
    """The URL that a word stands for: HOST:PORT and the like are http. Raises `click.UsageError` for what is none.

    A browser would look for what is no URL with a search engine.
    """
    from inspectd.engine.proxy.routes import read_authority

    if _URL.match(word):
        return word
    authority = re.split(r"[/?#]", word, maxsplit=1)[0]
    origin = read_authority(authority, None) or read_authority(authority, 80)
    spelled = set(authority) <= _OF_AUTHORITIES and (":" in authority or "." in authority)
    spelled = spelled and authority[:1] not in ".:" and authority[-1:] != ":"
    if origin is None or not (spelled or authority.lower() == "localhost"):
        raise click.UsageError(
            f"{word!r} is no URL, and neither chromium nor firefox. Write http://HOST:PORT/, for example"
            " http://localhost:3000/."
        )
    return f"http://{word}"


def _no_display() -> bool:
    return sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def running(choice: Choice, listening: Listening) -> Iterator[BrowserProcess]:
    """Run the browser through an engine as long as the block lasts. Raises `InspectdError`."""
    process = _start(choice, listening.addresses[0])
    try:
        yield process
    finally:
        process.end()
        process.close()


def _start(choice: Choice, proxy: str) -> BrowserProcess:
    from inspectd.browsers import chromium, firefox
    from inspectd.browsers.finding import profiles_folder
    from inspectd.browsers.process import BrowserProcess, new_profile
    from inspectd.engine.ca import open_authority

    authority = open_authority()
    name, program, url, window = choice
    profile = new_profile(name, profiles_folder(name, program))
    try:
        if name == "chromium":
            chromium.prepare(Path(profile.name))
            argv = chromium.command(
                program, profile.name, url, proxy=proxy, spki=authority.public_key_hash, headless=not window
            )
        else:
            firefox.prepare(
                program,
                Path(profile.name),
                proxy=proxy,
                certificate=authority.certificate_path,
                authority=authority.name,
            )
            argv = firefox.command(program, profile.name, url, headless=not window)
        return BrowserProcess(argv, profile, environment=firefox.ENVIRONMENT if name == "firefox" else {})
    except BaseException as problem:
        profile.cleanup()
        if isinstance(problem, OSError):
            raise InspectdError(f"{program}: {problem.strerror or problem}", _INSTALL) from problem
        raise


def complain(choice: Choice, process: BrowserProcess) -> bool:
    """Say so when a browser ended by itself and in failure; whether it did."""
    if not process.failure:
        return False
    said = process.last_words or "it said nothing"
    sys.stderr.write(f"inspectd: {safe(str(choice.program))} failed ({process.failure}): {safe(said)}\n")
    return True


def _headless(context: click.Context, choice: Choice, values: Mapping[str, Any]) -> int:
    """The engine's lines until the browser is closed, or a signal comes; the exit code."""
    from inspectd.cli.headless import Headless
    from inspectd.cli.life import Started
    from inspectd.cli.output import require_stdout
    from inspectd.rules.passing import PASSING_ON

    require_stdout("inspectd browser --headless >lines")
    with own_engine(engine_words(context), values["capture"]) as engine:
        listening = engine.listening
        front = Headless(
            as_json=values["as_json"],
            quiet=values["quiet"],
            verbosity=values["verbose"],
            capture=Path(listening.capture),
        )
        with running(choice, listening) as process, _ended_by_signals(process):
            front.started(
                Started(
                    addresses=listening.addresses,
                    capture=Path(listening.capture),
                    control=Path(listening.control),
                    control_tcp=None,
                    token_file=None,
                    answer=f"{PASSING_ON}the servers that they name",
                    started_ns=engine.since_ns,
                    reach=listening.reach,
                ),
                process.end,
            )
            while process.wait(LOOK_SECONDS) is None and engine.alive():
                pass
    front.stopped()
    return 1 if complain(choice, process) else 0


@contextlib.contextmanager
def _ended_by_signals(process: BrowserProcess) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the browser; the rest follows from that."""

    def ask(*_: object) -> None:
        process.end()

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
