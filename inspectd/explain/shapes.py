"""How the values of fields are built, and what their pieces mean.

A shape is a function from a field's entry and its value to parts. Which field has which shape, and which vocabulary
explains its pieces, is in the data files; the sentences made here only fill in numbers and names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from inspectd.explain import names
from inspectd.explain.model import Explanation, Part
from inspectd.explain.registry import FieldEntry, entries, vocabulary
from inspectd.explain.splitting import MOST_PARTS, Slice, elements, inner, pair, unquoted, whole, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Shape: TypeAlias = "Callable[[FieldEntry, str], list[Part]]"


def part(piece: Slice, label: str, meaning: Explanation | None) -> Part:
    """Return a piece as a part."""
    return Part(piece.start, piece.end, label, meaning)


def said(key: str, title: str, **fill: str) -> Explanation:
    """Return a text of `texts.toml` with its blanks filled in."""
    text = entries("texts")[key]
    sentence, paragraph = text.sentence, text.paragraph
    for blank, content in fill.items():
        sentence = sentence.replace(f"{{{blank}}}", content)
        paragraph = paragraph.replace(f"{{{blank}}}", content)
    return replace(text, title=names.clip(title), sentence=sentence, paragraph=paragraph)


def each(pieces: Iterable[Slice], read: Callable[[Slice], list[Part]]) -> list[Part]:
    """Return the parts of all pieces, `MOST_PARTS` at most."""
    found: list[Part] = []
    for piece in pieces:
        found += read(piece)
        if len(found) >= MOST_PARTS:
            break
    return found[:MOST_PARTS]


def looked_up(name: str, key: str, title: str = "") -> Explanation | None:
    """Return what a vocabulary says of a value, titled as it stands on the wire."""
    known = vocabulary(name).get(key)
    return None if known is None else replace(known, title=names.clip(title or key))


def counted(number: int, unit: str) -> str:
    """Return a number with its unit in the right form."""
    return f"{number} {unit}{'s' * (number != 1)}"


def span_of_time(seconds: str) -> str:
    """Return a number of seconds in the largest units that fit, or an empty text when it is no number."""
    if not (seconds.isascii() and seconds.isdigit()) or len(seconds) > 12:
        return ""
    left = int(seconds)
    if left < 60:
        return counted(left, "second")
    found = []
    for unit, size in (("year", 31_536_000), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            found.append(counted(count, unit))
    return " ".join(found[:2])


def parameters(entry: FieldEntry, pieces: list[Slice]) -> list[Part]:
    """Return the parameters that follow an item: weights are explained by number, others by the vocabulary."""
    found = []
    for piece in pieces:
        name, content = pair(piece)
        if content is not None and name.text.lower() == "q":
            found.append(part(piece, "weight", weight(content.text)))
            continue
        text = "" if content is None else unquoted(content.text)
        known = looked_up(entry.parameters, f"{name.text}={text}", piece.text) or looked_up(
            entry.parameters, name.text, piece.text
        )
        found.append(part(piece, "parameter", known))
    return found


def weight(text: str) -> Explanation:
    """Explain a quality value."""
    # weight = OWS ";" OWS "q=" qvalue ; qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
    digits, _, decimals = text.partition(".")
    well_formed = digits in {"0", "1"} and len(decimals) <= 3 and (not decimals or decimals.isdigit())
    if not well_formed or not text.isascii() or (digits == "1" and decimals.strip("0")):
        return said("weight-malformed", f"q={text}")
    if digits == "1":
        return said("weight-full", f"q={text}")
    if not decimals.strip("0"):
        return said("weight-zero", f"q={text}")
    return said("weight", f"q={text}", weight=text, percent=f"{float(text) * 100:g}")


def item(entry: FieldEntry, piece: Slice) -> list[Part]:
    """Return an item and its parameters."""
    pieces = inner(piece, ";")
    if not pieces:
        return []
    head = pieces[0]
    known = looked_up(entry.values, unquoted(head.text), head.text)
    return [part(head, entry.label, known), *parameters(entry, pieces[1:])]


def text(entry: FieldEntry, value: str) -> list[Part]:
    """A value that is one piece, whatever is in it."""
    piece = whole(value)
    return [part(piece, entry.label, looked_up(entry.values, piece.text))] if piece.text else []


def single(entry: FieldEntry, value: str) -> list[Part]:
    """One item with parameters: Content-Type, Sec-CH-UA-Mobile."""
    return item(entry, whole(value))[:MOST_PARTS]


def comma_list(entry: FieldEntry, value: str) -> list[Part]:
    """A list of items with parameters: Accept, Accept-Encoding, Connection."""
    return each(elements(value), lambda piece: item(entry, piece))


def _directive(entry: FieldEntry, piece: Slice) -> Part:
    name, content = pair(piece)
    if content is None:
        return part(piece, entry.label, looked_up(entry.values, name.text))
    plain = unquoted(content.text)
    known = looked_up(entry.values, f"{name.text}={plain}", piece.text)
    if known is None:
        known = looked_up(entry.values, name.text, piece.text)
        lasting = span_of_time(plain) if name.text.lower() in vocabulary(entry.values).durations else ""
        if known is not None and lasting:
            known = replace(known, paragraph=f"Here {lasting}. {known.paragraph}".strip())
    return part(piece, entry.label, known)


def directives(entry: FieldEntry, value: str) -> list[Part]:
    """A comma list of `name` or `name=value`: Cache-Control, Priority, Keep-Alive."""
    return [_directive(entry, piece) for piece in elements(value)]


def semicolons(entry: FieldEntry, value: str) -> list[Part]:
    """A semicolon list of `name` or `name=value`: Strict-Transport-Security, X-XSS-Protection."""
    return [_directive(entry, piece) for piece in elements(value, ";")]


def policy(entry: FieldEntry, value: str) -> list[Part]:
    """Directives separated by semicolons, each a name and its sources: Content-Security-Policy."""

    def directive(piece: Slice) -> list[Part]:
        name, *sources = words(piece)
        return [part(name, entry.label, looked_up(entry.values, name.text)), *map(source, sources)]

    def source(word: Slice) -> Part:
        key = word.text.strip("'")
        if key.startswith("nonce-"):
            key = "nonce"
        elif key.startswith(("sha256-", "sha384-", "sha512-")):
            key = "hash"
        return part(word, "source", looked_up(entry.parameters, key, word.text))

    return each(elements(value, ";"), directive)


def cookie(entry: FieldEntry, value: str) -> list[Part]:
    """The pairs a client sends back: Cookie."""
    return [part(piece, entry.label, cookie_pair(piece)) for piece in elements(value, ";")]


def cookie_pair(piece: Slice, otherwise: str = "cookie-pair") -> Explanation:
    """Explain a cookie by its name: a prefix that promises something, a well-known name, or neither."""
    name, content = pair(piece)
    title = names.clip(name.text) if content is not None else "(cookie without a name)"
    for prefix in ("__Host-Http-", "__Host-", "__Secure-", "__Http-"):
        if name.text.startswith(prefix) and content is not None:
            found = looked_up("cookie-prefixes", prefix, title)
            if found is not None:
                return found
    if content is None:
        return said("cookie-nameless", title)
    known = looked_up("cookie-names", name.text, title)
    return known or said(otherwise, title, name=title, length=counted(len(content.text), "character"))


def set_cookie(entry: FieldEntry, value: str) -> list[Part]:
    """A cookie and its attributes: Set-Cookie."""
    pieces = elements(value, ";")
    found = [part(piece, "cookie", cookie_pair(piece, "cookie-set")) for piece in pieces[:1]]
    return found + [_directive(entry, piece) for piece in pieces[1:]]


def brands(entry: FieldEntry, value: str) -> list[Part]:
    """Brands with versions: Sec-CH-UA, Sec-CH-UA-Full-Version-List."""

    def brand(piece: Slice) -> list[Part]:
        first, *rest = inner(piece, ";") or [piece]
        name = unquoted(first.text)
        known = looked_up(entry.values, name)
        if known is None:
            known = said("brand-grease" if is_grease(name) else "brand-unknown", name)
        versions = (replace(version, label="version") for version in parameters(entry, rest))
        return [part(first, entry.label, known), *versions]

    return each(elements(value), brand)


def is_grease(brand: str) -> bool:
    """Return whether a brand is made up: Chromium writes "Not A Brand" with ever changing punctuation."""
    letters = "".join(character for character in brand[:100].lower() if character.isalpha())
    return "not" in letters and "brand" in letters


def method_list(entry: FieldEntry, value: str) -> list[Part]:
    """Names of methods: Access-Control-Request-Method, Allow."""
    return [
        part(
            piece,
            entry.label,
            looked_up("wildcards", piece.text) if piece.text == "*" else names.method(piece.text),
        )
        for piece in elements(value)
    ]


def field_list(entry: FieldEntry, value: str) -> list[Part]:
    """Names of fields: Vary, Trailer, Access-Control-Request-Headers."""
    return [
        part(
            piece,
            entry.label,
            looked_up("wildcards", piece.text) if piece.text == "*" else names.field(piece.text),
        )
        for piece in elements(value)
    ]


def languages(entry: FieldEntry, value: str) -> list[Part]:
    """Language ranges with weights: Accept-Language, Content-Language."""

    def ranged(piece: Slice) -> list[Part]:
        first, *rest = inner(piece, ";") or [piece]
        return [part(first, entry.label, language(first.text)), *parameters(entry, rest)]

    return each(elements(value), ranged)


def language(tag: str) -> Explanation:
    """Explain a language tag by its first subtag and its region (RFC 5646 §2.1)."""
    if tag == "*":
        return said("language-any", tag)
    subtags = tag[: names.LONGEST_NAME].split("-")
    spoken = vocabulary("languages").get(subtags[0])
    region = next(
        (vocabulary("regions").get(sub) for sub in subtags[1:] if len(sub) == 2 or sub.isdigit()), None
    )
    script = next((vocabulary("scripts").get(sub) for sub in subtags[1:] if len(sub) == 4), None)
    if spoken is None:
        return said("language-unknown", tag, tag=names.clip(tag))
    named = spoken.sentence.rstrip(".")
    if script is not None:
        named += f" in {script.sentence.rstrip('.')} script"
    if region is not None:
        named += f", as used in {region.sentence.rstrip('.')}"
    return said("language", tag, language=named)


SHAPES: dict[str, Shape] = {
    "text": text,
    "item": single,
    "list": comma_list,
    "directives": directives,
    "semicolons": semicolons,
    "policy": policy,
    "cookie": cookie,
    "set-cookie": set_cookie,
    "brands": brands,
    "methods": method_list,
    "fields": field_list,
    "languages": languages,
}
