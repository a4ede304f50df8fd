"""What is wrong, odd or worth knowing about the bytes of messages: findings, each with an id and its bytes."""

from __future__ import annotations

from inspectd.lint.model import Entry, Finding, Risk, Severity

__all__ = ["Entry", "Finding", "Risk", "Severity"]
