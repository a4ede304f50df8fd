"""Chromium over the DevTools protocol."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from inspectd.browsers.chromium import QUIET, base
from inspectd.browsers.finding import find
from inspectd.browsers.process import new_profile
from tests.browsers.driver import BrowserError, Channel, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BINARY: Final = find("chromium")

# Only loopback and names under .test lead anywhere: no request of the browser's own can leave the machine.
RESOLVER: Final = ", ".join(
    (
        "MAP *.test 127.0.0.1",
        *(f"EXCLUDE {name}" for name in ("localhost", "*.localhost", "127.0.0.1", "::1")),
        "MAP * ^NOTFOUND",
    )
)

# Where to press: inside the element, and near its start, because a link may be broken over two lines.
_PLACE: Final = """id => {
    const element = document.getElementById(id)
    element.scrollIntoView({block: "center"})
    const box = element.getClientRects()[0]
    return [box.x + Math.min(box.width, 40) / 2, box.y + box.height / 2]
}"""


def command(user_data: str) -> list[str]:
    """The command line of a headless, hermetic Chromium."""
    if BINARY is None:
        raise BrowserError("Chromium is not installed")
    return [
        *base(BINARY, user_data, headless=True),
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--host-resolver-rules={RESOLVER}",
    ]


def through(proxy: str) -> list[str]:
    """The flags for a proxy at HOST:PORT, which gets to see nothing that the browser asks for by itself."""
    return [*QUIET, f"--proxy-server=http://{proxy}", "--proxy-bypass-list=<-loopback>"]


class Chromium:
    """A headless Chromium with one page."""

    name = "chromium"

    def __init__(
        self,
        *,
        width: int = 1280,
        height: int = 1600,
        prepare: Callable[[Path], None] | None = None,
        flags: Sequence[str] = (),
        proxy: str | None = None,
    ) -> None:
        """`prepare` gets the directory that is the browser's home before it is started; `flags` are added."""
        directory = new_profile("chromium")
        if prepare is not None:
            prepare(Path(directory.name))
        argv = [
            *command(directory.name),
            *flags,
            "--remote-debugging-port=0",
            f"--window-size={width},{height}",
            *([] if proxy is None else through(proxy)),
            "about:blank",
        ]
        self._process = Process(argv, directory)
        try:
            self._channel = Channel(self._process.address())
            target = self._channel.call("Target.createTarget", {"url": "about:blank"})["targetId"]
            attached = self._channel.call("Target.attachToTarget", {"targetId": target, "flatten": True})
            self._session: str = attached["sessionId"]
            self._call("Page.enable")
            self._call("Page.setLifecycleEventsEnabled", enabled=True)
        except BaseException:
            self._process.close(seconds=0)
            raise

    def _call(self, method: str, **params: object) -> dict[str, Any]:
        return self._channel.call(method, params, sessionId=self._session)

    def open(self, url: str) -> None:
        """Load a URL as if typed, and wait for the page's load event."""
        reply = self._call("Page.navigate", url=url)
        if "errorText" in reply:
            raise BrowserError(f"{url}: {reply['errorText']}")
        self._channel.event(
            "Page.lifecycleEvent",
            lambda event: event["name"] == "load" and event["loaderId"] == reply["loaderId"],
        )

    def click(self, element_id: str) -> None:
        """Press and release the mouse on an element; does not wait for what follows."""
        place = self.evaluate(f"({_PLACE})({element_id!r})")
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                buttons=1,
                clickCount=1,
            )

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        reply = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in reply:
            raise BrowserError(f"{expression}: {reply['exceptionDetails']}")
        return reply["result"].get("value")

    def screenshot(self) -> bytes:
        """The visible page as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def size(self, width: int, height: int, *, scale: float = 1) -> None:
        """Make the page this large, in CSS pixels, with `scale` device pixels for each."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def hide_headless(self) -> None:
        """Call itself what it would with a window; client hints stay, which a bare override would drop."""
        agent = self._channel.call("Browser.getVersion")["userAgent"].replace("HeadlessChrome", "Chrome")
        major = agent.partition("Chrome/")[2].partition(".")[0]
        brands = [{"brand": "Not:A-Brand", "version": "8"}, {"brand": "Chromium", "version": major}]
        hints = {
            "platform": "Linux",
            "platformVersion": "",
            "architecture": "x86",
            "model": "",
            "mobile": False,
        }
        self._call(
            "Network.setUserAgentOverride", userAgent=agent, userAgentMetadata={"brands": brands, **hints}
        )

    def color_scheme(self, scheme: str) -> None:
        """Pretend that the person prefers `light` or `dark`."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def close(self) -> None:
        """End the browser and remove its profile."""
        try:
            self._channel.call("Browser.close")
            self._channel.close()
        finally:
            self._process.close(seconds=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
