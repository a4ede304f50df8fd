"""What a forward proxy answers by itself at a name of its own: how to trust its CA, and the CA's certificate.

The name can be nobody's (RFC 6761 §6.2), so that nothing is taken from any server. Pages have no script, load nothing
and show nothing of the request; the key of the CA is never anywhere near.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.engine.proxy.routes import OFFERED_AT
from inspectd.engine.trusting import BY_HAND, COMMANDS, FORMS, WARNING, in_form
from inspectd.rules.answer import Answer
from inspectd.rules.mirror import preferred
from inspectd.text.safe import html, safe

if TYPE_CHECKING:
    from inspectd.engine.ca import Authority
    from inspectd.engine.trusting import Form
    from inspectd.wire import ArrivedHead

NO_CA: Final = (
    f"{OFFERED_AT} is where a proxy offers the certificate of its CA. This one decrypts nothing, so it has none to"
    " offer."
)

_LABEL: Final = f"inspectd's own page at {OFFERED_AT}"
_COMMON: Final = (b"Cache-Control: no-store", b"X-Content-Type-Options: nosniff")
_SAVED: Final = "inspectd-ca.pem"  # what the steps call the file that was downloaded
_MEDIA_TYPES: Final[dict[Form, tuple[bytes, str]]] = {
    # What makes browsers and phones offer to trust it, and the name that it is saved under.
    "pem": (b"application/x-x509-ca-cert", _SAVED),
    "der": (b"application/x-x509-ca-cert", "inspectd-ca.cer"),
    "p12": (b"application/x-pkcs12", "inspectd-ca.p12"),
}
_NAMED: Final[dict[Form, str]] = {
    "pem": "text, for most programs",
    "der": "binary, for phones, macOS and Windows",
    "p12": "a trust store without a password, for Java",
}
_WHAT: Final = (
    "The proxy that brought you here is inspectd: it decrypts https to show what is sent, and says so with certificates"
    " of its own CA. What is to be looked at has to trust this certificate first."
)
_STRICT: Final = (
    "Some sites forbid browsers to go on after a warning (HSTS): there, trusting the certificate is the only way."
    " Programs that pin their server's own certificate accept no other: --no-intercept HOST leaves them alone."
)
_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f7f7f4; --ink: #22262e; --soft: #5d6470; --edge: #dddbd3; --link: #1f5fbf }
@media (prefers-color-scheme: dark) {
  :root { --ground: #12151c; --ink: #dfe3ea; --soft: #9aa3b2; --edge: #2a3040; --link: #82aaff }
}
body { margin: 2rem auto; max-width: 46rem; padding: 0 1.25rem; background: var(--ground); color: var(--ink);
  font: 15px/1.55 system-ui, sans-serif }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 2rem } a { color: var(--link) }
dt { font-weight: 600; margin-top: .7rem } dd { margin: 0; color: var(--soft) }
code { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; color: var(--ink) }
"""
_POLICY: Final = (
    "Content-Security-Policy: default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
).encode()


def offer(authority: Authority, head: ArrivedHead, proxy: str) -> Answer:
    """The answer to a request for something at this name. `proxy` is the URL of the proxy that it came through."""
    if head.method not in {b"GET", b"HEAD"}:
        return _answer(b"405 Method Not Allowed", b"text/plain", b"Only GET.\n", b"Allow: GET, HEAD")
    path = _path(head.target)
    for form in FORMS:
        if path == f"/ca.{form}".encode():
            media_type, name = _MEDIA_TYPES[form]
            disposition = f'Content-Disposition: inline; filename="{name}"'.encode()
            return _answer(b"200 OK", media_type, in_form(authority.certificate, form), disposition)
    if path != b"/":
        there = ", ".join(f"/ca.{form}" for form in FORMS)
        return _answer(b"404 Not Found", b"text/plain", f"There is /, {there}.\n".encode())
    if preferred((head.get(b"accept") or b"")[:1024]) == "html":
        return _answer(b"200 OK", b"text/html; charset=utf-8", _page(authority, proxy).encode(), _POLICY)
    return _answer(b"200 OK", b"text/plain; charset=utf-8", _text(authority, proxy).encode())


def _answer(status: bytes, media_type: bytes, body: bytes, *fields: bytes) -> Answer:
    lines = (b"Content-Type: " + media_type, *fields, *_COMMON)
    return Answer(b"HTTP/1.1 " + status, lines, body, label=_LABEL)


def _path(target: bytes) -> bytes:
    """The path of a target in either form, without its query."""
    _, scheme, rest = target.partition(b"://")
    if scheme and not target.startswith(b"/"):
        _, slash, rest = rest.partition(b"/")
        target = b"/" + rest if slash else b"/"
    return target.partition(b"?")[0]


def _facts(authority: Authority) -> tuple[tuple[str, str], ...]:
    return (
        ("name", authority.name),
        ("SHA-256", authority.fingerprint),
        ("valid until", f"{authority.ends:%Y-%m-%d}"),
    )


def _steps(proxy: str) -> list[tuple[str, str]]:
    """The commands that make sense on any machine, with the file as it was saved, through this proxy."""
    return [
        (step.system, (step.proxied or step.what).replace("{file}", _SAVED).replace("{proxy}", proxy))
        for step in COMMANDS
        if step.anywhere
    ]


@lru_cache(maxsize=2)
def _text(authority: Authority, proxy: str) -> str:
    wide = max(len(step.system) for step in COMMANDS)
    lines = [_WHAT, ""]
    lines += [f"{name:<12} {safe(value)}" for name, value in _facts(authority)]
    lines += ["", "Compare the fingerprint with what `inspectd ca` says where the proxy runs.", ""]
    lines += [f"http://{OFFERED_AT}/ca.{form}  {_NAMED[form]}" for form in FORMS]
    lines += ["", f"To trust it, saved as {_SAVED}:", ""]
    lines += [f"  {system:<{wide}}  {what}" for system, what in _steps(proxy)]
    lines += ["", "In menus:", ""]
    lines += [f"  {step.system}: {step.what}" for step in BY_HAND]
    return "\n".join([*lines, "", _STRICT, "", f"{WARNING}.", ""])


@lru_cache(maxsize=2)
def _page(authority: Authority, proxy: str) -> str:
    facts = "".join(
        f"<dt>{html(name)}</dt><dd><code>{html(value)}</code></dd>\n" for name, value in _facts(authority)
    )
    files = "".join(f'<li><a href="/ca.{form}">ca.{form}</a>: {html(_NAMED[form])}</li>\n' for form in FORMS)
    menus = "".join(f"<dt>{html(step.system)}</dt><dd>{html(step.what)}</dd>\n" for step in BY_HAND)
    commands = "".join(
        f"<dt>{html(system)}</dt><dd><code>{html(what)}</code></dd>\n" for system, what in _steps(proxy)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>inspectd: trust its CA</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Trust inspectd's CA</h1>\n<p>{html(_WHAT)}</p>\n"
        f"<dl>\n{facts}</dl>\n"
        "<p>Compare the fingerprint with what <code>inspectd ca</code> says where the proxy runs.</p>\n"
        f"<h2>The certificate</h2>\n<ul>\n{files}</ul>\n"
        f"<h2>In menus</h2>\n<dl>\n{menus}</dl>\n"
        f"<h2>By commands</h2>\n<p>With the certificate saved as <code>{html(_SAVED)}</code>:</p>\n"
        f"<dl>\n{commands}</dl>\n<p>{html(_STRICT)}</p>\n<p>{html(WARNING)}.</p>\n</body>\n</html>\n"
    )
