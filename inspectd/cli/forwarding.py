"""`inspectd reverse` and `inspectd proxy`: the engine between clients and real servers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.group import SectionCommand, option
from inspectd.cli.options import engine_config, forwarding_options, is_headless, parse_duration
from inspectd.cli.servers import reaching, server_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.engine.config import EngineConfig, Forwarding
    from inspectd.rules.responder import Responder

FORWARD: Final = "What to forward"

_REVERSE_HELP: Final = """Stand before the server at URL and see all that passes, byte for byte.

Clients talk to inspectd's port instead of the server's. What they send goes on to the server as it came, and what the
server sends goes back as it came: white space, line ends, chunks, trailers, interim responses, broken messages, and
when a side says FIN or RST. Nothing is held back until it is whole. Each exchange is recorded with both sides of it
and with the time that each step took.

URL names the server only, as in http://localhost:3000; the paths are those that clients ask for. The Host field is
left as clients send it, unless --host says otherwise. With --rules, what a rule matches is answered by the rule, and
everything else by the server.

\b
  inspectd reverse http://localhost:3000  then open http://localhost:8080
  inspectd reverse http://10.0.0.5 --host example.test --listen 9000
  inspectd reverse https://example.test --host example.test  through TLS
  inspectd reverse http://localhost:3000 --rules outage.toml --headless
"""


_PROXY_HELP: Final = """Be the proxy that clients are set to use, and see all that passes, byte for byte.

Requests go to the servers that they name, and answers come back, as they came: white space, line ends, chunks,
trailers, interim responses, broken messages. What a proxy has to change is changed and noted: the absolute target
becomes a path, Host is the target's, and Proxy-* fields stay here. With --rules, what a rule matches is answered by
the rule.

Tunnels (CONNECT for https, SOCKS 4, 4a and 5, all on the same port) are looked into. TLS is decrypted: clients are
shown a certificate of inspectd's own CA for the name that they ask for, and have to trust it once: inspectd ca explains
how, and http://inspectd.test/ through the proxy is a page that offers it to browsers and phones. A client that refuses
it is a row that says so. Requests in clear text and WebSockets are read as well; everything else passes as bytes. Leave
hosts that must not be decrypted alone with --no-intercept.

\b
  inspectd proxy                          a proxy on localhost:8080
  inspectd ca export ca.pem               the certificate that clients trust
  curl -x http://localhost:8080 --cacert ca.pem https://example.test/
  curl --socks5-hostname localhost:8080 http://example.test/
  inspectd proxy --no-intercept '*.bank.test' --no-intercept example.test:8443
  inspectd proxy --only '*.example.test'  what goes elsewhere is only counted
  https_proxy=http://localhost:8080 python app.py

Only programs on this machine can use it, unless --allow-remote and --listen say otherwise. Whoever can use it reaches
what this machine reaches, also what listens on its loopback address alone: let --proxy-auth ask for a password then.

\b
  inspectd proxy --allow-remote --listen 0.0.0.0:8080 --proxy-auth @proxy.pass
  curl -x http://USER:PASS@HOST:8080 http://example.test/
"""

_ON_ERROR: Final = option(
    "--on-error",
    section=FORWARD,
    type=click.Choice(["answer", "reset"]),
    default="answer",
    show_default=True,
    help="When the server can't be reached or says nothing: answer 502 or 504 with the reason, or reset the"
    " connection.",
)
_CONNECT_TIMEOUT: Final = option(
    "--connect-timeout",
    section=FORWARD,
    metavar="TIME",
    type=parse_duration,
    default="10s",
    show_default=True,
    help="How long it may take to be connected to a server.",
)
_SERVE: Final = click.option("--serve", is_flag=True, hidden=True, help="Be the engine of a screen.")


@click.command("reverse", cls=SectionCommand, help=_REVERSE_HELP)
@click.argument("url", metavar="URL")
@option(
    "--host",
    section=FORWARD,
    metavar="VALUE",
    help="Send the server this value of Host instead of the client's, and note the change.",
)
@_ON_ERROR
@_CONNECT_TIMEOUT
@server_options
@_SERVE
@forwarding_options
@click.pass_context
def reverse(context: click.Context, /, url: str, host: str | None, **values: Any) -> None:
    """Run an engine that forwards to one server, and its screen."""
    from inspectd.engine.config import Forwarding
    from inspectd.engine.proxy.routes import parse_origin
    from inspectd.rules.passing import Passing

    origin = parse_origin(url)
    if host is not None and any(character in "\r\n\0" or ord(character) > 255 for character in host):
        raise click.BadParameter(f"{host!r} can't be the value of a field.", param_hint="--host")
    forwarding = Forwarding(
        origin.host,
        origin.port,
        tls=origin.tls,
        host=host,
        on_error=values["on_error"],
        connect_timeout=values["connect_timeout"],
    )
    forward(context, values, forwarding, Passing(origin.url))


@click.command("proxy", cls=SectionCommand, help=_PROXY_HELP)
@option(
    "--allow-remote",
    section=FORWARD,
    is_flag=True,
    help="Let --listen name addresses that other machines can reach: they can then reach what this one reaches.",
)
@option(
    "--proxy-auth",
    section=FORWARD,
    metavar="USER:PASS|@FILE",
    envvar="INSPECTD_PROXY_AUTH",
    help="Let only clients in that give this user and password, by Proxy-Authorization (Basic) or SOCKS 5. @FILE has it"
    " in its first line: other users of this machine can see what is on a command line, but not a file of yours, nor"
    " the variable INSPECTD_PROXY_AUTH, which means the same. No server gets it. The capture has it as all that clients"
    " send; only you can read that file, and export --redact takes it out.",
)
@option(
    "--no-intercept",
    section=FORWARD,
    metavar="GLOB",
    multiple=True,
    help="Don't look into tunnels to these hosts (HOST or HOST:PORT, * for any text): their bytes pass as they are, and"
    " are recorded as such. '*' leaves all of them alone. Repeatable.",
)
@option(
    "--only",
    section=FORWARD,
    metavar="GLOB",
    multiple=True,
    help="Record only what goes to these hosts; connections to others pass unrecorded, and are counted. Repeatable.",
)
@_ON_ERROR
@_CONNECT_TIMEOUT
@server_options
@_SERVE
@forwarding_options
@click.pass_context
def proxy(context: click.Context, /, **values: Any) -> None:
    """Run an engine that is a forward proxy, and its screen."""
    from inspectd.engine.config import Forwarding
    from inspectd.engine.proxy.admission import parse_password
    from inspectd.rules.passing import Passing

    forwarding = Forwarding(
        on_error=values["on_error"],
        allow_remote=values["allow_remote"],
        intercept=True,
        no_intercept=values["no_intercept"],
        only=values["only"],
        connect_timeout=values["connect_timeout"],
        password=parse_password(values["proxy_auth"]) if values["proxy_auth"] else None,
    )
    forward(context, values, forwarding, Passing("the servers that they name"))


def forward(
    context: click.Context, values: Mapping[str, Any], forwarding: Forwarding, responder: Responder
) -> None:
    """Run such an engine with a screen, without one, or as the engine of one."""
    headless = is_headless(context)
    if not headless and not values["serve"]:
        from inspectd.cli.run import run

        context.exit(run(context.obj[1:], (context.obj[0], "--serve")))
    config: EngineConfig = replace(engine_config(values), forwarding=reaching(forwarding, values))
    if values["max_request_line"] is None:  # how long a target may be is for the server to say
        config = replace(config, limits=replace(config.limits, request_line=config.limits.head))
    if headless:
        from inspectd.cli.headless import headless as run_headless

        run_headless(values, config, responder)
        return
    from inspectd.cli.life import live
    from inspectd.cli.rule_files import load_rule_files
    from inspectd.cli.serve import Announcement

    live(config, responder, Announcement(), control=values["control"], rules=load_rule_files(values["rules"]))
