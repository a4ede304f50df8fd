"""Notices when files change, by looking: what a file is known by differs after every way of saving it.

Editors write in place, or write another file and rename it, or delete first and write then. A file that is away
for a moment has not changed yet: it is reported when it is there again, or when it stays away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Signature: TypeAlias = tuple[int, int, int, int] | None
"""Modification and change time in ns, size in bytes, and inode; None for a file that can't be looked at."""


def signature(path: Path) -> Signature:
    """What a file is known by now."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino


class Watched:
    """Some files under watch. Make it *before* they are read: what changes meanwhile is noticed then.

    Call `changed` again and again, every quarter of a second say: it costs one `stat` a file.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = tuple(files)
        self._known: dict[Path, Signature] = {path: signature(path) for path in self.files}
        self._away: set[Path] = set()

    def changed(self) -> list[Path]:
        """The files that are others than when they were last reported, in their order, each once.

        A file that is missing is reported only when it was missing in the call before as well.
        """
        found: list[Path] = []
        for path in self.files:
            now = signature(path)
            if now == self._known[path]:
                self._away.discard(path)
            elif now is None and path not in self._away:
                self._away.add(path)
            else:
                self._away.discard(path)
                self._known[path] = now
                found.append(path)
        return found
