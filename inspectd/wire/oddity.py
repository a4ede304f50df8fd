"""Something ill-formed that a reader found in what came after the heads: frames, messages, events."""

from __future__ import annotations

from typing import NamedTuple


class Oddity(NamedTuple):
    """Something ill-formed: the bytes `start` to `end` of the stream, and what is wrong with them.

    `section` names the specification and its section. The sentence quotes nothing that the peer wrote but numbers.
    """

    id: str
    start: int
    end: int
    sentence: str
    section: str
