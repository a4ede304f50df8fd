"""Chromium and Firefox against cases of the gallery: one tab and one host name a case, each with its time limit.

A GET is a navigation, as if its URL was typed; whatever else is a `fetch()` from a page of the same origin. Names under
`.localhost` lead to loopback in both browsers, so no case shares a connection with another.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from tests.browsers.chromium import Chromium
from tests.browsers.driver import BrowserError, Channel
from tests.browsers.firefox import Firefox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inspectd.gallery.catalogue import Case

LIMIT_SECONDS: Final = 4.0
"""How long a browser gets for a case."""
SETTLE_SECONDS: Final = 0.15
"""How long a page that has loaded is watched for what it does by itself: a refresh, a download, a retry."""
TABS: Final = 4

Row = dict[str, Any]


@dataclass
class Tab:
    """One case on its way."""

    case: Case
    key: str
    """The session of Chromium, the browsing context of Firefox."""
    target: str
    deadline: float
    settled: float | None = None
    status: int | None = None
    length: int | None = None
    error: str | None = None
    did: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def settle(self) -> None:
        """It has come to an end, unless something follows at once."""
        if self.settled is None:
            self.settled = time.monotonic() + SETTLE_SECONDS

    def fail(self, error: str) -> None:
        """The page couldn't be had."""
        self.error = self.error or error
        self.settle()


class Pipe:
    """Commands without waiting for their replies, on the channel of a browser."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._next = 1_000_000
        self._expected: dict[int, Callable[[Row], None]] = {}

    def send(self, method: str, params: Row, then: Callable[[Row], None], **extra: object) -> None:
        """Send a command; `then` is called with the whole reply when it comes."""
        self._next += 1
        self._expected[self._next] = then
        self._channel._socket.send(
            json.dumps({"id": self._next, "method": method, "params": params, **extra})
        )

    def receive(self, seconds: float) -> Row | None:
        """The next event, or None when none comes in that time. Replies go to whom they are for."""
        message: Row
        if self._channel._events:  # came while the channel waited for something else
            message = self._channel._events.popleft()
        else:
            try:
                message = json.loads(self._channel._socket.recv(max(seconds, 0.001)))
            except TimeoutError:
                return None
        then = self._expected.pop(message.get("id", 0), None)
        if then is not None:
            then(message)
            return None
        return message


class Visitor(Protocol):
    """A browser that visits cases in tabs."""

    version: str

    def start(self, case: Case, url: str, home: str) -> Tab:
        """Open a tab and begin."""

    def event(self, message: Row, tabs: dict[str, Tab]) -> None:
        """Note what a message says about one of the tabs."""

    def finish(self, tab: Tab) -> None:
        """Close the tab."""

    @property
    def pipe(self) -> Pipe: ...


def _fetching(case: Case) -> str:
    """An expression that fetches the case's path and says what came of it as JSON."""
    options: Row = {"method": case.method, "headers": {}}
    if case.range is not None:
        options["headers"]["Range"] = case.range
    body = f", body: 'x'.repeat({case.upload})" if case.upload else ""
    return (
        f"fetch({json.dumps(case.path)}, {{...{json.dumps(options)}{body}}})"
        ".then(async reply => JSON.stringify([reply.status, (await reply.arrayBuffer()).byteLength, null]))"
        ".catch(problem => JSON.stringify([null, null, `fetch: ${problem}`]))"
    )


def _navigates(case: Case) -> bool:
    return case.method == "GET" and case.range is None


def _note_fetched(tab: Tab, text: Any) -> None:
    if isinstance(text, str):
        tab.status, tab.length, tab.error = json.loads(text)
    else:
        tab.error = "fetch: no result"
    tab.settle()


class ChromiumVisitor:
    """Chromium over the DevTools protocol."""

    def __init__(self, browser: Chromium) -> None:
        self._channel = browser._channel
        self.pipe = Pipe(self._channel)
        self.version: str = self._channel.call("Browser.getVersion")["product"].replace("/", " ")
        self._channel.call("Browser.setDownloadBehavior", {"behavior": "deny", "eventsEnabled": True})

    def start(self, case: Case, url: str, home: str) -> Tab:
        """Open a tab and begin."""
        target = self._channel.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._channel.call("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        tab = Tab(case, session, target, time.monotonic() + LIMIT_SECONDS)
        for method in ("Page.enable", "Network.enable"):
            self._channel.call(method, {}, sessionId=session)
        if case.credentials:
            self._channel.call("Fetch.enable", {"handleAuthRequests": True}, sessionId=session)
        if _navigates(case):
            self._navigate(tab, url)
        else:
            tab.notes["fetch"] = True
            self.pipe.send("Page.navigate", {"url": home}, lambda _: None, sessionId=session)
        return tab

    def _navigated(self, tab: Tab, url: str, reply: Row) -> None:
        result = reply.get("result", {})
        if "error" in reply:
            tab.fail(str(reply["error"].get("message")))
        elif result.get("errorText") == "net::ERR_ABORTED" and not tab.notes.get("asked"):
            self._navigate(tab, url)  # the blank page had not loaded: no request was sent
        elif result.get("errorText") and not tab.did:
            tab.fail(result["errorText"])

    def _navigate(self, tab: Tab, url: str) -> None:
        self.pipe.send(
            "Page.navigate", {"url": url}, lambda reply: self._navigated(tab, url, reply), sessionId=tab.key
        )

    def event(self, message: Row, tabs: dict[str, Tab]) -> None:
        """Note what a message says about one of the tabs."""
        tab = tabs.get(message.get("sessionId", ""))
        method, params = message.get("method"), message.get("params", {})
        if method == "Browser.downloadWillBegin":
            for each in tabs.values():
                if each.case.path in params["url"]:
                    each.did, each.error = "downloads", None
                    each.settle()
        if tab is None:
            return
        session = tab.key
        match method:
            case "Fetch.requestPaused":
                self.pipe.send(
                    "Fetch.continueRequest",
                    {"requestId": params["requestId"]},
                    lambda _: None,
                    sessionId=session,
                )
            case "Fetch.authRequired":
                tries = tab.notes["tries"] = tab.notes.get("tries", 0) + 1
                user, _, password = (tab.case.credentials or "").partition(":")
                answer: Row = {"response": "CancelAuth"}
                if tries <= 3:
                    answer = {"response": "ProvideCredentials", "username": user, "password": password}
                wish = {"requestId": params["requestId"], "authChallengeResponse": answer}
                self.pipe.send("Fetch.continueWithAuth", wish, lambda _: None, sessionId=session)
            case "Network.requestWillBeSent" if params.get("type") == "Document":
                tab.notes["asked"] = True
            case "Network.responseReceived" if params.get("type") == "Document" and _navigates(tab.case):
                tab.status = params["response"]["status"]
                tab.notes["document"] = params["requestId"]
            case "Network.loadingFailed" if params.get("type") == "Document" and _navigates(tab.case):
                if not tab.did and tab.notes.get("asked"):
                    tab.fail(params["errorText"])
            case "Page.loadEventFired" if tab.notes.get("fetch"):
                del tab.notes["fetch"]
                wish = {"expression": _fetching(tab.case), "awaitPromise": True, "returnByValue": True}
                self.pipe.send(
                    "Runtime.evaluate",
                    wish,
                    lambda reply: _note_fetched(tab, reply.get("result", {}).get("result", {}).get("value")),
                    sessionId=session,
                )
            case "Page.loadEventFired" if (
                tab.status is not None and tab.error is None and _navigates(tab.case)
            ):
                tab.did = "shows"
                tab.settle()
            case _:
                pass

    def finish(self, tab: Tab) -> None:
        """Close the tab."""
        self.pipe.send("Target.closeTarget", {"targetId": tab.target}, lambda _: None)


class FirefoxVisitor:
    """Firefox over WebDriver BiDi."""

    def __init__(self, browser: Firefox) -> None:
        self._channel = browser._channel
        self.pipe = Pipe(self._channel)
        agent = browser.evaluate("navigator.userAgent")
        self.version = str(agent).rpartition(" ")[2].replace("/", " ")
        events = [
            "network.responseStarted",
            "network.responseCompleted",
            "network.fetchError",
            "network.authRequired",
            "browsingContext.load",
            "browsingContext.navigationFailed",
            "browsingContext.downloadWillBegin",
        ]
        self._channel.call("session.subscribe", {"events": events})
        self._channel.call("network.addIntercept", {"phases": ["authRequired"]})

    def start(self, case: Case, url: str, home: str) -> Tab:
        """Open a tab and begin."""
        context = self._channel.call("browsingContext.create", {"type": "tab"})["context"]
        tab = Tab(case, context, context, time.monotonic() + LIMIT_SECONDS)
        navigates = _navigates(case)
        if not navigates:
            tab.notes["fetch"] = True
        tab.notes["url"] = url if navigates else home
        self.pipe.send(
            "browsingContext.navigate",
            {"context": context, "url": tab.notes["url"], "wait": "none"},
            lambda reply: tab.fail(reply.get("message", "")) if reply.get("type") == "error" else None,
        )
        return tab

    def event(self, message: Row, tabs: dict[str, Tab]) -> None:
        """Note what a message says about one of the tabs."""
        params = message.get("params", {})
        tab = tabs.get(params.get("context") or "")
        if tab is None:
            return
        document = params.get("navigation") is not None
        match message.get("method"):
            case "network.authRequired":
                tries = tab.notes["tries"] = tab.notes.get("tries", 0) + 1
                user, _, password = (tab.case.credentials or "").partition(":")
                wish: Row = {"request": params["request"]["request"], "action": "cancel"}
                if tab.case.credentials and tries <= 3:
                    login = {"type": "password", "username": user, "password": password}
                    wish |= {"action": "provideCredentials", "credentials": login}
                self.pipe.send("network.continueWithAuth", wish, lambda _: None)
            case "network.responseStarted" | "network.responseCompleted" if document and _navigates(tab.case):
                tab.status = params["response"]["status"]
            case "network.fetchError" if document and _navigates(tab.case):
                if not tab.did:
                    tab.fail(params["errorText"])
            case "browsingContext.navigationFailed" if _navigates(tab.case):
                if not tab.did:
                    tab.fail(params.get("message") or "navigation failed")
            case "browsingContext.downloadWillBegin":
                tab.did, tab.error = "downloads", None
                tab.settle()
            case "browsingContext.load" if tab.notes.pop("fetch", False):
                wish = {
                    "expression": _fetching(tab.case),
                    "target": {"context": tab.key},
                    "awaitPromise": True,
                }
                self.pipe.send(
                    "script.evaluate",
                    wish,
                    lambda reply: _note_fetched(tab, reply.get("result", {}).get("result", {}).get("value")),
                )
            case "browsingContext.load" if _navigates(tab.case) and tab.error is None:
                tab.did = "shows"
                tab.settle()
            case _:
                pass

    def finish(self, tab: Tab) -> None:
        """Close the tab."""
        self.pipe.send("browsingContext.close", {"context": tab.key}, lambda _: None)


def visit_all(name: str, cases: Sequence[Case], address: str) -> tuple[str, dict[str, Row]]:
    """The browser's name and version, and what it made of each case."""
    with Chromium() if name == "chromium" else Firefox() as browser:
        visitor: Visitor = (
            ChromiumVisitor(browser) if isinstance(browser, Chromium) else FirefoxVisitor(browser)
        )
        return visitor.version, _visit(visitor, cases, address)


def _visit(visitor: Visitor, cases: Sequence[Case], address: str) -> dict[str, Row]:
    port = address.rpartition(":")[2]
    waiting = list(reversed(cases))
    tabs: dict[str, Tab] = {}
    rows: dict[str, Row] = {}
    while waiting or tabs:
        while waiting and len(tabs) < TABS:
            case = waiting.pop()
            origin = f"http://{case.name}.localhost:{port}"
            try:
                tab = visitor.start(case, f"{origin}{case.path}", f"{origin}/")
            except BrowserError as problem:
                rows[case.name] = {"status": None, "length": None, "error": str(problem), "did": None}
                continue
            tabs[tab.key] = tab
        message = visitor.pipe.receive(0.05)
        if message is not None:
            visitor.event(message, tabs)
        now = time.monotonic()
        for key, tab in list(tabs.items()):
            over = tab.settled is not None and now >= tab.settled
            if not over and now < tab.deadline:
                continue
            del tabs[key]
            visitor.finish(tab)
            did = tab.did if over else "waits"
            rows[tab.case.name] = {"status": tab.status, "length": tab.length, "error": tab.error, "did": did}
    return rows
