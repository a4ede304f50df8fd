"""What is changed of a message that passes through, compiled when its rule is loaded.

Bytes that no change is about stay as they are: order, white space, folds and line ends of other fields survive.
The names of fields are compared without their case (RFC 9110 §5.1).
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from inspectd.wire.head import read_head

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from inspectd.wire.head import Field, Head
    from inspectd.wire.span import Kind

Change: TypeAlias = dict[str, str | None]
"""One change of a message: `what` it is, what it was (`from`) and what it became (`to`), one character a byte."""


@dataclass(frozen=True, slots=True)
class HeadPatch:
    """What is changed of a head. Lines stand without their line ends.

    `start_line` goes instead of the whole first line, `target` only instead of the request target. Each line of `set`
    goes instead of the first field of its name; further ones of the name go, and where there is none it is added.
    Then go the fields whose names match one of `remove`, and `append` is added at the end.
    """

    start_line: bytes | None = None
    target: bytes | None = None
    set: tuple[bytes, ...] = ()
    remove: tuple[re.Pattern[bytes], ...] = ()
    append: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(
            self.start_line is not None or self.target is not None or self.set or self.remove or self.append
        )


class Replacement(NamedTuple):
    """Words to find in a text, and what stands there instead."""

    find: str
    instead: str


@dataclass(frozen=True, slots=True)
class Patch:
    """What is changed of a response, and of the request before it.

    `body` is other content, or the file that has it; `content_type` its Content-Type where it has one of its own.
    """

    head: HeadPatch = HeadPatch()
    body: bytes | Path | None = None
    content_type: bytes | None = None
    replace: tuple[Replacement, ...] = ()
    request: HeadPatch = HeadPatch()

    @property
    def of_response(self) -> bool:
        """Whether anything of the response is changed."""
        return bool(self.head) or self.body is not None or bool(self.replace)

    @property
    def sentence(self) -> str:
        """What is changed, in a few words. Not yet safe for a terminal."""
        return "; ".join(_said(self))


def _said(patch: Patch) -> Iterable[str]:
    head, request = patch.head, patch.request
    if head.start_line is not None:
        yield head.start_line.decode("utf-8", "backslashreplace")
    yield from _fields_said(head, "")
    if patch.body is not None:
        yield (
            f"{len(patch.body):,} bytes of other content"
            if isinstance(patch.body, bytes)
            else f"the content of {patch.body}"
        )
    yield from (f"{change.find!r} becomes {change.instead!r}" for change in patch.replace)
    if request.target is not None:
        yield f"the request's target is {request.target.decode('utf-8', 'backslashreplace')}"
    yield from _fields_said(request, " of the request")


def _fields_said(head: HeadPatch, of: str) -> Iterable[str]:
    for verb, lines in (("set", head.set), ("added", head.append)):
        yield from (f"{verb}{of} {line.decode('utf-8', 'backslashreplace')}" for line in lines)
    yield from (f"removed{of} {shown_glob(glob)}" for glob in head.remove)


def name_glob(text: str) -> re.Pattern[bytes]:
    """Matches the names of fields, in any case. Raises `re.error` for nothing that is text."""
    return re.compile(fnmatch.translate(text).encode("utf-8", "replace"), re.IGNORECASE)


def shown_glob(glob: re.Pattern[bytes]) -> str:
    """A pattern of `name_glob` as a person would write it, near enough."""
    text = glob.pattern.decode("utf-8", "replace").removeprefix("(?s:").removesuffix(")\\Z")
    return text.replace(".*", "*").replace("\\-", "-")


def field_name(line: bytes) -> bytes:
    """The name of a field line, in lower case."""
    return line.partition(b":")[0].strip(b" \t").lower()


def field_value(line: bytes) -> bytes:
    """The value of a field line."""
    return line.partition(b":")[2].strip(b" \t")


class _Edit(NamedTuple):
    start: int
    end: int
    new: bytes


def patch_head(raw: bytes, kind: Kind, patch: HeadPatch) -> tuple[bytes, list[Change]]:
    """The head with its changes, and which they are. A head that isn't complete stays as it is."""
    head = read_head(raw, 0, kind)
    if not patch or not head.complete:
        return raw, []
    line_end = b"\r\n" if raw[head.start_line[1] : head.start_line[1] + 1] == b"\r" else b"\n"
    edits: list[_Edit] = []
    changes: list[Change] = []
    _start_line(raw, head, patch, kind, edits, changes)
    added = _fields(raw, head, patch, edits, changes)
    for line in patch.append:
        added.append(line)
        changes.append(change(field_name(line), None, field_value(line), line))
    end = len(raw) - (2 if raw.endswith(b"\r\n") else 1)
    edits.append(_Edit(end, end, b"".join(line + line_end for line in added)))
    return _edited(raw, edits), changes


def _start_line(
    raw: bytes, head: Head, patch: HeadPatch, kind: Kind, edits: list[_Edit], changes: list[Change]
) -> None:
    start, end = head.start_line
    if patch.start_line is not None and raw[start:end] != patch.start_line:
        what = "status line" if kind == "response" else "request line"
        changes.append(change(what, raw[start:end], patch.start_line))
        edits.append(_Edit(start, end, patch.start_line))
    elif patch.target is not None and head.target is not None and head.text(head.target) != patch.target:
        changes.append(change("target", head.text(head.target), patch.target))
        edits.append(_Edit(*head.target, patch.target))


def _fields(
    raw: bytes, head: Head, patch: HeadPatch, edits: list[_Edit], changes: list[Change]
) -> list[bytes]:
    """Change the fields that are there; the lines to add because there is none of their name."""
    wanted: dict[bytes, bytes] = {}
    added: list[bytes] = []
    for line in patch.set:
        name = field_name(line)
        if name in wanted:
            added.append(line)  # two lines of a name: the first one replaces, the second one is added
        else:
            wanted[name] = line
    seen: set[bytes] = set()
    for field in head.fields:
        name = field.name_bytes.lower()
        if name in wanted:
            if name in seen:
                _remove(field, edits, changes)
            else:
                _replace(raw, field, wanted[name], edits, changes)
            seen.add(name)
        elif any(glob.match(field.name_bytes) for glob in patch.remove):
            _remove(field, edits, changes)
    missing = [line for name, line in wanted.items() if name not in seen]
    added = [*missing, *added]
    changes += [change(field_name(line), None, field_value(line), line) for line in added]
    return added


def _replace(raw: bytes, field: Field, line: bytes, edits: list[_Edit], changes: list[Change]) -> None:
    end = field.end
    for line_end in (b"\r\n", b"\n"):
        if raw.endswith(line_end, field.start, end):
            end -= len(line_end)
            break
    if raw[field.start : end] == line:
        return
    edits.append(_Edit(field.start, end, line))
    changes.append(change(field.name_bytes, field.value_bytes, field_value(line)))


def _remove(field: Field, edits: list[_Edit], changes: list[Change]) -> None:
    edits.append(_Edit(field.start, field.end, b""))
    changes.append(change(field.name_bytes, field.value_bytes, None))


def _edited(raw: bytes, edits: Iterable[_Edit]) -> bytes:
    """The bytes with these changes, in order of their places; none of them overlap."""
    out: list[bytes] = []
    at = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        out += [raw[at : edit.start], edit.new]
        at = edit.end
    return b"".join([*out, raw[at:]])


def change(what: bytes | str, before: bytes | None, after: bytes | None, line: bytes | None = None) -> Change:
    """One change, as text. With its `line`, a field is named in the case it is written in."""
    if line is not None:
        what = line.partition(b":")[0].strip(b" \t")
    return {
        "what": what.decode("latin-1") if isinstance(what, bytes) else what,
        "from": None if before is None else before.decode("latin-1"),
        "to": None if after is None else after.decode("latin-1"),
    }
