"""From the table of an answer to a reply, which makes a program for each request.

Everything that can be wrong with a table is found here, when a rule is loaded, and all of it at once. A reply itself
never raises: what goes wrong only when a request comes (a file that is gone) becomes a 500 that says why.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import msgspec

from inspectd.errors import InspectdError
from inspectd.rules.answer import (
    AUTOMATIC,
    AnswerError,
    file_state,
    head_bytes,
    one_line,
    parse_status,
    read_slice,
)
from inspectd.rules.assemble import Finish, Stamp, status_label
from inspectd.rules.chunking import Chunking, ChunkingError
from inspectd.rules.codings import CodingError, Codings, compile_codings
from inspectd.rules.draft import CraftError, CraftProblems
from inspectd.rules.faults import PlaceError, compile_fault
from inspectd.rules.media_types import media_type
from inspectd.rules.paths import below
from inspectd.rules.program import Send, Wait
from inspectd.rules.replies import MirrorReply, RawReply, WordedReply, Words
from inspectd.rules.sequence import Reply
from inspectd.rules.tables import (
    AnswerTable,
    ChunkedTable,
    CodingTable,
    EventsTable,
    FaultTable,
    HoldTable,
    InterimTable,
    RawLine,
)
from inspectd.rules.timing import AT_ONCE, compile_timing
from inspectd.rules.units import UnitError, duration, hex_bytes, size, wire_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inspectd.rules.draft import Step
    from inspectd.rules.faults import Fault
    from inspectd.rules.mirror import Mirror
    from inspectd.rules.timing import Timing

__all__ = ["RULE_AUTOMATIC", "CraftError", "CraftProblems", "Reply", "compile_reply"]

_T = TypeVar("_T")
_P = ParamSpec("_P")

RULE_AUTOMATIC: Final = AUTOMATIC | {"transfer-encoding", "content-type"}
"""The fields that inspectd may add to the answer of a rule."""

LARGEST_HEAD: Final = 64 << 20
"""Bytes that one raw line may stand for."""

LARGEST_REPEATED: Final = 64 << 30
"""Bytes that a repeated body may have."""

_BODIES: Final[tuple[str, ...]] = ("body", "json", "body-file", "body-hex", "folder", "events", "websocket")
_WHOLE: Final[tuple[str, ...]] = ("raw", "raw-file", "raw-hex", "mirror", "proxy")
_WORDS: Final[tuple[str, ...]] = (
    "respond", "headers", *_BODIES, "body-repeat", "template", "auto", "interim", "coding", "chunked", "conditional",
    "redirect", "auth", "cookies", "cors", "poll",
)  # fmt: skip
_CONTENT_ONLY: Final[tuple[str, ...]] = ("coding", "chunked", "conditional", "redirect")
_BEHAVIOURS: Final[tuple[str, ...]] = (
    "template", "conditional", "redirect", "auth", "cookies", "cors", "folder", "events", "websocket", "poll",
)  # fmt: skip


def compile_reply(table: AnswerTable, *, base: Path, rule: str = "") -> Reply:
    """The reply that a table describes.

    Relative paths in it are below `base`. `rule` is the id of its rule, and becomes `Program.rule`. Raises
    `CraftProblems` with every problem of the table.
    """
    reader = TableReader(table, base, rule)
    reply = reader.reply()
    if reader.problems or reply is None:
        raise CraftProblems(reader.problems)
    return reply


class TableReader:
    """Reads one table and collects what is wrong with it."""

    def __init__(self, table: AnswerTable, base: Path, rule: str) -> None:
        self.table = table
        self.base = base
        self.rule = rule
        self.problems: list[CraftError] = []
        self.given = _given(table)

    def reply(self) -> Reply | None:
        """The reply, or None when there are problems."""
        self._contradictions()
        if any(key in self.given for key in _WHOLE):
            return self._whole()
        return self._worded()

    # -- problems

    def wrong(self, key: str, what: str, mend: str = "") -> None:
        """Note a problem."""
        self.problems.append(CraftError(key, what, mend))

    def understood(
        self, key: str, default: _T, read: Callable[_P, _T], *given: _P.args, **options: _P.kwargs
    ) -> _T:
        """What `read` makes of what is given, or `default` when it raises, which is noted."""
        try:
            return read(*given, **options)
        except CraftProblems as problems:
            self.problems += problems.problems
        except CraftError as problem:
            self.problems.append(problem)
        except InspectdError as problem:
            self.wrong(key, problem.what, problem.mend)
        return default

    def _contradictions(self) -> None:
        given = self.given
        whole = [key for key in _WHOLE if key in given]
        if "proxy" not in given:
            for key in ("patch", "proxy-host"):
                if key in given:
                    self.wrong(
                        key, "no server is asked", 'Say which: proxy = true, or proxy = "http://HOST:PORT".'
                    )
        for key in whole[1:]:
            self.wrong(key, f"{whole[0]!r} is the whole answer already", "Keep one of them.")
        if whole:
            for key in (key for key in _WORDS if key in given):
                into = "patch" if whole[0] == "proxy" else whole[0]
                self.wrong(
                    key,
                    f"{whole[0]!r} is the whole answer: {key!r} has no place in it",
                    f"Write it into {into!r}, or take one of the two out.",
                )
            return
        bodies = [key for key in _BODIES if key in given]
        for key in bodies[1:]:
            self.wrong(key, f"{bodies[0]!r} is the content already", "Keep one of them.")
        if "redirect" in given and "respond" in given:
            self.wrong(
                "respond",
                "'redirect' has a status of its own",
                "Write redirect = { to = ..., status = ... }.",
            )
        if "websocket" in given:
            for key in (key for key in _CONTENT_ONLY if key in given):
                self.wrong(key, f"a WebSocket has no content for {key!r}", "Take one of the two out.")
        if "body-repeat" in given and "body" not in given:
            self.wrong("body-repeat", "there is no 'body' to repeat", "Give 'body' as well.")
        elif (
            len((self.table.body or "").encode(errors="replace")) * self.table.body_repeat > LARGEST_REPEATED
        ):
            self.wrong("body-repeat", "a body of more than 64 GiB", "Repeat it less often.")
        for key in ("template", "conditional"):
            if "body-repeat" in given and key in given:
                self.wrong(
                    "body-repeat", f"a repeated body can't be used with {key!r}", "Take one of them out."
                )

    # -- parts of all answers

    def _finish(self, label: str) -> Finish:
        table = self.table
        hold: float | None = None
        if isinstance(table.hold, HoldTable):
            hold = self.understood("hold.timeout", 0.0, duration, table.hold.timeout)
        elif table.hold:
            hold = duration(HoldTable().timeout)
        return Finish(
            Stamp(label, self.rule, hold),
            timing=self._timing(),
            faults=self._faults(),
            closes=table.close,
        )

    def _timing(self) -> Timing:
        if self.table.pace is None:
            return AT_ONCE
        timing, problems = compile_timing(self.table.pace)
        for key, problem in problems:
            self.wrong(f"pace.{key}", problem.what, problem.mend)
        return timing

    def _faults(self) -> tuple[Fault, ...]:
        given = self.table.fault
        if given is None:
            return ()
        found: list[Fault] = []
        for index, table in enumerate((given,) if isinstance(given, FaultTable) else given):
            where = "fault" if isinstance(given, FaultTable) else f"fault[{index}]"
            fault, problems = compile_fault(table)
            for key, problem in problems:
                self.wrong(f"{where}.{key}", problem.what, problem.mend)
            if fault is None:
                continue
            if fault.place.part == "chunk" and not (self.table.chunked or self.table.proxy):
                self.wrong(f"{where}.at", "this answer has no chunks", "Add chunked = true.")
            if fault.place.percent and self._endless and fault.place.part in {"body+", "all+"}:
                self.wrong(
                    f"{where}.at",
                    f"{fault.place.text!r} is a share of an answer that never ends",
                    'Count bytes: write "byte 100" or "body+100".',
                )
            if fault.place.part == "body" and self._endless:
                self.wrong(
                    f"{where}.at",
                    "'body' is the end of an answer that never ends",
                    'Count bytes: write "byte 100" or "body+100".',
                )
            found.append(fault)
        return tuple(found)

    @property
    def _endless(self) -> bool:
        events = self.table.events
        talks = self.table.websocket is not None
        return talks or (isinstance(events, EventsTable) and (events.repeat or not events.close))

    def path(self, key: str, text: str) -> Path | None:
        """An ordinary file. A relative one is below the folder of the rules."""

        def read() -> Path:
            path = below(key, text, self.base)
            read_slice(path, 0, min(file_state(path)[1], 1))
            return path

        return self.understood(key, None, read)

    # -- answers that are given as a whole

    def _whole(self) -> Reply | None:
        table = self.table
        if table.proxy:
            from inspectd.rules.pass_craft import pass_reply

            return pass_reply(self, self._finish)
        if table.mirror:
            finish = self._finish("mirror")
            return None if self.problems else MirrorReply(_the_mirror(), finish)
        raw: bytes | Path | None
        if table.raw is not None:
            raw = self.understood("raw", b"", wire_bytes, table.raw)
        elif table.raw_hex is not None:
            raw = self.understood("raw-hex", b"", hex_bytes, table.raw_hex)
        else:
            raw = self.path("raw-file", table.raw_file or "")
        label = f"raw {raw.name}" if isinstance(raw, Path) else f"raw {len(raw or b'')} bytes"
        finish = self._finish(label)
        if self.problems or raw is None:
            return None
        reply = RawReply(raw, finish)
        self._try(reply)
        return None if self.problems else reply

    # -- answers made of words

    def _worded(self) -> Reply | None:
        table = self.table
        status_line = b"HTTP/1.1 200 OK"
        fields: tuple[bytes, ...] = ()
        content: bytes | Path | None = b""
        if not table.template:  # its step reads the words by itself
            respond = "200 OK" if table.respond is None else table.respond
            status_line = self.status_line("respond", respond)
            fields = self.lines("headers", table.headers)
            content = self._content()
        finish = replace(
            self._finish(self._label(status_line)),
            coding=self._coding(),
            chunking=self._chunking(),
            interim=self._interim(),
            content_type=self._content_type(),
            repeat=table.body_repeat,
        )
        steps = self._steps()
        if self.problems or content is None:
            return None
        auto = RULE_AUTOMATIC if table.auto is None else frozenset(table.auto)
        reply = WordedReply(Words(status_line, fields, auto, content), steps, finish)
        if not steps:
            self._try(reply)
        return None if self.problems else reply

    def _label(self, status_line: bytes) -> str:
        table = self.table
        if table.redirect is not None:
            return f"redirect to {table.redirect if isinstance(table.redirect, str) else table.redirect.to}"
        if table.folder is not None:
            return f"folder {table.folder}"
        if table.template and table.respond is not None:
            return table.respond
        if table.websocket is not None:
            return "websocket echo" if table.websocket.echo else "websocket"
        return "events" if table.events is not None else status_label(status_line)

    def _try(self, reply: WordedReply | RawReply) -> None:
        """Make the answer once: what can't be sent is said now, and dear codings are put on before a client waits."""
        try:
            reply.try_out()
        except CodingError as problem:
            self.wrong("coding", problem.what, problem.mend)
        except ChunkingError as problem:
            self.wrong("chunked.sizes", problem.what, problem.mend)
        except PlaceError as problem:
            self.wrong("fault.at", problem.what, problem.mend)
        except InspectdError as problem:
            self.wrong("body-file" if "body-file" in self.given else "raw-file", problem.what, problem.mend)

    def _steps(self) -> list[Step]:
        if not any(key in self.given for key in _BEHAVIOURS):
            return []
        from inspectd.rules import behaviour

        return self.understood("behaviour", [], behaviour.steps, self.table, base=self.base)

    def _content(self) -> bytes | Path | None:
        table = self.table
        if table.body is not None:
            return self.text("body", table.body)
        if table.json is not msgspec.UNSET:
            return self.understood("json", b"", json_bytes, table.json)
        if table.body_file is not None:
            return self.path("body-file", table.body_file)
        if table.body_hex is not None:
            return self.understood("body-hex", b"", hex_bytes, table.body_hex)
        return b""

    def _content_type(self) -> str:
        table = self.table
        if table.body is not None:
            return "text/plain; charset=utf-8"
        if table.json is not msgspec.UNSET:
            return "application/json"
        return media_type(Path(table.body_file)) if table.body_file is not None else ""

    def line(self, key: str, text: str) -> bytes:
        """The bytes of one line."""
        return self.understood(key, b"", _line, text)

    def status_line(self, key: str, text: str) -> bytes:
        """The status line that a person means."""
        return self.understood(key, b"", _status, text)

    def text(self, key: str, text: str) -> bytes:
        """A text as UTF-8."""
        return self.understood(key, b"", _utf8, text)

    def json(self, key: str, value: object) -> bytes:
        """A value as JSON."""
        return self.understood(key, b"", json_bytes, value)

    def lines(self, key: str, lines: Iterable[str | RawLine]) -> tuple[bytes, ...]:
        """The bytes of field lines."""
        found: list[bytes] = []
        for index, line in enumerate(lines):
            where = f"{key}[{index}]"
            if isinstance(line, RawLine):
                found += self.understood(where, [], _raw_line, line)
            else:
                found.append(self.understood(where, b"", _line, line))
        return tuple(found)

    def _interim(self) -> tuple[Send | Wait, ...]:
        ops: list[Send | Wait] = []
        for index, given in enumerate(self.table.interim):
            table = InterimTable(respond=given) if isinstance(given, str) else given
            where = f"interim[{index}]"
            key = where if isinstance(given, str) else f"{where}.respond"
            line = self.understood(key, b"", _status, table.respond)
            fields = self.lines(f"{where}.headers", table.headers)
            after = self.understood(f"{where}.after", 0.0, duration, table.after)
            once: list[Send | Wait] = [Wait(after)] if after else []
            ops += [*once, Send(head_bytes(line, fields))] * table.times
        return tuple(ops)

    def _chunking(self) -> Chunking | None:
        given = self.table.chunked
        if not given:
            return None
        table = ChunkedTable() if given is True else given
        return Chunking(
            sizes=table.sizes or (),
            extension=self.understood("chunked.extension", b"", wire_bytes, table.extension),
            trailers=self.lines("chunked.trailers", table.trailers),
            size_lines=tuple(
                self.understood(f"chunked.size-lines[{index}]", b"", wire_bytes, line)
                for index, line in enumerate(table.size_lines)
            ),
            line_end=self.understood("chunked.line-end", b"", wire_bytes, table.line_end),
            last=table.last,
        )

    def _coding(self) -> Codings | None:
        given = self.table.coding
        if given is None:
            return None
        if isinstance(given, CodingTable):
            table = given
        else:
            table = CodingTable(apply=(given,) if isinstance(given, str) else tuple(given))
        return self.understood("coding", None, compile_codings, table)


def _given(table: AnswerTable) -> frozenset[str]:
    """The keys of a table that say something other than their default."""
    found: set[str] = set()
    for name, key, default in _keys():
        value = getattr(table, name)
        if value is not default and (value != default or type(value) is not type(default)):
            found.add(key)
    return frozenset(found)


@cache
def _keys() -> tuple[tuple[str, str, object], ...]:
    return tuple(
        (field.name, field.encode_name, field.default) for field in msgspec.structs.fields(AnswerTable)
    )


def _the_mirror() -> Mirror:
    from inspectd.rules.mirror import Mirror

    mirror = Mirror()
    mirror.warm()
    return mirror


def _status(text: str) -> bytes:
    try:
        return parse_status(text)
    except AnswerError as problem:
        raise AnswerError(
            problem.what, f"{problem.mend} For a line that is nothing like that, give the answer as 'raw'."
        ) from None


def _line(text: str) -> bytes:
    try:
        return one_line(text, "header")
    except AnswerError as problem:
        raise AnswerError(problem.what, 'Take it out, or write the line as { raw = "..." }.') from None


def _raw_line(line: RawLine) -> list[bytes]:
    data = wire_bytes(line.raw)
    length = size(line.length)
    if max(length, len(data)) * line.times > LARGEST_HEAD:
        raise UnitError("these lines are more than 64 MiB", "Take fewer or shorter ones.")
    return [data.ljust(length, b"a")] * line.times


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UnitError("a lone surrogate is no text", "Write bytes as 'body-hex'.") from None


def json_bytes(value: object) -> bytes:
    """A value as JSON. Raises `UnitError`."""
    try:
        if _has_no_number(value):
            raise UnitError("JSON has neither NaN nor infinity", "Write such a body as text, in 'body'.")
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as problem:
        raise UnitError(f"this can't be written as JSON: {problem}") from None


def _has_no_number(value: object) -> bool:
    """Whether there is a float in it that is no number."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_no_number, value.values()))
    return isinstance(value, list) and any(map(_has_no_number, value))
