"""How inspectd reaches servers, as options: whom it trusts, what it shows, through whom and to which addresses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.group import option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inspectd.engine.config import Forwarding

SERVERS: Final = "How to reach servers"

_FILE: Final = click.Path(path_type=Path)
_OPTIONS: Final = (
    option(
        "--trust",
        section=SERVERS,
        metavar="FILE",
        multiple=True,
        type=_FILE,
        help="Trust certificates of this authority too (PEM), beside those that the system trusts. Repeatable.",
    ),
    option(
        "--insecure",
        section=SERVERS,
        is_flag=True,
        help="Go on when a server's certificate can't be trusted. What is wrong with it is recorded all the same.",
    ),
    option(
        "--client-cert",
        section=SERVERS,
        metavar="FILE",
        type=_FILE,
        help="Show this certificate (PEM) to servers that ask for one.",
    ),
    option(
        "--client-key",
        section=SERVERS,
        metavar="FILE",
        type=_FILE,
        help="Its key, when that is not in the same file.",
    ),
    option(
        "--via",
        section=SERVERS,
        metavar="URL",
        help="Go through another proxy: http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before HOST where"
        " it demands that. It looks up the names. The password is recorded nowhere; other users of this machine can"
        " see it in the list of processes.",
    ),
    option(
        "--resolve",
        section=SERVERS,
        metavar="HOST:PORT:ADDRESS",
        multiple=True,
        help="Connect to this address (or ADDRESS,ADDRESS) instead of looking HOST up, for this port, as with curl;"
        " * stands for every name. Host and the name in TLS stay. Repeatable.",
    ),
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds these options to a command."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


def reaching(forwarding: Forwarding, values: Mapping[str, Any]) -> Forwarding:
    """The same with what these options say. Raises InspectdError (exit code 2) when it can't be so."""
    from dataclasses import replace

    from inspectd.engine.proxy.dial import parse_resolve
    from inspectd.engine.proxy.via import parse_via

    if values["client_key"] is not None and values["client_cert"] is None:
        raise click.UsageError("--client-key is the key of --client-cert, which is missing.")
    forwarding = replace(
        forwarding,
        verify=not values["insecure"],
        trust=values["trust"],
        client_certificate=values["client_cert"],
        client_key=values["client_key"],
        via=None if values["via"] is None else parse_via(values["via"]),
        resolve=tuple(parse_resolve(text) for text in values["resolve"]),
    )
    if forwarding.trust or forwarding.client_certificate is not None:
        from inspectd.engine.proxy.trust import Trust

        Trust(forwarding).context(checked=forwarding.verify)  # whether the files can be used is said now
    return forwarding
