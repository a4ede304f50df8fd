"""The README says what the program does: its options, its JSON lines, its control API, its test command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.cli.lines import JsonLines
from inspectd.cli.root import root
from inspectd.control.messages import PREFIX
from inspectd.control.operations import OPERATIONS
from tests.cli.rows import capture, connection, evidence, exchange, forward, tls
from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from pathlib import Path

HELLO = bytes.fromhex("16 0301 002d 01 000029 0303" + "00" * 32 + "00 0002 1301 01 00")
"""The smallest ClientHello."""
README = (ROOT / "README.md").read_text("utf-8")


def section(title: str) -> str:
    """The text between a heading and the next one of its level."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def documented(kind: str) -> set[str]:
    """The field names in the table of one type of JSON line."""
    text = section("JSON lines").partition(f'**`"type": "{kind}"`**')[2].partition("**`")[0]
    cells = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} | {"type"}


@pytest.mark.parametrize(
    "option", [max(each.opts, key=len) for each in root.params if max(each.opts, key=len) != "--version"]
)
def test_every_option_is_in_the_table(option: str) -> None:
    rows = [line for line in section("Options").splitlines() if line.startswith("| `")]

    assert any(f"{option}`" in row or f"{option} " in row for row in rows) or option in {
        "--verbose",
        "--quiet",
    }


def test_every_field_of_the_json_lines_is_documented_and_no_other() -> None:
    crafted = JsonLines().exchange(
        exchange(), capture(evidence=evidence(), tls=tls(), forward=forward(), inside=2)
    )
    plain = JsonLines().exchange(exchange(), capture())
    greeted = JsonLines().connection(connection(kind="tls"), capture(request=HELLO))

    for line in map(json.loads, (crafted, greeted)):
        inner = {name for part in ("evidence", "tls", "upstream") for name in line.get(part, ())}
        assert set(line) | inner == documented(line["type"])
    more = {"rule", "evidence", "tls", "upstream", "url", "inside"}
    assert set(json.loads(crafted)) - set(json.loads(plain)) == more
    assert "tls" not in json.loads(JsonLines().connection(connection(), capture()))


def test_the_listening_line_is_documented(tmp_path_factory: pytest.TempPathFactory) -> None:
    with LiveEngine(
        tmp_path_factory.mktemp("engine"), "--control", "127.0.0.1:0", listen=("0.0.0.0:0",)
    ) as engine:
        assert set(engine.listening) == documented("listening")


def test_the_control_socket_is_found_the_way_the_page_says(tmp_path: Path) -> None:
    line = re.search(r"^CONTROL=.+$", section("Control API"), re.MULTILINE)
    assert line
    command = line[0].replace("inspectd control", f"{sys.executable} -m inspectd control")
    with LiveEngine(tmp_path) as engine:
        found = subprocess.run(
            ["bash", "-c", f'{command}; echo "$CONTROL"'],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        assert found == f"{engine.listening['control']}\n"


def test_every_route_of_the_control_api_is_documented() -> None:
    routes = {f"{each.method} {PREFIX}{each.path}" for each in OPERATIONS}

    assert set(re.findall(r"^\| `([A-Z]+ /v1/\S+)`", section("Control API"), re.MULTILINE)) == routes


def test_the_test_command_is_found_the_way_ci_finds_it() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    finding = re.search(r"^command=\$\((.*)\)$", script, re.MULTILINE)
    assert finding

    found = subprocess.run(
        ["bash", "-c", finding[1]], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert "pytest" in found
    assert len(found.splitlines()) == 1
