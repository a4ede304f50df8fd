"""Rules, gates and the accept table over the control API."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inspectd.control.messages import Complaint
from inspectd.control.routing import RefusalError, text
from inspectd.control.rules_in_use import CONTROL, PATH_KEYS, complaints
from inspectd.control.rules_messages import (
    AcceptShown,
    GateShown,
    RulesChecked,
    RuleShowing,
    RuleShown,
    RulesProblem,
    RulesRequest,
    RulesShown,
    ShowRequest,
    SourceShown,
    VerdictShown,
)
from inspectd.errors import InspectdError
from inspectd.rules.answer import preview
from inspectd.rules.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inspectd.control.routing import Asked
    from inspectd.control.rules_in_use import RulesInUse, Source
    from inspectd.engine.server import Engine
    from inspectd.rules.book import Rule, RuleBook
    from inspectd.rules.file import LoadedFile
    from inspectd.rules.program import LiveProgram
    from inspectd.rules.request import Request
    from inspectd.rules.tables import AcceptTable

_LONGEST_GATE: Final = 200


class WrongRulesError(InspectdError):
    """Rules that can't be used, with every problem."""

    def __init__(self, problems: tuple[Complaint, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"these rules can't be used: {count}", "Nothing was changed.", exit_code=2)
        self.problems = problems


class RulesApi:
    """Answers `/v1/rules`, `/v1/gates` and `/v1/accept`."""

    def __init__(self, engine: Engine, rules: RulesInUse) -> None:
        self._engine = engine
        self._rules = rules
        self.handlers: dict[str, Callable[[Asked], Any]] = {
            "rules": self._shown,
            "put_rules": self._put,
            "add_rules": self._add,
            "delete_rules": self._delete,
            "check_rules": self._check,
            "show_rules": self._show,
            "reload_rules": self._reload,
            "open_gate": self._open_gate,
            "close_gate": self._close_gate,
            "accept": self._accept,
            "put_accept": self._put_accept,
            "delete_accept": self._delete_accept,
        }

    # -- rules

    async def _shown(self, _: Asked) -> RulesShown:
        return await asyncio.to_thread(self._in_use)  # there may be thousands

    def _in_use(self) -> RulesShown:
        return RulesShown(
            sources=tuple(self._source(each) for each in self._rules.sources),
            fallback=text(self._rules.fallback.description),
            handshakes=len(self._rules.handshakes),
            handshakes_idle=self._rules.handshakes_idle,
        )

    def _source(self, source: Source) -> SourceShown:
        return SourceShown(
            name=text(source.name),
            kind="control" if source.path is None else "file",
            path=None if source.path is None else text(str(source.path.absolute())),
            error=RulesProblem(problems=source.complaints) if source.complaints else None,
            rules=tuple(map(_rule_shown, self._rules.rules_of(source))),
        )

    async def _put(self, asked: Asked) -> RulesShown:
        wish = asked.content(RulesRequest)
        await self._rules.put(lambda: load(wish))
        return await self._shown(asked)

    async def _add(self, asked: Asked) -> RulesShown:
        wish = asked.content(RulesRequest)
        await self._rules.put(lambda: load(wish), in_front=True)
        return await self._shown(asked)

    async def _delete(self, asked: Asked) -> RulesShown:
        await self._rules.clear()
        return await self._shown(asked)

    async def _check(self, asked: Asked) -> RulesChecked:
        wish = asked.content(RulesRequest)
        try:
            return await asyncio.to_thread(_checked, wish)
        except WrongRulesError as wrong:
            return RulesChecked(ok=False, rules=0, problems=wrong.problems)

    async def _reload(self, asked: Asked) -> RulesShown:
        await self._rules.reload()
        return await self._shown(asked)

    async def _show(self, asked: Asked) -> RuleShowing:
        from inspectd.control.recorded import as_handshake, made_up

        wish = asked.content(ShowRequest)
        request = made_up(_request_bytes(wish))
        book = await asyncio.to_thread(self._book, wish)
        # In the loop, where replies are asked for their programs otherwise.
        rule, program = book.preview(request, now=time.time())
        if (handshake := as_handshake(request, rule)) is not None:
            request = handshake
            rule, program = book.preview(request, now=time.time())
        return await asyncio.to_thread(_showing, book, request, rule, program)

    def _book(self, wish: ShowRequest) -> RuleBook:
        from inspectd.rules.book import RuleBook

        if wish.toml is None and self._rules.book is not None:
            return self._rules.book
        book = RuleBook(self._rules.fallback)
        if wish.toml is not None:
            book.replace(CONTROL, load_text_at(wish.toml, wish.base, source=CONTROL).rules)
        return book

    # -- gates and the accept table

    def _open_gate(self, asked: Asked) -> GateShown:
        name = _gate(asked)
        waiting = self._engine.gates.waiting(name)
        self._engine.gates.open(name)
        return GateShown(name=name, open=True, waiting=waiting)

    def _close_gate(self, asked: Asked) -> GateShown:
        name = _gate(asked)
        self._engine.gates.close(name)
        return GateShown(name=name, open=False, waiting=self._engine.gates.waiting(name))

    def _accept(self, _: Asked) -> AcceptShown:
        table, state = self._rules.accept, self._engine.accept_state
        return AcceptShown(
            accept=None if table is None else msgspec.to_builtins(table),
            now=state.sentence,
            seen=state.seen,
            left=state.left,
            waiting=state.waiting,
        )

    async def _put_accept(self, asked: Asked) -> AcceptShown:
        table = asked.content(dict[str, Any])
        self._rules.set_accept(await asyncio.to_thread(_accept_table, table))
        return self._accept(asked)

    def _delete_accept(self, asked: Asked) -> AcceptShown:
        self._rules.set_accept(None)
        return self._accept(asked)


def _gate(asked: Asked) -> str:
    name = text(asked.places["name"])
    if len(name) > _LONGEST_GATE:
        raise RefusalError(404, "no gate has so long a name")
    return name


# -- loading


def _accept_table(table: dict[str, Any]) -> AcceptTable | None:
    from inspectd.rules.file import RuleFileError, load_accept

    try:
        return load_accept(table, source=CONTROL)
    except RuleFileError as error:
        raise WrongRulesError(complaints(error)) from error


def load(wish: RulesRequest) -> list[LoadedFile]:
    """The rules that are wished for, compiled. Raises `WrongRulesError` with every problem, or `RefusalError`."""
    from inspectd.rules.file import LoadedFile, RuleFileError, load_file, load_tables

    given = [name for name in ("toml", "rules", "files") if getattr(wish, name) is not None]
    if len(given) != 1:
        raise RefusalError(400, "rules come as toml, as rules or as files", "Give exactly one of these.")
    if wish.toml is not None:
        return [load_text_at(wish.toml, wish.base, source=CONTROL)]
    if wish.rules is not None:
        base = _base(wish.base, {"rule": wish.rules}, CONTROL)
        try:
            return [LoadedFile(None, load_tables(wish.rules, source=CONTROL, base=base), None)]
        except RuleFileError as error:
            raise WrongRulesError(complaints(error)) from error
    loaded: list[LoadedFile] = []
    wrong: list[Complaint] = []
    for name in wish.files or ():
        if not name.startswith("/"):
            raise RefusalError(400, f"{name!r} is no absolute path", "The engine may be in another folder.")
        try:
            loaded.append(load_file(Path(name)))
        except RuleFileError as error:
            wrong += complaints(error)
    if wrong:
        raise WrongRulesError(tuple(wrong))
    return loaded


def _checked(wish: RulesRequest) -> RulesChecked:
    from inspectd.rules.idle import without_effect
    from inspectd.rules.shadow import never_answering

    rules = [rule for file in load(wish) for rule in file.rules]
    remarks = [
        f"{rule.id} never answers: {earlier.id} takes all that it matches"
        for rule, earlier in never_answering(rules)
    ]
    remarks += [f"{rule.id}: {sentence}" for rule in rules for sentence in without_effect(rule)]
    return RulesChecked(ok=True, rules=len(rules), remarks=tuple(map(text, remarks)))


def load_text_at(toml: str, base: str | None, *, source: str) -> LoadedFile:
    """A rule file's text, compiled. Raises `WrongRulesError` with every problem."""
    import tomllib

    from inspectd.rules.file import RuleFileError, load_text

    try:
        tables: Mapping[str, Any] = tomllib.loads(toml) if base is None else {}
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        tables = {}  # the loader says what is wrong with it
    folder = _base(base, tables, source)
    try:
        return load_text(toml, source=source, base=folder)
    except RuleFileError as error:
        raise WrongRulesError(complaints(error)) from error


def _base(base: str | None, tables: Mapping[str, Any], source: str) -> Path:
    """Where relative paths start from. Without a `base` there must be none."""
    if base is not None:
        if not base.startswith("/"):
            raise RefusalError(400, f"base {base!r} is no absolute path", "Give the whole path of a folder.")
        return Path(base)
    wrong = tuple(
        Complaint(
            what=text(f"{value!r} is a relative path, and nothing says where it starts from"),
            mend="Write an absolute path, or give base.",
            key=key,
            source=source,
        )
        for key, value in _relative_paths(tables.get("rule"), "rule")
    )
    if wrong:
        raise WrongRulesError(wrong)
    return Path("/")


def _relative_paths(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """The keys and values in tables of rules that are relative paths."""
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _relative_paths(each, f"{place}[{number}]")
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in PATH_KEYS and isinstance(each, str) and not each.startswith("/"):
                yield f"{place}.{key}", each
            elif key == "each":
                yield from _relative_paths(each, f"{place}.{key}")


# -- showing


def _rule_shown(rule: Rule) -> RuleShown:
    return RuleShown(
        id=text(rule.id),
        name=None if rule.name is None else text(rule.name),
        line=rule.line,
        match=text(rule.match),
        answer=text(rule.answer),
        calls=rule.calls,
    )


def _showing(
    book: RuleBook, request: Request, rule: Rule | None, program: Program | LiveProgram
) -> RuleShowing:
    from inspectd.control.answer import length, remarks_of, steps_of, timeline_of

    verdicts = tuple(
        VerdictShown(
            rule=text(each.rule.id),
            match=text(each.rule.match),
            matched=each.matched,
            why_not=tuple(map(text, each.why_not)),
        )
        for each in book.trial(request)
    )
    return RuleShowing(
        matched=None if rule is None else text(rule.id),
        verdicts=verdicts,
        encoded=base64.b64encode(preview(program)).decode() if isinstance(program, Program) else "",
        length=length(program) if isinstance(program, Program) else None,
        steps=steps_of(program),
        timeline=timeline_of(program),
        added=tuple(map(text, program.added)),
        remarks=remarks_of(program, request),
        label=text(program.label),
    )


def _request_bytes(wish: ShowRequest) -> str | bytes:
    if (wish.request is None) == (wish.request_base64 is None):
        raise RefusalError(400, "show what for which request?", "Give request, or request_base64.")
    if wish.request is not None:
        return wish.request
    try:
        return base64.b64decode(wish.request_base64 or "", validate=True)
    except ValueError as problem:
        raise RefusalError(400, f"request_base64 is not base64: {problem}") from problem
