"""A screen with nothing but the detail view on it, and subjects made from plain bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from textual.app import App

from inspectd.capture.model import ConnectionRow, ExchangeRow, ListenerRow, Read, State
from inspectd.tui.subject import Subject
from inspectd.tui.theme import THEMES
from inspectd.tui.widgets.detail import Detail
from inspectd.tui.widgets.wireview import LineView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

MS: Final = 1_000_000
START: Final = 1_795_000_000_000_000_000

PREFLIGHT: Final = (
    b"OPTIONS /api/user HTTP/1.1\r\n"
    b"Host: localhost:8080\r\n"
    b"Access-Control-Request-Method: PUT\r\n"
    b"Access-Control-Request-Headers: content-type,x-trace\r\n"
    b"Origin: http://127.0.0.1:8080\r\n"
    b"Sec-Fetch-Mode: cors\r\n"
    b"Sec-Fetch-Site: cross-site\r\n"
    b"Sec-Fetch-Dest: empty\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\n"
    b"\r\n"
)
NO_CONTENT: Final = (
    b"HTTP/1.1 204 No Content\r\n"
    b"Date: Fri, 20 Nov 2026 11:20:00 GMT\r\n"
    b"Access-Control-Allow-Origin: http://127.0.0.1:8080\r\n"
    b"Access-Control-Allow-Methods: PUT\r\n"
    b"\r\n"
)

Row = TypeVar("Row", ExchangeRow, ConnectionRow, ListenerRow)


def _row(kind: type[Row], values: dict[str, Any]) -> Row:
    """A row with these values, and None, 0 or "" for every column that isn't named."""
    blanks: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        text = str(field.type)
        blanks[field.name] = (
            None if "None" in text else 0 if "int" in text else State(0) if "State" in text else ""
        )
    return kind(**{**blanks, **values})


def exchange(request: bytes, response: bytes, **values: Any) -> ExchangeRow:
    """The row of a finished exchange with these bytes."""
    done = State.HEAD_COMPLETE | State.REQUEST_COMPLETE | State.RESPONSE_STARTED | State.RESPONSE_COMPLETE
    return _row(
        ExchangeRow,
        {
            "id": 7,
            "connection": 3,
            "number": 1,
            "state": done,
            "started_ns": START + MS,
            "received_ns": START + 2 * MS,
            "answered_ns": START + 5 * MS,
            "finished_ns": START + 6 * MS,
            "method": request.split(b" ", 1)[0].decode("latin-1")[:20],
            "target": "/",
            "status": "204",
            "reason": "No Content",
            "req_run": len(request),
            "req_head": request.find(b"\r\n\r\n") + 4,
            "req_len": len(request),
            "res_offset": 0,
            "res_run": len(response),
            "res_head": len(response),
            "res_len": len(response),
            **values,
        },
    )


def connection(**values: Any) -> ConnectionRow:
    """The row of a connection that was closed by its client."""
    return _row(
        ConnectionRow,
        {
            "id": 3,
            "listener": 1,
            "peer": "127.0.0.1:51544",
            "local": "127.0.0.1:8080",
            "opened_ns": START,
            "closed_ns": START + 9 * MS,
            "closed_by": "client",
            "how": "fin",
            "fin_in_ns": START + 8 * MS,
            "exchanges": 1,
            "rtt_us": 23,
            "queue_len": 1,
            "queue_max": 128,
            **values,
        },
    )


def listener() -> ListenerRow:
    """The row of a listener that was opened in the ordinary way."""
    steps = [
        [START - 9 * MS, "socket", "AF_INET, SOCK_STREAM"],
        [START - 8 * MS, "setsockopt", "SO_REUSEADDR: bind although old connections are in TIME-WAIT"],
        [START - 7 * MS, "bind", "127.0.0.1:8080"],
        [START - 6 * MS, "listen", "backlog 128"],
    ]
    return _row(
        ListenerRow, {"id": 1, "address": "127.0.0.1:8080", "backlog": 128, "steps": json.dumps(steps)}
    )


def subject(request: bytes = PREFLIGHT, response: bytes = NO_CONTENT, **values: Any) -> Subject:
    """A finished exchange on a closed connection, its request come in two reads."""
    row = exchange(request, response, **values)
    half = len(request) // 2
    return Subject.from_bytes(
        request,
        response,
        key=row.id,
        row=row,
        connection=connection(bytes_in=len(request), bytes_out=len(response)),
        listener=listener(),
        reads=(Read(0, half, START + MS), Read(half, len(request) - half, START + 2 * MS)),
        writes=(Read(0, len(response), START + 5 * MS),),
        siblings=(row,),
    )


class Bench(App[int]):
    """The detail view alone, with the keys."""

    def __init__(self, shown: Subject | None) -> None:
        super().__init__()
        self.shown = shown
        self.animation_level = "none"
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name

    def compose(self) -> ComposeResult:
        """One widget."""
        yield Detail()

    def on_mount(self) -> None:
        """Show the subject."""
        self.detail.show(self.shown)
        self.call_after_refresh(self.detail.focus_pane)

    @property
    def detail(self) -> Detail:
        """The widget under test."""
        return self.query_one(Detail)

    def line_views(self) -> Iterator[LineView]:
        """The line views on screen."""
        yield from self.detail.pane.query(LineView)

    def view(self, selector: str) -> LineView:
        """A line view by its selector."""
        return self.detail.pane.query_one(selector, LineView)


def screen_text(view: LineView) -> str:
    """What a view shows, its rows joined with line ends."""
    return "\n".join(view.render_line(y).text.rstrip() for y in range(view.size.height)).rstrip("\n")


def whole_text(view: LineView) -> str:
    """All rows of a view's source, on screen or not."""
    width = view.row_width
    rows = (view.source.row(index, width) for index in range(view.source.height(width)))
    return "\n".join("".join(run.text for run in row).rstrip() for row in rows)


def reversed_text(view: LineView) -> str:
    """The text under the cursor: whatever is drawn reversed."""
    out = []
    for y in range(view.size.height):
        out += [segment.text for segment in view.render_line(y) if segment.style and segment.style.reverse]
    return "".join(out)
