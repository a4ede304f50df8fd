"""Answers to choose from, as the lines of a list: status lines that are often wanted, and rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content
from textual.widgets.option_list import Option

from inspectd.text.safe import clip, safe
from inspectd.tui.engine_link import MIRROR
from inspectd.tui.theme import status_tone

if TYPE_CHECKING:
    from inspectd.control.rules_messages import RuleShown, RulesShown
    from inspectd.tui.theme import Tones

SUGGESTIONS: Final = (
    (MIRROR, "show every client its own request"),
    ("200 OK", "fine, and nothing to say"),
    ("204 No Content", "fine, and no content by definition"),
    ("404 Not Found", "there is nothing here"),
    ("418 I'm a teapot", "a status few clients have a branch for"),
    ("429 Too Many Requests", "does the client wait?"),
    ("500 Internal Server Error", "does the client try again?"),
    ("503 Busy", "the same, with a reason phrase of our own"),
    ("HTTP/1.1 299 Odd", "in a class every client knows, with a meaning nobody registered"),
    ("HTTP/1.0 200 OK", "an old version: who keeps the connection?"),
    ("999", "no class, no reason phrase"),
)
_ANSWER_CELLS: Final = 60


def line_option(line: str, about: str, palette: Tones) -> Option:
    """A status line in the tone of its class, or the mirror, and what it is good for."""
    words = line.split(" ")
    code = words[1] if words[0].startswith("HTTP/") and len(words) > 1 else words[0]
    tone = status_tone(code) if code[:1].isdigit() else "brand"
    return Option(
        Content.assemble((safe(line), f"bold {getattr(palette, tone)}"), (f"  {about}", palette.muted))
    )


def rule_option(rule: RuleShown, palette: Tones, about: str = "") -> Option:
    """A rule and its answer."""
    return Option(
        Content.assemble(
            ("rule ", palette.muted),
            (safe(rule.id), f"bold {palette.target}"),
            (clip(f"  {about}{safe(rule.answer)}", _ANSWER_CELLS), palette.muted),
        )
    )


def all_rules(shown: RulesShown) -> list[RuleShown]:
    """The rules of all sources in the order in which they are tried."""
    return [rule for source in shown.sources for rule in source.rules]
