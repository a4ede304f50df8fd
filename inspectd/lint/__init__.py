"""What is wrong, odd or worth knowing about the bytes of messages: findings, each with an id, its bytes and a source."""

from __future__ import annotations

from inspectd.lint.model import Entry, Finding, Risk, Severity

__all__ = ["Entry", "Finding", "Risk", "Severity"]
