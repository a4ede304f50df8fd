"""The table of real clients: whole, made from what was measured, and fresh enough to know every case."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from inspectd.gallery.catalogue import cases, chosen
from tests.gallery.clients import CLIENTS, HERE, as_markdown, run_client

SURE = (
    "status-999",
    "empty",
    "reset",
    "close-in-content",
    "chunk-early-close",
    "redirect-loop",
    "stale-reset",
    "post-303",
)


def test_the_table_has_every_case_and_every_client() -> None:
    table = json.loads((HERE / "clients.json").read_text("utf-8"))
    assert list(table["clients"]) == list(CLIENTS)
    assert [row["case"] for row in table["cases"]] == list(cases())
    assert all(set(CLIENTS) <= set(row) for row in table["cases"])


def test_the_page_to_read_is_made_from_the_measured_table() -> None:
    table = json.loads((HERE / "clients.json").read_text("utf-8"))
    assert (HERE / "clients.md").read_text("utf-8") == as_markdown(table)


@pytest.mark.parametrize("name", ["curl", "httpx", "requests", "aiohttp", "node"])
def test_a_client_does_what_nobody_could_do_otherwise(name: str) -> None:
    if not CLIENTS[name][0]:
        pytest.skip(f"{name} is not installed")
    version, rows = asyncio.run(run_client(name, chosen(SURE)))
    assert name in version
    assert set(rows) == set(SURE)
    assert (rows["status-999"]["status"], rows["status-999"]["length"]) == (999, 8)
    for broken in ("empty", "reset", "close-in-content", "chunk-early-close", "redirect-loop"):
        assert rows[broken]["error"], broken
    assert rows["redirect-loop"]["requests"] >= 5
    assert rows["redirect-loop"]["connections"] < rows["redirect-loop"]["requests"]
    assert rows["post-303"]["methods"] == ("POST", "GET")
    assert (rows["post-303"]["status"], rows["post-303"]["length"]) == (200, 7)
    assert rows["stale-reset"]["requests"] >= 2


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_browser_is_watched_in_its_tabs(name: str) -> None:
    if not CLIENTS[name][0]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI has to have it")
        pytest.skip(f"{name} is not installed")
    _, rows = asyncio.run(run_client(name, chosen([*SURE, "download-traversal", "basic", "stall"])))
    assert (rows["status-999"]["status"], rows["status-999"]["did"]) == (999, "shows")
    assert (rows["stale-reset"]["status"], rows["stale-reset"]["did"]) == (200, "shows")
    assert rows["stale-reset"]["requests"] >= 3
    assert rows["empty"]["error"]
    assert rows["reset"]["error"]
    assert rows["redirect-loop"]["error"]
    assert (rows["post-303"]["status"], rows["post-303"]["length"]) == (200, 7)
    assert rows["post-303"]["methods"] == ("POST", "GET")
    assert rows["download-traversal"]["did"] == "downloads"
    assert (rows["basic"]["status"], rows["basic"]["requests"]) == (200, 2)
    assert rows["stall"]["did"] == "waits"
