"""curl itself against what cases of its own test suite need, by number: it ends as it does there.

Nothing of curl's files is here: `peers.toml` and `curl.toml` say in our words what each case needs.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from inspectd.engine.config import EngineConfig
from inspectd.engine.server import Engine
from inspectd.gallery.catalogue import case_of
from inspectd.rules.answer import make_answer
from inspectd.rules.book import Rule, RuleBook, make_rule
from inspectd.rules.file import load_file
from inspectd.rules.responder import Fixed
from inspectd.rules.tables import RuleTable

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
CASES: Final[list[dict[str, Any]]] = tomllib.loads((HERE / "curl.toml").read_text("utf-8"))["test"]
PEERS: Final = load_file(HERE / "peers.toml").rules
CURL: Final = shutil.which("curl")

pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")


@dataclass
class Server:
    """An engine whose rules can be exchanged."""

    address: str
    book: RuleBook


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One engine for all cases."""
    capture = tmp_path_factory.mktemp("curl") / "curl.inspectd"
    book = RuleBook(Fixed(make_answer("404 Not Found")))
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    addresses: list[str] = []

    async def serve() -> None:
        engine = Engine(EngineConfig(capture, ("127.0.0.1:0",), durability="relaxed", grace=0.2), book)
        try:
            addresses.extend(await engine.start())
        finally:
            ready.set()
        await over.wait()
        await engine.stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(60)
    yield Server(addresses[0], book)
    loop.call_soon_threadsafe(over.set)
    thread.join(60)


def rules_of(test: dict[str, Any]) -> tuple[str, list[Rule]]:
    """The path that a case asks for, and its rules, which were never called before."""
    name = f"curl-{test['number']}"
    tables = [rule.table for rule in PEERS if rule.id == name or rule.id.startswith(f"{name}-")]
    assert [bool(tables), "case" in test, "rule" in test].count(True) == 1, "the rules stand in one place"
    path = ""
    if "case" in test:
        case = case_of(test["case"])
        path, tables = case.path, list(case.rules)
    elif "rule" in test:
        tables = [msgspec.convert(test["rule"], RuleTable)]
    rules = [
        make_rule(table, source=name, line=line, base=HERE) for line, table in enumerate(tables, 1) if table
    ]
    glob = rules[0].matcher.glob
    return path or ((glob and glob.literal) or b"/").decode(), rules


def test_there_are_forty_and_each_number_once() -> None:
    numbers = [test["number"] for test in CASES]
    assert len(numbers) >= 40
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("test", CASES, ids=lambda test: f"{test['number']}")
def test_curl_ends_as_in_its_own_suite(server: Server, test: dict[str, Any], tmp_path: Path) -> None:
    path, rules = rules_of(test)
    url = f"http://{server.address}{path}"
    server.book.replace("curl", rules)
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * ((1 << 20) + 1))  # from here on curl sends Expect by itself
    words = [word.replace("UPLOAD", str(upload)).replace("{url}", url) for word in test.get("words", ())]
    argv = ["curl", "-q", "-sS", "--noproxy", "*", "-o", str(tmp_path / "out"), "--max-time", "60", *words]
    run = subprocess.run([*argv, url], capture_output=True, timeout=90, check=False)
    assert run.returncode in test["exit"], run.stderr.decode()
    if "calls" in test:
        assert sum(rule.calls for rule in rules) == test["calls"]
