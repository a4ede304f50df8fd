"""The mirror's page: a browser's own request, its parts explained, and controls that make other requests.

Every byte of the request reaches the page through `inspectd.text.safe.html`. The page's one script and its
style are the files in `mirror_page/`, allowed by their hashes; it loads nothing from anywhere else. Its size
is bounded: what is long is cut, and the page says so.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from inspectd import explain
from inspectd.text.client import client_name
from inspectd.text.coding import decode_content
from inspectd.text.pretty import pretty
from inspectd.text.safe import html, wire_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.explain import Explanation, Reading
    from inspectd.lint import Entry, Finding
    from inspectd.rules.request import Request

MAX_FIELDS: Final = 200
MAX_FINDINGS: Final = 30
MAX_VALUE: Final = 2048
"""Bytes of a field value, or of the target, that the page shows."""
MAX_RAW: Final = 16384
"""Bytes of the request that the byte view shows."""
MAX_CONTENT_LINES: Final = 200
MAX_CONTENT_COLUMNS: Final = 400

_SP: Final = 0x20
# A comma or semicolon of a value; not the semicolon that ends a character reference.
_BREAKS: Final = re.compile(r",|(?<!&amp)(?<!&lt)(?<!&gt)(?<!&quot)(?<!&#x27);")


@lru_cache(maxsize=1)
def load() -> tuple[str, str, bytes]:
    """The style, the script, and the Content-Security-Policy field that allows these two and nothing else."""
    room = files("inspectd.rules") / "mirror_page"
    style = (room / "page.css").read_text(encoding="utf-8")
    script = (room / "page.js").read_text(encoding="utf-8")
    # 'strict-dynamic' lets the page's script load the script of its "script" button; 'self' does that for styles.
    field = (
        "Content-Security-Policy: default-src 'none'; "
        f"script-src 'sha256-{_digest(script)}' 'strict-dynamic'; style-src 'sha256-{_digest(style)}' 'self'; "
        "img-src 'self'; frame-src 'self'; connect-src 'self' http://localhost:* http://127.0.0.1:* "
        "https://localhost:* https://127.0.0.1:*; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    )
    return style, script, field.encode("ascii")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def policy() -> bytes:
    """The Content-Security-Policy field line that goes with the pages."""
    return load()[2]


def page(request: Request, now: float) -> bytes:
    """The whole page for one request. `now` is in seconds since the epoch."""
    style, script, _ = load()
    head = request.head
    fields = [(field.name_bytes, field.value_bytes) for field in head.head.fields]
    title = f"{html(head.method[:40])} {html(head.target[:120])} · inspectd"
    arrived = time.strftime("%H:%M:%S", time.localtime(now))
    parts = [
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        '<meta name="color-scheme" content="light dark">\n',
        f"<style>{style}</style>\n</head>\n<body>\n",
        (
            '<header class="bar"><span class="brand">inspectd</span><span class="said">mirror</span>'
            f'<span class="facts">{_agent(fields)}<span>{html(request.peer)}</span>'
            f"<span>connection&nbsp;{request.connection}, request&nbsp;{request.number}</span>"
            f"<span>{arrived}</span></span></header>\n<main>\n"
        ),
        '<div class="request">\n',
        _request_line(request),
        _readings(request, fields),
        _findings(request),
        _fields(fields, len(head.raw)),
        _content(request, fields),
        _bytes(request),
        "</div>\n",
        _CONTROLS,
        "</main>\n",
        f"<script>{script}</script>\n</body>\n</html>\n",
    ]
    return "".join(parts).encode("utf-8")


def frame(request: Request) -> bytes:
    """The small page that goes into the frame: the request line and the fetch metadata of the frame's request."""
    style = load()[0]
    head = request.head
    fields = [(field.name_bytes, field.value_bytes) for field in head.head.fields[:MAX_FIELDS]]
    metadata = [field for field in fields if field[0].lower().startswith((b"sec-fetch-", b"referer"))]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>frame</title>'
        f'<meta name="color-scheme" content="light dark"><style>{style}</style></head>'
        f'<body class="frame"><p class="wire">{_wire_line(request)}</p>'
        + "".join(f'<p class="wire"><b>{html(name)}</b>: {_value(value)}</p>' for name, value in metadata)
        + "</body></html>\n"
    ).encode()


def _agent(fields: list[tuple[bytes, bytes]]) -> str:
    name = next((client_name(value) for name, value in fields if name.lower() == b"user-agent"), "")
    return f"<span>{html(name)}</span>" if name else ""


def _wire_line(request: Request) -> str:
    head = request.head
    return (
        f'<b class="method">{html(head.method[:MAX_VALUE])}</b> '
        f'<span class="target">{_value(head.target)}</span> <span class="version">{html(head.version[:40])}</span>'
    )


def _request_line(request: Request) -> str:
    head = request.head
    method = explain.method(head.method[:MAX_VALUE].decode("utf-8", "surrogateescape"))
    return (
        '<section aria-labelledby="line"><p class="label">The request line</p>'
        f'<h1 class="wire" id="line">{_wire_line(request)}</h1>'
        f'<p class="why">{_sentence(method)}</p></section>\n'
    )


def _readings(request: Request, fields: list[tuple[bytes, bytes]]) -> str:
    head = request.head
    readings = explain.head(
        head.method, head.target, fields[: explain.readings.MOST_FIELDS], version=head.version[:40]
    )
    if not readings:
        return ""
    return (
        '<section aria-labelledby="made"><h2 id="made">What made this request</h2>'
        + "".join(_reading(reading) for reading in readings)
        + "</section>\n"
    )


def _reading(reading: Reading) -> str:
    because = "".join(f"<code>{html(evidence)}</code>" for evidence in reading.because)
    must = "".join(
        f"<li><code>{html(required.line)}</code> {html(required.why)}</li>" for required in reading.must
    )
    return (
        f'<article class="reading"><h3>{html(reading.title)}</h3><p>{html(reading.paragraph)}</p>'
        + (f'<p class="because">{because}</p>' if because else "")
        + (f'<p class="must">The answer must say</p><ul>{must}</ul>' if must else "")
        + f'<p class="source">{html(reading.source)}</p></article>'
    )


def _findings(request: Request) -> str:
    """What is wrong, odd or worth knowing about the head; nothing where there is nothing to say."""
    from inspectd.rules.mirror import found_in

    found = found_in(request)
    if not found:
        return ""
    shown = "".join(_finding(each, about) for each, about in found[:MAX_FINDINGS])
    more = len(found) - MAX_FINDINGS
    return (
        '<section aria-labelledby="found"><h2 id="found">What is found in it</h2>'
        + shown
        + _notes([f"{more:,} more are not shown here."] if more > 0 else [])
        + "</section>\n"
    )


def _finding(each: Finding, about: Entry) -> str:
    detail = f" ({html(each.detail)})" if each.detail else ""
    return (
        f'<article class="found {about.severity}"><h3>{html(about.summary)}{detail}</h3><p>{html(about.text)}</p>'
        f'<p class="source">{about.severity} · {html(about.id)} · at {each.start:04x} · {html(about.spec)}</p>'
        "</article>"
    )


def _fields(fields: list[tuple[bytes, bytes]], head_bytes: int) -> str:
    count = f"{len(fields):,} field{'' if len(fields) == 1 else 's'}"
    shown = "".join(_field(name, value) for name, value in fields[:MAX_FIELDS])
    more = len(fields) - MAX_FIELDS
    return (
        f'<section aria-labelledby="fields"><h2 id="fields">{count} <small>in a head of {head_bytes:,} bytes, '
        f'in the order they came</small></h2><ol class="fields">{shown}</ol>'
        + (
            f'<p class="note">{more:,} more fields are not shown here. They are on record.</p>'
            if more > 0
            else ""
        )
        + ('<p class="note">This request has no fields at all.</p>' if not fields else "")
        + "</section>\n"
    )


def _field(name: bytes, value: bytes) -> str:
    if len(name) + len(value) <= MAX_VALUE:
        return _field_kept(name, value)
    return _field_made(name, value)


def _field_made(name: bytes, value: bytes) -> str:
    text = name[:MAX_VALUE].decode("utf-8", "surrogateescape")
    about = explain.field(text)
    meaning = explain.value(text, value[:MAX_VALUE])
    if meaning is None:
        said, more = about.sentence, about.paragraph
    else:
        said, more = meaning.sentence, f"{about.sentence} {meaning.paragraph}".strip()
    source = (meaning or about).source
    return (
        f'<li><p class="wire"><b>{html(name[:MAX_VALUE])}</b><i>:</i> {_value_parts(text, value)}</p>'
        f"<details><summary>{html(said)}</summary><p>{html(more)}</p>"
        f'<p class="source">{html(source)}</p></details></li>\n'
    )


_field_kept = lru_cache(maxsize=2048)(_field_made)


def _value(value: bytes) -> str:
    """A value or target, glyphs and escapes dimmed, cut when it is long. Its own SP stay spaces."""
    shown = _pieces(value[:MAX_VALUE])
    if len(value) > MAX_VALUE:
        shown += f' <em class="note">and {len(value) - MAX_VALUE:,} more bytes</em>'
    return shown


def _value_parts(name: str, value: bytes) -> str:
    """The same with each part of the value that is known carrying its explanation as a tooltip."""
    parts = explain.value_parts(name, value[:MAX_VALUE])
    if len(value) > MAX_VALUE or not parts:
        return _value(value)
    out: list[str] = []
    at = 0
    for part in parts:
        known = part.explanation.sentence if part.explanation else ""
        out.append(_pieces(value[at : part.start]))
        about = f"{part.label}: {known}" if known else part.label
        out.append(f'<span title="{html(about)}">{_pieces(value[part.start : part.end])}</span>')
        at = part.end
    out.append(_pieces(value[at:]))
    return "".join(out)


def _pieces(data: bytes) -> str:
    """The pieces of a value: its SP stay spaces here, and it may be broken after a comma or a semicolon."""
    out: list[str] = []
    for piece in wire_text(data):
        if not piece.special:
            out.append(_BREAKS.sub(r"\g<0><wbr>", html(piece.text)))
        elif data[piece.start] == _SP:
            out.append(" " * len(piece.text))
        else:
            out.append(f"<s>{piece.text}</s>")
    return "".join(out)


def _sentence(explanation: Explanation) -> str:
    return f'{html(explanation.sentence)} <span class="source">{html(explanation.source)}</span>'


def _content(request: Request, fields: list[tuple[bytes, bytes]]) -> str:
    if not request.content_length:
        return ""
    coding = b", ".join(value for name, value in fields[:1000] if name.lower() == b"content-encoding")
    media = next((value for name, value in fields[:1000] if name.lower() == b"content-type"), b"")
    decoded = decode_content(request.content, coding, limit=1 << 17)
    laid = pretty(decoded.data, media)
    notes = list(laid.notes)
    if decoded.steps:
        notes.append(f"Shown without its content coding ({', '.join(decoded.steps)}).")
    if decoded.error and len(request.content) == request.content_length:
        notes.append(decoded.error)
    if request.content_length > len(request.content):
        notes.append(f"The first {len(request.content):,} bytes as they came; the rest is on record.")
    elif not request.complete:
        notes.append("It was not complete when this answer was made.")
    lines = laid.lines[:MAX_CONTENT_LINES]
    if len(laid.lines) > len(lines):
        notes.append(f"The first {MAX_CONTENT_LINES} lines.")
    if any(len(line) > MAX_CONTENT_COLUMNS for line in lines):
        notes.append(f"Lines are cut after {MAX_CONTENT_COLUMNS} characters.")
    shown = "\n".join(html(line[:MAX_CONTENT_COLUMNS]) for line in lines)
    return (
        f'<section aria-labelledby="content"><h2 id="content">{request.content_length:,} bytes of content '
        f'<small>{laid.kind}</small></h2><pre tabindex="0">{shown}</pre>{_notes(notes)}</section>\n'
    )


def _notes(notes: Iterable[str]) -> str:
    return "".join(f'<p class="note">{html(note)}</p>' for note in notes)


def _bytes(request: Request) -> str:
    data = request.head.raw + request.content
    shown = data[:MAX_RAW]
    lines: list[str] = []
    line: list[str] = []
    start = 0
    for piece in wire_text(shown):
        line.append(f"<s>{piece.text}</s>" if piece.special else html(piece.text))
        if shown[piece.end - 1 : piece.end] == b"\n":
            lines.append(f"<li><i>{start:04x}</i>{''.join(line)}</li>")
            line.clear()
            start = piece.end
    if line:
        lines.append(f"<li><i>{start:04x}</i>{''.join(line)}</li>")
    total = len(request.head.raw) + request.content_length
    more = f"{total - len(shown):,} more bytes are not shown here. They are on record."
    return (
        '<section aria-labelledby="bytes"><h2 id="bytes">Byte for byte <small>· is a space, → a tab, ↵ CR LF, '
        f'↓ a lone LF, ← a lone CR</small></h2><ol class="bytes" tabindex="0">{"".join(lines)}</ol>'
        f"{_notes([more] if total > len(shown) else [])}</section>\n"
    )


_CONTROLS: Final = """<aside aria-labelledby="other"><h2 id="other">Make another request</h2>
<p class="lead">Each control makes the browser send a different request. The page shows what comes back; \
inspectd has every byte.</p>
<h3>Go somewhere</h3>
<p class="row"><a class="button" id="link" href="/link?from=the-mirror">Follow a link</a>
<a class="button" id="download" href="/.inspectd/download" download>Download</a>
<a class="button" id="client-hints" href="/.inspectd/client-hints">Ask for client hints</a></p>
<h3>Submit a form</h3>
<form action="/form" method="get"><input name="name" value="Ada Lovelace" aria-label="name">
<button id="form-get">GET</button></form>
<form action="/form" method="post"><input name="name" value="Ada &amp; Grace" aria-label="name">
<button id="form-post">POST</button></form>
<form action="/form" method="post" enctype="multipart/form-data"><input name="note" value="héllo" aria-label="note">
<input type="hidden" name="kind" value="multipart"><button id="form-multipart">POST multipart</button></form>
<h3>Load into this page</h3>
<p class="row"><button type="button" id="image">Image</button> <button type="button" id="script">Script</button>
<button type="button" id="style">Style sheet</button> <button type="button" id="iframe">Frame</button></p>
<h3>From a script</h3>
<p class="row"><button type="button" id="fetch-get">fetch GET</button>
<button type="button" id="fetch-put">fetch PUT JSON</button>
<button type="button" id="fetch-cross">fetch from another origin</button>
<button type="button" id="beacon">sendBeacon</button>
<button type="button" id="event-source">EventSource</button></p>
<noscript><p class="note">These need scripts, and this browser runs none.</p></noscript>
<div id="result" aria-live="polite" hidden><h3 id="result-title"></h3><div id="result-show"></div>\
<pre id="result-text" tabindex="0"></pre></div>
</aside>
"""
