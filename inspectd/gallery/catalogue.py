"""The gallery's cases, read from the data files beside this module when they are first asked for.

A file under `cases/` is a group. A case in it has texts for a person and one rule or several, in the words of a rule
file (`inspectd.rules.tables`). Three things are filled in: the path that a rule is for is `/NAME`, no Date is added so
that the bytes are the same each time, and `landing` stands for a rule that answers everything below `/NAME/`. The
catalogue never touches a socket; it gives tables, rules and the text of a rule file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from inspectd.errors import InspectdError
from inspectd.rules.tables import RuleTable, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inspectd.rules.book import RuleBook
    from inspectd.rules.rule import Rule

SOURCE: Final = "gallery"
"""The name of the gallery's rules in a rule book."""

GROUPS: Final = (
    "status-lines",
    "head",
    "lengths",
    "chunks",
    "interim",
    "connection",
    "redirects",
    "retry",
    "ranges",
    "codings",
    "auth",
)
"""The data files, in the order in which they are shown."""

_FOLDER: Final = Path(__file__).with_name("cases")
_AUTO: Final = ("content-length", "transfer-encoding", "content-type", "connection")
_WHOLE: Final = ("raw", "raw_file", "raw_hex", "mirror")

_LANDING: Final = "landed\n"


class NoSuchCase(InspectdError):  # noqa: N818  named like the other mistakes of a person
    """There is no case of this name."""

    def __init__(self, name: str, near: Sequence[str]) -> None:
        mend = f"Did you mean {near[0]}?" if near else "inspectd gallery lists them all."
        super().__init__(f"there is no case {name!r} in the gallery", mend, exit_code=2)


class CaseTable(Table):
    """A case as it stands in its file."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")]
    title: Annotated[str, Meta(min_length=1)]
    section: Annotated[str, Meta(min_length=1)]
    correct: Annotated[str, Meta(min_length=1)]
    seen: Annotated[str, Meta(min_length=1)]
    rule: RuleTable | tuple[RuleTable, ...]
    method: str = "GET"
    upload: int = 0
    expect: bool = False
    range: str | None = None
    credentials: str | None = None
    landing: bool = False


class GroupTable(Table):
    """A data file."""

    title: str
    about: str
    case: tuple[CaseTable, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One ready answer.

    `section` is where the specification speaks of it, `correct` what a correct client does, `seen` where it was met.
    `rules` are the tables of its rules, in order and complete. The rest says which request shows what it is about:
    a `method`, so many bytes of content (`upload`), with `Expect: 100-continue` (`expect`), a value for the Range field
    (`range`), credentials as `user:password`.
    """

    name: str
    group: str
    title: str
    section: str
    correct: str
    seen: str
    rules: tuple[RuleTable, ...]
    method: str = "GET"
    upload: int = 0
    expect: bool = False
    range: str | None = None
    credentials: str | None = None

    @property
    def path(self) -> str:
        """The path that it answers."""
        return f"/{self.name}"

    @property
    def request(self) -> str:
        """The request that shows it, in a few words; empty for a plain GET."""
        said = []
        if self.upload:
            said.append(f"with {self.upload:,} bytes of content")
        if self.expect:
            said.append("and Expect: 100-continue")
        if self.range is not None:
            said.append(f"with Range: {self.range}")
        if self.credentials is not None:
            said.append(f"with credentials {self.credentials}")
        return " ".join([self.method, *said]) if said or self.method != "GET" else ""


@dataclass(frozen=True, slots=True)
class Group:
    """Cases about one subject."""

    name: str
    title: str
    about: str
    cases: tuple[Case, ...]


@lru_cache(maxsize=1)
def groups() -> tuple[Group, ...]:
    """All groups with their cases, in the order in which they are shown."""
    return tuple(_group(name) for name in GROUPS)


@lru_cache(maxsize=1)
def cases() -> dict[str, Case]:
    """Every case by its name, in order."""
    return {case.name: case for group in groups() for case in group.cases}


def case_of(name: str) -> Case:
    """The case of this name. Raises `NoSuchCase`, which says which name was probably meant."""
    found = cases().get(name)
    if found is None:
        import difflib

        raise NoSuchCase(name, difflib.get_close_matches(name, cases(), n=1, cutoff=0.5))
    return found


def chosen(patterns: Iterable[str]) -> list[Case]:
    """The cases whose name, or whose group's name, one of these globs matches; all of them without a glob.

    Raises `NoSuchCase` for a glob that matches nothing.
    """
    import fnmatch

    wanted: set[str] = set()
    given = tuple(patterns)
    for pattern in given:
        found = {
            case.name
            for case in cases().values()
            if fnmatch.fnmatchcase(case.name, pattern) or fnmatch.fnmatchcase(case.group, pattern)
        }
        if not found:
            case_of(pattern)
        wanted |= found
    return [case for case in cases().values() if not given or case.name in wanted]


def search(words: Iterable[str]) -> list[Group]:
    """The groups with only those cases in which each word is found, whatever its case, in any of the texts."""
    sought = [word.casefold() for word in words]
    found: list[Group] = []
    for group in groups():
        kept = tuple(case for case in group.cases if all(word in _text(case, group) for word in sought))
        if kept:
            found.append(Group(group.name, group.title, group.about, kept))
    return found


def rules_of(some: Iterable[Case]) -> list[Rule]:
    """The rules of some cases, ready for a rule book; each is called by its case's name."""
    from inspectd.rules.rule import make_rule

    return [make_rule(table, source=SOURCE, base=_FOLDER) for case in some for table in case.rules]


def book(some: Iterable[Case] | None = None) -> RuleBook:
    """A rule book that answers `/NAME` for each of these cases (all of them by default), and 404 for the rest."""
    from inspectd.rules.answer import make_answer
    from inspectd.rules.book import RuleBook
    from inspectd.rules.responder import Fixed

    nothing = make_answer("404 Not Found", ("Content-Type: text/plain",), b"no case of the gallery\n")
    made = RuleBook(Fixed(nothing))
    made.replace(SOURCE, rules_of(cases().values() if some is None else some))
    return made


def rule_file(some: Iterable[Case]) -> str:
    """The text of a rule file that answers like these cases."""
    from inspectd.rules.file import to_toml

    parts = []
    for case in some:
        said = [f"{case.title}.", f"{case.section}.", case.correct, f"Seen: {case.seen}"]
        if case.request:
            said.append(f"Ask with {case.request}.")
        heading = "\n".join(f"# {line}" for line in [case.name, *said])
        parts.append(f"{heading}\n{to_toml(case.rules)}")
    return "\n".join(parts)


def case_of_rule(rule: str) -> str:
    """The name of the case that the rule of this id belongs to (`stale-reset#2` is the second rule of one)."""
    return rule.partition("#")[0]


def _text(case: Case, group: Group) -> str:
    texts = (
        case.name,
        case.title,
        case.section,
        case.correct,
        case.seen,
        case.request,
        group.name,
        group.title,
    )
    return "\n".join(texts).casefold()


def _group(name: str) -> Group:
    import tomllib

    path = _FOLDER / f"{name}.toml"
    table = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), GroupTable)
    return Group(name, table.title, table.about, tuple(_case(case, name) for case in table.case))


def _case(table: CaseTable, group: str) -> Case:
    given = table.rule if isinstance(table.rule, tuple) else (table.rule,)
    if table.landing:
        given = (*given, RuleTable(match=f"/{table.name}/**", respond="200 OK", body=_LANDING))
    return Case(
        name=table.name,
        group=group,
        title=table.title,
        section=table.section,
        correct=table.correct,
        seen=table.seen,
        rules=tuple(_complete(rule, table.name, number) for number, rule in enumerate(given, 1)),
        method=table.method,
        upload=table.upload,
        expect=table.expect,
        range=table.range,
        credentials=table.credentials,
    )


def _complete(rule: RuleTable, case: str, number: int) -> RuleTable:
    """The rule under its case's name, for its case's path, and without a Date."""
    match = f"/{case}" if rule.match == "*" else rule.match
    name = case if number == 1 else f"{case}#{number}"
    filled = msgspec.structs.replace(rule, name=name, match=match)
    return _dateless(filled)


def _dateless(answer: RuleTable) -> RuleTable:
    """The answer and, as they take it over, the items of its `each`."""
    whole = any(getattr(answer, name) for name in _WHOLE)
    if whole or answer.auto is not None:
        return answer
    return msgspec.structs.replace(answer, auto=_AUTO)
