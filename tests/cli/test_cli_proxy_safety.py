"""The real proxy, with a password and the page that offers its CA, spoken to by curl."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.cli.test_cli_ca import inspectd
from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from pathlib import Path

PROXY = (sys.executable, "-m", "inspectd", "proxy")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["curl", "-sS", *words], capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("given", ["option", "file", "variable"])
def test_the_password_is_an_option_a_file_or_a_variable(tmp_path: Path, given: str) -> None:
    file = tmp_path / "password"
    file.write_text("me:secret word\n")
    options = {
        "option": ["--proxy-auth", "me:secret word"],
        "file": ["--proxy-auth", f"@{file}"],
        "variable": [],
    }
    env = {"INSPECTD_PROXY_AUTH": f"@{file}"} if given == "variable" else {}
    with LiveEngine(tmp_path, *options[given], interpreter=PROXY, env=env) as engine:
        proxy = f"http://127.0.0.1:{engine.port}"
        page = "http://inspectd.test/ca.pem"
        refused = curl("-i", "-x", proxy, page)
        assert refused.stdout.startswith(b"HTTP/1.1 407 ")
        for way in (("--proxy-user",), ("--proxy-anyauth", "--proxy-user")):
            assert b"BEGIN CERTIFICATE" in curl("-x", proxy, *way, "me:secret word", page).stdout
        socks = curl("-x", f"socks5h://127.0.0.1:{engine.port}", "--proxy-user", "me:secret word", page)
        assert b"BEGIN CERTIFICATE" in socks.stdout
        assert curl("-x", f"socks5h://127.0.0.1:{engine.port}", page).returncode == 97
        assert curl("-x", f"socks4a://127.0.0.1:{engine.port}", page).returncode == 97
        assert curl("-p", "-x", proxy, "--proxy-user", "me:wrong", page).returncode == 56
        assert "secret" not in engine.stderr
        assert "secret" not in str(engine.listening)


def test_what_is_no_password_is_said_without_repeating_it(tmp_path: Path) -> None:
    done = inspectd(tmp_path, "proxy", "--headless", "--listen", "127.0.0.1:0", "--proxy-auth", "hunter2")
    assert done.returncode == 2
    assert b"--proxy-auth has no user" in done.stderr
    assert b"hunter2" not in done.stderr


def test_a_variable_for_proxies_does_not_shut_out_programs_that_are_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROXY[:-1], "run", "-q", "--", "curl", "-sS", "http://inspectd.test/ca.pem"],
        cwd=ROOT,
        env=environment(tmp_path, {"INSPECTD_PROXY_AUTH": "me:secret"}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"BEGIN CERTIFICATE" in done.stdout


def test_an_address_that_others_reach_has_to_be_allowed_and_the_start_says_what_that_means(
    tmp_path: Path,
) -> None:
    done = inspectd(tmp_path, "proxy", "--headless", "--listen", "0.0.0.0:0")
    assert done.returncode != 0
    assert b"--allow-remote" in done.stderr
    with LiveEngine(tmp_path, "--allow-remote", interpreter=PROXY, listen=("0.0.0.0:0",)) as engine:
        who, advice = engine.listening["reach"]
        assert "every machine" in who
        assert "--proxy-auth" in advice


def test_the_key_of_the_authority_is_in_its_file_and_nowhere_else(tmp_path: Path) -> None:
    with LiveEngine(tmp_path, interpreter=PROXY) as engine:
        proxy = f"http://127.0.0.1:{engine.port}"
        authority = str(tmp_path / "inspectd" / "ca.pem")
        said = [
            curl("-x", proxy, "--cacert", authority, f"{scheme}://inspectd.test{path}").stdout
            for scheme in ("http", "https")
            for path in (
                "/",
                "/ca.pem",
                "/ca.der",
                "/ca.p12",
                "/ca-key.pem",
                "/../ca-key.pem",
                "/?/ca-key.pem",
            )
        ]
        engine.stop()
    for form in ("pem", "der", "p12"):
        assert inspectd(tmp_path, "ca", "export", "--format", form, tmp_path / f"out.{form}").returncode == 0
    said.append(inspectd(tmp_path, "ca").stdout)
    home = tmp_path / "inspectd" / "ca-key.pem"
    pem = home.read_bytes()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32)
    words = pem.partition(b"-----BEGIN PRIVATE KEY-----")[2].split()[0]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != home]
    assert engine.capture in files
    for data in (*said, *(path.read_bytes() for path in files)):
        assert number not in data
        assert words not in data
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    assert stat.S_IMODE(engine.capture.stat().st_mode) == 0o600


@pytest.mark.parametrize(("options", "status"), [((), b"502"), (("--max-request-line", "8000"), b"414")])
def test_how_long_a_target_may_be_is_for_the_server_to_say(
    tmp_path: Path, options: tuple[str, ...], status: bytes
) -> None:
    with LiveEngine(tmp_path, *options, interpreter=PROXY) as engine:
        answer = curl("-i", "-x", f"http://127.0.0.1:{engine.port}", f"http://127.0.0.1:1/{'a' * 20_000}")
        assert answer.stdout.startswith(b"HTTP/1.1 " + status)
