"""What names and values mean, in plain words, offline.

Texts live in `data/*.toml` and are read when they are first asked for; importing this package reads none.
"""

from __future__ import annotations

from inspectd.explain import tls, websocket
from inspectd.explain.answers import check_answer, preflight_requirements
from inspectd.explain.caching import cacheability
from inspectd.explain.model import Check, Explanation, Part, Reading, Requirement
from inspectd.explain.names import field, method, role, status, step, step_names
from inspectd.explain.persistence import persistence
from inspectd.explain.readings import head
from inspectd.explain.registered import registration
from inspectd.explain.registry import preload
from inspectd.explain.values import value, value_parts
from inspectd.explain.websocket import close_code

__all__ = [
    "Check",
    "Explanation",
    "Part",
    "Reading",
    "Requirement",
    "cacheability",
    "check_answer",
    "close_code",
    "field",
    "head",
    "method",
    "persistence",
    "preflight_requirements",
    "preload",
    "registration",
    "role",
    "status",
    "step",
    "step_names",
    "tls",
    "value",
    "value_parts",
    "websocket",
]
