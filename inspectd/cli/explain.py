"""`inspectd explain`: what a name or a value means, offline. Whatever the program can name, it can explain."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.group import SectionCommand
from inspectd.cli.output import draws_glyphs, painter, require_stdout, wants_colour
from inspectd.errors import InspectdError
from inspectd.text.safe import ASCII, UNICODE, clip, pad, safe, wire_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.explain import Explanation, Part
    from inspectd.explain.lookup import Found, Meaning

FALLBACK_COLUMNS: Final = 100
WIDEST: Final = 110
NARROWEST: Final = 40

_KIND_WIDTH: Final = 30
_NAME_WIDTH: Final = 22
_VALUES_LISTED: Final = 40
_EXAMPLE_SHOWN: Final = 400
# field-line = field-name ":" OWS field-value OWS
_FIELD_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,120}):[ \t]*+(\S.*)", re.DOTALL)
_NAME_AND_VALUE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,120})[ \t]++(\S.*)", re.DOTALL)
_STATUS_LINE: Final = re.compile(r"HTTP/\d\.\d +(?=\d)", re.IGNORECASE)


@click.command("explain", cls=SectionCommand)
@click.argument("words", metavar="TERM...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="All meanings, in full, as one JSON object.")
def explain(words: tuple[str, ...], *, as_json: bool) -> None:
    """Explain TERM: whatever has a name in HTTP, TLS, WebSocket, sockets or inspectd itself. All words are one term.

    \b
      inspectd explain 418             a status code; with its phrase as well
      inspectd explain PATCH           a method
      inspectd explain Sec-Fetch-Mode  a field, its values, and who knows it
      inspectd explain Vary: Origin    a value, and each of its parts
      inspectd explain no-cache        a value, and the fields it stands in
      inspectd explain te-with-cl      a finding: bytes, and what servers do
      inspectd explain request-target  the role of bytes, as in anatomy
      inspectd explain SO_REUSEADDR    sockets, TCP, DNS, proxies
      inspectd explain 1001            WebSocket: close codes, opcode 8, FIN, ping
      inspectd explain JA3             TLS: cipher suites, extensions, alerts
      inspectd explain tls-refused     the words of inspectd itself

    A sentence comes first, then a paragraph, then the section of the specification. When a term means several
    things they are all listed, and the likeliest is told in full. When nothing has that name the exit code is 1,
    and names that resemble it are offered.
    """
    term = " ".join(words).strip()
    require_stdout("inspectd explain TERM >explained.txt")
    line = _FIELD_LINE.fullmatch(term)
    if line is None and (without_colon := _NAME_AND_VALUE.fullmatch(term)) and not look_up(term).meanings:
        line = without_colon
    if line is not None and _is_known(line[1]):
        value = line[2].encode("utf-8", "surrogateescape")
        lines = value_json(term, line[1], value) if as_json else _Pages().value(line[1], value)
        found = None
    else:
        found = look_up(_STATUS_LINE.sub("", term))
        lines = found_json(term, found) if as_json else _Pages().found(term, found)
    if found is None or found.meanings or as_json:
        for each in lines:
            sys.stdout.write(f"{each}\n")
        if found is not None and not found.meanings:
            raise click.exceptions.Exit(1)
        return
    raise InspectdError(f"nothing here is called '{clip(safe(term), 60)}'", _offer(found))


def look_up(term: str) -> Found:
    """Everything a term means: what is explained, and what is found in bytes."""
    from inspectd.explain import Explanation
    from inspectd.explain.lookup import Meaning, find
    from inspectd.lint import catalogue

    findings = (
        (
            name,
            Meaning(
                "finding", name, Explanation(name, f"{each.summary}.", each.text, each.spec, "", each.see)
            ),
        )
        for name, each in catalogue().items()
    )
    return find(term, findings)


def _is_known(name: str) -> bool:
    from inspectd.explain.registry import fields

    return name.lower() in fields()


def _offer(found: Found) -> str:
    near = [f"'{safe(name)}'" for name in found.near]
    if not near:
        return "Try a method, a status code, a field name, a finding's id: see inspectd explain --help"
    return f"Did you mean {', '.join(near[:-1])}{' or ' if near[1:] else ''}{near[-1]}?"


class _Pages:
    """Explanations as lines of text, fit for the terminal or the file that they go to."""

    def __init__(self) -> None:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else FALLBACK_COLUMNS
        self._width = max(NARROWEST, min(columns, WIDEST))
        self._paint = painter(colour=wants_colour())
        self._dash = "·" if draws_glyphs() else "-"

    def found(self, term: str, found: Found) -> Iterator[str]:
        """All meanings shortly, if there are several, and the first in full."""
        if len(found.meanings) > 1:
            yield f"{clip(safe(term), 60)} has {len(found.meanings)} meanings:"
            yield ""
            for each in found.meanings:
                yield from self._short(each)
            yield ""
        for each in found.meanings[:1]:
            yield from self._full(each)
        if found.near and found.meanings:
            yield ""
            yield from self._wrapped(_offer(found), "dim")

    def _short(self, meaning: Meaning) -> Iterator[str]:
        kind = pad(clip(safe(meaning.kind), _KIND_WIDTH), _KIND_WIDTH)
        name = pad(clip(safe(meaning.name), _NAME_WIDTH), _NAME_WIDTH)
        room = self._width - _KIND_WIDTH - _NAME_WIDTH - 6
        sentence = clip(self._plain(meaning.explanation.sentence), room) if room > 10 else ""
        yield f"  {self._paint(kind, 'dim')}  {self._paint(name, 'cyan')}  {sentence}".rstrip()

    def _full(self, meaning: Meaning) -> Iterator[str]:
        yield from self._title(meaning.explanation.title, meaning.kind)
        yield from self._body(meaning.explanation)
        if meaning.kind == "finding":
            yield from self._finding(meaning.name)
        yield from self._sources(meaning.explanation)
        if meaning.kind == "field":
            yield from self._registration(meaning.name)
            yield from self._values(meaning.name)

    def value(self, name: str, value: bytes) -> Iterator[str]:
        """A field's value, its parts, and the field itself in a sentence."""
        from inspectd.explain import field, value_parts
        from inspectd.explain import value as value_of

        about = field(name)
        meaning = value_of(name, value)
        yield from self._title(
            f"{about.title}: {value.decode('utf-8', 'surrogateescape')}", "field and value"
        )
        yield from self._body(meaning or about)
        parts = value_parts(name, value)
        if len(parts) > 1:
            yield ""
            for part in parts:
                text = clip(safe(value[part.start : part.end]), _NAME_WIDTH)
                said = part.explanation.sentence if part.explanation else f"{part.label}."
                yield from self._hanging(text, said)
        yield from self._sources(meaning or about)
        if meaning is not None:
            yield ""
            yield from self._wrapped(f"{about.title}: {about.sentence}", "dim")

    def _title(self, title: str, kind: str) -> Iterator[str]:
        room = max(20, self._width - len(kind) - 3)
        yield f"{self._paint(clip(safe(title), room), 'bold')} {self._paint(f'{self._dash} {kind}', 'dim')}"

    def _body(self, meaning: Explanation) -> Iterator[str]:
        yield from self._wrapped(meaning.sentence)
        if meaning.paragraph:
            yield ""
            yield from self._wrapped(meaning.paragraph)

    def _sources(self, meaning: Explanation) -> Iterator[str]:
        yield ""
        if meaning.grammar:
            for line in meaning.grammar.splitlines():
                yield f"  {self._plain(line)}"
        if meaning.source:
            yield self._paint(self._plain(meaning.source), "dim")
        if meaning.see:
            yield self._paint(f"See also: {', '.join(meaning.see)}", "dim")

    def _registration(self, name: str) -> Iterator[str]:
        from inspectd.explain.registered import registered_as_of, registration, supported_as_of

        known = registration(name)
        if known.state:
            yield self._paint(f"IANA: {known.state} ({registered_as_of()})", "dim")
        if known.structured:
            yield self._paint(f"Structured type: {known.structured} (RFC 9651)", "dim")
        if known.support:
            words = ", ".join(each.words for each in known.support)
            yield self._paint(f"Browsers: {words} ({supported_as_of()})", "dim")

    def _values(self, name: str) -> Iterator[str]:
        from inspectd.explain.registry import fields, vocabulary

        entry = fields().get(name.lower())
        known = [] if entry is None else list(vocabulary(entry.values).entries.values())
        if not known:
            return
        yield ""
        yield (
            "Values:"
            if len(known) <= _VALUES_LISTED
            else f"Values ({len(known)}, the first {_VALUES_LISTED}):"
        )
        for each in known[:_VALUES_LISTED]:
            yield from self._hanging(safe(each.title), each.sentence)

    def _finding(self, name: str) -> Iterator[str]:
        from inspectd.lint import entry

        told = entry(name)
        yield ""
        risk = f", risk: {told.risk.value}" if told.risk else ""
        yield from self._wrapped(f"Severity: {told.severity}{risk}. Found in: {_found_in(told.kind)}.")
        if told.verdicts:
            yield from self._wrapped(told.verdicts)
        wire = told.example.wire
        yield ""
        yield "Example:"
        glyphs = UNICODE if self._dash == "·" else ASCII
        for line in wire[:_EXAMPLE_SHOWN].splitlines(keepends=True):
            shown = "".join(piece.text for piece in wire_text(line, glyphs))
            yield f"  {self._paint(clip(shown, self._width - 2), 'cyan')}"
        if len(wire) > _EXAMPLE_SHOWN:
            yield f"  ({len(wire) - _EXAMPLE_SHOWN:,} more bytes)"
        for start, end in told.example.at[:1]:
            yield self._paint(f"  found at byte {start} to {end}: {clip(safe(wire[start:end]), 60)}", "dim")

    def _hanging(self, name: str, text: str) -> Iterator[str]:
        """A name and what it means, in two columns."""
        lines = self._broken(text, self._width - _NAME_WIDTH - 4)
        if len(name) > _NAME_WIDTH:
            yield f"  {self._paint(name, 'cyan')}"
            name = ""
        for line in lines:
            yield f"  {self._paint(pad(name, _NAME_WIDTH), 'cyan')}  {line}"
            name = ""

    def _wrapped(self, text: str, style: str = "") -> Iterator[str]:
        for line in self._broken(text, self._width):
            yield self._paint(line, style) if style else line

    def _broken(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(self._plain(text), width, break_on_hyphens=False) or [""]

    def _plain(self, text: str) -> str:
        """Text of ours, which may quote the wire, as this output can show it."""
        shown = safe(text, doubling=False)
        if self._dash == "·":
            return shown
        return shown.replace("§", "section ").encode("ascii", "backslashreplace").decode()


def _found_in(kind: str) -> str:
    return {"request": "requests", "response": "responses"}.get(kind, "requests and responses")


def found_json(term: str, found: Found) -> Iterator[str]:
    """A term's meanings as one JSON object."""
    facts = {
        "term": term,
        "meanings": [
            {"kind": each.kind, "name": each.name, **_facts(each.explanation), **_extra(each)}
            for each in found.meanings
        ],
        "near": list(found.near),
    }
    yield json.dumps(facts, ensure_ascii=True)


def value_json(term: str, name: str, value: bytes) -> Iterator[str]:
    """A field's value as one JSON object: the field is the second meaning."""
    from inspectd.explain import field, value_parts
    from inspectd.explain import value as value_of
    from inspectd.explain.lookup import Meaning

    about = field(name)
    meaning = value_of(name, value)
    parts = [_part_facts(part, value) for part in value_parts(name, value)]
    field_facts = {
        "kind": "field",
        "name": about.title,
        **_facts(about),
        **_extra(Meaning("field", about.title, about)),
    }
    meanings: list[dict[str, Any]] = [field_facts]
    if meaning is not None:
        meanings.insert(
            0, {"kind": "field and value", "name": about.title, **_facts(meaning), "parts": parts}
        )
    yield json.dumps({"term": term, "meanings": meanings, "near": []}, ensure_ascii=True)


def _facts(meaning: Explanation) -> dict[str, Any]:
    return {
        "title": meaning.title,
        "sentence": meaning.sentence,
        "paragraph": meaning.paragraph,
        "source": meaning.source,
        "grammar": meaning.grammar,
        "see": list(meaning.see),
    }


def _part_facts(part: Part, value: bytes) -> dict[str, Any]:
    return {
        "start": part.start,
        "end": part.end,
        "label": part.label,
        "text": value[part.start : part.end].decode("latin-1"),
        "sentence": part.explanation.sentence if part.explanation else "",
    }


def _extra(meaning: Meaning) -> dict[str, Any]:
    """What only fields and findings have."""
    if meaning.kind == "field":
        from inspectd.explain.registered import registration

        known = registration(meaning.name)
        return {
            "registered": known.state or None,
            "structured": known.structured or None,
            "browsers": {
                each.browser: {
                    "since": each.since or None,
                    "until": each.until or None,
                    "partial": each.partial,
                }
                for each in known.support
            },
        }
    if meaning.kind == "finding":
        from inspectd.lint import entry

        told = entry(meaning.name)
        return {
            "severity": told.severity,
            "risk": told.risk.value or None,
            "in": told.kind,
            "verdicts": told.verdicts,
            "example": {
                "data": told.example.wire.decode("latin-1"),
                "at": [list(each) for each in told.example.at],
            },
        }
    return {}
