"""The options that say how servers are reached: what can't be so is said before anything listens."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.cli.servers import reaching
from inspectd.engine.config import Forwarding

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = {
    "insecure": False,
    "trust": (),
    "client_cert": None,
    "client_key": None,
    "via": None,
    "resolve": (),
}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--via", "ftp://u:topsecret@h"), "--via: ftp://h is neither http:// nor socks5://"),
        (("--resolve", "a"), "--resolve 'a' is not HOST:PORT:ADDRESS"),
        (("--trust", "/nowhere/ca.pem"), "--trust /nowhere/ca.pem: there is no such file"),
        (("--client-key", "key.pem"), "--client-key is the key of --client-cert, which is missing"),
    ],
)
def test_what_can_t_be_is_said_at_once(tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    command = [
        sys.executable,
        "-m",
        "inspectd",
        "proxy",
        "--headless",
        "--capture",
        str(tmp_path / "a.inspectd"),
    ]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "topsecret" not in ended.stderr


def test_without_options_certificates_are_checked_and_nothing_is_between() -> None:
    assert reaching(Forwarding("a", 443, tls=True), NOTHING) == Forwarding("a", 443, tls=True)


def test_insecure_is_the_only_way_not_to_check() -> None:
    assert not reaching(Forwarding(), {**NOTHING, "insecure": True}).verify
