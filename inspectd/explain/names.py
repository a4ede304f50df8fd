"""What names mean: methods, status codes, field names, the roles of spans, the steps of a connection's life.

Every function here has an answer for every text; what no registry knows is said to be unknown.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from inspectd.explain.model import Explanation
from inspectd.explain.registry import entries, explanation, fields, table

if TYPE_CHECKING:
    from inspectd.wire.span import Role

LONGEST_NAME = 120
"""Characters of a name from the wire that are looked at; a longer one is in no registry."""

_CLASSES = {
    "1": ("informational", "an interim answer: the final one is still to come", "15.2"),
    "2": ("successful", "the request was received, understood and accepted", "15.3"),
    "3": ("redirection", "the client has to do something more to get what it asked for", "15.4"),
    "4": ("client error", "the request is at fault, or can't be fulfilled as it is", "15.5"),
    "5": ("server error", "the request may be fine, but the server failed", "15.6"),
}


def clip(text: str, length: int = 60) -> str:
    """Return a text from the wire short enough to stand in a title."""
    return text if len(text) <= length else text[: length - 1] + "…"


def method(name: str) -> Explanation:
    """Explain a request method. Methods are case-sensitive (RFC 9110 §9.1): `get` is not GET."""
    return _method(name[:LONGEST_NAME])


@lru_cache(maxsize=256)
def _method(name: str) -> Explanation:
    known = entries("methods").get(name.lower())
    if known is not None and known.title == name:
        return known
    title = clip(name) or "(no method)"
    if known is not None:
        return Explanation(
            title,
            f"This is not {known.title}: methods are case-sensitive, and this one is in no registry.",
            f"A server that compares strictly answers 501 or 405; a lenient one takes it for {known.title}. "
            "Browsers put the six common methods into capitals by themselves, but not patch.",
            "RFC 9110 §9.1",
            "method = token ; case-sensitive",
            (known.title,),
        )
    if not name:
        return Explanation(
            title,
            "The request line names no method.",
            "A request line begins with the method. Without one a server can only answer 400 or close.",
            "RFC 9112 §3.1",
            "method = token",
        )
    return Explanation(
        title,
        "A method that is in no registry: only the two ends know what it means.",
        "Any token may be a method. A server that does not know it answers 501 Not Implemented; one that knows it "
        "but forbids it here answers 405 with Allow. A browser asks with a CORS preflight before sending it to "
        "another origin.",
        "RFC 9110 §9.1, §16.1",
        "method = token",
    )


def status(code: str, reason: str = "") -> Explanation:
    """Explain a status code as it stands on the wire; `reason` is the phrase that came with it.

    Any text is answered for: registered codes, well-known unregistered ones, other codes by their class, and codes
    that are not three digits.
    """
    return _status(code[:LONGEST_NAME], reason[:LONGEST_NAME])


@lru_cache(maxsize=512)
def _status(code: str, reason: str) -> Explanation:
    known = entries("status").get(code)
    if known is not None:
        phrase = known.title
        title = f"{code} {phrase}"
        if reason and reason != phrase:
            note = f"Its usual phrase is {phrase}; clients read the number and may ignore the words."
            return Explanation(
                f"{code} {clip(reason)}",
                known.sentence,
                f"{known.paragraph} {note}".strip(),
                known.source,
                "status-code = 3DIGIT",
                known.see,
            )
        return Explanation(
            title, known.sentence, known.paragraph, known.source, "status-code = 3DIGIT", known.see
        )
    title = clip(f"{code} {reason}".strip()) or "(no status code)"
    grammar = "status-code = 3DIGIT"
    digits = code.isascii() and code.isdigit()
    if digits and len(code) == 3 and code[0] in _CLASSES:
        family, meaning, section = _CLASSES[code[0]]
        return Explanation(
            title,
            f"Not registered; its first digit makes it {family}.",
            f"A client that does not know {code} treats it as {code[0]}00: {meaning}.",
            f"RFC 9110 §{section}",
            grammar,
        )
    if digits and len(code) == 3:
        return Explanation(
            title,
            "Three digits, but outside the classes 1 to 5.",
            "HTTP gives no meaning to codes below 100 or above 599. A client should treat it like a 5xx; in "
            "practice browsers show the content and some libraries refuse the response.",
            "RFC 9110 §15",
            grammar,
        )
    if digits:
        return Explanation(
            title,
            f"A status code has exactly three digits; this one has {len(code)}.",
            "Strict clients refuse the whole response. Lenient ones read the first three digits, or the whole "
            "number, so that two clients may see two different codes.",
            "RFC 9112 §4",
            grammar,
        )
    if not code:
        return Explanation(
            title,
            "The status line has no status code.",
            "Clients refuse such a response, or take the whole answer for HTTP/0.9, where there was no head.",
            "RFC 9112 §4",
            grammar,
        )
    return Explanation(
        title,
        "This is not a status code: three digits belong here.",
        "Clients refuse such a response as malformed.",
        "RFC 9112 §4",
        grammar,
    )


def field(name: str) -> Explanation:
    """Explain a field by its name, whatever its case (RFC 9110 §5.1)."""
    return _field(name[:LONGEST_NAME])


@lru_cache(maxsize=1024)
def _field(name: str) -> Explanation:
    known = fields().get(name.lower())
    if known is not None:
        return known.explanation
    title = clip(name) or "(no name)"
    if not name:
        return Explanation(
            title,
            "A field line without a name.",
            "At least one character has to stand before the colon. Servers answer 400 or drop the line.",
            "RFC 9112 §5",
            "field-name = token",
        )
    for prefix, entry in table("field_prefixes").items():
        if name.lower().startswith(prefix):
            return explanation(title, {**entry, "title": title, "grammar": "field-name = token"})
    return Explanation(
        title,
        "A field this catalogue does not know: its meaning is between client and server.",
        "Any token may be a field name, and who does not know one has to ignore it and pass it on. Names compare "
        "without regard to case. A page that sets it on a request to another origin causes a CORS preflight.",
        "RFC 9110 §5.1, §16.3",
        "field-name = token",
    )


def role(role: Role) -> Explanation:
    """Explain what a span is for, with the grammar rule it follows."""
    return entries("roles")[str(role)]


def step(name: str) -> Explanation:
    """Explain a step in the life of a socket or a connection: `listen`, `handshake`, `fin` (see `step_names`).

    What else there is around sockets, and words of HTTP, have an answer too: `happy-eyeballs`, `tls-handshake`.
    """
    key = name[:LONGEST_NAME].lower().removesuffix("()").replace(" ", "-")
    for subject in ("steps", "sockets", "terms"):
        if (known := entries(subject).get(key)) is not None:
            return known
    return Explanation(
        clip(name) or "(no name)",
        "A step this catalogue does not know.",
        "The steps it knows are those of a TCP or Unix socket from socket() to TIME-WAIT.",
        "RFC 9293 §3.3.2",
    )


def step_names() -> tuple[str, ...]:
    """Return the names `step` knows, in the order of a connection's life."""
    return tuple(table("steps"))
