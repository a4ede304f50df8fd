"""What stands where the traffic will be: the URL to open and a line to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content
from textual.widgets import Static

from inspectd.text.safe import safe
from inspectd.tui.theme import tones

if TYPE_CHECKING:
    from inspectd.tui.widgets.bars import EngineState

HTTPS: Final = "https://"


class EmptyState(Static):
    """Nothing has arrived yet: say how to make something arrive."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__("", id=id, markup=False)
        self._shown: object = None

    def show(self, addresses: tuple[str, ...], engine: EngineState, *, proxy: bool = False) -> None:
        """Say it for these listening addresses; a forward `proxy` is not opened but used."""
        what = (addresses, engine, proxy, self.app.theme)
        if what != self._shown:
            self._shown = what
            self.update(self._text(addresses, engine, proxy=proxy))

    def _text(self, addresses: tuple[str, ...], engine: EngineState, *, proxy: bool) -> Content:
        palette = tones(self.app)
        strong, muted, url = f"bold {palette.strong}", palette.muted, f"bold {palette.target}"
        if engine == "file":
            return Content.assemble(
                ("This capture is empty.\n", strong), ("No connection was recorded in it.", muted)
            )
        if engine == "gone":
            return Content.assemble(
                ("The engine is gone and nothing was recorded.\n", strong),
                ("q quits; the message said why.", muted),
            )
        if not addresses:
            return Content.assemble(("Starting…", muted))
        first = reachable(addresses[0])
        return Content.assemble(
            ("Waiting for the first connection\n\n", strong),
            ("Set this as the proxy of a client\n" if proxy else "Open this in a browser\n", muted),
            (f"  {safe(first) if proxy else url_of(first)}\n\n", url),
            ("or paste this in another terminal\n", muted),
            (f"  {curl_through(first) if proxy else curl_of(first)}\n\n", url),
            ("Every byte that arrives is shown here, requests and anything else.\n", muted),
            ("s", f"bold {palette.brand}"),
            (" chooses what everybody is answered, ", muted),
            ("h", f"bold {palette.brand}"),
            (" lets the next request wait for you.", muted),
        )


def reachable(address: str) -> str:
    """An address a client can be pointed at: loopback where the listener takes every interface."""
    if address.startswith("unix:"):
        return address
    scheme = HTTPS if address.startswith(HTTPS) else ""
    host, _, port = address.removeprefix(HTTPS).rpartition(":")
    if host in {"0.0.0.0", "[::]", "127.0.0.1", "[::1]"}:  # noqa: S104
        return f"{scheme}localhost:{port}"
    return address


def url_of(address: str) -> str:
    """The URL to open."""
    return (
        "http://localhost/ (by its socket)"
        if address.startswith("unix:")
        else safe(f"{with_scheme(address)}/")
    )


def curl_of(address: str) -> str:
    """The line to paste."""
    if address.startswith("unix:"):
        from inspectd.text.shell import quote

        return f"curl -i --unix-socket {quote(address.removeprefix('unix:').encode())} http://localhost/"
    unchecked = "k" if address.startswith(HTTPS) else ""
    return safe(f"curl -i{unchecked} {with_scheme(address)}/")


def curl_through(address: str) -> str:
    """The line to paste that uses a proxy there: what it asks for, the proxy gives itself."""
    unchecked = " --proxy-insecure" if address.startswith(HTTPS) else ""
    return safe(f"curl -i{unchecked} -x {with_scheme(address)} http://inspectd.test/")


def with_scheme(address: str) -> str:
    """A listener's address as the beginning of a URL."""
    return address if address.startswith(HTTPS) else f"http://{address}"
