"""One rule, compiled: whom it answers, and with what. Everything that can be wrong with it is found here, at once."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from inspectd.rules.craft import CraftProblems, compile_reply
from inspectd.rules.manner import course, manner
from inspectd.rules.match import Matcher, MatchErrors, compile_match
from inspectd.rules.problems import KeyProblem, RuleProblems, did_you_mean, read_key
from inspectd.rules.replies import PassReply
from inspectd.rules.responder import ORDINARY, Plan
from inspectd.rules.sequence import Answers, Reply, State, labels
from inspectd.rules.tables import AnswerTable, FaultTable, RuleTable
from inspectd.rules.units import UnitError, size
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from inspectd.rules.sequence import Then

INHERITED: Final = (
    "headers",
    "template",
    "auto",
    "interim",
    "coding",
    "chunked",
    "conditional",
    "auth",
    "cookies",
    "cors",
    "pace",
    "fault",
    "hold",
    "close",
)
"""What an item of `each` takes from its rule when it doesn't give it itself."""

_DEFAULTS: Final = AnswerTable()
_OWN: Final = {
    field.encode_name: field.name
    for field in msgspec.structs.fields(AnswerTable)
    if field.name not in INHERITED and field.name != "weight"
}
"""What an answer says by itself, key to name: with `each`, only its items say that."""

_INHERITED_BY_WHOLE: Final = frozenset({"pace", "fault", "hold", "close"})
_WHOLE: Final = ("raw", "raw_file", "raw_hex", "mirror", "proxy")
_THEN: Final = ("last", "cycle", "close", "next")
_PER: Final = ("rule", "connection", "client", "header:NAME")


@dataclass(eq=False)
class Rule:
    """A rule of a book.

    `id` is its name, or where it stands (`api.toml:12`). `table` is what it was made from; a rule of Python's has
    none. `seed` is what chance starts from.
    """

    id: str
    name: str | None
    source: str
    line: int
    table: RuleTable | None
    matcher: Matcher
    answers: Answers
    plan: Plan = ORDINARY
    seed: int = 0
    base: Path | None = None
    file_seed: int = 0
    state: State = field(default_factory=State)

    @property
    def calls(self) -> int:
        """How often it has answered."""
        return self.state.calls

    @property
    def match(self) -> str:
        """Whom it answers, in a few words. Not yet safe for a terminal."""
        return self.matcher.text

    @property
    def answer(self) -> str:
        """With what it answers and how, in a few words: `503 Busy, 200 OK (gzip, reset at body+50%)`. Not yet safe."""
        replies = self.answers.replies
        if self.table is None:
            return labels(replies, [""] * len(replies))
        said = labels(replies, [manner(item) for _, item in _items(self.table)])
        after = course(self.table)
        return f"{said}; {after}" if after else said

    @property
    def wants_content(self) -> bool:
        """Whether it looks at the content of a request, to match or to answer."""
        return self.matcher.needs_content or (self.table is not None and _reads_content(self.table))

    @property
    def forwards(self) -> bool:
        """Whether it may leave a request to a server."""
        answers = self.answers
        return any(isinstance(reply, PassReply) for reply in (*answers.replies, answers.after))


def _reads_content(table: RuleTable) -> bool:
    items = [item for item in table.each or () if isinstance(item, AnswerTable)]
    return any(item.template or item.mirror for item in (table, *items))


def make_rule(
    table: RuleTable, *, source: str, line: int = 0, base: Path, name: str = "", seed: int = 0
) -> Rule:
    """Compile a rule. `base` is the folder that its files are in, `seed` goes with every chance in it.

    The rule's id is `name` where that is given (two rules of one name), else its own name, else where it stands.
    Raises `RuleProblems` with all that is wrong.
    """
    identity = name or table.name or (f"{source}:{line}" if line else source)
    problems: list[KeyProblem] = []
    matcher = _matcher(table, problems)
    _check_answering(table, problems)
    chance = zlib.crc32(repr(table).encode("utf-8", "replace")) ^ (seed * 0x9E3779B1)
    answers = _answers(table, base=base, rule=identity, seed=chance ^ table.seed, problems=problems)
    plan = _plan(table, matcher, answers, problems)
    if problems or matcher is None or answers is None:
        raise RuleProblems(problems)
    return Rule(
        identity, table.name, source, line, table, matcher, answers, plan, chance ^ table.seed, base, seed
    )


def reply_rule(match: str, reply: Reply, *, name: str, source: str = "python") -> Rule:
    """A rule that answers with a reply of its own making, such as a function of Python. Raises `MatchErrors`."""
    return Rule(name, name, source, 0, None, compile_match(match), Answers((reply,)))


def _matcher(table: RuleTable, problems: list[KeyProblem]) -> Matcher | None:
    try:
        return compile_match(table.match, preflight=bool(table.cors))
    except MatchErrors as errors:
        problems += [KeyProblem(("match", *error.key), error.what, error.mend) for error in errors.errors]
        return None


def _check_answering(table: RuleTable, problems: list[KeyProblem]) -> None:
    """`each`, and what says how it is gone through."""

    def wrong(key: str, what: str, mend: str) -> None:
        problems.append(KeyProblem((key,), what, mend))

    if table.weight != 1:
        wrong("weight", "the weight of a rule", "The first rule that matches answers; weigh items of each.")
    known = table.per in _PER[:3] or (table.per.startswith("header:") and table.per[7:].strip())
    if not known:
        wrong(
            "per",
            f"'{safe(table.per)}' is not one of {', '.join(_PER)}{did_you_mean(table.per, _PER[:3])}",
            'A header is named so: per = "header:X-Session".',
        )
    if table.each is not None:
        problems.extend(_about_each(table, table.each))
        return
    if table.pick != "in-order":
        wrong("pick", "pick without each", "Give several answers in each.")
    if known and table.per != "rule" and table.then == "last":
        wrong("per", "per without each", "Give several answers in each, or say what is then.")


def _about_each(table: RuleTable, each: tuple[str | AnswerTable, ...]) -> Iterator[KeyProblem]:
    """What is wrong with a rule beside its `each`, or with the weights in it."""
    if not each:
        yield KeyProblem(("each",), "each is empty", "Give it an answer, or take it out.")
    for key, name in _OWN.items():
        if getattr(table, name) != getattr(_DEFAULTS, name):
            yield KeyProblem(
                (key,), f"{key} and each together", f"Write {key} in the items of each that want it."
            )
    if table.pick == "weighted":
        if table.then != "last":
            what = 'then together with pick = "weighted"'
            yield KeyProblem(("then",), what, "Chance never comes to an end: take it out.")
        total = sum(_weights(each))
        if each and not (total and math.isfinite(total)):
            what = "all weights are 0" if not total else "the weights add up to more than a number holds"
            yield KeyProblem(("each",), what, "Give the items weights like 1, 2 and 10.")
        return
    for number, item in enumerate(each):
        if isinstance(item, AnswerTable) and item.weight != 1:
            mend = 'Write pick = "weighted" in the rule: then chance decides.'
            yield KeyProblem(("each", number, "weight"), "weight without pick", mend)


def _plan(
    table: RuleTable, matcher: Matcher | None, answers: Answers | None, problems: list[KeyProblem]
) -> Plan:
    """When the rule answers. What only goes on to a server goes on as it comes."""
    words = table.when.split(None, 1)
    answer_at: int | None = None
    if table.when == "head":
        answer_at = 0
    elif words[:1] == ["content"] and len(words) == 2:
        try:
            answer_at = size(words[1])
        except UnitError as error:
            problems.append(KeyProblem(("when",), error.what, error.mend))
    elif table.when != "request":
        problems.append(
            KeyProblem(
                ("when",),
                f"'{safe(table.when)}' is not one of request, head, content N"
                f"{did_you_mean(table.when, ('request', 'head', 'content'))}",
                'Write when = "content 1000" to answer after so many bytes of the content.',
            )
        )
    if matcher is not None and matcher.needs_content:
        for key, early in (("when", table.when != "request"), ("invite", not table.invite)):
            if early:
                problems.append(
                    KeyProblem(
                        (key,),
                        f"{key} together with a condition on the content",
                        "What matches is known only when the content is there: take one of them out.",
                    )
                )
    at_once = answers is not None and all(
        isinstance(reply, PassReply) and not reply.held for reply in answers.replies
    )
    if answer_at is None and at_once and matcher is not None and not matcher.needs_content:
        answer_at = 0
    return ORDINARY if answer_at is None and table.invite else Plan(answer_at, table.invite)


def _answers(
    table: RuleTable, *, base: Path, rule: str, seed: int, problems: list[KeyProblem]
) -> Answers | None:
    replies = [_reply(item, key, base, rule, problems, table) for key, item in _items(table)]
    then, after = _then(table, base, rule, problems)
    made = tuple(reply for reply in replies if reply is not None)
    if len(made) < len(replies) or not made:
        return None
    weights = _weights(table.each) if table.each and table.pick == "weighted" else None
    return Answers(made, then, after, table.per, weights, seed)


def _items(table: RuleTable) -> list[tuple[tuple[str | int, ...], AnswerTable]]:
    """The answers of a rule in their order, and the keys that lead to them."""
    if table.each is None:
        return [((), _own(table))]
    return [(("each", number), _item(item, table)) for number, item in enumerate(table.each)]


def _weights(each: Iterable[str | AnswerTable]) -> tuple[float, ...]:
    return tuple(item.weight if isinstance(item, AnswerTable) else 1.0 for item in each)


def _own(table: RuleTable) -> AnswerTable:
    """The answer that a rule is by itself."""
    return AnswerTable(**{name: getattr(table, name) for name in AnswerTable.__struct_fields__})


def _item(item: str | AnswerTable, table: RuleTable) -> AnswerTable:
    """An item of `each`, with what it takes from its rule."""
    own = AnswerTable(respond=item) if isinstance(item, str) else item
    whole = any(getattr(own, name) for name in _WHOLE) or own.raw is not None
    taken = {
        name: getattr(table, name)
        for name in INHERITED
        if getattr(own, name) == getattr(_DEFAULTS, name) and (not whole or name in _INHERITED_BY_WHOLE)
    }
    return msgspec.structs.replace(own, **taken)


def _then(table: RuleTable, base: Path, rule: str, problems: list[KeyProblem]) -> tuple[Then, Reply | None]:
    """What follows the last answer."""
    match table.then:
        case "last" | "cycle" | "next":
            return table.then, None
        case "close":
            closed = AnswerTable(respond="200 OK", fault=FaultTable(do="close", at="start"))
            return "after", _reply(closed, ("then",), base, rule, problems, table)
        case words if words[:1].isdigit() or "/" in words:
            return "after", _reply(_item(words, table), ("then",), base, rule, problems, table)
        case words:
            problems.append(
                KeyProblem(
                    ("then",),
                    f"'{safe(words)}' is not one of {', '.join(_THEN)}, or a status{did_you_mean(words, _THEN)}",
                    'A status looks so: then = "404 Not Found".',
                )
            )
            return "last", None


def _reply(
    item: AnswerTable,
    key: tuple[str | int, ...],
    base: Path,
    rule: str,
    problems: list[KeyProblem],
    table: RuleTable,
) -> Reply | None:
    """An answer, compiled. What is wrong with it stands at a key of the item, or of the rule it took that from."""
    try:
        return compile_reply(item, base=base, rule=rule)
    except CraftProblems as found:
        for error in found.problems:
            path = read_key(error.key)
            problem = KeyProblem((*key, *path), error.what, error.mend)
            if key and path and not _gives(table, key, str(path[0])):
                problem = KeyProblem(path, error.what, error.mend)
            if key == ("then",):
                problem = KeyProblem(key, error.what, error.mend)
            if problem not in problems:
                problems.append(problem)
        return None


def _gives(table: RuleTable, key: tuple[str | int, ...], name: str) -> bool:
    """Whether the item of `each` at `key` gives this key itself."""
    if key[0] != "each" or table.each is None:
        return True
    item = table.each[int(key[1])]
    if isinstance(item, str):
        return name == "respond"
    attribute = name.replace("-", "_")
    return getattr(item, attribute, None) != getattr(_DEFAULTS, attribute, None)
