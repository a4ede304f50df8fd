"""The options of an engine, shared by `inspectd`, `inspectd --headless` and `inspectd serve`, and what they mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.group import option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inspectd.control.messages import AnswerRequest
    from inspectd.engine.config import EngineConfig

_SIZE: Final = re.compile(r"([0-9]{1,15}+(?:\.[0-9]{1,15}+)?+)\s*+([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DURATION: Final = re.compile(r"([0-9]{1,9}+(?:\.[0-9]{1,9}+)?+)\s*+(ms|s|m|h|)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def parse_size(text: str) -> int:
    """Bytes: `500MB` (powers of 1000), `2GiB` (powers of 1024), `65536`. Raises `click.BadParameter`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not (
        size := int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()])
    ):
        raise click.BadParameter(f"{text!r} is not a size: write 500MB, 2GiB or a number of bytes.")
    return size


def parse_duration(text: str) -> float:
    """Seconds: `500ms`, `30s`, `5m`, `1h`, or a number of seconds. Raises `click.BadParameter`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise click.BadParameter(f"{text!r} is not a time: write 500ms, 30s, 5m or a number of seconds.")
    return float(match[1]) * _SECONDS[match[2]]


HTTPS: Final = "https://"
ANSWER: Final = "What to answer"
LISTEN: Final = "Where to listen"
CAPTURE: Final = "What to keep"
LIMITS: Final = "Limits"
CONTROL: Final = "Control"
OUTPUT: Final = "Without a screen"

_OUTPUTS: Final = (
    option(
        "--headless", section=OUTPUT, is_flag=True,
        help="Print a line an exchange instead of opening the screen.",
    ),
    option(
        "--json", "as_json", section=OUTPUT, is_flag=True, help="With --headless: JSON lines, schema version 1."
    ),
    option(
        "--verbose", "-v", section=OUTPUT, count=True,
        help="With --headless: -v prints heads, -vv bodies as well.",
    ),
    option("--quiet", "-q", section=OUTPUT, is_flag=True, help="With --headless: print the listening line only."),
)  # fmt: skip

_ANSWERS: Final = (
    option(
        "--answer", "-a", section=ANSWER, metavar="STATUS",
        help="Answer everything with this status line, verbatim: 404, '503 Back Soon', \"HTTP/1.1 418 I'm a teapot\"."
        " Without it the mirror answers: it shows the client its own request.",
    ),
    option(
        "--header", "-H", "headers", section=ANSWER, metavar="'NAME: VALUE'", multiple=True,
        help="A field line of the answer, verbatim. Repeatable; order, case and duplicates are kept.",
    ),
    option("--body", section=ANSWER, metavar="TEXT", help="The content of the answer."),
    option(
        "--body-file", section=ANSWER, metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        help="A file as the content of the answer.",
    ),
    option(
        "--no-auto", section=ANSWER, multiple=True,
        type=click.Choice(["date", "content-length", "connection", "all"]),
        help="Leave out a field that inspectd adds by itself. Repeatable.",
    ),
)  # fmt: skip

_ENGINE: Final = (
    option(
        "--rules", "-r", section=ANSWER, metavar="FILE", multiple=True, type=click.Path(path_type=Path),
        help="Answer by the rules of this file; what none of them matches is answered as without. Repeatable: earlier"
        " files come first. A file that changes is read again. See inspectd rules --help.",
    ),
    option(
        "--listen", "-l", section=LISTEN, metavar="HOST:PORT", multiple=True,
        help="Default: 127.0.0.1:8080 and [::1]:8080. Also [::]:8080, a host name, port 0 for a free one, a bare PORT"
        " for both loopback addresses, unix:PATH, or https:// before any but that. Repeatable.",
    ),
    option(
        "--cert", section=LISTEN, metavar="FILE", type=click.Path(path_type=Path),
        help="What https listeners show: a certificate in PEM form, with its chain. Without it inspectd's own CA makes"
        " one for each name that clients ask for. See inspectd ca.",
    ),
    option(
        "--key", section=LISTEN, metavar="FILE", type=click.Path(path_type=Path),
        help="The key of --cert, when that file doesn't hold it.",
    ),
    option(
        "--backlog", section=LISTEN, metavar="N", type=click.IntRange(0, 65535), default=128, show_default=True,
        help="How many connections may wait in the accept queue.",
    ),
    option("--reuse-port", section=LISTEN, is_flag=True, help="Set SO_REUSEPORT: several engines share one port."),
    option(
        "--capture", "-c", section=CAPTURE, metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Keep the capture in this file; an existing capture is continued. Default: a new file among your last"
        " captures.",
    ),
    option(
        "--keep", section=CAPTURE, metavar="SIZE", type=parse_size, default="2GiB", show_default=True,
        help="How large the capture may grow: then the oldest connections go first.",
    ),
    option(
        "--durability", section=CAPTURE, type=click.Choice(["commit", "relaxed"]), default="commit",
        show_default=True,
        help="commit: an exchange is on record before its answer is sent. relaxed: faster, a crash may lose the"
        " last moment.",
    ),
    option("--strict", section=LIMITS, is_flag=True, help="Answer 400 where RFC 9112 asks for it."),
    option(
        "--max-head", section=LIMITS, metavar="SIZE", type=parse_size, default="64KiB", show_default=True,
        help="A larger head is answered 431.",
    ),
    option(
        "--max-request-line", section=LIMITS, metavar="SIZE", type=parse_size,
        help="A longer request line is answered 414.  [default: 8000; where servers answer: as --max-head]",
    ),
    option(
        "--idle-timeout", section=LIMITS, metavar="TIME", type=parse_duration,
        help="Close a connection that has sent nothing for this long.  [default: 5m]",
    ),
    option(
        "--head-timeout", section=LIMITS, metavar="TIME", type=parse_duration,
        help="Answer 408 when a head takes longer than this to arrive.  [default: 1m]",
    ),
    option(
        "--max-connections", section=LIMITS, metavar="N", type=click.IntRange(1),
        help="How many connections may be open at once; a further one is answered 503.  [default: 4096, or as many"
        " as the system lets this process have open]",
    ),
    option(
        "--control", section=CONTROL, metavar="HOST:PORT",
        help="Offer the control API on a loopback TCP port as well (bearer token in a file only you can read).",
    ),
)  # fmt: skip


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds every option of an engine to a command; their values arrive as keyword arguments."""
    return _decorated(command, (*_ANSWERS, *_ENGINE))


def forwarding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of an engine whose answers come from a server, and of what it prints."""
    return _decorated(command, (*_OUTPUTS, *_ENGINE))


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of an engine without a screen."""
    return _decorated(command, _OUTPUTS)


def _decorated(command: Callable[..., Any], options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    for decorate in reversed(options):
        command = decorate(command)
    return command


def is_headless(context: click.Context) -> bool:
    """Whether there is to be no screen. Raises `click.UsageError` when the options contradict each other."""
    values = context.params
    if values["headless"]:
        if values["as_json"] and values["verbose"]:
            raise click.UsageError("-v is for people, --json for programs: choose one.")
        return True
    for name in ("as_json", "verbose", "quiet"):
        if values[name]:
            raise click.UsageError(f"{flag(context, name)} goes with --headless.")
    return False


def flag(context: click.Context, name: str) -> str:
    """How an option is written on the command line."""
    parameters = context.command.get_params(context)
    return next(max(each.opts, key=len) for each in parameters if each.name == name)


def engine_config(values: Mapping[str, Any]) -> EngineConfig:
    """The engine's configuration that the options ask for."""
    from inspectd.capture.directory import default_path
    from inspectd.engine.config import EngineConfig, Limits

    limits = Limits(
        **_given(
            values,
            head="max_head",
            request_line="max_request_line",
            head_timeout="head_timeout",
            idle_timeout="idle_timeout",
            connections="max_connections",
        )
    )
    given = _given(
        values,
        backlog="backlog",
        reuse_port="reuse_port",
        keep_bytes="keep",
        durability="durability",
        strict="strict",
        capture="capture",
        certificate="cert",
        key="key",
    )
    if listen := tuple(address for asked in values.get("listen", ()) for address in listen_addresses(asked)):
        given["listen"] = listen
    _require_https(given)
    # Absolute: a viewer may ask for it from another directory.
    given["capture"] = given["capture"].absolute() if "capture" in given else default_path()
    return EngineConfig(**given, limits=limits)


def _require_https(given: Mapping[str, Any]) -> None:
    """A certificate without a listener that shows it was meant otherwise."""
    for name, flag in (("certificate", "--cert"), ("key", "--key")):
        if name in given and not any(address.startswith(HTTPS) for address in given.get("listen", ())):
            raise click.UsageError(
                f"{flag} goes with a listener that speaks TLS: --listen https://127.0.0.1:8443"
            )
    if "key" in given and "certificate" not in given:
        raise click.UsageError("--key goes with --cert.")


def _given(values: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {field: values[name] for field, name in names.items() if values.get(name) is not None}


def listen_addresses(asked: str) -> list[str]:
    """What the engine is told to listen on: a bare port means both loopback addresses that this machine has."""
    if asked.lower().startswith(HTTPS):
        return [f"{HTTPS}{each}" for each in listen_addresses(asked[len(HTTPS) :].removesuffix("/"))]
    if not (asked.isascii() and asked.isdigit()):
        return [asked]
    if not int(asked):
        return ["localhost:0"]  # one entry, so that both addresses get the same free port
    return [f"127.0.0.1:{asked}", f"[::1]:{asked}"] if _has_ipv6_loopback() else [f"127.0.0.1:{asked}"]


def _has_ipv6_loopback() -> bool:
    import socket

    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def answer_request(values: Mapping[str, Any]) -> AnswerRequest:
    """The answer that the options ask for. Raises `click.UsageError` when they contradict each other."""
    from inspectd.control.messages import AnswerRequest

    status, body, body_file = values.get("answer"), values.get("body"), values.get("body_file")
    headers, left_out = tuple(values.get("headers", ())), tuple(values.get("no_auto", ()))
    if body is not None and body_file is not None:
        raise click.UsageError("Give --body or --body-file, not both.")
    if status is None:
        if headers or left_out or body is not None or body_file is not None:
            status = "200 OK"
        else:
            return AnswerRequest(mirror=True)
    if "all" in left_out:
        left_out = ("date", "content-length", "connection")
    return AnswerRequest(
        status=status,
        headers=headers,
        body=body,
        body_file=None if body_file is None else str(body_file.absolute()),
        no_auto=left_out,
    )
