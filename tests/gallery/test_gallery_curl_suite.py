"""Cases of curl's own test suite, by number, answered by rules: each can be said, and curl ends as it does there.

Nothing of curl's files is here: `curl_suite.toml` says in our words what each case needs.
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
from inspectd.rules.book import RuleBook, make_rule
from inspectd.rules.responder import Fixed
from inspectd.rules.tables import RuleTable

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
CASES: Final[list[dict[str, Any]]] = tomllib.loads((HERE / "curl_suite.toml").read_text("utf-8"))["test"]
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
    capture = tmp_path_factory.mktemp("suite") / "suite.inspectd"
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


def tables_of(test: dict[str, Any]) -> tuple[str, list[RuleTable]]:
    """The path that a case asks for, and its rules."""
    if "case" in test:
        case = case_of(test["case"])
        return case.path, list(case.rules)
    return f"/{test['number']}", [msgspec.convert(test["rule"], RuleTable)]


def test_there_are_forty_and_each_number_once() -> None:
    numbers = [test["number"] for test in CASES]
    assert len(numbers) >= 40
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("test", CASES, ids=lambda test: f"{test['number']}")
def test_curl_ends_as_in_its_own_suite(server: Server, test: dict[str, Any], tmp_path: Path) -> None:
    path, tables = tables_of(test)
    rules = [make_rule(table, source="suite", line=line, base=HERE) for line, table in enumerate(tables, 1)]
    server.book.replace("suite", rules)
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * ((1 << 20) + 1))  # from here on curl sends Expect by itself
    words = [word.replace("UPLOAD", str(upload)) for word in test.get("words", ())]
    argv = ["curl", "-q", "-sS", "--noproxy", "*", "-o", str(tmp_path / "out"), "--max-time", "60", *words]
    run = subprocess.run(
        [*argv, f"http://{server.address}{path}"], capture_output=True, timeout=90, check=False
    )
    assert run.returncode in test["exit"], run.stderr.decode()
    if "calls" in test:
        assert sum(rule.calls for rule in rules) == test["calls"]
