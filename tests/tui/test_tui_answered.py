"""Who answered: a rule, a person, or what answers where no rule matches; in the list and in the response's pane."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.answered import BY_HAND, answerer, decision
from inspectd.capture.beside import EvidenceRecord
from inspectd.capture.model import State
from inspectd.engine.holds import DROPPED, RESET
from inspectd.tui.subject import ATTEMPTS_MOST
from tests.tui.shell_engine import lines, picture, screen, until
from tests.tui.shell_scribe import CLEAN, Scribe, browse, get

if TYPE_CHECKING:
    from pathlib import Path

HELD = "; held 2.0 s"


def test_a_decision_is_called_what_the_engine_calls_it() -> None:
    assert decision(DROPPED.rule, DROPPED.label + HELD) == "dropped"
    assert decision(RESET.rule, RESET.label + HELD) == "reset"


@pytest.mark.parametrize(
    ("rule", "label", "decided", "words"),
    [
        ("", "mirror", None, ("answered by", "mirror", "")),
        (BY_HAND, "mirror" + HELD, None, ("answered by", "mirror" + HELD, "")),
        ("api.toml:12", "200 OK", None, ("answered by rule", "api.toml:12", "200 OK")),
        (BY_HAND, "1,037 bytes by hand" + HELD, "edited", ("answered by", "hand", "1,037 bytes" + HELD)),
        (BY_HAND, "dropped by hand: not one" + HELD, "dropped", ("dropped by hand", "", "not one" + HELD)),
        (BY_HAND, "reset by hand: not one", "reset", ("reset by hand", "", "not one")),
        (BY_HAND, "answered by hand" + HELD, "edited", ("answered by", "hand", HELD[2:])),
        # a rule may call its answer what it likes
        ("a.toml:1", "200 bytes by hand", None, ("answered by rule", "a.toml:1", "200 bytes by hand")),
        ("", "200 bytes by hand", None, ("answered by", "200 bytes by hand", "")),
        (BY_HAND, "200 bytes by handicap", None, ("answered by", "200 bytes by handicap", "")),
        ("a.toml:1", "", None, ("answered by rule", "a.toml:1", "")),
    ],
)
def test_label_and_evidence_together_say_who_it_was(
    rule: str, label: str, decided: str | None, words: tuple[str, str, str]
) -> None:
    assert decision(rule, label) == decided
    assert answerer(rule, label) == words


def answered(
    scribe: Scribe, target: str, rule: str, label: str, response: bytes = CLEAN, **values: object
) -> int:
    """A crafted answer; without a response its connection was closed by this side."""
    request = browse(target, "empty", "cors") if values.pop("browser", False) else get(target)
    one = scribe.request(request)
    record = EvidenceRecord(one.exchange.id, rule, len(response), reused=False)
    if response:
        one.answer(response)
        record.sent = record.acked = len(response)
    else:
        one.exchange.state |= State.RESPONSE_COMPLETE.value
        one.exchange.finished_ns = scribe.now
        record.ended_by, record.how = "server", "fin"
    for name, value in values.items():
        setattr(record, name, value)
    one.exchange.label = label
    one.connection.touch(one.exchange)
    one.connection.save_evidence(record)
    return one.exchange.id


@pytest.mark.parametrize("width", [80, 120, 160])
async def test_rows_say_what_a_person_decided(tmp_path: Path, width: int) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        answered(scribe, "/normal", BY_HAND, "mirror" + HELD)
        answered(scribe, "/edited", BY_HAND, "40 bytes by hand" + HELD)
        # The label is there as soon as it was decided, how the connection ended only when it has.
        answered(scribe, "/dropped", BY_HAND, DROPPED.label + HELD, b"", ended_by=None, how=None)
        answered(scribe, "/reset", BY_HAND, RESET.label + HELD, b"", how="rst")
        answered(scribe, "/rule", "api.toml:12", "200 OK")
        answered(scribe, "/closed", "api.toml:16", "200 OK", b"")
        answered(scribe, "/again", BY_HAND, "40 bytes by hand", browser=True, attempt=2, previous=2)
        odd = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiZ"
        answered(scribe, "/odd", BY_HAND, f"{len(odd)} bytes by hand", odd)
    marks = {
        "normal": "",
        "edited": "✎ by hand",
        "dropped": "✗ dropped",
        "reset": "✗ reset",
        "rule": "",
        "closed": "✗ dropped",
        "again": "✎ ↺ 2",
        "odd": "✎ ▲ resp-",
    }
    async with screen(tmp_path / "a.inspectd", size=(width, 36)) as (app, pilot):
        await until(pilot, lambda: "▲" in picture(app))
        for target, mark in marks.items():
            row = next(line for line in lines(app) if f"/{target} " in line)
            shown = row.rstrip("▁▂▃▄▅▆▇█ ")
            if mark and width >= 116:
                assert mark in shown, row
            elif mark:
                assert shown.endswith(" " + re.sub("[a-z0-9 -]", "", mark)), row
            else:
                assert not set(row) & set("✎✗↺"), row


@pytest.mark.parametrize(
    ("rule", "label", "line"),
    [
        ("api.toml:12", "200 OK", "answered by rule api.toml:12 · 200 OK"),
        (BY_HAND, "40 bytes by hand", "answered by hand · 40 bytes"),
        (BY_HAND, DROPPED.label, "dropped by hand · closed without a byte"),
    ],
)
async def test_the_pane_names_the_rule_or_the_person(
    tmp_path: Path, rule: str, label: str, line: str
) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        answered(scribe, "/x", rule, label, b"" if "dropped" in label else CLEAN)
    async with screen(tmp_path / "a.inspectd") as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "What the client did" in picture(app))
        assert any(shown.strip(" │").startswith(line) for shown in lines(app)), picture(app)


async def test_the_rule_is_named_however_often_the_request_came_again(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        for number in range(ATTEMPTS_MOST + 5):
            answered(scribe, "/x", "api.toml:12", "200 OK", attempt=number + 1, previous=number or None)
    async with screen(tmp_path / "a.inspectd") as (app, pilot):
        await pilot.press("home", "5")
        await until(pilot, lambda: "answered by rule api.toml:12 · 200 OK" in picture(app))
        assert "▸ 1  #1 on connection 1" in picture(app)
