"""Hostile bytes in the mirror page: its elements and attributes are the program's own, whatever the request says."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from tests.browsers.starting import start
from tests.hostile import corpus
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTIVE = frozenset(
    [
        "script",
        "style",
        "link",
        "meta",
        "base",
        "iframe",
        "frame",
        "object",
        "embed",
        "img",
        "svg",
        "form",
        "input",
        "button",
    ]
)
"""Elements that load, run or send something: a page has the same number of them whatever the request says."""

HTML = b"text/html,application/xhtml+xml"


class Elements(HTMLParser):
    """The elements of a page and the attributes each kind of element has; values of attributes that do something."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: set[tuple[str, str]] = set()
        self.doing: set[str] = set()
        self.active: Counter[str] = Counter()
        self.text = ""
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.found.add((tag, ""))
        if tag in ACTIVE:
            self.active[tag] += 1
        for name, value in attrs:
            self.found.add((tag, name))
            if name in {"href", "src", "action", "style", "srcdoc", "formaction"} or name.startswith("on"):
                self.doing.add(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data

    def handle_comment(self, data: str) -> None:
        """Note the comment."""
        self.comments.append(data)


def _page(address: tuple[str, int], payload: bytes) -> bytes:
    response = corpus.send(address, corpus.in_fields(payload, accept=HTML))
    head, _, content = response.partition(b"\r\n\r\n")
    assert b"content-type: text/html" in head.lower()
    return content


def _elements(page: bytes) -> Elements:
    parser = Elements()
    parser.feed(page.decode("utf-8"))
    parser.close()
    return parser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The mirror page for each payload, and for an innocent one."""
    with LiveEngine(tmp_path_factory.mktemp("pages"), quiet=True) as engine:
        found = {"innocent": _page(engine.address, b"7331 innocent")}
        for name, payload in corpus.PAYLOADS.items():
            found[name] = _page(engine.address, payload)
        return found


@pytest.mark.parametrize("name", corpus.PAYLOADS)
def test_no_element_and_no_attribute_comes_from_the_wire(pages: dict[str, bytes], name: str) -> None:
    innocent, page = _elements(pages["innocent"]), _elements(pages[name])
    assert page.found <= innocent.found
    assert page.doing <= innocent.doing
    assert page.active == innocent.active
    assert page.comments == innocent.comments
    assert "7331" in page.text or "73" in page.text


@pytest.mark.parametrize("name", corpus.PAYLOADS)
def test_no_live_character_reaches_the_page(pages: dict[str, bytes], name: str) -> None:
    from tests.hostile.escapes import live_characters

    assert live_characters(pages[name].replace(b"\n", b"").replace(b"\t", b"")) == []


@contextmanager
def _replayed(pages: list[bytes]) -> Iterator[int]:
    """A server that gives out these pages in order, whatever is asked."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                target = client.recv(65536).split(b" ")[1:2]
                page = pages[int(target[0][1:])] if target and target[0][1:].isdigit() else b""
                client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(page) + page)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def test_no_script_of_the_wire_runs_in_chromium(pages: dict[str, bytes]) -> None:
    names = list(pages)
    with start("chromium") as browser, _replayed(list(pages.values())) as port:
        facts = {}
        for number, name in enumerate(names):
            browser.open(f"http://127.0.0.1:{port}/{number}")
            facts[name] = browser.evaluate(
                "[typeof window.owned7331, document.title.includes('7331'), document.scripts.length,"
                " document.images.length, document.querySelectorAll('*').length > 20].join()"
            )
    assert set(facts.values()) == {facts["innocent"]}
    assert facts["innocent"].startswith("undefined,")
