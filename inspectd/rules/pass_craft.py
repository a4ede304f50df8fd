"""From the keys `proxy` and `patch` of an answer to the reply that leaves it to a server.

Everything that can be wrong with them is found when the rule is loaded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from inspectd.rules.answer import file_state
from inspectd.rules.patch import HeadPatch, Patch, Replacement, field_name, name_glob
from inspectd.rules.replies import PassReply
from inspectd.rules.tables import PaceTable, RequestPatchTable
from inspectd.rules.units import UnitError, hex_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.rules.assemble import Finish
    from inspectd.rules.craft import TableReader
    from inspectd.rules.faults import Fault
    from inspectd.rules.tables import PatchTable

LARGEST: Final = 64 << 20
"""Bytes that the content of a patch may have."""

_SERVER: Final = re.compile(r"(?i:https?)://(?:[^\s/?#@\[\]:]+|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?/?")
_LENGTH_KNOWN: Final = frozenset({"status-line+", "head+"})
_HOLE: Final = "this would be asked of an answer that is only passed on"


def pass_reply(reader: TableReader, finish: Callable[[str], Finish]) -> PassReply | None:
    """The reply of a table that has `proxy`; None when there are problems, which the reader has noted."""
    table = reader.table
    origin = table.proxy if isinstance(table.proxy, str) else None
    if origin is not None and not _SERVER.fullmatch(origin):
        reader.wrong(
            "proxy",
            f"not the address of a server: {origin!r}",
            'Write proxy = "http://localhost:3000" (paths go there as clients ask for them), or proxy = true.',
        )
    host = None
    if table.proxy_host is not None:
        host = reader.line("proxy-host", table.proxy_host)
    patch = _patch(reader, table.patch) if table.patch is not None else None
    label = "proxy" if origin is None else f"proxy {origin}"
    made = finish(f"{label}, patched" if patch is not None else label)
    _sending(reader, made)
    if reader.problems:
        return None
    return PassReply(origin.removesuffix("/") if origin is not None else None, host, patch, made)


def _sending(reader: TableReader, finish: Finish) -> None:
    """What of `pace` and `fault` an answer can't have that comes from somewhere else."""
    pace = reader.table.pace
    if pace is not None:
        for key in ("head", "body", "all", "jitter", "seed"):
            if getattr(pace, key) != getattr(_AT_ONCE, key):
                reader.wrong(
                    f"pace.{key}",
                    f"{_HOLE}: it leaves as the server sends it",
                    "Only 'before' can be said of it.",
                )
    single = not isinstance(reader.table.fault, tuple)
    for index, fault in enumerate(finish.faults):
        where = "fault" if single else f"fault[{index}]"
        for key, what, mend in _fault(fault):
            reader.wrong(f"{where}.{key}", what, mend)


def _fault(fault: Fault) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    place = fault.place
    if place.part == "chunk":
        found.append(("at", "the chunks of a server's answer aren't counted", 'Count bytes: "body+100".'))
    elif place.percent and place.part not in _LENGTH_KNOWN:
        what = f"{place.text!r} is a share of an answer whose length nobody knows"
        found.append(("at", what, 'Count bytes: write "byte 100" or "body+100".'))
    if fault.per_connection:
        found.append(("per", f"'connection' can't be counted: {_HOLE}", 'Take it out: per = "response".'))
    if fault.do == "garbage" and fault.after:
        found.append(("after", f"garbage can't come late: {_HOLE}", "Take it out."))
    return found


def _patch(reader: TableReader, table: PatchTable) -> Patch:
    start_line = None if table.respond is None else reader.status_line("patch.respond", table.respond)
    body, content_type = _body(reader, table)
    if table.replace and body is not None:
        reader.wrong("patch.replace", "the content is another one already", "Keep one of them.")
    asked = table.request or RequestPatchTable()
    target = None
    if asked.target is not None:
        target = reader.line("patch.request.target", asked.target)
        if not target or re.search(rb"[\s]", target):
            reader.wrong(
                "patch.request.target",
                "white space, or nothing at all, is no request target",
                'Write it as "/path?query", with %20 for a space.',
            )
    patch = Patch(
        HeadPatch(
            start_line,
            None,
            _set(reader, "patch.set", reader.lines("patch.set", table.set)),
            _globs(reader, "patch.remove", table.remove),
            reader.lines("patch.headers", table.headers),
        ),
        body,
        content_type,
        tuple(Replacement(item.find, item.instead) for item in table.replace),
        HeadPatch(
            None,
            target,
            _set(reader, "patch.request.set", reader.lines("patch.request.set", asked.set)),
            _globs(reader, "patch.request.remove", asked.remove),
            reader.lines("patch.request.headers", asked.headers),
        ),
    )
    if not patch.of_response and not patch.request and not reader.problems:
        reader.wrong(
            "patch", "it changes nothing", 'Say what: patch = { set = ["Cache-Control: no-store"] }.'
        )
    return patch


def _set(reader: TableReader, key: str, lines: tuple[bytes, ...]) -> tuple[bytes, ...]:
    for index, line in enumerate(lines):
        if b":" not in line or not field_name(line):
            reader.wrong(f"{key}[{index}]", "no name before a colon", 'Write it as "Name: value".')
    return lines


def _globs(reader: TableReader, key: str, names: tuple[str, ...]) -> tuple[re.Pattern[bytes], ...]:
    for index, name in enumerate(names):
        if not name.strip() or ":" in name:
            reader.wrong(
                f"{key}[{index}]", f"not the name of a field: {name!r}", 'Write a name alone: "Set-Cookie".'
            )
    return tuple(name_glob(name.strip()) for name in names)


def _body(reader: TableReader, table: PatchTable) -> tuple[bytes | Path | None, bytes | None]:
    bodies = [
        key
        for key, given in (
            ("body", table.body is not None),
            ("json", table.json is not msgspec.UNSET),
            ("body-file", table.body_file is not None),
            ("body-hex", table.body_hex is not None),
        )
        if given
    ]
    for key in bodies[1:]:
        reader.wrong(f"patch.{key}", f"{bodies[0]!r} is the content already", "Keep one of them.")
    if table.body is not None:
        return reader.text("patch.body", table.body), None
    if table.json is not msgspec.UNSET:
        return reader.json("patch.json", table.json), b"application/json"
    if table.body_hex is not None:
        return reader.understood("patch.body-hex", b"", hex_bytes, table.body_hex), None
    if table.body_file is None:
        return None, None
    path = reader.path("patch.body-file", table.body_file)
    if path is not None:
        reader.understood("patch.body-file", None, _small, path)
    return path, None


def _small(path: Path) -> None:
    if file_state(path)[1] > LARGEST:
        raise UnitError("a file of more than 64 MiB", "The content of a patch is kept in memory.")


_AT_ONCE: Final = PaceTable()
