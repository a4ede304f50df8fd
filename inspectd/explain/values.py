"""What field values mean: the value as a whole, and its pieces by offset."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from inspectd.explain.model import Explanation, Part
from inspectd.explain.names import LONGEST_NAME, clip
from inspectd.explain.registry import FieldEntry, fields, vocabulary
from inspectd.explain.splitting import LONGEST_VALUE

_KEPT = 1024
"""Characters up to which a value's explanation is kept for the next time."""


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
    from inspectd.explain.shapes import SHAPES
    from inspectd.explain.special import SPECIAL

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
    first, meaning = explained[0]
    others = [part for part in parts if part.label == first.label]
    listed = ", ".join(clip(text[part.start : part.end], 24) for part in others[:4])
    more = f" and {len(others) - 4} more" if len(others) > 4 else ""
    if len(others) == 1:
        sentence = meaning.sentence
        rest = explained[1:5]
    else:
        sentence = f"{len(others)} {_plural(first.label)}: {listed}{more}."
        rest = explained[:5]
    notes = (f"{clip(text[part.start : part.end], 40)}: {known.sentence}" for part, known in rest)
    return Explanation(
        title,
        sentence,
        " ".join(dict.fromkeys(notes)),
        meaning.source or entry.explanation.source,
        entry.explanation.grammar,
    )


_kept = lru_cache(maxsize=2048)(_value)


def _plural(label: str) -> str:
    return label[:-1] + "ies" if label.endswith("y") else label + "s"
