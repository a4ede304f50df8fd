"""Real browsers, one visit each: the mirror page is loaded, every action on it is clicked, then all is stopped.

The tests look at what that visit left behind: the capture, the tee's own record, and the engine's JSON lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.browsers.driver import BrowserError
from tests.browsers.starting import start
from tests.browsers.tee import Relayed, Tee
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browsers.driver import Browser

ACTIONS = (
    "link",
    "form-get",
    "form-post",
    "form-multipart",
    "image",
    "script",
    "style",
    "iframe",
    "fetch-get",
    "fetch-put",
    "fetch-cross",
    "beacon",
)


# What a page may have a browser send that URIs and cookies don't allow, and a form with two lines of text.
ODD = r"""void (async () => {
    document.cookie = 'kept={"a": 1, "b": "\u00e9"}'
    document.cookie = 'alone'
    await fetch(new URL('/raw|a?{b}|^`\\c', location))
    document.body.insertAdjacentHTML('beforeend', '<form action=/text><textarea name=t>one:\ntwo: 2</textarea></form>')
    document.forms[document.forms.length - 1].submit()
})()"""


@dataclass
class Visit:
    """What one browser's visit left behind."""

    browser: str
    port: int
    capture: Path
    exit_code: int = -1
    triggered: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """For each action, the JSON lines of the requests it made, page and favicon left out."""
    page: dict[str, Any] = field(default_factory=dict)
    """The JSON line of the first page."""
    odd: dict[str, Any] = field(default_factory=dict)
    """The JSON line of a request with characters that URIs and cookies don't allow."""
    text: dict[str, Any] = field(default_factory=dict)
    """The same for a form with a text of two lines, sent with GET by a script."""
    plain_name: dict[str, Any] = field(default_factory=dict)
    """The same for a page at a name that isn't loopback's."""
    tls: dict[str, Any] = field(default_factory=dict)
    """The JSON line of the connection that an https:// address made."""
    connections: list[Relayed] = field(default_factory=list)


def _visit(browser: Browser, engine: LiveEngine, tee: Tee, visit: Visit) -> None:
    home = f"http://localhost:{tee.port}/mirror"
    browser.open(home)
    visit.page = engine.exchange(target="/mirror")
    for action in ACTIONS:
        page = f"/mirror?before={action}"
        browser.open(f"http://localhost:{tee.port}{page}")
        engine.exchange(target=page)
        browser.click(action)
        visit.triggered[action] = _requests(engine, preflighted=action == "fetch-cross")
    browser.open(home)
    browser.evaluate(ODD)
    visit.odd = engine.wait_for(lambda line: line["type"] == "exchange" and "{b}" in (line["target"] or ""))
    visit.text = engine.wait_for(lambda line: line["type"] == "exchange" and "%0" in (line["target"] or ""))
    before = len(tee.connections)
    browser.open(home)
    browser.evaluate(
        "void document.head.appendChild(Object.assign(document.createElement('link'),"
        f" {{rel: 'preconnect', href: 'http://other.test:{tee.port}'}}))"
    )
    tee.wait_for_connections(before + 1)
    browser.open(f"http://plain.test:{tee.port}/plain-name")
    visit.plain_name = engine.exchange(target="/plain-name")
    with pytest.raises(BrowserError):
        browser.open(f"https://localhost:{tee.port}/over-tls")
    visit.tls = engine.wait_for(lambda line: line["type"] == "connection" and line["kind"] == "tls")


def _requests(engine: LiveEngine, *, preflighted: bool) -> list[dict[str, Any]]:
    """The next request that is neither a page on the way nor a favicon; with its preflight if it had one."""

    def triggered(line: dict[str, Any]) -> bool:
        target = line.get("target") or ""
        return line["type"] == "exchange" and target != "/favicon.ico" and "before=" not in target

    found = [engine.wait_for(triggered)]
    if preflighted and found[0]["method"] == "OPTIONS":
        found.append(engine.wait_for(triggered))
    return found


@pytest.fixture(scope="session", params=["chromium", "firefox"])
def visit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """One browser's whole visit, over and written down."""
    directory = tmp_path_factory.mktemp(f"visit-{request.param}")
    with LiveEngine(directory) as engine, Tee(engine.address) as tee:
        visit = Visit(request.param, tee.port, engine.capture)
        with start(request.param) as browser:
            _visit(browser, engine, tee, visit)
        tee.close()
        visit.exit_code = engine.stop()
        visit.connections = tee.connections
    return visit
