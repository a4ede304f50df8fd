"""What made a request is read right for what real browsers were seen to send.

The table of observed requests lies beside the checkout and is read there. It holds, for each trigger, method, mode,
destination, site, activation, origin, storage access and purpose (and Firefox's Priority); what else a trigger always
sends, such as the Accept of an EventSource, is added here. A reading is right when its title names the trigger.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from inspectd.explain import head

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Path(__file__).parents[3] / "shared" / "data" / "browser_requests.md"

# What a reading's title has to name, by trigger and, for triggers with several requests, by destination.
NAMED = [
    (r"reload-after-post", {"document": r"form sent with POST"}),
    (r"reload-location", {"document": r"address typed in|script|reload", "image": r"image"}),
    (r"(history|reload|revisit|client-hint)-", {"document": r"address typed in|reload", "image": r"image"}),
    (r"nav-typed|view-source|redirect-typed", {"document": r"address typed in"}),
    (r"nav-ping", {"empty": r"ping"}),
    (r"nav-download-attr", {"empty": r"download attribute", "document": r"link"}),
    (r"nav-.*(js-click|assign|location-replace|refresh|window-open-script)", {"document": r"script|refresh"}),
    (r"nav-", {"document": r"click on a link"}),
    (r"form-post-in-iframe", {"iframe": r"form sent with POST into a frame"}),
    (r"form-(get|image-submit)", {"document": r"form sent with GET"}),
    (r"form-post-js-submit", {"document": r"form sent with POST by a script"}),
    (r"form-", {"document": r"form sent with POST by a person"}),
    (r"redirect-3..-(get|post)|redirect-chain", {"document": r"click"}),
    (r"redirect-img", {"image": r"image"}),
    (r"redirect-fetch", {"empty": r"fetch\(\)"}),
    (r"iframe-(sandbox|srcdoc|dataurl)", {"empty": r"fetch\(\)", "image": r"image", "iframe": r"iframe"}),
    (r"iframe|coop-coep", {"iframe": r"iframe"}),
    (r"frame", {"frame": r"frame"}),
    (r"object", {"object": r"object element"}),
    (r"embed", {"embed": r"embed element"}),
    (r"link-.*icon", {"image": r"icon"}),
    (r"(css|svg)-.*(svg-frag|filter|clip-path|use)", {"image": r"SVG|clip-path|mask"}),
    (r"img-crossorigin|css-(mask|shape|clip)", {"image": r"crossorigin|mask|shape|clip-path"}),
    (r"img|css-|svg-(image|feimage)|input-image|video-poster|preload-image|nel", {"image": r"image"}),
    (r"script-json-module", {"json": r"JSON module"}),
    (r"script-text-module", {"text": r"text module"}),
    (r"script-css-module", {"style": r"CSS module"}),
    (r"script-(crossorigin|integrity)", {"script": r"crossorigin"}),
    (r"script-(module|dynamic|wasm)|modulepreload", {"script": r"module"}),
    (r"speculation-rules", {"speculationrules": r"speculation rules"}),
    (r"script|svg-script|preload-(script|link)", {"script": r"classic script"}),
    (r"worker-", {"worker": r"worker", "script": r"script", "empty": r"fetch\(\)"}),
    (r"sharedworker", {"sharedworker": r"shared worker", "empty": r"fetch\(\)"}),
    (r"sw-passthrough", {"serviceworker": r"service worker", "empty": r"service worker passes|fetch\(\)"}),
    (r"sw-", {
        "serviceworker": r"service worker",
        "worker": r"service worker",
        "script": r"script",
        "empty": r"fetch\(\)",
        "document": r"address typed|navigation",
    }),
    (r"(audio|paint)worklet", {"audioworklet": r"audio worklet", "paintworklet": r"paint worklet"}),
    (r"stylesheet-crossorigin", {"style": r"crossorigin"}),
    (r"stylesheet|xml-css|preload-style", {"style": r"style sheet", "image": r"image"}),
    (r"xslt", {"xslt": r"XSLT"}),
    (r"font|preload-font", {"font": r"font"}),
    (r"audio", {"audio": r"audio element"}),
    (r"video", {"video": r"video element"}),
    (r"track|preload-track", {"track": r"track element", "video": r"video element"}),
    (r"eventsource", {"empty": r"EventSource"}),
    (r"websocket", {"empty": r"WebSocket", "·": r"WebSocket"}),
    (r"specrules-prefetch", {"document": r"prefetch of a page"}),
    (r"specrules-prerender", {"document": r"prerender"}),
    (r"prefetch", {"empty": r"prefetch"}),
    (r"beacon", {"empty": r"sendBeacon", "document": r"address typed in"}),
    (r"fetch-no-cors", {"empty": r"fetch\(\) with"}),
    (r"fetch-same-origin-mode", {"empty": r"fetch\(\) with mode same-origin"}),
    (r"fetch|xhr|preload-fetch|wasm|compression-dictionary", {"empty": r"fetch\(\)"}),
    (r"manifest", {"manifest": r"manifest", "image": r"image|icon"}),
    (r"csp-report", {"report": r"report", "image": r"image"}),
    (r"fedcm", {"webidentity": r"FedCM"}),
]  # fmt: skip

# Fields a trigger always sends and the table leaves out.
ALWAYS: list[tuple[str, list[tuple[bytes, bytes]]]] = [
    (r"nav-ping", [(b"Content-Type", b"text/ping"), (b"Ping-From", b"http://a.test/"), (b"Ping-To", b"http://b.test/")]),
    (r"eventsource", [(b"Accept", b"text/event-stream")]),
    (r"websocket", [
        (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]),
]  # fmt: skip

PREFLIGHT = [(b"Access-Control-Request-Method", b"PUT"), (b"Access-Control-Request-Headers", b"x-a")]


class Seen(NamedTuple):
    """One observed request: whose, by which trigger, and what was in it."""

    browser: str
    trigger: str
    cell: str
    method: str
    destination: str
    fields: list[tuple[bytes, bytes]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _seen(browser: str, trigger: str, cell: str, priorities: list[str]) -> Iterator[Seen]:
    requests = re.split(r"; (?=\S+/|[A-Za-z]+ \S+/)", cell)
    for number, request in enumerate(requests):
        words = request.split()
        method = words.pop(0) if "/" not in words[0] else "GET"
        destination, mode, site, *user = words[0].split("/")
        fields = [
            (b"Host", b"localhost:8080"),
            (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
        ]
        if destination != "·":
            fields += [
                (b"Sec-Fetch-Dest", destination.encode()),
                (b"Sec-Fetch-Mode", mode.encode()),
                (b"Sec-Fetch-Site", site.encode()),
            ]
        fields += [(b"Sec-Fetch-User", user[0].encode())] if user else []
        for word in words[1:]:
            key, _, value = word.partition(":")
            name = {"O": b"Origin", "SA": b"Sec-Fetch-Storage-Access", "SP": b"Sec-Purpose"}[key]
            fields.append((name, b"http://page.test" if value == "y" else value.encode()))
        if len(priorities) == len(requests) and priorities[number]:
            fields.append((b"Priority", priorities[number].encode()))
        fields += PREFLIGHT if method == "OPTIONS" else []
        fields += next((always for pattern, always in ALWAYS if re.match(pattern, trigger)), [])
        yield Seen(browser, trigger, request, method, destination, fields)


def observed() -> list[Seen]:
    """Return every request of the table, once for each browser that sent it."""
    found: list[Seen] = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = _cells(line)
        if not re.match(r"\| [a-z]", line) or len(cells) < 5 or cells[1] not in {"so", "ss", "xs"}:
            continue
        trigger, _, chromium, firefox, priority = cells[:5]
        firefox = chromium if firefox == "=" else firefox
        if chromium != "—":
            found += _seen("Chromium", trigger, chromium, [])
        if firefox != "—":
            found += _seen("Firefox", trigger, firefox, [part.strip() for part in re.split(r" , ", priority)])
    return found


def wrong(seen: Seen) -> str:
    """Return what is wrong with the reading of a request, or an empty text."""
    readings = head(seen.method, "/x", seen.fields)
    title = readings[0].title if readings else ""
    if seen.method == "OPTIONS":
        return "" if "preflight" in title else f"not read as a preflight: {title}"
    named = next((named for pattern, named in NAMED if re.match(pattern, seen.trigger)), None)
    if named is None:
        return "the test does not know this trigger"
    if seen.destination not in named:
        return f"the test does not expect {seen.destination}"
    return "" if re.search(named[seen.destination], title) else f"read as {title}"


@pytest.mark.skipif(not TABLE.is_file(), reason=f"the table of observed requests is not at {TABLE}")
def test_what_real_browsers_sent_is_read_right(capsys: pytest.CaptureFixture[str]) -> None:
    requests = observed()
    mistakes = [
        f"{seen.browser} {seen.trigger} [{seen.cell}]: {problem}"
        for seen in requests
        if (problem := wrong(seen))
    ]
    triggers = {seen.trigger for seen in requests}
    misread = {mistake.split()[1] for mistake in mistakes}
    with capsys.disabled():
        print(
            f"\nread right: {len(triggers) - len(misread)} of {len(triggers)} triggers, "
            f"{len(requests) - len(mistakes)} of {len(requests)} requests"
        )
    assert len(requests) > 1000
    assert mistakes == []


# Where the page lies for each value of the table's second column; the server is http://www.site.example.
_PAGES = {
    "same-origin": b"http://www.site.example",
    "same-site": b"http://other.site.example",
    "cross-site": b"http://www.other.example",
}


def beside(seen: Seen) -> str:
    """Return what is wrong with what is said of site, CORS step and client, or an empty text."""
    fields = [(name, value) for name, value in seen.fields if name not in (b"Host", b"Origin")]
    values = {name.lower(): value.decode() for name, value in seen.fields}
    site, mode = values.get(b"sec-fetch-site", ""), values.get(b"sec-fetch-mode", "")
    fields.insert(0, (b"Host", b"www.site.example"))
    if b"origin" in values and site in _PAGES:
        fields.append((b"Origin", b"null" if values[b"origin"] == "null" else _PAGES[site]))
    found = {reading.kind for reading in head(seen.method, "/x", fields, version=b"HTTP/1.1")}
    asker = b"origin" in values and site in _PAGES
    sites = {f"site-{site}" if values[b"origin"] != "null" else "site-cross-site"} if asker else set()
    if {kind for kind in found if kind.startswith("site-")} != sites:
        return f"site: {sorted(found)}"
    step = ""
    if mode == "no-cors" and site in ("same-site", "cross-site"):
        step = "cors-step-no-cors"
    elif mode == "cors" and site in ("same-site", "cross-site") and asker and seen.method != "OPTIONS":
        simple = seen.method in ("GET", "HEAD", "POST")
        step = "cors-step-simple" if simple else "cors-step-after-preflight"
    if {kind for kind in found if kind.startswith("cors-step")} != ({step} if step else set()):
        return f"CORS step: {sorted(found)}"
    return "disguised" if "client-disguised" in found else ""


@pytest.mark.skipif(not TABLE.is_file(), reason=f"the table of observed requests is not at {TABLE}")
def test_site_and_step_of_cors_are_read_right_for_what_real_browsers_sent() -> None:
    mistakes = [
        f"{seen.browser} {seen.trigger} [{seen.cell}]: {problem}"
        for seen in observed()
        if (problem := beside(seen))
    ]
    assert mistakes == []
