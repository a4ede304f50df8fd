"""`?`: what can be done where you are, searchable."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from inspectd.text.safe import cells, pad
from inspectd.tui.screens.dialog import Dialog
from inspectd.tui.theme import tones
from inspectd.tui.widgets.detail import PANES
from inspectd.tui.widgets.panes.pane import Pane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.dom import DOMNode
    from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and what it does, or some words about a part of the screen."""

    section: str
    keys: str
    text: str


EVERYWHERE = "Everywhere"
WORDS = "What you see"
ENTRIES: tuple[Entry, ...] = (
    Entry(EVERYWHERE, "?", "this help; type to search it"),
    Entry(EVERYWHERE, "^p", "every command by name"),
    Entry(EVERYWHERE, "/", "filter the list by plain words; the last filter is there again"),
    Entry(
        EVERYWHERE,
        "f",
        "follow the newest row, or stay; moving up or scrolling up stays too, end follows again",
    ),
    Entry(EVERYWHERE, "enter", "look inside the row: the panes get the keys; esc comes back"),
    Entry(
        EVERYWHERE,
        f"1…{len(PANES)}",
        "choose a pane, from the list too: "
        + ", ".join(pane.title + (f" ({pane.short})" if pane.short else "") for pane in PANES)
        + "; where there is little room their tabs have the short names",
    ),
    Entry(EVERYWHERE, "tab", "the other direction: request ⇄ response"),
    Entry(EVERYWHERE, "s", "change the answer everybody gets (with rules: where none matches), bytes first"),
    Entry(
        EVERYWHERE,
        "y",
        "copy the URL, a curl command, the request, the answer, or the value under the cursor",
    ),
    Entry(
        EVERYWHERE, "h", "hold the next request until you have answered it; again: all of them; again: none"
    ),
    Entry(
        EVERYWHERE,
        "e r d t",
        "on a held row: edit its answer, release it with the normal one, drop it (FIN), reset it (RST)",
    ),
    Entry(EVERYWHERE, "R", "the rules in use, how often each answered, and why a changed file is not in use"),
    Entry(EVERYWHERE, "z", "zoom: panes, list, both"),
    Entry(EVERYWHERE, "c", "clear the capture, after a question"),
    Entry(EVERYWHERE, "q", "quit; the path of the capture is printed"),
    Entry(
        EVERYWHERE,
        "esc",
        "one step back: close, leave the panes, drop the zoom, clear the filter, hold no more",
    ),
    Entry(
        EVERYWHERE,
        "mouse",
        "click a row, twice to look into it; the wheel scrolls; the hints below can be clicked",
    ),
    Entry(WORDS, "…", "the exchange is still going on: no answer yet, or not all of it"),
    Entry(
        WORDS, "italics, c12", "a connection that never sent a request, its number, and what it was: show c12"
    ),
    Entry(
        WORDS,
        "dest · mode",
        "Sec-Fetch-Dest and Sec-Fetch-Mode as the browser sent them; no column while nobody sent any",
    ),
    Entry(
        WORDS,
        "loca…3000/api",
        "a URL that was asked of a proxy, where it doesn't fit: without its scheme, the host cut in the middle",
    ),
    Entry(
        WORDS, "200 in c12", "a tunnel that was looked into: what connection c12 carried has rows of its own"
    ),
    Entry(WORDS, "size", "bytes of the answer behind its head, as sent"),
    Entry(WORDS, "ms", "from the request's first byte to the last byte of the answer"),
    Entry(WORDS, "▲ odd head", "the request's head isn't plain grammatical HTTP: look at it in Anatomy"),
    Entry(WORDS, "▲ ambiguous", "parsers differ about where the request ends: Anatomy says which and why"),
    Entry(WORDS, "◆ held 12 s", "the client waits for you: enter edits its answer"),
    Entry(WORDS, "✗ left", "it is held, and the client has closed its side meanwhile"),
    Entry(
        WORDS,
        "↺ 2nd after 1.1 s",
        "the same request came a second time, the first retry, so long after the answer before",
    ),
    Entry(WORDS, "✎ by hand", "its answer was edited; ✎ ▲: and something is found in it"),
    Entry(WORDS, "✗ reset", "a crafted answer ended with RST; RST came: the client sent it"),
    Entry(WORDS, "✗ cut short", "the connection ended before the exchange did"),
    Entry(WORDS, "client left", "it left an answer that has no end: nothing was cut off"),
    Entry(WORDS, "● tls, garbage…", "something else than HTTP came to this port"),
    Entry(
        WORDS, "· → ↵ ↓ ←", "in bytes: space, tab, CRLF, a lone LF, a lone CR; other controls look like \\x00"
    ),
)


class HelpScreen(Dialog[None]):
    """Everything that helps here: the widget you came from first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark", "leave", "Close", show=False),
        Binding("down", "scroll(1)", "Down", show=False),
        Binding("up", "scroll(-1)", "Up", show=False),
        Binding("pagedown", "scroll(10)", "Page down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self, origin: Widget | None) -> None:
        super().__init__()
        self._here = list(entries_of(origin))
        self._about = about(origin)

    def compose(self) -> ComposeResult:
        """A search line and the entries."""
        palette = tones(self.app)
        with Vertical(classes="dialog -help"):
            yield Static(Content.styled("Help", f"bold {palette.strong}"), classes="dialog-title")
            yield Input(placeholder="type to search", compact=True, id="help-words")
            with VerticalScroll(id="help-scroll", can_focus=False):
                yield Static("", id="help-text", markup=False)
            yield Static(
                Content.assemble(
                    ("esc", f"bold {palette.brand}"), " closes   ", ("↑↓", f"bold {palette.brand}"), " scroll"
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        """Everything, until somebody types."""
        self.query_one(Input).focus()
        self.call_after_refresh(self._show_again)

    def on_resize(self) -> None:
        """Other line breaks."""
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        self._show(self.query_one(Input).value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keep the entries in which every word occurs."""
        event.stop()
        if event.value.endswith("?"):
            self.action_leave()
            return
        self._show(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Nothing to send."""
        event.stop()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        """Move the text."""
        self.query_one("#help-scroll", VerticalScroll).scroll_relative(y=by, animate=False)

    def _show(self, words: str) -> None:
        palette = tones(self.app)
        wanted = words.casefold().split()
        found = [
            entry
            for entry in (*self._here, *ENTRIES)
            if all(word in f"{entry.section} {entry.keys} {entry.text}".casefold() for word in wanted)
        ]
        parts: list[tuple[str, str]] = []
        if self._about and not wanted:
            parts += [
                (self._about[0] + "\n", f"bold {palette.brand}"),
                (self._about[1] + "\n\n", palette.text),
            ]
        width = max((cells(entry.keys) for entry in found), default=0) + 2
        room = max(self.query_one("#help-scroll").content_region.width - width - 3, 16)
        section = ""
        for entry in found:
            if entry.section != section:
                parts.append((("\n" if section else "") + entry.section + "\n", f"bold {palette.muted}"))
                section = entry.section
            parts.append(("  " + pad(entry.keys, width), f"bold {palette.method}"))
            lines = textwrap.wrap(entry.text, room) or [""]
            parts.append((("\n" + " " * (width + 2)).join(lines) + "\n", palette.text))
        if not found:
            parts.append(("Nothing here says that.", palette.muted))
        self.query_one("#help-text", Static).update(Content.assemble(*parts))


def about(origin: DOMNode | None) -> tuple[str, str] | None:
    """The title and the words a widget, or what it stands in, has about itself."""
    node = origin
    while node is not None:
        text = getattr(node, "HELP_TEXT", None)
        if text:
            return _title(node), str(text)
        node = node.parent
    return None


def entries_of(origin: DOMNode | None) -> Iterable[Entry]:
    """The keys of the widget that has the focus and of what it stands in, below the app; a key and back is one line."""
    node = origin
    seen: set[str] = set()
    while node is not None and not isinstance(node, Screen):
        title = _title(node)
        before, entry = "", None
        for binding in _bindings(node):
            if binding.key.isdecimal() or not binding.description or binding.description in seen:
                continue  # one line says all digits
            seen.add(binding.description)
            keys = " ".join(_key_name(key) for key in binding.key.split(","))
            text = binding.description[0].lower() + binding.description[1:]
            first = binding.key.partition(",")[0]
            if entry is not None and _BACK.get(before) == first:
                entry = Entry(title, f"{entry.keys} {keys}", f"{entry.text}, {text}")
            else:
                if entry is not None:
                    yield entry
                entry = Entry(title, keys, text)
            before = first
        if entry is not None:
            yield entry
        node = node.parent


def _title(origin: DOMNode) -> str:
    """What a widget is called, or the pane that it is a part of."""
    node: DOMNode | None = origin
    while node is not None:
        if title := getattr(node, "HELP_TITLE", "") or (node.title if isinstance(node, Pane) else ""):
            return str(title)
        node = node.parent
    return "Here"


def _bindings(node: DOMNode) -> Iterable[Binding]:
    for entry in type(node).BINDINGS:
        if isinstance(entry, Binding):
            yield entry
        else:
            parts: tuple[Any, ...] = tuple(entry)
            yield Binding(parts[0], parts[1], parts[2] if len(parts) > 2 else "")


_BACK = {
    "left": "right",
    "up": "down",
    "home": "end",
    "pageup": "pagedown",
    "shift+up": "shift+down",
    "n": "N",
}
_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "escape": "esc",
    "pageup": "page↑",
    "pagedown": "page↓",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "shift+up": "shift ↑",
    "shift+down": "shift ↓",
}


def _key_name(key: str) -> str:
    key = key.strip()
    return _NAMES.get(key, key.replace("ctrl+", "^"))
