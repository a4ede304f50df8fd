"""Rule files: TOML in, compiled rules out, or everything that is wrong with them, each thing on its line.

`tomllib` is the judge of the syntax, `tables` of what may stand there (`shape` compares), `rule` of what it means. A
file is never half loaded, and nothing in one leads to a traceback: not what it says, not its size, not its nesting.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inspectd.errors import InspectdError
from inspectd.rules.locate import locate, longest_key
from inspectd.rules.problems import KeyProblem, RuleProblems, written
from inspectd.rules.rule import Rule, make_rule
from inspectd.rules.schema import schema
from inspectd.rules.shape import fit
from inspectd.rules.syntax import explained
from inspectd.rules.tables import AcceptTable, FileTable, RuleTable, TlsTable
from inspectd.rules.units import UnitError, duration
from inspectd.rules.writing import to_toml
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inspectd.rules.locate import Position
    from inspectd.rules.problems import KeyPath

__all__ = [
    "LoadedFile",
    "Problem",
    "RuleFileError",
    "load_file",
    "load_tables",
    "load_text",
    "schema",
    "to_toml",
]

LARGEST: Final = 16 << 20
"""Bytes of a rule file. Larger bodies belong into files of their own."""

LONGEST_KEY: Final = 1000
"""Names in a dotted key. `tomllib` takes memory with the square of them."""

SHOWN: Final = 50
"""So many problems are printed; all are in `RuleFileError.problems`."""

_PLACE: Final = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)\Z")
_NESTED: Final = KeyProblem((), "nested too deeply", "A rule needs a handful of levels.")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file: where, what, and how to mend it, all in safe text.

    `line` and `column` are from 1; None where there is no text with lines, or the place isn't known.
    """

    path: str
    line: int | None
    column: int | None
    key: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        place = "".join(f":{number}" for number in (self.line, self.column) if number is not None)
        key = f"{self.key}: " if self.key else ""
        mend = f"\n  {self.mend}" if self.mend else ""
        return f"{self.path}{place}: {key}{self.what}{mend}"


class RuleFileError(InspectdError):
    """Rules that can't be used, with all that is wrong with them. As text: a line or two for each thing."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join(lines), exit_code=2)


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """What a rule file says. `path` is None for text that came from elsewhere."""

    path: Path | None
    rules: list[Rule]
    accept: AcceptTable | None
    tls: tuple[TlsTable, ...] = ()


def load_file(path: Path) -> LoadedFile:
    """Read and compile a rule file. Raises `RuleFileError`."""
    name = safe(str(path))
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            what = "is a directory" if stat.S_ISDIR(state.st_mode) else "is not an ordinary file"
            raise _unusable(name, f"the rule file {what}", "Name a TOML file.")
        if state.st_size > LARGEST:
            raise _unusable(
                name,
                f"the rule file has {state.st_size:,} bytes, more than {LARGEST:,}",
                'Put large bodies into files of their own: body-file = "...".',
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = str(getattr(error, "strerror", None) or error).lower()
        raise _unusable(
            name, f"can't read the rule file: {safe(why)}", "Name a file that this user can read."
        ) from None
    loaded = load_text(_decoded(data, name), source=_name(path), base=path.parent, shown=name)
    return LoadedFile(path, loaded.rules, loaded.accept, loaded.tls)


def _name(path: Path) -> str:
    """What a file is called in ids of rules. Bytes that are no UTF-8 become `\\xNN`: ids are kept in captures."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _unusable(name: str, what: str, mend: str) -> RuleFileError:
    return RuleFileError([Problem(name, None, None, "", what, mend)])


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        mend = "Save it as UTF-8; for a byte in an answer write \\u00NN in raw."
        what = f"the byte 0x{data[error.start]:02x} is not UTF-8, and TOML is"
        raise RuleFileError([Problem(name, line, column, "", what, mend)]) from None


def load_text(text: str, *, source: str, base: Path, shown: str = "") -> LoadedFile:
    """Compile the text of a rule file. `source` names it in ids of rules, `base` is the folder of its files.

    `shown` is what errors call it, instead of `source`. Raises `RuleFileError`.
    """
    name = shown or safe(source)
    if longest_key(text) > LONGEST_KEY:
        raise RuleFileError([_placed(_NESTED, {}, name)])
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleFileError([_syntax(error, text, name)]) from None
    except RecursionError:
        raise RuleFileError([_placed(_NESTED, {}, name)]) from None
    except ValueError as error:
        # An integer of thousands of digits, a date that no calendar has.
        raise RuleFileError([Problem(name, None, None, "", safe(str(error)), "")]) from None
    positions = locate(text)
    reader = _Reader(source, base, positions)
    loaded = reader.file(data)
    if reader.problems:
        located = [_placed(problem, positions, name) for problem in reader.problems]
        located.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
        raise RuleFileError(located)
    return loaded


def load_tables(tables: Sequence[Mapping[str, Any]], *, source: str, base: Path) -> list[Rule]:
    """Compile rules that are tables already, such as JSON. Raises `RuleFileError`; its problems have no lines."""
    reader = _Reader(source, base, {})
    loaded = reader.file({"rule": list(tables)})
    if reader.problems:
        raise RuleFileError([_placed(problem, {}, safe(source)) for problem in reader.problems])
    return loaded.rules


def load_accept(table: Mapping[str, Any], *, source: str) -> AcceptTable | None:
    """An `[accept]` that is a table already, such as JSON. Raises `RuleFileError`; its problems have no lines."""
    reader = _Reader(source, Path(), {})
    loaded = reader.file({"accept": dict(table)})
    if reader.problems:
        raise RuleFileError([_placed(problem, {}, safe(source)) for problem in reader.problems])
    return loaded.accept


def _syntax(error: tomllib.TOMLDecodeError, text: str, name: str) -> Problem:
    """What `tomllib` says, with the place it names taken apart."""
    said = str(error)
    found = _PLACE.search(said)
    line = column = None
    if found is not None:
        said = said[: found.start()]
        if found[1]:
            line, column = int(found[1]), int(found[2])
        else:
            lines = text.replace("\r\n", "\n").split("\n")
            line, column = len(lines), len(lines[-1]) + 1
    what, mend = explained(said, text, line)
    return Problem(name, line, column, "", f"not TOML: {what}", mend)


def _placed(problem: KeyProblem, positions: Mapping[KeyPath, Position], name: str) -> Problem:
    """A problem with its line: that of the innermost key on its path which has one."""
    path: KeyPath = ()
    for part in problem.key:
        spellings = [part, part.replace("-", "_")] if isinstance(part, str) else [part]
        known = [spelling for spelling in spellings if (*path, spelling) in positions]
        if not known:
            break
        path = (*path, known[0])
    line, column = positions[path] if path else (None, None)
    what, mend = (safe(text, doubling=False) for text in (problem.what, problem.mend))
    return Problem(name, line, column, written(problem.key), what, mend)


class _Reader:
    """Compiles the tables of a file, and collects what is wrong with them."""

    def __init__(self, source: str, base: Path, positions: Mapping[KeyPath, Position]) -> None:
        self.source = source
        self.base = base
        self.positions = positions
        self.problems: list[KeyProblem] = []
        self.incomplete: set[KeyPath] = set()

    def file(self, data: Mapping[str, Any]) -> LoadedFile:
        try:
            fitted, problems = fit(data, FileTable)
        except RecursionError:
            self.problems.append(_NESTED)
            return LoadedFile(None, [], None)
        self.problems += problems
        self.incomplete = {problem.key[:end] for problem in problems for end in range(3, len(problem.key))}
        seed = fitted.get("seed") or 0
        rules = []
        names: dict[str, int] = {}
        for number, table in enumerate(fitted.get("rule", ())):
            rule = self.rule(number, table, seed, names)
            if rule is not None:
                rules.append(rule)
        accept = fitted.get("accept")
        return LoadedFile(
            None, rules, None if accept is None else self.accept(accept), self.tls(fitted.get("tls", ()))
        )

    def rule(
        self, number: int, table: dict[str, Any] | None, seed: int, names: dict[str, int]
    ) -> Rule | None:
        """One rule of the file, or None when something is wrong with it."""
        if table is None:
            return None
        name = table.get("name")
        if name is not None:
            first = names.setdefault(name, number)
            if first != number:
                self.wrong(
                    number, ("name",), f"another rule is called {safe(name)!r} too", self.naming(first)
                )
                table = {key: value for key, value in table.items() if key != "name"}
        position = self.positions.get(("rule", number))
        identity = name or (f"{self.source}:{position.line}" if position else f"{self.source}#{number + 1}")
        try:
            rule = msgspec.convert(table, RuleTable)
            return make_rule(
                rule,
                source=self.source,
                line=position.line if position else 0,
                base=self.base,
                name=identity,
                seed=seed,
            )
        except RuleProblems as found:
            for problem in found.problems:
                # What a table lacks whose own part has been left out as wrong is no news.
                if not problem.key or ("rule", number, *problem.key) not in self.incomplete:
                    self.wrong(number, problem.key, problem.what, problem.mend)
        except msgspec.ValidationError as error:
            self.wrong(number, (), safe(str(error)), "")
        except RecursionError:
            self.wrong(number, (), _NESTED.what, _NESTED.mend)
        return None

    def naming(self, first: int) -> str:
        """Where the first rule of a name stands."""
        position = self.positions.get(("rule", first, "name"))
        where = f"in line {position.line}" if position else f"number {first}"
        return f"The first one is {where}. Give each rule its own name."

    def wrong(self, number: int, key: KeyPath, what: str, mend: str) -> None:
        self.problems.append(KeyProblem(("rule", number, *key), what, mend))

    def accept(self, data: dict[str, Any]) -> AcceptTable | None:
        """The `accept` table; None when something is wrong with it."""
        table = msgspec.convert(data, AcceptTable)
        before = len(self.problems)
        timed = table.do in {"wait", "refuse"}
        if table.seconds is not None:
            try:
                duration(table.seconds)
            except UnitError as error:
                self.problems.append(KeyProblem(("accept", "for"), error.what, error.mend))
            if not timed:
                what = f'for together with do = "{table.do}"'
                self.problems.append(KeyProblem(("accept", "for"), what, "It goes with wait and refuse."))
        if table.count is not None and timed:
            what = f'count together with do = "{table.do}"'
            self.problems.append(KeyProblem(("accept", "count"), what, "It goes with reset and close."))
        return table if len(self.problems) == before else None

    def tls(self, tables: Sequence[dict[str, Any] | None]) -> tuple[TlsTable, ...]:
        """The `tls` tables; none when something is wrong with one of them."""
        found: list[TlsTable] = []
        for number, data in enumerate(tables):
            if data is None:
                continue
            table = msgspec.convert(data, TlsTable)
            found.append(table)
            for key, value in (("certificate", table.certificate), ("version", table.version)):
                if table.do is not None and value is not None:
                    what = f'{key} together with do = "{table.do}"'
                    mend = "The handshake doesn't come to it: take one of the two away."
                    self.problems.append(KeyProblem(("tls", number, key), what, mend))
            if "alert" in data and table.do != "abort":
                self.problems.append(
                    KeyProblem(
                        ("tls", number, "alert"), "alert without an abort", 'It goes with do = "abort".'
                    )
                )
            if table.do is None and table.certificate is None and table.version is None:
                mend = "Say certificate, version or do."
                self.problems.append(KeyProblem(("tls", number), "nothing is wrong on purpose here", mend))
        return tuple(found)
