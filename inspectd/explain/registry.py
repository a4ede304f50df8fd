"""The data files as typed entries, read when they are first asked for and never before.

Each file under `data/` is TOML by subject. An entry is a table with `sentence`, `paragraph`, `source` and what its
subject adds; the short form of a vocabulary's value is one string, whose first line is the sentence and whose other
lines are the paragraph. `tests/explain` checks every entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from inspectd.explain.model import Explanation


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """A field's own text, and how its value is read.

    `shape` splits the value, `values` and `parameters` name the vocabularies that explain the pieces, `whole` the one
    of whole values. `summary` is the sentence about a value of several pieces, its blanks filled in from the pieces
    labelled `main`.
    """

    explanation: Explanation
    shape: str
    label: str
    values: str
    parameters: str
    whole: str
    summary: str
    main: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Explanations of the values of one kind, keyed in lower case; `durations` take a number of seconds."""

    entries: dict[str, Explanation]
    durations: frozenset[str]

    def get(self, key: str) -> Explanation | None:
        """Return the explanation of a value, whatever its case, or None."""
        return self.entries.get(key.lower())


@lru_cache(maxsize=64)
def table(subject: str) -> dict[str, Any]:
    """Return what `data/SUBJECT.toml`, or every file of the folder `data/SUBJECT/`, says, as plain values."""
    import tomllib
    from pathlib import Path

    data = Path(__file__).with_name("data")
    folder = data / subject
    paths = sorted(folder.glob("*.toml")) if folder.is_dir() else [data / f"{subject}.toml"]
    merged: dict[str, Any] = {}
    for path in paths:
        for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if name in merged:
                raise ValueError(f"{path.name} explains {name} a second time")
            merged[name] = entry
    return merged


def explanation(title: str, entry: dict[str, Any] | str, *, source: str = "") -> Explanation:
    """Return the explanation an entry holds; `source` is what it inherits when it names none."""
    if isinstance(entry, str):
        sentence, _, paragraph = entry.strip().partition("\n")
        return Explanation(title, sentence, _flow(paragraph), source)
    return Explanation(
        entry.get("title", title),
        entry["sentence"],
        _flow(entry.get("paragraph", "")),
        entry.get("source", source),
        entry.get("grammar", "").strip(),
        tuple(entry.get("see", ())),
    )


def _flow(text: str) -> str:
    """Return a paragraph's lines as one: where the data file breaks them means nothing."""
    return " ".join(text.split())


@lru_cache(maxsize=16)
def entries(subject: str) -> dict[str, Explanation]:
    """Return the explanations of one subject (`methods`, `status`, `roles`, `steps`, ...), keyed in lower case."""
    return {name.lower(): explanation(name, entry) for name, entry in table(subject).items()}


@lru_cache(maxsize=1)
def fields() -> dict[str, FieldEntry]:
    """Return every field that is known, keyed in lower case."""
    known: dict[str, FieldEntry] = {}
    for name, entry in table("fields").items():
        known[name.lower()] = FieldEntry(
            explanation(name, entry),
            entry.get("shape", "text"),
            entry.get("label", "value"),
            entry.get("values", ""),
            entry.get("parameters", ""),
            entry.get("whole", ""),
            entry.get("summary", ""),
            entry.get("main", ""),
        )
    return known


@lru_cache(maxsize=256)
def vocabulary(name: str) -> Vocabulary:
    """Return one vocabulary of `data/values/`; the empty name is the empty vocabulary."""
    if not name:
        return Vocabulary({}, frozenset())
    raw = table("values")[name]
    return Vocabulary(
        {key.lower(): explanation(key, entry, source=raw["source"]) for key, entry in raw["values"].items()},
        frozenset(raw.get("durations", ())),
    )


def preload() -> None:
    """Read every data file now, so that the first explanation costs what the later ones do."""
    for subject in ("methods", "status", "roles", "steps", "texts"):
        entries(subject)
    fields()
    for name in table("values"):
        vocabulary(name)
    for subject in ("readings", "requirements", "field_prefixes", "registered", "websocket"):
        table(subject)
