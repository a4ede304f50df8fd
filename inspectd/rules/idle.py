"""What in a rule does nothing, or hardly what was meant: allowed, and worth a word when a file is checked.

Only what is the same for every request is said here; what does nothing in one answer stands in `Program.idle`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from inspectd.rules.answer import parse_status, status_code
from inspectd.rules.conditions import Method, MethodOrPreflight
from inspectd.rules.replies import RawReply, WordedReply
from inspectd.rules.tables import AnswerTable
from inspectd.text.safe import safe

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


def without_effect(rule: Rule) -> list[str]:
    """A sentence in safe text for each part of a rule that has no effect, or hardly the one that was meant."""
    said = [*_of_match(rule)]
    if rule.table is not None:
        said += _of_table(rule.table)
    replies = [reply for reply in (*rule.answers.replies, rule.answers.after) if reply is not None]
    for reply in replies:
        if isinstance(reply, (RawReply, WordedReply)):
            of_which = f"{safe(reply.label)}: " if len(replies) > 1 else ""
            said += [f"{of_which}{sentence}" for sentence in reply.idle]
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
    items = [item for item in table.each or () if isinstance(item, AnswerTable)]
    for answer in (table, *items):
        if answer.template or table.template:
            continue
        code = status_code(parse_status(answer.respond)) if answer.respond is not None else None
        if (answer.conditional or table.conditional) and code is not None and not 200 <= code < 300:
            yield f"An answer of {code} has neither conditions nor ranges: only those of 200 to 299 do."
        words = [answer.respond, answer.body, *answer.headers]
        if any(isinstance(text, str) and brace in text for text in words for brace in _BRACES):
            yield "Braces are sent as they are: with template = true they would be filled in."
