"""How answers are sent, in the words of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from inspectd.rules.file import load_tables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"respond": "200 OK"}, "200 OK"),
        ({"respond": "200 OK", "hold": True}, "200 OK (held)"),
        ({"respond": "200 OK", "hold": {"timeout": 2}}, "200 OK (held 2s)"),
        (
            {"respond": "200 OK", "pace": {"before": "300ms", "head": "1B/20ms", "body": "4KiB/s"}},
            "200 OK (after 300ms, head 1B/20ms, body 4KiB/s)",
        ),
        ({"raw": "abc", "pace": {"before": 0.5, "all": "1B/20ms"}}, "raw 3 bytes (after 0.5s, 1B/20ms)"),
        (
            {"respond": "503 Busy", "body": "x", "fault": {"at": "body+50%", "do": "reset"}},
            "503 Busy (reset at body+50%)",
        ),
        (
            {
                "raw": "abc",
                "fault": [{"at": "byte 1", "do": "garbage"}, {"at": "byte 2", "do": "truncate", "after": 1}],
            },
            "raw 3 bytes (garbage at byte 1, truncated at byte 2 after 1s)",
        ),
        ({"respond": "200 OK", "close": True}, "200 OK (close)"),
        (
            {
                "each": ["503", {"respond": "200", "hold": False}, "200", "200", "200"],
                "fault": {"do": "stall"},
            },
            "503 (stall at start)",
        ),
    ],
)
def test_the_wait_the_pace_and_the_faults_are_named(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    (rule,) = load_tables([{"match": "/a", **table}], source="test", base=tmp_path)
    assert rule.answer.startswith(said)
    assert rule.answer == said or "… 5 in all" in rule.answer
