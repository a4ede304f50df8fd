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

    def show(self, addresses: tuple[str, ...], engine: EngineState) -> None:
        """Say it for these listening addresses."""
        what = (addresses, engine, self.app.theme)
        if what != self._shown:
            self._shown = what
            self.update(self._text(addresses, engine))

    def _text(self, addresses: tuple[str, ...], engine: EngineState) -> Content:
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
            ("Open this in a browser\n", muted),
            (f"  {url_of(first)}\n\n", url),
            ("or paste this in another terminal\n", muted),
            (f"  {curl_of(first)}\n\n", url),
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


def with_scheme(address: str) -> str:
    """A listener's address as the beginning of a URL."""
    return address if address.startswith(HTTPS) else f"http://{address}"
