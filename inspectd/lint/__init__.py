"""What is wrong, odd or worth knowing about the bytes of messages: findings, each with an id and its bytes."""

from __future__ import annotations

from inspectd.lint.arrival import preload
from inspectd.lint.catalogue import catalogue, entry
from inspectd.lint.model import Context, Entry, Finding, Risk, Severity
from inspectd.lint.run import findings, quick

__all__ = [
    "Context",
    "Entry",
    "Finding",
    "Risk",
    "Severity",
    "catalogue",
    "entry",
    "findings",
    "preload",
    "quick",
]
