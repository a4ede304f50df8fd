"""The first and the last line of the screen: what the engine does, and which keys do something here."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from inspectd.text.safe import cells, clip, safe
from inspectd.tui.theme import status_tone, tones
from inspectd.tui.widgets.columns import amount
from inspectd.tui.widgets.detail import PANES
from inspectd.tui.widgets.paint import Cell, Painter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.strip import Strip

_SHORTEST: Final = 8
"""Cells that a text keeps which is cut to make room."""
# How the engine sums up its rules; in the header there is room for the names and the number.
_RULES: Final = re.compile(r"([0-9]+) rules? of (.+)", re.DOTALL)

EngineState: TypeAlias = Literal["file", "starting", "up", "gone"]


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the header says."""

    engine: EngineState = "starting"
    why: str = ""
    """Why the engine is gone."""
    addresses: tuple[str, ...] = ()
    status_line: str | None = None
    answer: str = ""
    exchanges: int = 0
    open: int = 0
    odd: int = 0
    """Exchanges whose head isn't plain, or whose end parsers differ about."""
    capture: str = ""
    octets: int = 0
    problem: str = ""
    """What keeps the engine from recording."""
    holding: str = ""
    """What is held and what will be: `holding next 1 · 2 waiting`."""
    otherwise: str = ""
    """What is answered where no rule matches."""
    rules_wrong: bool = False
    """Whether a rule file was changed to something that can't be used."""
    mode: str = ""
    """`proxy` or `reverse`, of an engine that forwards,"""
    server: str = ""
    """and the URL of the only server it forwards to."""
    passes: bool = False
    """Whether it forwards where no rule matches."""
    insecure: bool = False
    """Whether it checks no certificates of servers."""
    unrecorded: int = 0
    """Connections that passed and were only counted."""


class Bar(Widget):
    """One line of cells on the bar's background."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"
    ground: str = "bar"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._painter = Painter()

    def notify_style_update(self) -> None:
        """Forget the colours of another theme."""
        super().notify_style_update()
        self._painter.clear()

    def line(self, width: int) -> list[Cell]:
        """The cells, at most `width` of them wide."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is only one
        """The line, filled to the full width."""
        width = self.size.width
        out: list[Cell] = []
        room = width
        for cell in self.line(width):
            text = clip(cell.text, room)
            out.append(cell._replace(text=text))
            room -= cells(text)
            if room <= 0:
                break
        out.append(Cell(" " * max(room, 0)))
        return self._painter.strip(out, tones(self.app), self.ground, width)


def _width(row: Sequence[Cell]) -> int:
    return sum(cells(cell.text) for cell in row)


class HeaderBar(Bar):
    """Listening addresses, the answer, counts and the capture's name."""

    situation = Situation()

    def show(self, situation: Situation) -> None:
        """Draw again when something is different."""
        if situation != self.situation:
            self.situation = situation
            self.refresh()

    def line(self, width: int) -> list[Cell]:
        """The richest form that fits: the capture's name goes first, then words, then the second address."""
        forms = (
            (9, True, True, True),
            (9, True, True, False),
            (9, False, True, False),
            (9, False, False, False),
            (2, False, False, False),
            (1, False, False, False),
        )
        for addresses, words, unit, capture in forms:
            left = self._left(addresses, words=words)
            right = self._right(words=unit, capture=capture)
            gap = width - _width(left) - _width(right)
            if gap >= 2:
                return [*left, Cell(" " * gap), *right]
        return [*self._squeezed(left, 2 - gap), Cell("  "), *right]

    @staticmethod
    def _squeezed(row: list[Cell], cut: int) -> list[Cell]:
        """The same, with the longest text (a server, an answer, a reason) shorter by so many cells.

        What is held counts for more than any of them.
        """
        at = max(range(len(row)), key=lambda place: (not row[place].chip, cells(row[place].text)))
        room = cells(row[at].text) - cut
        if room < _SHORTEST:
            return row
        return [*row[:at], row[at]._replace(text=clip(row[at].text, room)), *row[at + 1 :]]

    def _left(self, addresses: int, *, words: bool) -> list[Cell]:
        now = self.situation
        out = [Cell("  inspectd  " if words else " inspectd ", "brand", bold=True)]
        if now.engine == "gone":
            out += [Cell(" ✗ engine gone ", "bad", bold=True), Cell(safe(now.why) + "  ", "bad")]
            return out
        if now.engine == "file":
            out.append(Cell(" ○ reading a file, no engine  " if words else " ○ file ", "muted"))
            return out
        if now.engine == "starting" and not now.addresses:
            return [*out, Cell(" ◌ starting…  ", "muted")]
        out.append(Cell(" ● ", "good"))
        shown = now.addresses[:addresses]
        out.append(Cell(safe("  ".join(shown)), "text"))
        if len(shown) < len(now.addresses):
            out.append(Cell(f" +{len(now.addresses) - len(shown)}", "muted"))
        if now.problem:
            return [*out, Cell("   ✗ not recording: " + safe(now.problem), "bad", bold=True)]
        held = (
            [Cell(f" ◆ {now.holding} ", "odd", bold=True, click="app.hold", chip=True)] if now.holding else []
        )
        if held and not words:  # where there is little room it counts for more than the answer
            out += [Cell("  "), *held]
            held = []
        if now.mode:
            out += self._mode(words=words)
        rules = _RULES.fullmatch(now.answer) if now.status_line is None else None
        if rules is not None:
            out += self._rules(f"{rules[2]} · {rules[1]}", words=words)
        elif (now.answer or now.status_line) and not (now.mode and now.passes):
            out.append(Cell("   answer " if words else "  ", "muted", click="app.answer"))
            out += self._answer()
        if held:
            out += [Cell("   "), *held]
        return [*out, Cell("  ")]

    def _mode(self, *, words: bool) -> list[Cell]:
        """That it forwards, where to, and whether it looks whom it speaks to."""
        now = self.situation
        name = now.mode
        if now.server:
            name = safe(f"{now.mode} {now.server}" if words else f"→ {now.server.partition('://')[2]}")
        out = [Cell(f"   {name}" if words else f"  {name}", "strong", bold=True, click="app.answer")]
        if now.insecure:
            out.append(Cell("  ▲ certificates unchecked" if words else " ▲ insecure", "warn", bold=True))
        return out

    def _rules(self, name: str, *, words: bool) -> list[Cell]:
        """Which rules answer: the click opens their list."""
        out = [
            Cell("   rules " if words else "  ", "muted", click="app.rules"),
            Cell(safe(name), "strong", bold=True, click="app.rules"),
        ]
        now = self.situation
        if words and now.otherwise and not now.rules_wrong and not (now.mode and now.passes):
            out.append(Cell(" else ", "muted", click="app.answer"))
            out.append(Cell(safe(now.otherwise), "text", click="app.answer"))
        if now.rules_wrong:
            out.append(Cell(" ✗ not reloaded", "bad", bold=True, click="app.rules"))
        return out

    def _answer(self) -> list[Cell]:
        now = self.situation
        if now.status_line is None:
            return [Cell(safe(now.answer), "strong", bold=True, click="app.answer")]
        line = now.status_line.removeprefix("HTTP/1.1 ")
        code = now.status_line.split(" ")[1] if " " in now.status_line else None
        return [Cell(safe(line), status_tone(code), bold=True, click="app.answer")]

    def _right(self, *, words: bool, capture: bool) -> list[Cell]:
        now = self.situation
        exchanges = "exchange" if now.exchanges == 1 else "exchanges"
        out = [Cell(f"{now.exchanges:,} {exchanges if words else 'ex'}", "muted")]
        if now.odd:
            out.append(Cell(f"  ▲ {now.odd:,}{' odd' if words else ''}", "warn", click="app.filter_findings"))
        if now.unrecorded:
            out.append(Cell(f"  {now.unrecorded:,} {'unrecorded' if words else 'unrec'}", "muted"))
        if now.engine == "up":
            out.append(Cell(f"  {now.open} open", "muted"))
        if capture and now.capture:
            out.append(Cell(f"    {clip(safe(now.capture), 32)} {amount(now.octets)}", "faint"))
        return [*out, Cell("  ")]


class TroubleBar(Static):
    """Why a changed rule file is not in use, until somebody dismisses it or it is put right."""

    DEFAULT_CSS = "TroubleBar { display: none; height: auto; max-height: 3; padding: 0 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__("", id=id, markup=False)
        self._said = ""
        self._dismissed = ""

    def tell(self, trouble: str) -> None:
        """Show this, unless it was dismissed; nothing when there is no trouble."""
        if not trouble:
            self._dismissed = ""
        if trouble != self._said:
            self._said = trouble
            palette = tones(self.app)
            # The file's name says enough: its folder would take the room of the reason.
            path, colon, reason = trouble.partition(":")
            shorter = path.rpartition("/")[2] + colon + reason
            end = "" if trouble.endswith((".", "?", "!")) else "."
            self.update(
                Content.assemble(
                    (f"✗ {safe(shorter, doubling=False)}{end} ", palette.bad),
                    ("The rules from before stay. ", palette.text),
                    ("R", f"bold {palette.brand}"),
                    (" rules  ", palette.muted),
                    ("esc", f"bold {palette.brand}"),
                    (" dismiss", palette.muted),
                )
            )
        self.display = bool(trouble) and trouble != self._dismissed

    def dismiss(self) -> bool:
        """Let it go until it is another one; whether there was something."""
        if not self.display:
            return False
        self._dismissed = self._said
        self.display = False
        return True

    def on_click(self) -> None:
        """A click dismisses it."""
        self.dismiss()


@dataclass(frozen=True, slots=True)
class Hint:
    """A key, what it does in a word or two, and the action a click runs; `rank` 0 is the last to go."""

    key: str
    label: str
    action: str
    rank: int = 1


_PANES: Final = Hint(f"1-{len(PANES)}", "panes", "app.help", 5)
TABLE_HINTS: Final = (
    Hint("?", "help", "app.help", 0),
    Hint("/", "filter", "app.filter", 2),
    Hint("f", "follow", "app.follow", 3),
    Hint("s", "answer…", "app.answer", 0),
    Hint("h", "hold", "app.hold", 2),
    Hint("enter", "look inside", "app.look_inside", 4),
    _PANES,
    Hint("y", "copy", "app.copy", 3),
    Hint("z", "zoom", "app.zoom", 6),
    Hint("c", "clear", "app.clear_capture", 7),
    Hint("^p", "everything", "app.command_palette", 1),
    Hint("q", "quit", "app.leave", 1),
)

HELD_HINTS: Final = (
    Hint("enter", "edit the answer", "app.edit_answer", 0),
    Hint("r", "send the normal one", "app.release", 0),
    Hint("d", "drop (FIN)", "app.drop", 1),
    Hint("t", "reset (RST)", "app.reset", 1),
    Hint("→", "look inside", "app.look_inside", 4),
    Hint("h", "hold", "app.hold", 2),
    Hint("?", "help", "app.help", 2),
    Hint("s", "answer…", "app.answer", 5),
    Hint("^p", "everything", "app.command_palette", 3),
    Hint("q", "quit", "app.leave", 3),
)
"""On a row that waits for a person."""

DETAIL_HINTS: Final = (
    Hint("?", "help", "app.help", 0),
    Hint("esc", "back to the list", "app.step_back", 0),
    replace(_PANES, rank=2),
    Hint("tab", "request ⇄ response", "app.other_side", 3),
    Hint("←→↑↓", "walk the tokens", "app.help", 4),
    Hint("n", "next finding", "app.help", 5),
    Hint("s", "answer…", "app.answer", 4),
    Hint("y", "copy", "app.copy", 3),
    Hint("z", "zoom", "app.zoom", 6),
    Hint("^p", "everything", "app.command_palette", 1),
    Hint("q", "quit", "app.leave", 1),
)

HELD_DETAIL_HINTS: Final = (
    Hint("esc", "back to the list", "app.step_back", 1),
    Hint("e", "edit the answer", "app.edit_answer", 0),
    *HELD_HINTS[1:4],
    *(replace(hint, rank=hint.rank + 2) for hint in DETAIL_HINTS if hint.key in {"?", "tab", "y", "^p", "q"}),
)
"""The same in the panes."""

FILTER_HINTS: Final = (
    Hint("enter", "keep the filter", "app.step_back", 0),
    Hint("esc", "clear it", "app.clear_filter", 0),
    Hint("↑↓", "earlier filters", "app.help", 1),
)


NEED_AN_ENGINE: Final = frozenset({"app.answer", "app.hold", "app.clear_capture"})
"""Actions that do nothing in a file that nobody writes,"""
NEED_NEWS: Final = frozenset({"app.follow"})
"""and what makes no sense there."""


def of_a_file(hints: Sequence[Hint]) -> tuple[Hint, ...]:
    """The hints that make sense where a file is only read."""
    return tuple(hint for hint in hints if hint.action not in NEED_AN_ENGINE | NEED_NEWS)


class FooterHints(Bar):
    """The keys that do something where you are; on a narrow screen the most useful ones."""

    hints: Sequence[Hint] = TABLE_HINTS
    following = True

    def show(self, hints: Sequence[Hint], *, following: bool) -> None:
        """Draw again when something is different."""
        if (hints, following) != (self.hints, self.following):
            self.hints, self.following = hints, following
            self.refresh()

    def line(self, width: int) -> list[Cell]:
        """As many hints as fit, the most useful first: one that is too wide leaves its room to others."""
        fitting: set[Hint] = set()
        for hint in sorted(self.hints, key=lambda hint: hint.rank):
            if not fitting or self._needed([*fitting, hint]) <= width:
                fitting.add(hint)
        kept = [hint for hint in self.hints if hint in fitting]
        out = [Cell(" ")]
        for hint in kept:
            out.append(Cell(hint.key, "brand", bold=True, click=hint.action))
            on = hint.action == "app.follow" and self.following
            out.append(
                Cell(
                    f" {hint.label}" + ("ing" if on else "") + "  ",
                    "good" if on else "text",
                    click=hint.action,
                )
            )
        return out

    def _needed(self, hints: Sequence[Hint]) -> int:
        wide = sum(cells(hint.key) + cells(hint.label) + 3 for hint in hints)
        return 1 + wide + (3 if self.following and any(each.action == "app.follow" for each in hints) else 0)
