"""Colours, by what they are for. Every colour on screen comes from here, so that the two themes agree.

A tone is available three ways: in CSS as `$tone-method`, for line-API widgets as `tones(app).method`, and as
a Rich style by `tones(app).style("method", bold=True)`. Colour is never the only signal: with NO_COLOR set
every tone is gone and the screen must still say the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from rich.style import Style
from textual.theme import Theme

if TYPE_CHECKING:
    from textual.app import App

DARK_NAME: Final = "inspectd-dark"
LIGHT_NAME: Final = "inspectd-light"


@dataclass(frozen=True, slots=True)
class Tones:
    """One colour for each purpose, as `#rrggbb`."""

    ground: str
    """Behind the panes."""
    table: str
    """Behind the traffic table: a little deeper than the panes."""
    bar: str
    """Behind the header and the footer."""
    tabs: str
    """Behind tab rows and the filter bar."""
    cursor: str
    """Behind the row the cursor is on, where the focus is elsewhere."""
    cursor_focus: str
    """Behind the row the cursor is on, in the focused widget."""
    rule: str
    """Lines that separate."""
    text: str
    strong: str
    muted: str
    """Labels, times, hints."""
    faint: str
    """Glyphs and offsets: there, but behind."""
    brand: str
    method: str
    target: str
    field_name: str
    field_value: str
    under_cursor: str
    """Text of the token under the cursor; its background is `field_value`."""
    dest: str
    ok: str
    redirect: str
    client_error: str
    server_error: str
    odd: str
    """A status that is none of the registered classes, and whatever waits for a person."""
    good: str
    warn: str
    bad: str

    def style(self, tone: str, **attributes: Any) -> Style:
        """A Rich style with this tone as its text colour; the attributes are those of Rich's `Style`."""
        return Style(color=getattr(self, tone), **attributes)


def status_tone(status: str | None) -> str:
    """The name of the tone for a status code as it was sent."""
    if status is None or len(status) != 3 or not status.isascii() or not status.isdigit():
        return "odd"
    return {"2": "ok", "3": "redirect", "4": "client_error", "5": "server_error"}.get(status[0], "odd")


DARK: Final = Tones(
    ground="#161a22",
    table="#11141a",
    bar="#1b2434",
    tabs="#1b212b",
    cursor="#1b2536",
    cursor_focus="#23344e",
    rule="#2c323a",
    text="#ced2d7",
    strong="#f0f3f6",
    muted="#87919e",
    faint="#5f6976",
    brand="#6cb0f6",
    method="#ffc66d",
    target="#7fe0d0",
    field_name="#82aaff",
    field_value="#c8ee90",
    under_cursor="#11141a",
    dest="#b9a2f5",
    ok="#8ce08a",
    redirect="#79c8f0",
    client_error="#ffb057",
    server_error="#ff7b72",
    odd="#e0a8ff",
    good="#8ce08a",
    warn="#ffb057",
    bad="#ff7b72",
)

LIGHT: Final = Tones(
    ground="#fbfbf9",
    table="#f4f4f0",
    bar="#e3e8ef",
    tabs="#eceeec",
    cursor="#e2e9f3",
    cursor_focus="#cfe0f7",
    rule="#d5d8dc",
    text="#2b323b",
    strong="#0c1116",
    muted="#5b6673",
    faint="#8a939e",
    brand="#0a5fb8",
    method="#8f5200",
    target="#00675c",
    field_name="#2a4fb5",
    field_value="#3c6300",
    under_cursor="#ffffff",
    dest="#6a3fb5",
    ok="#1a7032",
    redirect="#0b6a96",
    client_error="#9a4b00",
    server_error="#b3261e",
    odd="#8a2be2",
    good="#1a7032",
    warn="#9a4b00",
    bad="#b3261e",
)


def tone_variables(palette: Tones) -> dict[str, str]:
    """The tones as CSS variables: `tone-method`, `tone-field-name`, ..."""
    return {f"tone-{name.replace('_', '-')}": colour for name, colour in asdict(palette).items()}


def _theme(name: str, palette: Tones, *, dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=palette.brand,
        secondary=palette.dest,
        accent=palette.method,
        warning=palette.warn,
        error=palette.bad,
        success=palette.good,
        foreground=palette.text,
        background=palette.ground,
        surface=palette.ground,
        panel=palette.bar,
        dark=dark,
        variables={
            **tone_variables(palette),
            "border": palette.brand,
            "border-blurred": palette.rule,
            "scrollbar": palette.rule,
            "scrollbar-hover": palette.faint,
            "scrollbar-active": palette.muted,
            "scrollbar-background": palette.table,
            "scrollbar-background-hover": palette.table,
            "scrollbar-background-active": palette.table,
            "scrollbar-corner-color": palette.table,
            "block-cursor-background": palette.cursor_focus,
            "block-cursor-foreground": palette.strong,
            "block-cursor-text-style": "bold",
            "block-hover-background": palette.cursor,
            "input-selection-background": palette.cursor_focus,
        },
    )


THEMES: Final = (_theme(DARK_NAME, DARK, dark=True), _theme(LIGHT_NAME, LIGHT, dark=False))


@lru_cache(maxsize=8)
def _tones_of(dark: bool) -> Tones:  # noqa: FBT001 - the cache's key
    return DARK if dark else LIGHT


def tones(app: App[Any]) -> Tones:
    """The tones of the theme that `app` shows now."""
    return _tones_of(app.current_theme.dark)
