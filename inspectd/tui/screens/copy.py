"""`y`: what can be copied of the selected row, and how it leaves for the clipboard without doing harm.

The clipboard is a sink like any other: what is pasted into a shell acts there. Text that holds control or invisible
characters, or that isn't UTF-8, is copied in its escaped form and the note says so; the exact bytes are always one
command away.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from inspectd.capture.urls import scheme_of, whole_target
from inspectd.errors import InspectdError
from inspectd.export.curl import curl_command
from inspectd.text.safe import clip, safe
from inspectd.text.shell import quote
from inspectd.tui.screens.dialog import Dialog
from inspectd.tui.theme import tones
from inspectd.tui.widgets.columns import amount

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.app import ComposeResult

    from inspectd.capture.reader import Capture
    from inspectd.tui.subject import Subject

LONGEST: Final = 74_994
"""Bytes that every common terminal takes in one OSC 52 sequence (100,000 characters with its base64)."""


class TooLongError(InspectdError):
    """More than a terminal takes."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Text for the clipboard, and what to say about it."""

    text: str
    said: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A line of the menu."""

    key: str
    label: str
    about: str
    make: Callable[[], Copied]


def clipboard_text(data: bytes, what: str, otherwise: str) -> Copied:
    """Bytes as text that may be pasted anywhere; `otherwise` says how to get bytes that can't."""
    if len(data) > LONGEST:
        raise TooLongError(
            f"{what}: {amount(len(data))} is more than a terminal's clipboard takes", otherwise
        )
    plain = data.replace(b"\r\n", b"\n")
    shown = safe(plain.replace(b"\t", b"    "), newline=True)
    try:
        same = shown == plain.decode().replace("\t", "    ")
    except UnicodeDecodeError:
        same = False
    if same:
        return Copied(data.decode(), f"Copied {what}: {len(data):,} bytes")
    return Copied(
        shown, f"Copied {what} with its control, invisible and undecodable bytes escaped. {otherwise}"
    )


class CopyScreen(Dialog[None]):
    """A menu; a letter or enter copies."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,y", "cancel", "Copy nothing", show=False)]

    def __init__(self, capture: Capture, subject: Subject, value: tuple[str, bytes] | None) -> None:
        super().__init__()
        self._capture = capture
        self._subject = subject
        self._choices = choices(capture, subject, value)

    def compose(self) -> ComposeResult:
        """One line a choice."""
        palette = tones(self.app)
        key = f"bold {palette.brand}"
        row = self._subject.row
        what = f"Copy of exchange {row.id}" if row is not None else "Copy of this connection"
        with Vertical(classes="dialog -small"):
            yield Static(Content.styled(what, f"bold {palette.strong}"), classes="dialog-title")
            yield OptionList(
                *(
                    Option(
                        Content.assemble(
                            (choice.key, key), f"  {choice.label}  ", (choice.about, palette.muted)
                        )
                    )
                    for choice in self._choices
                ),
                compact=True,
                id="copy-choices",
            )
            yield Static(
                Content.assemble(("enter", key), " or the letter copies   ", ("esc", key), " nothing"),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        """The first line is chosen."""
        menu = self.query_one(OptionList)
        menu.focus()
        menu.highlighted = 0

    def on_key(self, event: events.Key) -> None:
        """A choice's letter."""
        for choice in self._choices:
            if choice.key == event.character:
                event.stop()
                self._copy(choice)
                return

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """The chosen line."""
        self._copy(self._choices[event.option_index])

    def action_cancel(self) -> None:
        """Nothing is copied."""
        self.dismiss(None)

    def _copy(self, choice: Choice) -> None:
        try:
            copied = choice.make()
        except (InspectdError, ValueError) as problem:
            what, mend = getattr(problem, "what", str(problem)), getattr(problem, "mend", "")
            self.app.notify(safe(f"{what}\n{mend}", newline=True), severity="warning", markup=False)
        else:
            self.app.copy_to_clipboard(copied.text)
            self.app.notify(safe(copied.said, newline=True), markup=False)
        self.dismiss(None)


def choices(capture: Capture, subject: Subject, value: tuple[str, bytes] | None) -> list[Choice]:
    """What a row offers."""
    out: list[Choice] = []
    row = subject.row
    if row is None:
        key = -subject.key
        out.append(
            Choice("b", "its bytes", "everything the client sent", lambda: _stream(capture, key)),
        )
        return out
    show = f"inspectd show {quote(os.fsencode(capture.path))} {row.id} --bytes"

    def request(limit: int = LONGEST + 1) -> bytes:
        return capture.request_bytes(row, limit=limit)

    def url() -> Copied:
        text = exchange_url(subject)
        return Copied(text, f"Copied {clip(text, 60)}")

    def curl() -> Copied:
        data = request()
        command = curl_command(data, address=_address(subject), whole=len(data) <= LONGEST)
        if len(command.text) > LONGEST:
            raise TooLongError("The command is more than a terminal's clipboard takes", f"{show} request")
        notes = "".join(f"\n· {note}" for note in command.notes)
        return Copied(command.text, f"Copied a curl command{notes}")

    if value:
        name, octets = value
        what = f"the {name}"
        out.append(
            Choice("v", safe(name), clip(safe(octets), 36), lambda: clipboard_text(octets, what, show))
        )
    out += [
        Choice("u", "URL", "as the client asked for it", url),
        Choice("c", "curl command", "sends it again from a shell", curl),
        Choice(
            "r",
            "request",
            "the captured bytes",
            lambda: clipboard_text(request(), "the request", f"{show} request"),
        ),
        Choice(
            "a",
            "answer",
            "the bytes that were sent back",
            lambda: clipboard_text(
                capture.response_bytes(row, limit=LONGEST + 1), "the answer", f"{show} response"
            ),
        ),
        Choice(
            "x",
            "exact bytes",
            "the command that writes them",
            lambda: Copied(f"{show} request", f"Copied {show}"),
        ),
    ]
    return out


def _stream(capture: Capture, connection: int) -> Copied:
    data = capture.stream_bytes(connection, 0, limit=LONGEST + 1)
    return clipboard_text(data, "the bytes", "")


def _address(subject: Subject) -> str:
    listener = subject.listener
    if listener is not None and listener.address.startswith("unix:"):
        return listener.address
    local = subject.connection.local if subject.connection is not None else "127.0.0.1:8080"
    return f"{_scheme(subject)}{local}" if _scheme(subject) != "http://" else local


def _scheme(subject: Subject) -> str:
    listener = subject.listener
    return "https://" if listener is not None and listener.address.startswith("https://") else "http://"


def exchange_url(subject: Subject) -> str:
    """The URL that was asked for, in printable ASCII: a browser's bar is a sink too."""
    row = subject.row
    if row is None:
        return ""
    host = row.host or _address(subject).removeprefix("https://")
    target = row.target or "/"
    inside = scheme_of(subject.connection, subject.tls)
    text = (
        whole_target(row, inside)
        if inside is not None and row.host
        else (
            target
            if "://" in target.partition("?")[0]
            else f"{_scheme(subject)}{host}{target if target[:1] == '/' else '/' + target}"
        )
    )
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(
        chr(byte) if 0x21 <= byte < 0x7F and byte not in b'"<>\\^`{|}' else f"%{byte:02X}" for byte in raw
    )
