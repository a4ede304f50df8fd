"""What the proxy changed between a client and a server: of the request, and of the answer."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from inspectd.text.safe import clip, safe
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Paragraph
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.capture.model import ForwardRow
    from inspectd.capture.servers import Server

_SHOWN: Final = 200
_FACT_SHOWN: Final = 400
_NAME: Final = 13
_MOST: Final = 200


def forwarded_blocks(forward: ForwardRow | None, server: Server | None) -> list[Block]:
    """Where it went, and how, each change, and what went wrong; nothing for what was answered here."""
    if forward is None:
        return []
    blocks: list[Block] = [
        GAP,
        Line(Run("The server", "heading"), Run(f"  {clip(safe(forward.origin), _SHOWN)}", "target")),
    ]
    if server is not None:
        blocks += _server_blocks(forward, server)
    for side, text in (("request", forward.changes), ("answer", forward.res_changes)):
        changes = list(_changes(text))
        if changes:
            blocks.append(Line(Run(f"  inspectd changed of the {side}", "dim")))
        blocks += [_change(change) for change in changes[:_MOST]]
        if len(changes) > _MOST:
            blocks.append(Line(Run(f"    … {len(changes) - _MOST:,} more", "dim")))
    if forward.failure:
        blocks.append(Paragraph(Run(f"  {safe(forward.failure)}", "warning")))
    return blocks


def _server_blocks(forward: ForwardRow, server: Server) -> list[Block]:
    """The connection to the server: the proxy on the way, what was agreed upon, whose certificate was shown."""
    tls, shown = server.tls, server.certificate
    facts: list[tuple[str, str | None]] = [("connection", f"c{forward.upstream}"), ("via", server.via)]
    if tls is not None:
        facts += [("TLS", tls.version or "not agreed"), ("cipher", tls.cipher), ("protocol", tls.alpn)]
        facts += [("alert", tls.alert)]
    if shown is not None:
        facts += [
            ("certificate", f"for {', '.join(shown.names) or 'no name'}"),
            ("issuer", shown.issuer),
            ("valid", f"{shown.begins:%Y-%m-%d %H:%M} to {shown.ends:%Y-%m-%d %H:%M} UTC"),
            ("trusted", "yes" if server.trusted else "no"),
        ]
    blocks: list[Block] = [
        Paragraph(
            Run(f"  {name:<{_NAME}}", "dim"), Run(clip(safe(value), _FACT_SHOWN), "plain"), hang=_NAME + 2
        )
        for name, value in facts
        if value
    ]
    if tls is not None and tls.sentence and tls.sentence != forward.failure:
        blocks.append(Paragraph(Run(safe(tls.sentence), "warning"), indent=2))
    return blocks


def _changes(text: str | None) -> Iterator[dict[str, Any]]:
    """The changes of a row, as far as they are what they should be: a capture is a file from anywhere."""
    with contextlib.suppress(ValueError, RecursionError):
        listed = json.loads(text or "[]")
        yield from (
            (change for change in listed if isinstance(change, dict)) if isinstance(listed, list) else ()
        )


def _change(change: dict[str, Any]) -> Block:
    return Paragraph(
        Run(f"    {_text(change.get('what'))}: ", "plain"),
        Run(_text(change.get("from")), "dim"),
        Run(" → ", "dim"),
        Run(_text(change.get("to")), "strong"),
    )


def _text(value: object) -> str:
    """A value as safe text: one character stands for a byte."""
    return "nothing" if value is None else clip(safe(str(value).encode("latin-1", "replace")), _SHOWN)
