"""Makes the pictures in `screenshots/` from real traffic. Look at each one before it is committed.

    python -m tests.screenshots [DIRECTORY] [NAME...]

A real engine listens on port 8080 (or another one that is free); Chromium, Firefox, curl and raw sockets talk to it;
the terminal UI follows it as it would for a person and is driven by keys. What it shows is exported as SVG and drawn
by Chromium. That one calls itself what it would with a window, not HeadlessChrome.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspectd.browsers.chromium import QUIET
from inspectd.capture import messages
from inspectd.capture.reader import Capture
from inspectd.control.client import ControlClient
from inspectd.engine.ca import open_authority
from inspectd.tui.app import InspectdApp
from inspectd.tui.engine_link import EngineLink
from tests.browsers.chromium import Chromium
from tests.browsers.firefox import Firefox
from tests.hostile.corpus import tls_hello
from tests.live_engine import ROOT, LiveEngine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.pilot import Pilot

PORTS: Final = (8080, 8000, 8888, 9090)
RULES: Final = """\
[[rule]]
name = "busy twice"
match = "POST /pay/*"
each = [
    "503 Busy",
    { respond = "200 OK", json = { ok = true }, fault = { at = "body+50%", do = "reset" } },
    { respond = "200 OK", json = { ok = true } },
]

[[rule]]
match = "GET /teapot"
respond = "418 I'm a teapot"

[[rule]]
match = { method = "GET", path = "/slow/**" }
respond = "200 OK"
body = "hello"
pace = { before = "300ms", body = "1B/20ms" }

[[rule]]
name = "by hand"
match = "PUT /*"
respond = "200 OK"
headers = ["Content-Type: application/json"]
body = '{"saved": true}'
hold = true
"""
SHOP: Final = """\
[[rule]]
match = "GET /"
respond = "200 OK"
headers = ["Content-Type: text/html; charset=utf-8"]
body = '''<!doctype html><title>A shop</title><link rel=stylesheet href=/style.css><h1>Tea</h1><img src=/tea.svg>
<script>
fetch("/api/basket", {method: "POST", body: JSON.stringify({tea: 2}), headers: {"Content-Type": "application/json"}})
const live = new WebSocket(`wss://${location.host}/live`)
live.onopen = () => live.send("how many are left?")
live.onmessage = event => event.data.startsWith("{") && live.send("thank you")
</script>'''

[[rule]]
match = "GET /style.css"
respond = "200 OK"
headers = ["Content-Type: text/css"]
body = "h1 { color: teal }"

[[rule]]
match = "GET /tea.svg"
respond = "200 OK"
headers = ["Content-Type: image/svg+xml"]
body = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><circle cx='4' cy='4' r='4'/></svg>"

[[rule]]
match = "POST /api/basket"
respond = "200 OK"
headers = ["Set-Cookie: basket=7; Secure; HttpOnly; SameSite=Lax", "Cache-Control: no-store"]
json = { tea = 2, total = 7.5 }

[[rule]]
match = "GET /live"
websocket = { send = ["welcome"], on = [{ text = "how many*", send = ['{"tea": 12}'] }] }

[[rule]]
match = "GET /favicon.ico"
respond = "404"
"""
"""A shop, and what stands between it and the browser."""
PATCHES: Final = """\
[[rule]]
match = "POST /api/*"
proxy = true
patch = { respond = "202 Accepted", set = ["Cache-Control: max-age=60"], remove = ["Set-Cookie"] }
"""
MIRRORS: Final = {"mirror-light", "mirror-dark"}
PAYMENT: Final = '{"amount": 12.50, "currency": "EUR"}'
FONT: Final = '"DejaVu Sans Mono", monospace'
Scene = tuple[str, tuple[int, int], "Callable[[Pilot[int]], Awaitable[None]]"]


def curl(*arguments: str) -> None:
    """One real curl."""
    subprocess.run(
        ["curl", "-s", "-m", "5", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def raw(engine: LiveEngine, data: bytes) -> None:
    """Bytes that no library would send."""
    with engine.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while client.recv(65536):
                pass


def free_port() -> int:
    """A port that looks familiar and is free on both loopback addresses."""
    for port in PORTS:
        with contextlib.suppress(OSError), contextlib.ExitStack() as sockets:
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                sockets.enter_context(socket.create_server((host, port), family=family))
            return port
    raise SystemExit(f"none of the ports {PORTS} is free")


def traffic(engine: LiveEngine, port: int, chromium: Chromium) -> None:
    """A morning's work: two browsers, curl, and clients that get it wrong."""
    home = f"http://localhost:{port}"
    chromium.hide_headless()
    chromium.open(f"{home}/")
    engine.exchange(target="/")
    for action in ("image", "style", "iframe", "fetch-get", "fetch-cross", "beacon"):
        chromium.open(f"{home}/")
        chromium.click(action)
        engine.wait_for(
            lambda line: line["type"] == "exchange" and line["target"] not in {"/", "/favicon.ico"}
        )
    control = ControlClient(Path(engine.listening["control"]))
    control.set_answer(status="503 Back Soon")
    curl("-H", "Content-Type: application/json", "-d", PAYMENT, f"{home}/pay?retry=1")
    curl("-I", f"{home}/health")
    control.set_answer(status="404")
    curl(f"{home}/api/users/7")
    control.mirror()
    control.close()
    with Firefox() as firefox:
        firefox.open(f"{home}/docs/")
        firefox.click("form-post")
        engine.wait_for(
            lambda line: (
                line["type"] == "exchange" and line["method"] == "POST" and "Firefox" in line["client"]
            )
        )
    raw(engine, b"GET  /a HTTP/1.1\r\nX-A:  v \t\r\n fold\r\n\r\n")
    raw(engine, tls_hello(b"localhost"))
    raw(
        engine,
        b"POST /te-and-cl HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    raw(engine, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    chromium.open(f"{home}/shop?item=42")
    chromium.click("fetch-put")
    engine.wait_for(lambda line: line["type"] == "exchange" and line["method"] == "PUT")


def draw(chromium: Chromium, svg: str, file: Path) -> None:
    """An SVG as PNG."""
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert view is not None
    width, height = (round(float(number)) for number in view.groups())
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]+;", f"font-family: {FONT};", svg)
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory) / "screen.html"
        page.write_text(
            f"<!doctype html><meta charset=utf-8><style>body{{margin:0;overflow:hidden}}</style>{svg}",
            "utf-8",
        )
        chromium.size(width, height, scale=1)
        chromium.open(page.as_uri())
        file.write_bytes(chromium.screenshot())


async def show(engine: LiveEngine, scene: Scene) -> str:
    """The terminal UI on the running engine, after this scene's keys, as SVG."""
    name, size, act = scene
    with Capture.open(engine.capture) as capture:
        app = InspectdApp(capture, EngineLink(Path(engine.listening["control"])))
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            await act(pilot)
            await settled(pilot)
            svg = app.export_screenshot(title=f"inspectd · {size[0]}×{size[1]}")
            app.exit(0)
    assert svg, name
    return svg


async def settled(pilot: Pilot[int]) -> None:
    """Until timers, workers and paints have caught up: the same picture twice."""
    app = pilot.app
    before: list[str] = []
    for _ in range(50):
        await pilot.pause(0.6)
        now = [strip.text for strip in app.screen._compositor.render_strips()]
        if now == before:
            return
        before = now


def select(pilot: Pilot[int], *words: str) -> int:
    """Id of the newest exchange whose method, target, dest or client holds all of the words."""
    app = pilot.app
    assert isinstance(app, InspectdApp)
    for row in reversed(app.capture.exchanges(app.capture.exchange_ids())):
        text = f"{row.method} {row.target} {row.dest} {row.mode} {row.client} {row.status}"
        if all(word in text for word in words):
            app.table.select(row.id)
            return row.id
    raise AssertionError(f"no exchange with {words}")


async def overview(pilot: Pilot[int]) -> None:
    """Traffic of several clients, a fetch() explained."""
    select(pilot, "PUT")
    await settled(pilot)
    await pilot.press("enter")
    await to(pilot, "down", "value of Sec-Fetch-Mode")


async def anatomy(pilot: Pilot[int]) -> None:
    """A cross-site request, and what made it."""
    select(pilot, "cors", "GET", "empty")
    await settled(pilot)
    await pilot.press("enter")
    await to(pilot, "down", "value of Sec-Fetch-Site")


async def odd_bytes(pilot: Pilot[int]) -> None:
    """A request line with two spaces, trailing white space, a folded line."""
    select(pilot, "/a")
    await settled(pilot)
    await pilot.press("enter", "down", "down")


async def answer_dialog(pilot: Pilot[int]) -> None:
    """Another status line, previewed byte for byte."""
    await pilot.press("s")
    await pilot.pause(0.3)
    await pilot.press(*"418 I'm a teapot")


async def connection_life(pilot: Pilot[int]) -> None:
    """The life of a socket, step by step."""
    select(pilot, "POST", "/pay")
    await settled(pilot)
    await pilot.press("7", "z")


async def hexadecimal(pilot: Pilot[int]) -> None:
    """Hex and text, linked."""
    select(pilot, "POST", "/form", "Firefox")
    await settled(pilot)
    await pilot.press("4", "z")
    await pilot.press(*["down"] * 15, *["right"] * 5)


async def small(pilot: Pilot[int]) -> None:
    """The same at the size of an old terminal."""
    select(pilot, "style")
    await settled(pilot)
    await pilot.press("enter")
    await to(pilot, "down", "value of Sec-Fetch-Dest")


async def help_screen(pilot: Pilot[int]) -> None:
    """What can be done here."""
    await pilot.press("question_mark")


async def respond(pilot: Pilot[int]) -> None:
    """A person is the server: the answer of a held request, byte by byte, and what is odd about it."""
    select(pilot, "PUT")
    await settled(pilot)
    await pilot.press("enter")
    await settled(pilot)
    await pilot.press("end", "enter", *"X-Note: a lone LF ends this line\\n", "down", "down", "end")
    await pilot.press("ctrl+n", "ctrl+n")


async def held_row(pilot: Pilot[int]) -> None:
    """A held request in the list, and the keys that decide."""
    select(pilot, "PUT")
    await pilot.press("h")


async def evidence(pilot: Pilot[int]) -> None:
    """A retry chain, attempt by attempt."""
    select(pilot, "/pay/7", "200")
    await settled(pilot)
    await pilot.press("5")


async def bad_edit(pilot: Pilot[int]) -> None:
    """The rules in use, and why the newest change isn't."""
    await pilot.press("R")


async def to(pilot: Pilot[int], key: str, label: str) -> None:
    """Press a key until the cursor of the pane is on the value with this label."""
    app = pilot.app
    assert isinstance(app, InspectdApp)
    for _ in range(40):
        value = app.detail.selected_value()
        if value is not None and value[0] == label:
            return
        await pilot.press(key)
    raise AssertionError(f"no {label}")


async def proxied(pilot: Pilot[int]) -> None:
    """A shop behind TLS, read in its tunnel: where a request went, and what was changed of the answer."""
    select(pilot, "/api/basket")
    await settled(pilot)
    await pilot.press("7", "z")


async def frames(pilot: Pilot[int]) -> None:
    """What a WebSocket said, and every bit of a frame."""
    select(pilot, "/live", "101")
    await settled(pilot)
    await pilot.press("8")
    await settled(pilot)
    await pilot.press("enter", "home", "down")


async def findings(pilot: Pilot[int]) -> None:
    """A request that two servers take for two different ones."""
    select(pilot, "/te-and-cl")
    await settled(pilot)
    await pilot.press("9", "z")


SCENES: Final[list[Scene]] = [
    ("overview", (160, 42), overview),
    ("anatomy", (120, 36), anatomy),
    ("odd-bytes", (120, 36), odd_bytes),
    ("answer", (120, 36), answer_dialog),
    ("connection", (120, 36), connection_life),
    ("hex", (120, 36), hexadecimal),
    ("small", (80, 24), small),
    ("help", (120, 36), help_screen),
    ("findings", (120, 36), findings),
]


CRAFTED: Final[list[Scene]] = [
    ("evidence", (120, 36), evidence),
    ("respond", (120, 36), respond),
    ("respond-small", (80, 24), respond),
    ("held", (120, 36), held_row),
    ("rules", (120, 36), bad_edit),
]


FORWARDED: Final[list[Scene]] = [
    ("proxy", (120, 36), proxied),
    ("messages", (120, 36), frames),
]


def forwarded(chromium: Chromium, directory: Path, wanted: Sequence[str]) -> None:
    """The pictures of a proxy: a browser, and a shop that is only reached through TLS."""
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin, proxy = state / "origin", state / "proxy"
        for folder, rules in ((origin, SHOP), (proxy, PATCHES)):
            folder.mkdir()
            (folder / "rules.toml").write_text(rules, "utf-8")
        shared = {"XDG_DATA_HOME": str(state)}  # one authority
        shop = stack.enter_context(
            LiveEngine(
                origin, "--rules", str(origin / "rules.toml"), listen=("https://127.0.0.1:8443",), env=shared
            )
        )
        authority = state / "inspectd" / "ca.pem"
        port = free_port()
        engine = stack.enter_context(
            LiveEngine(
                proxy,
                *("--rules", str(proxy / "rules.toml"), "--trust", str(authority)),
                *("--resolve", f"shop.test:{shop.port}:127.0.0.1"),
                listen=(f"127.0.0.1:{port}",),
                interpreter=(sys.executable, "-m", "inspectd", "proxy"),
                env=shared,
            )
        )
        key = open_authority(authority.parent).public_key_hash
        flags = (
            *QUIET,
            f"--proxy-server=http://127.0.0.1:{port}",
            f"--ignore-certificate-errors-spki-list={key}",
        )
        with Chromium(flags=flags) as client:
            client.hide_headless()
            client.open(f"https://shop.test:{shop.port}/")
            engine.wait_for(lambda line: line.get("target") == "/api/basket")
            with Capture.open(engine.capture) as capture:
                while not heard_all(capture):
                    time.sleep(0.1)
            for scene in FORWARDED:
                if not wanted or scene[0] in wanted:
                    draw(chromium, asyncio.run(show(engine, scene)), directory / f"{scene[0]}.png")
        engine.stop()
        shop.stop()


def heard_all(capture: Capture) -> bool:
    """Whether the last message of the WebSocket has come."""
    rows = capture.exchanges(capture.exchange_ids())
    talks = [
        messages.websocket(capture, row) for row in rows if row.target == "/live" and row.status == "101"
    ]
    return any(each.message.payload == b"thank you" for talk in talks for each in talk.rest())


def crafted(chromium: Chromium, directory: Path, wanted: Sequence[str]) -> None:
    """The pictures of crafted answers: an engine with rules, a client that tries again, one that waits."""
    with tempfile.TemporaryDirectory() as state:
        rules = Path(state) / "api.toml"
        rules.write_text(RULES, "utf-8")
        port = free_port()
        with LiveEngine(
            Path(state), "--rules", str(rules), listen=(f"127.0.0.1:{port}", f"[::1]:{port}")
        ) as engine:
            home = f"http://localhost:{port}"
            curl(f"{home}/teapot")
            curl(f"{home}/slow/1")
            retrying = ("--retry", "3", "--retry-all-errors", "--retry-delay", "1", "-m", "20")
            curl(*retrying, "-d", PAYMENT, f"{home}/pay/7")
            waiting = subprocess.Popen(
                ["curl", "-s", "-X", "PUT", "-d", '{"theme": "dark"}', f"{home}/profile"],
                stdout=subprocess.DEVNULL,
            )
            control = ControlClient(Path(engine.listening["control"]))
            try:
                while not control.holds().held:
                    time.sleep(0.05)
                for scene in CRAFTED:
                    if scene[0] == "rules":
                        rules.write_text(RULES.replace('do = "reset"', 'do = "rset"'), "utf-8")
                        while control.status().rules_error is None:
                            time.sleep(0.05)
                    if not wanted or scene[0] in wanted:
                        draw(chromium, asyncio.run(show(engine, scene)), directory / f"{scene[0]}.png")
            finally:
                control.close()
                waiting.kill()
                waiting.wait()
            engine.stop()


def ordinary(chromium: Chromium, directory: Path, wanted: Sequence[str]) -> None:
    """The pictures of a morning's work, and of the mirror."""
    with tempfile.TemporaryDirectory() as state:
        port = free_port()
        listen = (f"127.0.0.1:{port}", f"[::1]:{port}")
        with LiveEngine(Path(state), listen=listen) as engine:
            traffic(engine, port, chromium)
            for scene in SCENES:
                if not wanted or scene[0] in wanted:
                    draw(chromium, asyncio.run(show(engine, scene)), directory / f"{scene[0]}.png")
            for scheme in ("light", "dark"):
                chromium.size(1180, 900)
                chromium.color_scheme(scheme)
                chromium.open(f"http://localhost:{port}/shop?item=42")
                (directory / f"mirror-{scheme}.png").write_bytes(chromium.screenshot())
            engine.stop()


def main() -> None:
    """The command line."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "screenshots"
    wanted = sys.argv[2:]
    directory.mkdir(exist_ok=True)
    with Chromium() as chromium:
        for scenes, make in ((SCENES, ordinary), (CRAFTED, crafted), (FORWARDED, forwarded)):
            names = {scene[0] for scene in scenes} | (MIRRORS if make is ordinary else set())
            if not wanted or set(wanted) & names:
                make(chromium, directory, wanted)


if __name__ == "__main__":
    if shutil.which("curl") is None:
        sys.exit("curl is needed")
    main()
