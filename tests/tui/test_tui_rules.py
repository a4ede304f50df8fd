"""The rules in use: named in the header, listed by a key, and a bad change that can't be overlooked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.control.messages import Complaint
from inspectd.control.rules_messages import RuleShown, RulesProblem, RulesShown, SourceShown
from inspectd.errors import InspectdError
from inspectd.tui.net import LIVE
from inspectd.tui.screens.rules import RulesScreen
from inspectd.tui.widgets.bars import TroubleBar
from tests.tui.shell_engine import FakeEngine, lines, picture, screen, shows, until
from tests.tui.shell_scribe import Scribe, lively

if TYPE_CHECKING:
    from pathlib import Path

WRONG = "api.toml:12:8: rule[2].fault.do: 'rset' is not one of close, reset"
RULES = (
    RuleShown(id="pay", name="pay", line=3, match="POST /pay/*", answer="503 Busy, then 200 OK", calls=1204),
    RuleShown(id="api.toml:9", name=None, line=9, match="/teapot", answer="418 I'm a teapot", calls=0),
)
PROBLEM = RulesProblem(
    problems=(
        Complaint(
            what="'rset' is not one of close, reset",
            mend="did you mean 'reset'?",
            key="rule[2].fault.do",
            source="api.toml",
            line=12,
            column=8,
        ),
    )
)


def shown(*rules: RuleShown, error: RulesProblem | None = None) -> RulesShown:
    return RulesShown(
        sources=(SourceShown(name="api.toml", kind="file", error=error, rules=rules),), fallback="mirror"
    )


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        lively(scribe)
    engine = FakeEngine(tmp_path / "a.inspectd")
    engine.rules_shown = shown(*RULES)
    return engine


async def test_the_header_names_the_rules(engine: FakeEngine) -> None:
    async with screen(engine.capture, engine) as (app, pilot):
        await until(pilot, lambda: "rules api.toml · 2" in lines(app)[0])
        assert "answer" not in lines(app)[0]
        assert "else mirror" in lines(app)[0]
        await pilot.press("s")
        await until(pilot, lambda: "Where no rule matches, answer with" in picture(app))


async def test_a_rule_can_answer_where_none_matches(engine: FakeEngine) -> None:
    async with screen(engine.capture, engine) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: "rule pay  503 Busy, then 200 OK" in picture(app))
        await pilot.press("down", "down")
        await until(pilot, lambda: "HTTP/1.1·203·pay↵" in picture(app))
        assert engine.status().answer.otherwise == "mirror"
        await pilot.press("enter")
        await until(pilot, lambda: "From the next request on: rule pay" in picture(app))
        assert engine.line == "rule pay"
        await until(pilot, lambda: "else rule pay" in lines(app)[0])
        await pilot.press("s")
        await until(pilot, lambda: "rule pay  you said this before" in picture(app))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_rules_are_listed_with_their_calls(engine: FakeEngine, size: tuple[int, int]) -> None:
    async with screen(engine.capture, engine, size=size) as (app, pilot):
        await pilot.press("R")
        await until(pilot, lambda: "503 Busy, then 200 OK" in picture(app))
        text = picture(app)
        assert "1,204  POST /pay/*  503 Busy" in text
        assert "0  /teapot      418 I'm a teapot" in text
        assert "2 rules, a file that is watched" in text
        assert "where none matches  mirror" in text
        engine.rules_shown = shown(RULES[1])
        await until(pilot, lambda: "1 rule, a file" in picture(app))
        await pilot.press("escape")
        await until(pilot, lambda: not shows(app, RulesScreen))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_bad_change_is_said_until_it_is_dismissed(engine: FakeEngine, size: tuple[int, int]) -> None:
    async with screen(engine.capture, engine, size=size) as (app, pilot):
        await until(pilot, lambda: "api.toml · 2" in lines(app)[0])
        engine.rules_error = f"/home/me/rules/{WRONG}"
        engine.rules_shown = shown(*RULES, error=PROBLEM)
        app.engine_changed()
        await until(pilot, lambda: "✗ api.toml:12:8: rule[2].fault.do" in picture(app))
        assert "esc dismiss" in picture(app)
        assert "✗ not reloaded" in lines(app)[0]
        await pilot.press("escape")
        await until(pilot, lambda: "rule[2]" not in picture(app))
        app.engine_changed()
        await pilot.pause(0.1)
        assert not app.query_one(TroubleBar).display
        assert "✗ not reloaded" in lines(app)[0]
        engine.rules_error = "api.toml:1:1: another one"
        app.engine_changed()
        await until(pilot, lambda: "another one" in picture(app))
        engine.rules_error = None
        app.engine_changed()
        await until(pilot, lambda: "another one" not in picture(app))
        assert "not reloaded" not in lines(app)[0]


async def test_the_list_says_where_and_why_a_change_is_not_in_use(engine: FakeEngine) -> None:
    engine.rules_error = WRONG
    engine.rules_shown = shown(*RULES, error=PROBLEM)
    async with screen(engine.capture, engine) as (app, pilot):
        await until(pilot, lambda: "The rules from before stay." in picture(app))
        await pilot.press("R")
        await until(pilot, lambda: "did you mean 'reset'?" in picture(app))
        assert "api.toml:12:8" in picture(app)
        assert "the rules from before answer" in picture(app)
        await pilot.press("escape")
        await pilot.pause()
        assert not app.query_one(TroubleBar).display


async def test_without_rules_the_list_says_how_to_have_some(engine: FakeEngine) -> None:
    engine.rules_shown = RulesShown(sources=(), fallback="200 OK")
    async with screen(engine.capture, engine) as (app, pilot):
        await pilot.press("R")
        await until(pilot, lambda: "inspectd --rules api.toml" in picture(app))


async def test_what_keeps_the_list_away_is_said(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with screen(engine.capture) as (app, pilot):
        await pilot.press("R")
        await until(pilot, lambda: "no engine runs" in picture(app))

    def fails() -> RulesShown:
        raise InspectdError("the engine did not answer in time")

    monkeypatch.setattr(engine, "rules", fails)
    async with screen(engine.capture, engine) as (app, pilot):
        await pilot.press("R")
        await until(pilot, lambda: "did not answer in time" in picture(app))


async def test_hostile_rules_are_drawn_harmlessly(engine: FakeEngine) -> None:
    nasty = "\x1b]0;owned\x07\u202e[red]"
    rule = RuleShown(id=nasty, name=nasty, line=1, match=nasty, answer=nasty, calls=1)
    problem = RulesProblem(problems=(Complaint(what=nasty, mend=nasty, key=nasty, source=nasty),))
    engine.rules_shown = RulesShown(
        sources=(SourceShown(name=nasty, kind="control", error=problem, rules=(rule,)),), fallback=nasty
    )
    engine.rules_error = nasty
    async with screen(engine.capture, engine) as (app, pilot):
        await until(pilot, lambda: "The rules from before stay." in picture(app))
        assert LIVE.search(picture(app).replace("\n", "")) is None
        await pilot.press("R")
        await until(pilot, lambda: "over the control API" in picture(app))
        assert LIVE.search(picture(app).replace("\n", "")) is None
