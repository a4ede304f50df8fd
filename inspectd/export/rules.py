"""A capture as a rule file: each recorded request a rule, each recorded answer its very bytes.

The same request answered differently becomes a rule with `each`, in the order of the recording. Answers that differ in
nothing but Date count as the same. Short answers stand in the file, as text where they are text; longer ones lie in a
folder beside it, under names made from ids and from nothing that came over the wire.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec import structs

from inspectd.errors import InspectdError
from inspectd.export.likeness import USUAL, Asked, match_for, surroundings, told_apart
from inspectd.export.recorded import HEADS, LeftOut, Recorded, answer_bytes, recorded
from inspectd.export.redact import Found
from inspectd.rules.file import LARGEST
from inspectd.rules.tables import AnswerTable, FaultTable, MatchTable, PaceTable, RuleTable
from inspectd.rules.units import UnitError, wire_bytes
from inspectd.rules.writing import to_toml
from inspectd.text.safe import safe
from inspectd.wire.head import head_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.export.likeness import Likeness
    from inspectd.export.redact import Redaction

LONGEST_TEXT: Final = 4096
LONGEST_HEX: Final = 256
"""Bytes of an answer that stands in the file, as text and as hexadecimal digits."""
WITHOUT_FILES: Final = 1 << 20
"""Bytes of an answer that stands in the file when there is no folder beside it."""
REDACTED: Final = 1 << 20
"""Bytes of an answer that are redacted as a whole; of a longer one its heads are."""

_SHORTEST_WAIT: Final = 1_000_000  # ns; less than that is no delay but the time it takes
_NAMED: Final = 10
_DATE: Final = re.compile(rb"(?im)^date[ \t]*:[^\r\n]*\r?\n")
_NOT_ASCII: Final = re.compile(r"[^\n -~]")


@dataclass(slots=True)
class RuleFile:
    """What came of it."""

    text: str = ""
    rules: int = 0
    exchanges: int = 0
    files: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    found: Found = field(default_factory=Found)
    """Credentials in what was written: redacted ones when that was asked for."""


class RuleWriter:
    """Makes one rule file. `folder` is where long answers go, as a path beside the file; None: into the file."""

    def __init__(
        self,
        capture: Capture,
        *,
        like: Likeness = USUAL,
        folder: Path | None = None,
        timing: bool = False,
        redaction: Redaction | None = None,
        watch: Redaction | None = None,
    ) -> None:
        self._capture = capture
        self._like = like
        self._folder = folder
        self._timing = timing
        self._redaction = redaction
        self._watch = redaction or watch
        self._names: dict[bytes, str] = {}
        self._made = RuleFile()

    def write(self, rows: Iterable[ExchangeRow]) -> RuleFile:
        """The rules for these exchanges. Raises `InspectdError` when there is none, or too much for a file."""
        made = self._made
        found = list(recorded(self._capture, rows, self._like, made.left_out, self._redaction))
        around = surroundings(one.asked for one in found)
        groups: dict[Asked, list[Recorded]] = {}
        for one in found:
            groups.setdefault(told_apart(one.asked, around), []).append(one)
        ordered: list[tuple[int, RuleTable]] = []
        for asked, answers in groups.items():
            match, general = match_for(asked, around, self._redaction)
            self._note_query(asked)
            ordered.append((general, self._rule(match, answers)))
        ordered.sort(key=lambda rule: rule[0])
        if not ordered:
            why = made.left_out.sentence
            raise InspectdError(
                f"{self._capture.path}: nothing to make a rule of{': ' + why if why else ''}",
                f"inspectd list {self._capture.path}",
            )
        made.rules, made.exchanges = len(ordered), len(found)
        made.text = self._heading() + _shown(to_toml([table for _, table in ordered]))
        if len(made.text.encode()) > LARGEST:
            raise InspectdError(
                f"these rules are more than the {LARGEST >> 20} MiB that a rule file may have",
                "Choose fewer exchanges"
                + (", or write to a file: long answers then lie beside it." if self._folder is None else "."),
            )
        return made

    def _heading(self) -> str:
        name = safe(self._capture.path.name)
        made = self._made
        return (
            f"# {name}: {counted(made.exchanges, 'recorded answer')} as {counted(made.rules, 'rule')},"
            " byte for byte.\n# Serve them: inspectd --rules FILE. A path that ends with ? is asked for without a"
            " query.\n\n"
        )

    def _note_query(self, asked: Asked) -> None:
        if self._watch is not None and self._redaction is None and asked.query:
            self._watch.target(b"?" + asked.query, self._made.found)

    # -- rules

    def _rule(self, match: str | MatchTable, answers: list[Recorded]) -> RuleTable:
        distinct = {self._digest(one) for one in answers} if len(answers) > 1 else {b""}
        ids = [str(one.id) for one in answers]
        more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
        about = f"exchange{'s' * (len(ids) > 1)} {', '.join(ids[:_NAMED])}{more}"
        when = "head" if all(one.early for one in answers) and not self._like.wants_content else "request"
        if len(distinct) == 1:
            table = self._answer(answers[0])
            names = AnswerTable.__struct_fields__
            own = {name: getattr(table, name) for name in names}
            return RuleTable(match=match, about=about, when=when, **own)
        each = tuple(self._answer(one) for one in answers)
        return RuleTable(match=match, about=about, when=when, each=each)

    def _answer(self, one: Recorded) -> AnswerTable:
        faults: FaultTable | None = None
        if one.ending in {"reset", "stall"}:
            place = f"byte {one.length}" if one.length else "start"
            faults = FaultTable(do="reset" if one.ending == "reset" else "stall", at=place)
        pace = None
        if self._timing and one.wait_ns >= _SHORTEST_WAIT:
            pace = PaceTable(before=f"{one.wait_ns // 1_000_000}ms")
        return structs.replace(self._raw(one), fault=faults, pace=pace, close=one.ending == "close")

    def _raw(self, one: Recorded) -> AnswerTable:
        """The bytes of an answer and nothing else."""
        if one.length <= (LONGEST_TEXT if self._folder is not None else WITHOUT_FILES):
            data = b"".join(self._bytes(one))
            text = as_text(data)
            if text is not None:
                return AnswerTable(raw=text)
            if len(data) <= LONGEST_HEX or self._folder is None:
                return AnswerTable(raw_hex=data.hex(" "))
        if self._folder is None:
            raise InspectdError(
                f"the answer of exchange {one.id} has {one.length:,} bytes, too many to stand in a rule file",
                "Write to a file: -o rules.toml. Long answers then lie in a folder beside it.",
            )
        return AnswerTable(raw_file=self._file(one))

    def _file(self, one: Recorded) -> str:
        """The name of the file that holds an answer, from the folder of the rule file on."""
        assert self._folder is not None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{one.id}.http"
        digest = blake2b(digest_size=32)
        with open(path, "wb", opener=private) as file:
            for piece in self._bytes(one):
                digest.update(piece)
                file.write(piece)
        same = self._names.get(digest.digest())
        if same is not None:
            path.unlink()
            return same
        self._made.files += 1
        name = f"{self._folder.name}/{path.name}"
        self._names[digest.digest()] = name
        return name

    # -- bytes

    def _bytes(self, one: Recorded) -> Iterator[bytes]:
        """The bytes that leave, redacted where that was asked for; credentials in them are noted."""
        if self._watch is None:
            yield from answer_bytes(self._capture, one)
            return
        whole = one.length <= REDACTED
        limit = one.length if whole else HEADS
        pieces = self._capture.iter_response_bytes(one.id, offset=one.skip, limit=limit)
        first = b"".join(pieces)
        asked = Found()
        head = self._capture.request_bytes(one.id, limit=HEADS)
        self._watch.message(head, "request", asked)
        redacted = self._watch.message(first, "response", self._made.found, known=asked.secrets)
        yield redacted if self._redaction is not None else first
        if not whole:
            self._made.found.unsearched[f"of more than {REDACTED >> 20} MiB"] += 1
            yield from self._capture.iter_response_bytes(one.id, offset=one.skip + limit)

    def _digest(self, one: Recorded) -> bytes:
        """A number for an answer and how it ends, the same for answers that differ in nothing but Date."""
        digest = blake2b(one.ending.encode() + b"\0", digest_size=32)
        first = True
        for piece in answer_bytes(self._capture, one):
            if first:
                end = head_end(piece, 0) or 0
                piece = _DATE.sub(b"", piece[:end]) + piece[end:]
                first = False
            digest.update(piece)
        return digest.digest()


def private(path: str, flags: int) -> int:
    """An opener for files that only this user may read, as captures are."""
    return os.open(path, flags, 0o600)


def as_text(data: bytes) -> str | None:
    """Text that stands for these bytes in `raw` and can be read; None when there is none."""
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character in "\r\n\t" for character in decoded):
        return None
    # Up to U+00FF a character is a byte, beyond that it is itself.
    text = "".join(
        character if character < "\x80" or character > "\xff" else character.encode().decode("latin-1")
        for character in decoded
    )
    try:
        return text if wire_bytes(text) == data else None
    except UnitError:
        return None


def _shown(text: str) -> str:
    """The same TOML for a terminal: what it could obey stands in strings only, where it can be escaped."""
    return _NOT_ASCII.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"


def counted(count: int, word: str) -> str:
    """`1 rule`, `1,000 rules`."""
    return f"{count:,} {word}{'s' * (count != 1)}"
