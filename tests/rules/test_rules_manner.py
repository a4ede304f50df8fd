"""How answers are sent, in the words of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import convert

from inspectd.rules.file import load_tables
from inspectd.rules.manner import accepting
from inspectd.rules.tables import AcceptTable

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
        (
            {
                "body": "x",
                "auth": {"digest": {"u": "p"}},
                "cors": True,
                "coding": "gzip",
                "chunked": True,
                "interim": ["103", {"respond": "100", "times": 2}],
            },
            "200 OK (digest auth, cors, gzip, chunked, 3 interim)",
        ),
        (
            {"auth": {"basic": {"u": "p"}, "bearer": "t", "proxy": True}, "cookies": ["a=1", "b=2"]},
            "200 OK (proxy basic or bearer auth, 2 cookies)",
        ),
        ({"auth": {"challenges": ["X"]}}, "200 OK (unmet auth)"),
        ({"cors": {"wrong": "no-origin"}}, "200 OK (cors, wrong (no-origin))"),
        ({"conditional": {"wrong": "ignore-range"}}, "200 OK (conditional, wrong (ignore-range))"),
        ({"body": "x", "poll": "gate"}, "200 OK (polled 30s, else 204 No Content)"),
        ({"poll": {"timeout": 2, "otherwise": "504"}}, "200 OK (polled 2s, else 504)"),
        ({"redirect": {"to": "/x", "chain": 3}}, "redirect to /x (3 hops)"),
        ({"redirect": {"to": "/x", "loop": True}}, "redirect to /x (loop)"),
        ({"template": True, "respond": "200 {{ path }}"}, "200 {{ path }} (template)"),
        (
            {"coding": {"apply": ["gzip", "br"], "say": "", "damage": "flip"}},
            "200 OK (gzip+br, said to be nothing, damaged (flip))",
        ),
        (
            {"body": "x", "chunked": {"last": False, "trailers": ["A: 1"]}},
            "200 OK (chunked without an end, 1 trailer)",
        ),
        ({"events": {"send": ["a"], "every": 1, "repeat": True}}, "events (again and again)"),
        ({"each": ["503", "200"], "then": "cycle"}, "503, 200; then from the first again"),
        (
            {"each": ["503", "200"], "then": "next", "per": "client"},
            "503, 200; then the next rule, per client",
        ),
        ({"respond": "200", "then": "404 No"}, "200; then 404 No"),
        ({"respond": "200", "then": "close"}, "200; then closed"),
        ({"each": ["503", "200"], "pick": "weighted"}, "503, 200; by chance"),
        ({"respond": "413", "when": "content 100"}, "413; after 100 of the content"),
        ({"respond": "413", "when": "head", "invite": False}, "413; at the request's head, without a 100"),
    ],
)
def test_the_wait_the_pace_and_the_faults_are_named(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    (rule,) = load_tables([{"match": "/a", **table}], source="test", base=tmp_path)
    assert rule.answer.startswith(said)
    assert rule.answer == said or "… 5 in all" in rule.answer


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"do": "reset"}, "resets connections"),
        ({"do": "reset", "count": 1}, "resets 1 connection"),
        ({"do": "close", "count": 3, "after": 1}, "closes 3 connections at once, after 1 that is let in"),
        ({"do": "wait", "for": "2s", "after": 2}, "accepts no connections for 2s, after 2 that are let in"),
        ({"do": "refuse", "for": 1.5}, "refuses connections for 1.5s"),
    ],
)
def test_what_happens_to_connections_is_told_in_a_few_words(table: dict[str, Any], said: str) -> None:
    assert accepting(convert(table, AcceptTable)) == said
