"""Real browsers over https: one that was told to trust the CA sends fetch metadata to a name that isn't loopback's,
and one that wasn't leaves a row that says so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from tests.browsers.driver import BrowserError
from tests.browsers.starting import start
from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_certutil = pytest.mark.skipif(
    shutil.which("certutil") is None, reason="certutil of NSS is not installed"
)


def trust(state: Path, browser: str) -> Callable[[Path], None]:
    """Makes a browser's profile trust the CA with the command that people use."""

    def prepare(profile: Path) -> None:
        if browser == "chromium":
            place = ["--nss", str(profile / ".pki" / "nssdb")]
        else:  # a profile that has been used once has a database
            subprocess.run(
                ["certutil", "-d", f"sql:{profile}", "-N", "--empty-password"], check=True, timeout=60
            )
            place = ["--firefox", str(profile)]
        subprocess.run(
            [sys.executable, "-m", "inspectd", "ca", "install", *place],
            cwd=ROOT,
            env=environment(state),
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )

    return prepare


@needs_certutil
@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_browser_that_trusts_the_ca_sends_fetch_metadata_to_any_name(tmp_path: Path, name: str) -> None:
    with LiveEngine(tmp_path, listen=("https://127.0.0.1:0",)) as engine:
        with start(name, prepare=trust(tmp_path, name)) as browser:
            browser.open(f"https://plain.test:{engine.port}/mirror")
            page = engine.exchange(target="/mirror")
            browser.click("fetch-get")
            fetched = engine.wait_for(
                lambda line: line["type"] == "exchange" and "/echo" in (line["target"] or "")
            )
        fields = {field.lower(): value for field, value in page["fields"]}
        assert (fields["sec-fetch-mode"], fields["sec-fetch-dest"]) == ("navigate", "document")
        assert page["tls"]["sni"] == "plain.test"
        assert page["tls"]["alpn"] == "http/1.1"
        assert dict(fetched["fields"])["Sec-Fetch-Mode"] == "cors"
        if name == "chromium":
            assert "sec-ch-ua" in fields
        assert engine.stop() == 0
    with Capture.open(engine.capture) as capture:
        connection = capture.connection(page["connection"])
        assert connection is not None
        tls = capture.tls(connection.id)
        assert tls is not None
        assert tls.certificate == "plain.test"


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_browser_that_does_not_is_a_row_that_says_what_to_do(tmp_path: Path, name: str) -> None:
    with LiveEngine(tmp_path, listen=("https://127.0.0.1:0",)) as engine:
        with start(name) as browser, pytest.raises(BrowserError):
            browser.open(f"https://localhost:{engine.port}/")
        line = engine.wait_for(lambda line: line["type"] == "connection" and line["kind"] == "tls-refused")
        assert "inspectd ca" in line["sentence"]
        assert line["tls"]["complete"]
