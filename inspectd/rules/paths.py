"""Paths that a rule names: a relative one lies in the folder of the rule file, never outside it."""

from __future__ import annotations

from pathlib import Path

from inspectd.rules.draft import CraftError


def below(key: str, name: str, base: Path) -> Path:
    """The file or folder of this name, a relative one below `base`. Links are not followed here.

    Raises `CraftError` for a relative name that goes up beyond `base`, at any time.
    """
    path = Path(name)
    depth = 0
    for part in () if path.is_absolute() else path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise CraftError(
                key,
                f"{name!r} is outside the folder of the rules",
                "Move it there, or give an absolute path.",
            )
    return base / path
