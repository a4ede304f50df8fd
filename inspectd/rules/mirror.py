"""The mirror: the default answer shows a client its own request, in the form that this client can show.

A browser gets a page (`mirror_html`), a client that asks for `application/json` gets JSON, any other the
bytes of its request as text. Requests that the page's own controls make, under `/.inspectd/`, get content of
the type they ask for, so that images, scripts, styles and frames work and carry the fetch metadata of their
kind.

What a peer sent goes back to that peer only, escaped for the form it goes into. Nothing is fetched, stored or
run.
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.rules.answer import Answer, compile_answer, problem_answer
from inspectd.text.hexdump import rows
from inspectd.text.pretty import looks_binary
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.lint import Entry, Finding
    from inspectd.rules.program import Program
    from inspectd.rules.request import Request

OWN: Final = b"/.inspectd/"
"""Paths under which the mirror's own page makes requests."""

RAW_LIMIT: Final = 1 << 20
"""Bytes of a head that the text and the JSON form show at most."""

EXAMINED: Final = 4096
"""Bytes of a head that are looked at for findings: what a client has to wait for is bounded."""

BINARY_LIMIT: Final = 512
"""Bytes of content which is no text that the text form shows."""

_COMMON: Final = (b"Cache-Control: no-store", b"X-Content-Type-Options: nosniff")
_SVG: Final = b"""<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96" viewBox="0 0 96 96">
<rect width="96" height="96" rx="18" fill="#1d2436"/>
<path d="M47 20v56M40 30 18 66h22zM56 30l22 36H56z" fill="none" stroke="#7aa2f7" stroke-width="4" \
stroke-linejoin="round"/>
</svg>
"""
_SCRIPT: Final = b'document.documentElement.dataset.inspectdScript = "loaded";\n'
_STYLE: Final = b":root { --inspectd-style: loaded; }\n"
_EVENT: Final = b"retry: 600000\nevent: hello\ndata: one event from inspectd\n\n"

_STATIC: Final = {
    b"image.svg": (b"image/svg+xml", _SVG),
    b"script.js": (b"text/javascript; charset=utf-8", _SCRIPT),
    b"style.css": (b"text/css; charset=utf-8", _STYLE),
    b"events": (b"text/event-stream", _EVENT),
    b"download": (b"text/plain; charset=utf-8", b"A file from inspectd.\n"),
}
_BY_DEST: Final = {
    b"image": b"image.svg",
    b"script": b"script.js",
    b"worker": b"script.js",
    b"sharedworker": b"script.js",
    b"style": b"style.css",
}
_CLIENT_HINTS: Final = (
    b"Accept-CH: Sec-CH-UA-Full-Version-List, Sec-CH-UA-Arch, Sec-CH-UA-Model, Sec-CH-UA-Platform-Version, "
    b"Sec-CH-Prefers-Color-Scheme, Viewport-Width"
)

# token = 1*tchar (RFC 9110 §5.6.2), and a list of them
_TOKEN_LIST: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z, \t]++")
# Text that a terminal takes as it is: visible ASCII, SP, HTAB, and line ends.
_PLAIN: Final = re.compile(rb"(?:[ -~\t\n]++|\r\n)*+")
# The scheme and authority of a target in absolute-form, and what ends a path.
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?#]*+")
_PATH_END: Final = re.compile(rb"[?#]")
_WEIGHT: Final = re.compile(r";[ \t]*+q[ \t]*+=[ \t]*+([01](?:\.[0-9]{0,3})?)")


class Mirror:
    """Answers every request with that request."""

    description = "mirror"
    status_line = ""

    def warm(self) -> None:
        """Load what the first page needs, so that the first browser doesn't wait for it (some ten
        milliseconds).
        """
        from inspectd import explain, lint
        from inspectd.rules import mirror_html

        mirror_html.load()
        explain.preload()
        lint.preload()

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        """The mirror's answer; a favicon gets 204, a preflight of the page's own requests its permission."""
        return compile_answer(_answer(request, now), request, now=now, persist=persist)


def path_of(target: bytes) -> bytes:
    """The path of a request target in origin-form or absolute-form, without its query (RFC 9112 §3.2)."""
    if not target.startswith(b"/") and (absolute := _ABSOLUTE.match(target)):
        target = target[absolute.end() :]
    return _PATH_END.split(target, maxsplit=1)[0]


def _answer(request: Request, now: float) -> Answer:
    head = request.head
    method = head.method
    path = path_of(head.target)
    if path == b"/favicon.ico":
        return _FAVICON
    if method == b"CONNECT":
        return _NO_TUNNEL
    own = path[len(OWN) :] if path.startswith(OWN) else None
    if own is not None and method == b"OPTIONS" and head.get(b"access-control-request-method") is not None:
        return _preflight(request)
    accept = head.get(b"accept") or b""
    dest = head.get(b"sec-fetch-dest") or b""
    static = own if own in _STATIC else _BY_DEST.get(dest)
    if static is not None:
        return _STATIC_ANSWERS[static]

    cross = (b"Access-Control-Allow-Origin: *",) if own is not None else ()
    match preferred(accept[:1024]):
        case "html":
            from inspectd.rules import mirror_html

            hints = (_CLIENT_HINTS,) if own == b"client-hints" else ()
            page = mirror_html.frame(request) if own == b"frame" else mirror_html.page(request, now)
            return _made(b"text/html; charset=utf-8", page, (mirror_html.policy(), *hints, *cross))
        case "json":
            return _made(b"application/json", as_json(request), cross)
        case _:
            return _made(b"text/plain; charset=utf-8", as_text(request), cross)


def _made(content_type: bytes, body: bytes, fields: tuple[bytes, ...] = ()) -> Answer:
    return Answer(
        b"HTTP/1.1 200 OK", (b"Content-Type: " + content_type, *_COMMON, *fields), body, label="mirror"
    )


def _named(answer: Answer) -> Answer:
    return Answer(answer.status_line, answer.fields, answer.body, answer.auto, "mirror")


_FAVICON: Final = Answer(b"HTTP/1.1 204 No Content", (b"Cache-Control: no-store",), label="mirror")
_NO_TUNNEL: Final = _named(problem_answer(501, "The mirror opens no tunnels: inspectd is not a proxy here."))
_STATIC_ANSWERS: Final = {
    name: _made(
        content_type,
        body,
        (b"Access-Control-Allow-Origin: *",)
        + ((b'Content-Disposition: attachment; filename="inspectd.txt"',) if name == b"download" else ()),
    )
    for name, (content_type, body) in _STATIC.items()
}


def _preflight(request: Request) -> Answer:
    """Permission for what a CORS preflight asks, method and field names (WHATWG Fetch §4.8), for any origin.

    It is given without credentials, and only for paths that show a client nothing but its own request.
    """
    fields = [b"Access-Control-Allow-Origin: *"]
    for asked, allowed in (
        (b"access-control-request-method", b"Access-Control-Allow-Methods: "),
        (b"access-control-request-headers", b"Access-Control-Allow-Headers: "),
    ):
        value = request.head.get(asked)
        if value and _TOKEN_LIST.fullmatch(value):
            fields.append(allowed + value)
    return Answer(b"HTTP/1.1 204 No Content", (*fields, b"Cache-Control: no-store"), label="mirror preflight")


@lru_cache(maxsize=256)
def preferred(accept: bytes) -> str:
    """`html`, `json` or `text`: which of the mirror's forms an Accept value prefers (RFC 9110 §12.5.1).

    Only a type that is named counts, `*/*` means text; the first of equal weights wins. A browser that fetches a
    page names text/html.
    """
    best, weight = "text", 0.0
    for part in accept.decode("latin-1").lower().split(","):
        media_type = part.partition(";")[0].strip()
        form = _FORMS.get(media_type)
        if form is None:
            continue
        named = _WEIGHT.search(part)
        quality = float(named[1]) if named else 1.0
        if quality > weight:
            best, weight = form, quality
    return best


_FORMS: Final = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/json": "json",
    "text/plain": "text",
}


def found_in(request: Request) -> list[tuple[Finding, Entry]]:
    """What is found in the head of a request and is more than a good note, the worst first."""
    from inspectd.lint import Severity, entry, findings, quick

    head = request.head
    if len(head.raw) <= EXAMINED and quick(head).worst is Severity.GOOD:
        return []
    found = [(each, entry(each.id)) for each in findings(head.raw[:EXAMINED], "request", eof=False)]
    found = [(each, about) for each, about in found if about.level > Severity.GOOD]
    return sorted(found, key=lambda pair: -pair[1].level)


def as_text(request: Request) -> bytes:
    """The request's own bytes, where a terminal can take them as they are; else with escapes, and a note
    about it.
    """
    raw = request.head.raw
    content = request.content
    shown = raw[:RAW_LIMIT] + content
    notes: list[str] = []
    if not _PLAIN.fullmatch(shown):
        exact = shown
        binary = looks_binary(content)
        shown = _escaped(raw[:RAW_LIMIT]) + (_hexadecimal(content) if binary else _escaped(content))
        if shown != exact:
            notes.append(
                "Not all bytes are fit for a terminal: these are escapes"
                + (" and hexadecimal digits" if binary else "")
                + ". Exact bytes with: Accept: application/json"
            )
        if binary and len(content) > BINARY_LIMIT:
            notes.append(
                f"{len(content) - BINARY_LIMIT:,} more bytes of content are not shown as hexadecimal."
            )
    if len(raw) > RAW_LIMIT:
        notes.append(f"{len(raw) - RAW_LIMIT:,} more bytes of the head are not shown.")
    if request.content_length > len(request.content):
        notes.append(
            f"{request.content_length - len(request.content):,} more bytes of content are not shown."
        )
    elif not request.complete:
        notes.append("The request was not complete when it was answered.")
    if notes:
        shown += b"" if shown.endswith(b"\n") else b"\r\n"
        shown += "".join(f"-- inspectd: {note}\r\n" for note in notes).encode()
    return shown


def _escaped(data: bytes) -> bytes:
    return "\r\n".join(safe(line, newline=True) for line in data.split(b"\r\n")).encode()


def _hexadecimal(data: bytes) -> bytes:
    return "".join(f"{row.line()}\r\n" for row in rows(data[:BINARY_LIMIT])).encode("ascii")


def as_json(request: Request) -> bytes:
    """The request as JSON in ASCII. Texts are UTF-8 with other bytes as `\\xHH`; `raw` and `content` are
    exact.
    """
    head = request.head
    raw = head.raw[:RAW_LIMIT]
    lines = head.raw.partition(b"\n")
    document = {
        "request_line": _text(lines[0].removesuffix(b"\r")),
        "method": _text(head.method),
        "target": _text(head.target),
        "version": _text(head.version),
        "fields": None,  # laid out below, a pair a line
        "head_bytes": len(head.raw),
        "raw": base64.b64encode(raw).decode("ascii"),
        "raw_complete": len(raw) == len(head.raw),
        "content_bytes": request.content_length,
        "content": base64.b64encode(request.content).decode("ascii"),
        "content_text": _text(request.content),
        "content_complete": request.complete and len(request.content) == request.content_length,
        "connection": request.connection,
        "number": request.number,
        "findings": [
            {
                "id": about.id,
                "severity": about.severity,
                "start": each.start,
                "end": each.end,
                "summary": about.summary,
            }
            for each, about in found_in(request)
        ],
        "peer": request.peer,
        "local": request.local,
    }
    pairs = (json.dumps([_text(field.name_bytes), _text(field.value_bytes)]) for field in head.head.fields)
    fields = ",\n    ".join(pairs)
    listed = f"[\n    {fields}\n  ]" if fields else "[]"
    # The first `"fields": null` is ours: a quote inside a text would be escaped.
    laid = json.dumps(document, indent=2).replace('"fields": null', f'"fields": {listed}', 1)
    return laid.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
