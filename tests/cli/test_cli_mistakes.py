"""A person's mistake is one or two lines that say what is wrong and how to mend it, and the right exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from pathlib import Path

HEADLESS = ("--headless", "--listen", "127.0.0.1:0")


def run(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of `inspectd ARGUMENTS` without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", *arguments],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("--headless", "--listen", "127.0.0.1:70000"), 2, "has no port between 0 and 65535"),
        (("--headless", "--listen", "::1:80"), 2, "is an IPv6 address without brackets"),
        (("--headless", "--listen", "localhost"), 2, "has no port"),
        (("--headless", "--listen", "192.0.2.1:8080"), 1, "this machine has no such address"),
        (("--headless", "--listen", "no-such-name.invalid:80"), 1, "no such host: no-such-name.invalid"),
        ((*HEADLESS, "--answer", "nonsense"), 2, "not a status: 'nonsense'"),
        ((*HEADLESS, "--answer", "503 a\nb"), 2, r"a line end inside the status line"),
        ((*HEADLESS, "-H", "nocolon"), 2, "no colon in the header 'nocolon'"),
        ((*HEADLESS, "--body", "a", "--body-file", "README.md"), 2, "Give --body or --body-file, not both."),
        ((*HEADLESS, "--body-file", "/no/such/file"), 2, "'/no/such/file' does not exist"),
        ((*HEADLESS, "--capture", "README.md"), 1, "README.md: is not a capture"),
        ((*HEADLESS, "--capture", "inspectd"), 2, "'inspectd' is a directory"),
        ((*HEADLESS, "--capture", "/no/such/place/a.inspectd"), 1, "there is no directory /no/such/place"),
        ((*HEADLESS, "--keep", "lots"), 2, "'lots' is not a size"),
        ((*HEADLESS, "--keep", "9" * 400), 2, "is not a size"),
        ((*HEADLESS, "--idle-timeout", "soon"), 2, "'soon' is not a time"),
        ((*HEADLESS, "--idle-timeout", "9" * 400), 2, "is not a time"),
        ((*HEADLESS, "--backlog", "99999999999"), 2, "is not in the range"),
        ((*HEADLESS, "--control", "0.0.0.0:0"), 2, "is no port of a loopback address"),
        ((*HEADLESS, "--control", "example.com:80"), 2, "is no port of a loopback address"),
        ((*HEADLESS, "--json", "-v"), 2, "-v is for people, --json for programs"),
        (("--json",), 2, "--json goes with --headless."),
        (("-v",), 2, "--verbose goes with --headless."),
        (("--lisen", "1"), 2, "--listen"),
        (("opne", "x"), 2, "There is no command 'opne'. Did you mean 'open'?"),
        (("README.md",), 2, "inspectd open README.md"),
        (("9000",), 2, "A port is chosen with: inspectd --listen 9000"),
        (("--headless", "--listen", "http://localhost:80"), 2, "is a URL, not an address"),
        (("--listen", "0", "list", "x"), 2, "--listen is no option of `inspectd list`."),
        ((), 2, "the screen needs a terminal, and this is none"),
        (("open", "README.md"), 1, "README.md: is not a capture"),
        (("open", "no-such-file"), 1, "no-such-file: no such file"),
        (("control",), 2, "Missing command."),
        (("attach", "no-such-socket"), 1, "no engine answers at no-such-socket"),
        (("\x1b[31m",), 2, r"\x1b[31m"),
    ],
)
def test_each_mistake(tmp_path: Path, arguments: tuple[str, ...], code: int, what: str) -> None:
    exit_code, said = run(tmp_path, *arguments)

    assert exit_code == code
    assert said.startswith("inspectd: ")
    assert what in said.splitlines()[0]
    assert len(said.splitlines()) <= 2
    assert "\x1b" not in said


@pytest.mark.parametrize("option", ["-p", "--port"])
def test_whoever_asks_for_a_port_learns_the_option(tmp_path: Path, option: str) -> None:
    code, said = run(tmp_path, option, "9000")

    assert code == 2
    assert said.splitlines()[0].startswith(f"inspectd: No such option '{option}'")
    assert said.splitlines()[1] == "  The port is chosen with --listen: inspectd --listen 9000"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no disk that is always full")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("anatomy", "README.md"), HEADLESS])
def test_a_full_disk_behind_standard_output_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "inspectd", *arguments],
            cwd=ROOT,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == b"inspectd: the output: No space left on device\n"


def test_whoever_stops_reading_ends_a_command_well(tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000 + b"\r\n")
    command = subprocess.Popen(
        [sys.executable, "-m", "inspectd", "anatomy", str(message)],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(30) == 0


def test_a_taken_port_leaves_no_capture_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = run(tmp_path, "--headless", "--listen", f"127.0.0.1:{port}")

    assert code == 1
    assert (
        said.splitlines()[0] == f"inspectd: --listen 127.0.0.1:{port}: the port is taken by another program"
    )
    assert "--listen 127.0.0.1:0" in said.splitlines()[1]
    assert not list(tmp_path.rglob("*.inspectd*"))


def test_a_port_that_an_engine_of_ours_holds_names_the_way_to_it(tmp_path: Path) -> None:
    state = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "engine").mkdir()
    with LiveEngine(tmp_path / "engine", env=state) as engine:
        code, said = run(tmp_path, "--headless", "--listen", engine.addresses[0])

    assert code == 1
    way = f"it is an inspectd engine (process {engine.pid}): inspectd attach, or inspectd control stop"
    assert said.rstrip().endswith(way)


def test_an_engine_that_has_another_port_is_not_blamed(tmp_path: Path) -> None:
    state = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "engine").mkdir()
    with (
        LiveEngine(tmp_path / "engine", env=state),
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        code, said = run(tmp_path, "--headless", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")

    assert code == 1
    assert "taken by another program" in said
    assert "inspectd engine" not in said


@pytest.mark.parametrize("command", [("run", "--listen", "9000", "--", "true"), ("browser", "-l", "9000")])
def test_commands_with_a_proxy_of_their_own_say_that_they_choose_its_port(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, said = run(tmp_path, *command)

    assert code == 2
    assert f"inspectd {command[0]} takes a free port of this machine by itself" in " ".join(said.split())


def test_what_is_no_url_never_reaches_a_browser() -> None:
    from inspectd.cli.browser import opened_url

    assert [
        opened_url(word)
        for word in ("localhost:3000", "localhost/a", "[::1]:80/x?y", "a.test", "HTTP://a", "about:blank")
    ] == ["http://localhost:3000", "http://localhost/a", "http://[::1]:80/x?y", "http://a.test", "HTTP://a",
          "about:blank"]  # fmt: skip
    for word in ("safari", "two words", "localhost:port", "./page.html", "http:", ""):
        with pytest.raises(click.UsageError, match="is no URL"):
            opened_url(word)


def test_a_file_that_is_no_capture_is_left_as_it_was(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not to be lost")

    run(tmp_path, *HEADLESS, "--capture", str(notes))

    assert notes.read_text() == "not to be lost"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]


def test_the_help_page_shows_examples_commands_and_options(tmp_path: Path) -> None:
    page = subprocess.run(
        [sys.executable, "-m", "inspectd", "--help"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout

    places = [
        page.index(word)
        for word in ("Usage: inspectd", "Examples", "Commands", "Without a screen", "What to answer")
    ]
    assert places == sorted(places)
    commands = page[page.index("Commands") : page.index("Without a screen")]
    assert "control" in [line.split()[0] for line in commands.splitlines() if line.split()]
    assert "serve" not in [line.split()[0] for line in commands.splitlines() if line.split()]
    assert max(map(len, page.splitlines())) <= 80
