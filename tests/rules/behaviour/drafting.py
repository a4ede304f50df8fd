"""Runs the behaviours of a table over a draft, as whoever makes the answer does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inspectd.rules.behaviour import steps
from inspectd.rules.draft import Call, Draft, FileSlice
from inspectd.rules.tables import RuleTable
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.rules.request import Request

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


class Acting:
    """The behaviours of one table, as of a rule that has been loaded."""

    def __init__(self, base: Path = Path("/nowhere"), **table: Any) -> None:
        self.table = msgspec.convert(table, RuleTable)
        self.steps = steps(self.table, base=base)
        self.count = 0

    def __call__(
        self,
        request: Request | None = None,
        *,
        draft: Draft | None = None,
        captured: Mapping[str, str] | None = None,
        now: float = NOW,
        chance: int = 0,
    ) -> Draft:
        """What is said to this request; the draft is a 200 with the content `content`, unless one is given."""
        self.count += 1
        call = Call(request or get(), now, True, self.count, captured or {}, chance)
        said = draft or Draft(b"HTTP/1.1 200 OK", content=b"content")
        for step in self.steps:
            said = step(call, said)
            if said.final:
                break
        return said


def content_of(draft: Draft) -> bytes:
    """The content of a draft whose content is known."""
    content = draft.content
    if isinstance(content, FileSlice):
        with content.path.open("rb") as file:
            file.seek(content.offset)
            return file.read(content.length)
    assert isinstance(content, bytes)
    return content
