"""What field values mean: the value as a whole, and its pieces by offset."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from inspectd.explain.model import Explanation, Part
from inspectd.explain.names import LONGEST_NAME, clip
from inspectd.explain.registered import structured_type
from inspectd.explain.registry import FieldEntry, fields, vocabulary
from inspectd.explain.shapes import SHAPES, is_grease
from inspectd.explain.special import SPECIAL
from inspectd.explain.splitting import LONGEST_VALUE

_KEPT = 1024
"""Characters up to which a value's explanation is kept for the next time."""

_MOST_NOTES = 7
"""Pieces a value's paragraph speaks of; every piece has its own explanation in `value_parts`."""

_UNNOTED = frozenset({"weight", "version"})
"""Labels of pieces that say too little for the paragraph about the whole value."""


def value_parts(name: str, value: bytes | str) -> list[Part]:
    """Return the pieces of a field's value, in order, without overlap, with offsets into `value`.

    What stands between two parts is a separator. At most 200 parts of the first 64 KiB are returned. A field that is
    not in the catalogue has no parts.

    >>> [(part.start, part.end, part.label) for part in value_parts("Accept-Encoding", b"gzip, br;q=0.5")]
    [(0, 4, 'coding'), (6, 8, 'coding'), (9, 14, 'weight')]
    """
    entry = fields().get(name[:LONGEST_NAME].lower())
    return [] if entry is None else _parts(entry, _text(value))


def value(name: str, value: bytes | str) -> Explanation | None:
    """Explain a field's whole value, or return None when nothing is known beyond the field's name."""
    text = _text(value)
    if len(text) <= _KEPT:
        return _kept(name[:LONGEST_NAME].lower(), text)
    return _value(name[:LONGEST_NAME].lower(), text)


def _text(value: bytes | str) -> str:
    """Return the part of a value that is looked at, one character a byte."""
    return value[:LONGEST_VALUE].decode("latin-1") if isinstance(value, bytes) else value[:LONGEST_VALUE]


def _parts(entry: FieldEntry, text: str) -> list[Part]:
    if entry.shape == "text" and structured_type(entry.explanation.title):
        from inspectd.explain.structured import structured

        return structured(entry, text)
    shape = SHAPES.get(entry.shape) or SPECIAL[entry.shape]
    return shape(entry, text)


def _value(name: str, text: str) -> Explanation | None:
    entry = fields().get(name)
    if entry is None:
        return None
    stripped = text.strip(" \t")
    title = f"{entry.explanation.title}: {clip(stripped)}"
    known = vocabulary(entry.whole).get(stripped.replace(", ", ",")) if entry.whole else None
    if known is not None:
        return replace(known, title=title)
    parts = _parts(entry, text)
    explained = [(part, part.explanation) for part in parts if part.explanation is not None]
    if not explained:
        return None
    if len(parts) == 1:
        (only,) = explained
        return replace(only[1], title=title, grammar=entry.explanation.grammar)
    sentence = _summary(entry, text, parts, explained)
    first = explained[0][1]
    notes = [first.paragraph] if sentence == first.sentence and first.paragraph else []
    notes += [
        f"{_note_name(entry, text, part)}: {meaning.sentence}"
        for part, meaning in explained
        if meaning.sentence != sentence and part.label not in _UNNOTED
    ]
    return Explanation(
        title,
        sentence,
        " ".join(list(dict.fromkeys(notes))[:_MOST_NOTES]),
        first.source or entry.explanation.source,
        entry.explanation.grammar,
    )


def _note_name(entry: FieldEntry, text: str, part: Part) -> str:
    """Return what a part is called in a note about it; of a cookie that is its name, of credentials nothing."""
    if part.label == "credentials":
        return part.label
    return _name(entry, text, part) if part.label == "cookie" else clip(text[part.start : part.end], 40)


def _summary(
    entry: FieldEntry, text: str, parts: list[Part], explained: list[tuple[Part, Explanation]]
) -> str:
    """Return one sentence about a value of several parts."""
    label = entry.main or explained[0][0].label
    main = [part for part in parts if part.label == label]
    if entry.summary and main:
        meanings = [meaning.sentence.rstrip(".") for part, meaning in explained if part.label == label]
        if label == "range":
            meanings[1:] = [meaning[:1].lower() + meaning[1:] for meaning in meanings[1:]]
        blanks = {
            "value": lambda: clip(text.strip(" \t"), 80),
            "first": lambda: _name(entry, text, main[0]),
            "count": lambda: str(len(main)),
            "list": lambda: _joined([_name(entry, text, part) for part in main]),
            "meanings": lambda: "; ".join(meanings[:4]),
            "brands": lambda: _brands(text, parts),
            "client": lambda: _client(text),
        }
        return re.sub(r"\{(\w+)\}", lambda blank: blanks[blank[1]](), entry.summary)
    if len(main) <= 1:
        return explained[0][1].sentence
    listed = _joined([clip(text[part.start : part.end], 24) for part in main])
    return f"{len(main)} {_plural(label)}: {listed}."


def _client(user_agent: str) -> str:
    from inspectd.text.client import client_name

    return client_name(user_agent.encode("latin-1", "replace"))


def _name(entry: FieldEntry, text: str, part: Part) -> str:
    """Return what a part is called in a list: what stands before the equals sign, where values are secret or long."""
    shown = text[part.start : part.end]
    if entry.shape in {"cookie", "set-cookie", "directives"}:
        shown = shown.partition("=")[0]
    return clip(shown, 40)


def _joined(names: list[str]) -> str:
    """Return names as one would say them: a, b and c."""
    if len(names) > 6:
        return f"{', '.join(names[:5])} and {len(names) - 5} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _brands(text: str, parts: list[Part]) -> str:
    """Return the brands of a list with their versions, without the made-up ones."""
    found: list[str] = []
    for part in parts:
        shown = text[part.start : part.end]
        if part.label == "brand":
            found.append("" if is_grease(shown) else shown.strip('"'))
        elif part.label == "version" and found and found[-1]:
            found[-1] += " " + shown.partition("=")[2].strip('"')
    return _joined([clip(brand, 40) for brand in found if brand] or ["not named"])


_kept = lru_cache(maxsize=2048)(_value)


def _plural(label: str) -> str:
    if label.endswith("y"):
        return label[:-1] + "ies"
    return label + ("es" if label.endswith("s") else "s")
