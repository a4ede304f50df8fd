"""What is odd about the bytes of a response, for an editor: a sentence, and the bytes it is about."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """Something odd about bytes `start` up to `end`, in words; `wrong`: the text stands for no bytes there."""

    sentence: str
    start: int
    end: int
    section: str = ""
    wrong: bool = False


def findings(data: bytes, method: str, *, rest: int = 0) -> list[Finding]:
    """What is odd about a response to a request of this method, in order. `rest` more bytes follow it."""
    from inspectd.rules.remarks import remarks_on

    found = remarks_on(data, method=method.encode("utf-8", "surrogateescape"), complete=not rest)
    return [Finding(each.sentence, each.start, each.end, each.section) for each in found]
