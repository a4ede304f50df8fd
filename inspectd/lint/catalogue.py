"""The catalogue: what is to be said of each id, read from `data/` when it is first asked for.

One file per subject, one table per id. `tests/lint` proves every entry.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from inspectd.lint.model import Entry, Severity

_DROPPED: Final = "dropped"


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Entry]:
    """Every entry, keyed by id, in the order of the files and of the entries in them."""
    import msgspec

    return {
        name: msgspec.convert({"id": name, **_flowing(table)}, Entry)
        for subject, tables in _files().items()
        if subject != _DROPPED
        for name, table in tables.items()
    }


def entry(name: str) -> Entry:
    """What the catalogue says of an id. Raises KeyError for one that isn't there."""
    return catalogue()[name]


@lru_cache(maxsize=1)
def levels() -> dict[str, Severity]:
    """The severity of each id."""
    return {name: entry.level for name, entry in catalogue().items()}


@lru_cache(maxsize=1)
def dropped() -> dict[str, str]:
    """Ids of other catalogues that this one leaves out or has under another name, and why."""
    return dict(_files()[_DROPPED])


def _flowing(table: dict[str, Any]) -> dict[str, Any]:
    """The table with its paragraph as one line: where the file breaks it means nothing."""
    return {**table, "text": " ".join(table["text"].split())}


def _files() -> dict[str, dict[str, Any]]:
    import tomllib
    from pathlib import Path

    folder = Path(__file__).with_name("data")
    files: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    for path in sorted(folder.glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        if twice := seen & tables.keys():
            raise ValueError(f"{path.name} has {', '.join(sorted(twice))} a second time")
        seen |= tables.keys()
        files[path.stem] = tables
    return files
