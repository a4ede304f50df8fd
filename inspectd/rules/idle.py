"""What in a rule does nothing, or hardly what was meant: allowed, and worth a word when a file is checked.

Only what is the same for every request is said here; what does nothing in one answer stands in `Program.idle`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from inspectd.rules.answer import parse_status, status_code
from inspectd.rules.conditions import Method, MethodOrPreflight
from inspectd.rules.replies import RawReply, WordedReply
from inspectd.rules.tables import AnswerTable, ChunkedTable, InterimTable
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.rules.rule import Rule
    from inspectd.rules.tables import RuleTable

_METHODS: Final = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"}
)
# What a path can't hold as it is (RFC 3986 §3.3): clients encode it, or in the case of "#" keep it to themselves.
_NOT_IN_PATHS: Final = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/%{}\[\]|\\^]")
_BRACES: Final = ("{{", "{%")
# What clients look for at the start of a status line (RFC 9112 §4).
_STATUS_LINE: Final = re.compile(rb"HTTP/[0-9]\.[0-9] +[0-9]{3}(?![0-9])")
_PLAIN: Final = {
    name: getattr(AnswerTable(), name) for name in AnswerTable.__struct_fields__ if name != "weight"
}


def without_effect(rule: Rule) -> list[str]:
    """A sentence in safe text for each part of a rule that has no effect, or hardly the one that was meant."""
    said = of_the_rule(rule)
    replies = [reply for reply in (*rule.answers.replies, rule.answers.after) if reply is not None]
    for reply in replies:
        if isinstance(reply, (RawReply, WordedReply)):
            of_which = f"{safe(reply.label)}: " if len(replies) > 1 else ""
            said += [f"{of_which}{sentence}" for sentence in reply.idle]
    return list(dict.fromkeys(said))


def of_the_rule(rule: Rule) -> list[str]:
    """What is said of a rule as it is written, without what does nothing in one of its answers (`Program.idle`)."""
    said = [*_of_match(rule), *(_of_table(rule.table) if rule.table is not None else ())]
    return list(dict.fromkeys(said))


def _of_match(rule: Rule) -> Iterator[str]:
    for condition in rule.matcher.conditions:
        if not isinstance(condition, (Method, MethodOrPreflight)):
            continue
        for name in condition.methods if isinstance(condition, Method) else condition.method.methods:
            if name not in _METHODS and name.upper() in _METHODS:
                yield f"The method {name.decode()} is not {name.upper().decode()}: methods have their case."
    glob = rule.matcher.glob
    for character in dict.fromkeys(_NOT_IN_PATHS.findall(glob.text)) if glob is not None else ():
        if character == "#":
            yield 'A path is sent without "#" and what follows it.'
        else:
            sent = quote(character, errors="replace")
            yield f'A path is compared as it is sent, and most clients send {sent} for "{safe(character)}".'


def _of_table(table: RuleTable) -> Iterator[str]:
    if table.then == "cycle" and len(table.each or ()) < 2 and table.pick == "in-order":
        yield 'then = "cycle" has no effect: there is one answer, and it is given again and again without it.'
    if table.each is None and _says_nothing(table):
        yield 'It says nothing of its answer, which is an empty 200 OK: write respond = "200 OK" if that is meant.'
    items = [item for item in table.each or () if isinstance(item, AnswerTable)]
    if any(_says_nothing(item) for item in items) and _says_nothing(table):
        yield "An item of each says nothing of its answer, which is an empty 200 OK."
    for number, item in enumerate(() if table.template else table.each or ()):
        if isinstance(item, str):
            yield from _of_status(f"each[{number}]", item)
    for answer in (table, *items):
        if answer.template or table.template:
            continue
        code = status_code(parse_status(answer.respond)) if answer.respond is not None else None
        if (answer.conditional or table.conditional) and code is not None and not 200 <= code < 300:
            yield f"An answer of {code} has neither conditions nor ranges: only those of 200 to 299 do."
        words = [answer.respond, answer.body, *answer.headers]
        if any(isinstance(text, str) and brace in text for text in words for brace in _BRACES):
            yield "Braces are sent as they are: with template = true they would be filled in."
        yield from _of_lines(answer)


def _says_nothing(answer: AnswerTable) -> bool:
    """Whether an answer is what it is without a word."""
    return all(_same(getattr(answer, name), plain) for name, plain in _PLAIN.items())


def _same(value: Any, plain: Any) -> bool:
    return value is plain or (type(value) is type(plain) and value == plain)


def _of_lines(answer: AnswerTable) -> Iterator[str]:
    """What clients don't understand of the lines of an answer: a `raw` line is as it is on purpose."""
    if answer.respond is not None:
        yield from _of_status("respond", answer.respond)
    yield from _of_fields("headers", answer.headers)
    for number, interim in enumerate(answer.interim):
        table = interim if isinstance(interim, InterimTable) else InterimTable(respond=interim)
        yield from _of_status(f"interim[{number}]", table.respond)
        yield from _of_fields(f"interim[{number}].headers", table.headers)
    if isinstance(answer.chunked, ChunkedTable):
        yield from _of_fields("chunked.trailers", answer.chunked.trailers)


def _of_status(key: str, words: str) -> Iterator[str]:
    if not _STATUS_LINE.match(parse_status(words)):
        yield (
            f'{key} = "{clip(safe(words), 60)}" is no status line that clients understand: that is HTTP/1.1 and a'
            " code of three digits. It is sent as it is."
        )


def _of_fields(key: str, lines: tuple[Any, ...]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not isinstance(line, str) or ":" in line or (number and line.startswith((" ", "\t"))):
            continue
        if not line:
            yield f"{key}[{number}] is an empty line, which ends the head: what follows is content to clients."
            continue
        shown = clip(safe(line), 60)
        yield (
            f'{key}[{number}], "{shown}", has no colon, and clients refuse or skip such a line. If that is meant,'
            f" {{ raw = ... }} says so."
        )
