"""`inspectd browser`: the real Chromium and Firefox, started as a person starts them, but without a window."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.browsers import nss
from inspectd.browsers.finding import NAMES, find
from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from tests.browsers.starting import need
from tests.hostile.terminal import Terminal
from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGE = ("-a", "200", "-H", "Content-Type: text/html", "--body", "<!doctype html><title>t</title>hello")

both = pytest.mark.parametrize("name", NAMES)


def processes_of(folder: str) -> list[int]:
    """Processes with this folder on their command line, the oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(folder) in words:
            found.append(int(entry.name))
    return sorted(found)


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look again and again until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it doesn't hold after {seconds} s"
        time.sleep(0.02)


class Browsed(LiveEngine):
    """`inspectd browser NAME URL`, its lines, and a folder in which it has its temporary files."""

    def __init__(
        self, tmp_path: Path, name: str, url: str, *options: str, env: Mapping[str, str] | None = None
    ) -> None:
        need(name)
        folder = tmp_path / "browsed"
        folder.mkdir()
        # Chromium has a socket in there, and the name of one is short.
        self.temporary = Path(tempfile.mkdtemp(prefix="browsed-", dir="/tmp"))
        more = {"TMPDIR": str(self.temporary), "XDG_DATA_HOME": str(tmp_path), **(env or {})}
        interpreter = (sys.executable, "-m", "inspectd", "browser", name, url, "--no-window")
        super().__init__(folder, *options, listen=(), interpreter=interpreter, env=more)

    def __exit__(self, *raised: object) -> None:
        self.stop()  # kill -9 would leave the browser behind
        super().__exit__(*raised)
        shutil.rmtree(self.temporary)

    def profile(self) -> Path:
        """The browser's profile."""
        (found,) = self.temporary.glob("inspectd-*")
        return found

    def processes(self) -> list[int]:
        """Processes with the profile on their command line."""
        return [pid for pid in processes_of(str(self.temporary)) if pid != self.pid]

    def left(self) -> list[str]:
        """What of it is still there."""
        return [*map(str, self.processes()), *(path.name for path in self.temporary.glob("inspectd-*"))]


needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at /proc")


@both
@needs_proc
def test_pages_on_loopback_go_through_the_proxy_and_nothing_else_does(tmp_path: Path, name: str) -> None:
    with LiveEngine(tmp_path, *PAGE) as origin:
        page = f"http://localhost:{origin.port}/page"
        with Browsed(tmp_path, name, page) as browsed:
            line = browsed.exchange(target=page)
            assert line["status"] == 200
            assert dict(line["fields"])["Sec-Fetch-Dest"] == "document"
            browsed.exchange(target=f"http://localhost:{origin.port}/favicon.ico")
            assert browsed.processes()
            assert browsed.stop() == 0
            assert browsed.left() == []
        assert origin.exchange(target="/page")["status"] == 200
    with Capture.open(browsed.capture) as capture:
        assert {row.host for row in capture.exchanges_after(0, 1000)} == {f"localhost:{origin.port}"}


@both
def test_it_trusts_the_authority_without_asking(tmp_path: Path, name: str) -> None:
    with LiveEngine(tmp_path, *PAGE, listen=("https://127.0.0.1:0",)) as origin:
        page = f"https://localhost:{origin.port}/secret"
        trusting = {"SSL_CERT_FILE": str(tmp_path / "inspectd" / "ca.pem")}
        with Browsed(tmp_path, name, page, env=trusting) as browsed:
            inside = browsed.exchange(target="/secret")
            assert (inside["status"], inside["tls"]["sni"]) == (200, "localhost")
            line = origin.exchange(target="/secret")
            assert dict(line["fields"])["Sec-Fetch-Mode"] == "navigate"
            assert browsed.stop() == 0


def test_firefox_trusts_it_where_certutil_is_missing(tmp_path: Path) -> None:
    need("firefox")
    firefox = find("firefox")
    assert firefox is not None
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "firefox").symlink_to(firefox.resolve())
    with LiveEngine(tmp_path, *PAGE, listen=("https://127.0.0.1:0",)) as origin:
        page = f"https://localhost:{origin.port}/secret"
        env = {"PATH": str(programs), "SSL_CERT_FILE": str(tmp_path / "inspectd" / "ca.pem")}
        with Browsed(tmp_path, "firefox", page, env=env) as browsed:
            assert browsed.exchange(target="/secret")["status"] == 200
            assert "marionette" not in (browsed.profile() / "user.js").read_text()
            assert browsed.stop(signal.SIGINT) == 0
            assert not list(browsed.temporary.glob("inspectd-*"))
    with Capture.open(browsed.capture) as capture:  # not even when it was prepared
        assert {row.host for row in capture.exchanges_after(0, 1000)} == {f"localhost:{origin.port}"}


@both
@needs_proc
def test_the_end_of_the_browser_is_the_end_of_it(tmp_path: Path, name: str) -> None:
    with LiveEngine(tmp_path, *PAGE) as origin:
        page = f"http://localhost:{origin.port}/page"
        with Browsed(tmp_path, name, page) as browsed:
            browsed.exchange(target=page)
            os.kill(browsed.processes()[0], signal.SIGKILL)
            assert browsed.wait() == 1  # a browser that is closed by hand ends with 0
            assert "failed (SIGKILL)" in browsed.stderr
            assert browsed.left() == []


@both
def test_rules_answer_in_the_place_of_servers(tmp_path: Path, name: str) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nmatch = { host = "made-up.test" }\nrespond = "200 OK"\nbody = "hello"\n')
    with Browsed(tmp_path, name, "http://made-up.test/x", "--rules", str(rules)) as browsed:
        assert browsed.exchange(target="http://made-up.test/x")["status"] == 200


@needs_proc
def test_with_the_screen_what_was_recorded_stays_until_one_quits(tmp_path: Path) -> None:
    need("chromium")
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nmatch = { host = "made-up.test" }\nrespond = "200 OK"\nbody = "hello"\n')
    folder = tempfile.mkdtemp(prefix="browsed-", dir="/tmp")
    words = ("browser", "chromium", "--no-window", "http://made-up.test/x", "--rules", str(rules))
    try:
        with Terminal(*words, state=tmp_path, columns=120, lines=36, env={"TMPDIR": folder}) as screen:
            screen.wait_for(lambda output: b"made-up.test" in output and b"200 OK" in output)
            (first, *_) = processes_of(folder)
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: not list(Path(folder).glob("inspectd-chromium-*")))
            screen.press("q")
            assert screen.finish() == 0
            assert b"inspectd open " in screen.output
            assert b"failed (SIGKILL)" in screen.output
        assert not processes_of(folder)
    finally:
        shutil.rmtree(folder)


# ---------------------------------------------------------------------------------------------------- mistakes


def said(tmp_path: Path, *words: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", "browser", *words],
        cwd=ROOT,
        env=environment(tmp_path, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_one_url_is_opened_and_no_more(tmp_path: Path) -> None:
    code, text = said(tmp_path, "firefox", "http://a.test/", "http://b.test/", "--no-window", "--headless")
    assert code == 2
    assert "One URL" in text


def test_a_browser_that_is_not_there_is_named(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("looks into /Applications as well")
    code, text = said(tmp_path, "firefox", "--no-window", "--headless", PATH=str(tmp_path))
    assert code == 1
    assert text.startswith("inspectd: firefox is not installed")


def test_without_a_display_it_says_how_to_do_without(tmp_path: Path) -> None:
    need("chromium")
    if sys.platform == "darwin":
        pytest.skip("macOS has a display always")
    code, text = said(tmp_path, "chromium", "--headless")
    assert code == 1
    assert "no display" in text
    assert "--no-window" in text


def test_without_a_terminal_it_says_so_before_a_browser_is_started(tmp_path: Path) -> None:
    need("chromium")
    code, text = said(tmp_path, "chromium", "--no-window")
    assert code == 2
    assert "inspectd browser --headless" in text


def test_certutil_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not nss.has_certutil()
    program = tmp_path / "certutil"
    program.write_text("#!/bin/sh\necho 'certutil: no' >&2\nexit 3\n")
    program.chmod(0o755)
    assert nss.has_certutil()
    shown: list[str] = []
    with pytest.raises(InspectdError, match=r": no$|: no\n"):
        nss.make(tmp_path, shown.append)
    assert shown == [f"certutil -d sql:{tmp_path} -N --empty-password"]
