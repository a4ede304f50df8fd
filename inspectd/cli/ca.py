"""`inspectd ca`: the certificate authority of this person: where it is, how to trust it, and how to be rid of it."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final, cast

import click

from inspectd.browsers import nss as nss_database
from inspectd.browsers.nss import DATABASE
from inspectd.cli.group import SectionGroup
from inspectd.engine.trusting import COMMANDS, FORMS, WARNING, in_form
from inspectd.errors import InspectdError
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.engine.ca import Authority
    from inspectd.engine.trusting import Form


@click.group("ca", cls=SectionGroup, invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.pass_context
def command(context: click.Context) -> None:
    """The certificate authority that https listeners make certificates with: what it is, and how to trust it.

    It is made when it is first needed, here or by inspectd --listen https://...
    """
    if context.invoked_subcommand is None:
        from inspectd.engine.ca import open_authority

        _describe(open_authority())


def _describe(authority: Authority) -> None:
    write = sys.stdout.write
    file = quote(str(authority.certificate_path))
    width = max(len(step.system) for step in COMMANDS)
    write(
        f"name         {safe(authority.name)}\n"
        f"certificate  {safe(str(authority.certificate_path))}\n"
        f"key          {safe(str(authority.path))} (for you alone: never give it away)\n"
        f"SHA-256      {authority.fingerprint}\n"
        f"valid until  {authority.ends:%Y-%m-%d}\n\n"
        "To make a program trust it:\n\n"
    )
    for step in COMMANDS:
        write(f"  {step.system:<{width}}  {safe(step.what.replace('{file}', file))}\n")
    write(
        "\nOne program or browser, with nothing installed anywhere: inspectd run -- CMD, inspectd browser URL\n"
        "Phones, and browsers on other machines, through inspectd proxy: http://inspectd.test/ offers it to them.\n"
        f"\n{WARNING}: inspectd ca uninstall, or inspectd ca remove when you need it no more.\n"
    )


@command.command("export")
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMS),
    default="pem",
    show_default=True,
    help="p12 holds the certificate only and has no password.",
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def export(kind: str, file: Path | None) -> None:
    """Write the certificate, never the key, to FILE or standard output."""
    from inspectd.engine.ca import open_authority

    data = in_form(open_authority().certificate, cast("Form", kind))
    if file is not None:
        file.write_bytes(data)
    elif kind != "pem" and sys.stdout.isatty():
        raise InspectdError(
            f"{kind} is no text, so it doesn't go to a terminal", f"inspectd ca export --format {kind} FILE"
        )
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


_PLACES: Final = (
    click.option(
        "--nss", metavar="DIR", type=click.Path(path_type=Path), help="An NSS database, such as ~/.pki/nssdb."
    ),
    click.option(
        "--firefox",
        metavar="PROFILE",
        type=click.Path(path_type=Path),
        help="The directory of a Firefox profile.",
    ),
)


@command.command("install")
@_PLACES[0]
@_PLACES[1]
def install(nss: Path | None, firefox: Path | None) -> None:
    """Make a browser's certificate database trust the authority, for servers only."""
    from inspectd.engine.ca import open_authority

    authority, database = open_authority(), _database(nss, firefox, make=nss is not None)
    nickname = authority.name
    nss_database.trust(database, nickname, authority.certificate_path, _echo)
    sys.stdout.write(
        f"{safe(str(database))} trusts {nickname} now. Start the browser again to make it notice.\n"
        f"To undo it: inspectd ca uninstall --nss {safe(quote(str(database)))}\n"
    )


@command.command("uninstall")
@_PLACES[0]
@_PLACES[1]
def uninstall(nss: Path | None, firefox: Path | None) -> None:
    """Take the authority out of a browser's certificate database."""
    from inspectd.engine.ca import existing

    database = _database(nss, firefox, make=False)
    authority = existing()
    if authority is None:
        raise InspectdError(
            "there is no certificate authority, so it is not known which one to take out",
            f"certutil -d sql:{quote(str(database))} -L lists them, -D -n NAME takes one out",
        )
    nss_database.take_out(database, authority.name, _echo)
    sys.stdout.write(f"{safe(str(database))} doesn't trust {authority.name} any more.\n")


@command.command("remove")
def remove() -> None:
    """Delete the authority and its key. The next https listener makes another one."""
    from inspectd.engine import ca

    gone = ca.remove()
    for path in gone:
        sys.stdout.write(f"deleted {safe(str(path))}\n")
    if not gone:
        sys.stdout.write("There is no certificate authority.\n")
    else:
        sys.stdout.write("What was told to trust it still does, harmlessly: its key is no more.\n")


# ---------------------------------------------------------------------------------------------------- NSS


def _database(nss: Path | None, firefox: Path | None, *, make: bool) -> Path:
    """The directory of the database that was named; `make` makes an empty one where none is."""
    if (nss is None) == (firefox is None):
        raise click.UsageError("Name one database: --nss DIR or --firefox PROFILE.")
    path = nss or firefox
    assert path is not None
    path = path.expanduser().absolute()
    if (path / DATABASE).is_file():
        return path
    if firefox is not None:
        raise InspectdError(
            f"{path}: is no profile of Firefox: there is no {DATABASE} in it",
            "about:profiles in Firefox names the root directory of each",
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InspectdError(
            f"{path}: is no NSS database: there is no {DATABASE} in it", "Chromium's is ~/.pki/nssdb"
        )
    if not make:
        raise InspectdError(f"{path}: there is no NSS database")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    nss_database.make(path, _echo)
    return path


def _echo(line: str) -> None:
    """What is run is shown."""
    sys.stdout.write(f"{safe(line)}\n")
    sys.stdout.flush()
