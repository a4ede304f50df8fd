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

_SHOWN: Final = 200
_MOST: Final = 200


def forwarded_blocks(forward: ForwardRow | None) -> list[Block]:
    """Where it went, each change, and what went wrong; nothing for what was answered here."""
    if forward is None:
        return []
    blocks: list[Block] = [
        GAP,
        Line(Run("The server", "heading"), Run(f"  {clip(safe(forward.origin), _SHOWN)}", "target")),
    ]
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
