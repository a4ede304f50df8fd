"""Everything that has a name: one index over all that is explained, and the search in it.

A term may mean several things (FIN is a packet's flag and a bit of a WebSocket frame); all of them are found, the
likeliest first. What is looked for is only ever compared with what the data files hold: any text is safe to look for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.explain import tls, websocket
from inspectd.explain.model import Explanation
from inspectd.explain.names import field, role, status
from inspectd.explain.registry import entries, explanation, fields, table, vocabulary
from inspectd.wire.event_stream import ODDITIES as EVENT_ODDITIES
from inspectd.wire.span import Role
from inspectd.wire.websocket.oddities import ODDITIES as FRAME_ODDITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_TERM: Final = 200
"""Characters of a term that are looked at."""

MOST_MEANINGS: Final = 40
MOST_NEAR: Final = 6

_BY_CODE: Final = {
    "cookie-prefixes": ("Set-Cookie",),
    "cookie-names": ("Cookie",),
    "languages": ("Accept-Language",),
    "ports": ("Host",),
    "schemes": ("Location",),
    "range-units": ("Range",),
    "auth-schemes": ("WWW-Authenticate", "Authorization"),
    "protocols": ("Alt-Svc",),
}
"""Vocabularies that no field names, because code chooses them, and fields in which their values stand."""

_BITS: Final = (Role.WS_FIN, Role.WS_RSV1, Role.WS_RSV2, Role.WS_RSV3, Role.WS_MASK, Role.WS_OPCODE)
_NUMBERED: Final = (
    ("versions", "TLS version", tls.version),
    ("groups", "TLS group", tls.group),
    ("signature_schemes", "TLS signature scheme", tls.signature_scheme),
    ("handshake_types", "TLS handshake message", tls.handshake_type),
    ("content_types", "TLS record", tls.content_type),
    ("psk_modes", "TLS mode of pre-shared keys", tls.psk_mode),
    ("certificate_compression", "TLS compression of certificates", tls.certificate_compression),
    ("point_formats", "TLS point format", tls.point_format),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that a term means: what kind of thing it is, its name in that kind, and what is to be said of it."""

    kind: str
    name: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: `meanings`, the likeliest first, and `near`, names that resemble a term that is in no list."""

    meanings: tuple[Meaning, ...]
    near: tuple[str, ...] = ()


def plain(term: str) -> str:
    """A term as the index has it: in lower case, with single spaces, without the ends of functions and fields."""
    short = " ".join(term[:LONGEST_TERM].split()).lower()
    return short.removesuffix("()").rstrip(":").strip()


def find(term: str, more: Iterable[tuple[str, Meaning]] = ()) -> Found:
    """Look for a term; `more` are meanings that another layer adds, each with the name it is looked for by."""
    wanted = plain(term)
    if not wanted:
        return Found(())
    added: dict[str, list[Meaning]] = {}
    for name, meaning in more:
        added.setdefault(plain(name), []).append(meaning)
    listed = [*index().get(wanted, ()), *added.get(wanted, ())]
    if listed:
        # Methods are case-sensitive: BIND is one, bind is more likely to be something else.
        spelled = " ".join(term.split())
        listed.sort(key=lambda each: each.kind == "method" and each.name != spelled)
        if spelled.endswith("()"):
            listed.sort(key=lambda each: not each.name.endswith("()"))
        return Found(tuple(_once(listed))[:MOST_MEANINGS])
    made = tuple(_made(" ".join(term[:LONGEST_TERM].split())))
    if made and made[0].kind != "field":
        return Found(made)
    others = ((name, meaning.name) for name, (meaning, *_) in added.items())
    return Found(made, _near(wanted, [*_shown(), *others]))


def _once(meanings: list[Meaning]) -> Iterator[Meaning]:
    """The meanings without repetitions: one value of several fields is told once."""
    seen: set[tuple[str, str]] = set()
    for each in meanings:
        if (key := (each.kind, each.explanation.sentence)) not in seen:
            seen.add(key)
            yield each


@lru_cache(maxsize=1)
def index() -> dict[str, list[Meaning]]:
    """Every meaning by its names in the form of `plain`; the likelier kinds first."""
    found: dict[str, list[Meaning]] = {}
    for names, meaning in _all():
        for name in dict.fromkeys(map(plain, names)):
            found.setdefault(name, []).append(meaning)
    return found


@lru_cache(maxsize=1)
def _shown() -> list[tuple[str, str]]:
    """Every name of the index, and the name under which it is offered to a person."""
    return [
        (name, known[0].name if plain(known[0].name) in index() else name) for name, known in index().items()
    ]


def _near(wanted: str, names: list[tuple[str, str]]) -> tuple[str, ...]:
    """Names that hold the term, then names that resemble it."""
    import difflib

    found: list[str] = []
    if len(wanted) >= 3:
        holding = sorted((name for name, _ in names if wanted in name), key=lambda name: (len(name), name))
        found += holding[:MOST_NEAR]
    found += difflib.get_close_matches(wanted[:60], [name for name, _ in names], n=MOST_NEAR, cutoff=0.65)
    for word in wanted.split()[:8]:
        if not found and len(word) >= 3:
            found += difflib.get_close_matches(word[:60], [name for name, _ in names], n=3, cutoff=0.7)
    shown = dict(reversed(names))
    return tuple(dict.fromkeys(shown[name] for name in found))[:MOST_NEAR]


def _all() -> Iterator[tuple[Iterable[str], Meaning]]:
    """Every meaning with its names, kind by kind, the likelier kinds first."""
    for name, known in entries("methods").items():
        yield (name,), Meaning("method", known.title, known)
    for code in entries("status"):
        known = status(code)
        phrase = known.title.partition(" ")[2]
        yield (code, known.title, phrase), Meaning("status code", code, known)
    for name, entry in fields().items():
        yield (name,), Meaning("field", entry.explanation.title, entry.explanation)
    yield from _titled("steps", "step of a connection")
    for each in _BITS:
        bit = each.value.removeprefix("ws-")
        name = bit.upper() if each is not Role.WS_OPCODE else bit
        yield (bit, each.value), Meaning("bits of a WebSocket frame", name, role(each))
    yield from _titled("sockets", "sockets and networks")
    yield from _titled("terms", "word of HTTP")
    yield from _values()
    for each in Role:
        yield (each.value, each.value.replace("-", " ")), Meaning("role of bytes", each.value, role(each))
    for name, known in entries("framing").items():
        yield (name,), Meaning("framing", name, known)
    yield from _websocket()
    for name, known in entries("events").items():
        yield (name, f"sse {name}"), Meaning("field of an event stream", name, known)
    yield from _oddities()
    yield from _readings()
    yield from _tls()


def _titled(subject: str, kind: str) -> Iterator[tuple[Iterable[str], Meaning]]:
    for name, entry in table(subject).items():
        known = explanation(name, entry)
        names = (name, known.title, name.replace("-", " "), name.replace("_", "-"), *entry.get("also", ()))
        yield names, Meaning("word of inspectd" if known.source == "inspectd" else kind, known.title, known)


def _values() -> Iterator[tuple[Iterable[str], Meaning]]:
    """Values by themselves, with the fields they stand in."""
    where: dict[str, list[str]] = {name: list(known) for name, known in _BY_CODE.items()}
    for entry in fields().values():
        for name in (entry.values, entry.parameters):
            if name and entry.explanation.title not in where.setdefault(name, []):
                where[name].append(entry.explanation.title)
    for name, known in where.items():
        kind = f"value in {', '.join(known[:3])}" + (" and others" if len(known) > 3 else "")
        for key, found in vocabulary(name).entries.items():
            shown = found.title
            yield (key, key.strip("\"'()"), key.rstrip("-=_*")), Meaning(kind, shown, found)


def _websocket() -> Iterator[tuple[Iterable[str], Meaning]]:
    numbers = table("websocket")
    for number in map(int, numbers["opcodes"]):
        known = websocket.opcode(number)
        names = (f"opcode {number}", f"opcode 0x{number:x}", f"{known.title} frame", known.title)
        yield names, Meaning("opcode of a WebSocket frame", f"opcode {number}", known)
    for number in map(int, numbers["close"]):
        known = websocket.close_code(number)
        words = known.title.partition(" ")[2]
        yield (str(number), known.title, words), Meaning("WebSocket close code", str(number), known)


def _oddities() -> Iterator[tuple[Iterable[str], Meaning]]:
    """What can be wrong with frames and events; the numbers of a case are left out."""
    for name, (sentence, section) in FRAME_ODDITIES.items():
        known = Explanation(name, re.sub(r"\{[^}]*+\}", "…", sentence), "", section)
        yield (name,), Meaning("oddity of WebSocket frames", name, known)
    for name, sentence in EVENT_ODDITIES.items():
        yield (
            (name,),
            Meaning("oddity of an event stream", name, Explanation(name, sentence, "", "WHATWG HTML §9.2.6")),
        )


def _readings() -> Iterator[tuple[Iterable[str], Meaning]]:
    readings = table("readings")
    for entry in (*readings["cause"], *readings["note"]):
        if "{" in entry["title"]:
            continue
        title = entry["title"]
        sentence = f"{title[0].upper()}{title[1:]}."
        paragraph = " ".join(entry.get("paragraph", "").split())
        known = Explanation(title, sentence, "" if "{" in paragraph else paragraph, entry["source"])
        yield (entry["kind"],), Meaning("reading of a request", entry["kind"], known)


def _tls() -> Iterator[tuple[Iterable[str], Meaning]]:
    texts = table("tls")
    for name in texts["alerts"]:
        known = explanation(name, texts["alerts"][name], source="RFC 8446 §6.2")
        yield (name, name.replace("_", " ")), Meaning("TLS alert", name, known)
    for number in map(int, texts["extensions"]):
        known = tls.extension(number)
        name = tls.extension_name(number)
        names = (known.title, name, f"extension {number}", name.replace("_", " "))
        yield names, Meaning("TLS extension", known.title, known)
    for code in texts["cipher_suites"]["names"]:
        known = tls.cipher_suite(int(code, 16))
        yield (
            (known.title, known.title.removeprefix("TLS_"), f"0x{code}", code),
            Meaning("TLS cipher suite", known.title, known),
        )
    for subject, kind, explain in _NUMBERED:
        for number in map(int, texts[subject]["names"]):
            known = explain(number)
            yield (known.title,), Meaning(kind, known.title, known)


def _made(term: str) -> Iterator[Meaning]:
    """Meanings that no list holds: numbers by their range, and fields by their prefix."""
    if match := re.fullmatch(r"([1-5]\d\d)(?: (\S.*))?", term, re.ASCII):
        yield Meaning("status code", match[1], status(match[1], match[2] or ""))
    elif re.fullmatch(r"[1-4]\d{3}", term, re.ASCII):
        yield Meaning("WebSocket close code", term, websocket.close_code(int(term)))
    elif match := re.fullmatch(r"(?i)opcode (?:(\d)|0x([0-9a-f])|(1[0-5]))", term, re.ASCII):
        number = int(match[2], 16) if match[2] else int(match[1] or match[3])
        yield Meaning("opcode of a WebSocket frame", term, websocket.opcode(number))
    elif any(term.lower().startswith(prefix) and " " not in term for prefix in table("field_prefixes")):
        yield Meaning("field", term.rstrip(":"), field(term.rstrip(":")))
