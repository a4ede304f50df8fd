"""A folder of files to serve: what `**` matched names one (RFC 3986 §3.3, RFC 9110 §9.3.1).

Never a file outside the folder, whatever the path says: segments are split before they are decoded, `..`, an encoded
slash and NUL name nothing, and what a symbolic link leads to must lie in the folder as well. Only ordinary files are
opened. There is no listing.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from inspectd.rules.behaviour import asked, saying
from inspectd.rules.draft import CraftError, FileSlice
from inspectd.rules.media_types import media_type
from inspectd.rules.paths import below

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.rules.draft import Call, Draft, Step

INDEX: Final = b"index.html"


def step(name: str, base: Path) -> Step:
    """The step that answers with a file of the folder `name` below `base`. Raises `CraftError`."""
    path = below("folder", name, base)
    try:
        root = path.resolve()
        there = root.is_dir()
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL in it, links that go in circles
        there = False
    if not there:
        raise CraftError(
            "folder", f"there is no folder {str(path)!r}", "Name a folder that this user can read."
        )

    def folder(call: Call, draft: Draft) -> Draft:
        if call.request.head.method not in {b"GET", b"HEAD"}:
            said = saying.in_words(draft, "405 Method Not Allowed")
            saying.add(said, b"Allow: GET, HEAD")
            return said
        path = asked_path(call)
        found = resolve(root, path)
        if found is None:
            return saying.in_words(draft, "404 Not Found")
        if found.is_dir():
            if not path.endswith(b"/") and path:
                return _to_folder(call, draft)
            found = resolve(root, path.rstrip(b"/") + b"/" + INDEX)
        return _file(found, draft)

    return folder


def asked_path(call: Call) -> bytes:
    """The part of the path that names a file, as it was sent: what `**` or `*` stood for, else all of it."""
    for wildcard in ("**", "*"):
        if wildcard in call.captured:
            return call.captured[wildcard].encode("utf-8", "surrogateescape")
    return asked.origin_form(call.request)[0]


def resolve(root: Path, path: bytes) -> Path | None:
    """The file or folder in `root` that a path names, links followed; None when there is none in it."""
    segments = [unquote_to_bytes(segment) for segment in path.strip(b"/").split(b"/") if path.strip(b"/")]
    if any(segment in {b"", b".", b".."} or b"/" in segment or b"\0" in segment for segment in segments):
        return None
    try:
        found = root.joinpath(*map(os.fsdecode, segments)).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    return found if found.is_relative_to(root) else None


def _file(path: Path | None, draft: Draft) -> Draft:
    """The draft with this file for its content; the rule's own status and fields stay."""
    if path is None:
        return saying.in_words(draft, "404 Not Found")
    try:
        state = path.stat()
        readable = os.access(path, os.R_OK)
    except OSError:
        return saying.in_words(draft, "404 Not Found")
    if not stat.S_ISREG(state.st_mode):
        return saying.in_words(draft, "404 Not Found")
    if not readable:
        return saying.in_words(draft, "403 Forbidden")
    draft.content = FileSlice(path, 0, state.st_size)
    if draft.get(b"content-type") is None and "content-type" in draft.auto:
        saying.add(draft, b"Content-Type: " + media_type(path).encode())
    return draft


def _to_folder(call: Call, draft: Draft) -> Draft:
    """A folder's address ends with a slash, or the links of its page would be relative to the wrong one."""
    said = saying.in_words(draft, "301 Moved Permanently")
    query = asked.origin_form(call.request)[1]
    location = asked.own_path(call.request) + b"/"
    saying.add(said, b"Location: " + location + (b"?" + asked.visible(query) if query else b""))
    return said
