"""A server for tests of HTTP clients: any answer, any timing, any fault, and exact evidence of what the client did.

With pytest, use the fixture `inspectd`. Without it: `with Inspectd() as server: ...`.
"""

from __future__ import annotations

from inspectd.testing.answer import Answer, answer
from inspectd.testing.gate import Gate
from inspectd.testing.rule import Rule
from inspectd.testing.seen import Evidence, SeenConnection, SeenRequest
from inspectd.testing.server import Inspectd, Unexpected

__all__ = [
    "Answer",
    "Evidence",
    "Gate",
    "Inspectd",
    "Rule",
    "SeenConnection",
    "SeenRequest",
    "Unexpected",
    "answer",
]
