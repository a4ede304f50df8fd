"""An engine that answers the screen's questions from memory, and the screen on a capture, for tests."""

from __future__ import annotations

import base64
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inspectd.capture.reader import Capture
from inspectd.control.messages import CurrentAnswer, Preview, Status
from inspectd.control.rules_messages import RulesShown
from inspectd.control.traffic_messages import HeldShown, HoldsShown, Released
from inspectd.errors import InspectdError
from inspectd.tui.app import InspectdApp
from inspectd.tui.engine_link import EngineLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from textual.app import App
    from textual.pilot import Pilot

DATE = "Date: Fri, 20 Nov 2026 11:00:00 GMT"
LENGTH = "Content-Length: 0"


class FakeEngine:
    """Answers like `ControlClient`. `gone` makes every question fail."""

    def __init__(self, capture: Path) -> None:
        self.capture = capture
        self.line: str | None = None
        self.gone = ""
        self.cleared = 0
        self.next: int | None = 0
        self.held: dict[int, HeldShown] = {}
        self.said: list[tuple[object, ...]] = []
        self.rules_shown = RulesShown(sources=(), fallback="mirror")
        self.rules_error: str | None = None
        self.mode = "answer"
        self.server: str | None = None
        self.passing = ""
        """What it says that it was started with, when that is to pass requests on."""
        self.insecure = False
        self.unrecorded = 0

    def status(self) -> Status:
        self._may_fail()
        return Status(
            version="0.1.0",
            pid=1,
            addresses=("127.0.0.1:8080", "[::1]:8080"),
            capture=str(self.capture),
            answer=self._answer(),
            exchanges=1,
            connections_open=6,
            started_ns=1,
            rules_error=self.rules_error,
            held=len(self.held),
            hold_next=self.next,
            mode=self.mode,
            server=self.server,
            insecure=self.insecure,
            unrecorded=self.unrecorded,
            at_start=self.passing or None if self.line else None,
        )

    def set_answer(self, *, status: str) -> CurrentAnswer:
        self._may_fail()
        self._check(status)
        self.line = f"HTTP/1.1 {status}"
        return self._answer()

    def answer_by_rule(self, rule: str) -> CurrentAnswer:
        self._may_fail()
        self.line = f"rule {rule}"
        return self._answer()

    def preview_rule(self, rule: str) -> Preview:
        self._may_fail()
        return self._preview(f"HTTP/1.1 203 {rule}\r\n\r\n".encode())

    def restore_answer(self) -> CurrentAnswer:
        self._may_fail()
        self.line = None
        return self._answer()

    def mirror(self) -> CurrentAnswer:
        self._may_fail()
        self.line = None
        return self._answer()

    def preview(self, *, status: str) -> Preview:
        self._may_fail()
        self._check(status)
        data = f"HTTP/1.1 {status}\r\nX-Own: \x1b[31m\r\n{DATE}\r\n{LENGTH}\r\n\r\n".encode()
        return self._preview(data, *(("Nobody registered 299.",) if status.startswith("299") else ()))

    def _preview(self, data: bytes, *remarks: str) -> Preview:
        return Preview(
            encoded=base64.b64encode(data).decode(),
            length=len(data),
            steps=("The connection stays open.",),
            added=(DATE, LENGTH),
            remarks=remarks,
            label="answer",
        )

    def clear(self) -> None:
        self._may_fail()
        self.cleared += 1

    def hold(self, exchange: int, head: bytes, answer: bytes, **more: object) -> HeldShown:
        """An exchange waits from now on."""
        shown: dict[str, object] = {
            "id": exchange,
            "connection": exchange,
            "number": 1,
            "method": head.split(b" ")[0].decode("latin-1"),
            "target": head.split(b" ")[1].decode("latin-1"),
            "since_ns": time.time_ns(),
            "timeout": 300.0,
            "client_gone": False,
            "rule": "",
            "owner": "",
            "request_head": base64.b64encode(head).decode(),
            "answer": base64.b64encode(answer).decode(),
            "answer_length": len(answer),
            "label": "mirror",
            "peer": "127.0.0.1:51544",
        }
        held = msgspec.convert(shown | more, HeldShown)
        self.held[exchange] = held
        return held

    def holds(self) -> HoldsShown:
        self._may_fail()
        return HoldsShown(next=self.next, timeout=300.0, held=tuple(self.held.values()))

    def hold_next(self, count: int | None, *, timeout: str = "5m", owner: str = "", lease: str = "") -> None:
        self._may_fail()
        self.next = count
        self.said.append(("hold", count, owner.startswith("screen ") and (timeout, lease) == ("5m", "30s")))

    def release(
        self,
        exchange: int,
        /,
        *,
        raw: bytes | None = None,
        rest_from: int | None = None,
        rule: str | None = None,
    ) -> None:
        self._decide(exchange, "release", raw, rest_from, rule)

    def drop(self, exchange: int, /) -> None:
        self._decide(exchange, "drop")

    def reset(self, exchange: int, /) -> None:
        self._decide(exchange, "reset")

    def _decide(self, exchange: int, *what: object) -> None:
        self._may_fail()
        if exchange not in self.held:
            raise InspectdError(f"exchange {exchange} is not held", "It was released before.")
        del self.held[exchange]
        self.said.append((exchange, *what))

    def release_all(self, *, owner: str | None = None) -> Released:
        self._may_fail()
        count = len(self.held)
        self.held.clear()
        self.next = 0
        self.said.append(("all", owner))
        return Released(released=count)

    def rules(self) -> RulesShown:
        self._may_fail()
        return self.rules_shown

    def close(self) -> None:
        pass

    def _answer(self) -> CurrentAnswer:
        if self.rules_shown.sources:
            return CurrentAnswer(description="2 rules of api.toml", otherwise=self.line or "mirror")
        start = self.passing or "mirror"
        return CurrentAnswer(
            description=self.line or start, status_line=self.line, passes=bool(self.passing and not self.line)
        )

    def _check(self, status: str) -> None:
        if status.startswith("x"):
            raise InspectdError("A status line can't begin with 'x'", "Begin with a status code or HTTP/.")

    def _may_fail(self) -> None:
        if self.gone:
            raise InspectdError(self.gone)


@asynccontextmanager
async def screen(
    capture: Path, engine: FakeEngine | None = None, *, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[InspectdApp, Pilot[int]]]:
    """The screen on a capture, with this engine or without one, running headless."""
    link = EngineLink(None) if engine is None else EngineLink(Path("/nowhere"), connect=lambda _: engine)
    with Capture.open(capture) as reader:
        app = InspectdApp(reader, link)
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            yield app, pilot
            app.exit()


async def until(pilot: Pilot[int], condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Let the app run until `condition` holds and what belongs to it is painted; fails when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            app = pilot.app
            raise AssertionError(f"this never happened; the screen shows\n{picture(app)}")
        await pilot.pause(0.02)
    await pilot.pause(0.05)  # state comes first, then its layout, then its picture


def lines(app: App[int]) -> list[str]:
    """What stands on the screen, line by line."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


def picture(app: App[int]) -> str:
    """The same as one text."""
    return "\n".join(lines(app))


def shows(app: InspectdApp, kind: type[object]) -> bool:
    """Whether the uppermost screen is of this kind."""
    return isinstance(app.screen, kind)
