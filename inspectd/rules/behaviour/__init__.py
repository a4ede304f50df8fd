"""Behaviours: what an answer does beyond saying fixed words. Each is a step from a draft to a draft.

`steps` gives those that a table asks for, in the order in which they are run. A step ends the run with `Draft.final`.
They are total over requests: whatever a client sends, the worst is a 500 that says what the rule can't do with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inspectd.rules.behaviour.template import Templates
    from inspectd.rules.behaviour.words import Words
    from inspectd.rules.draft import Step
    from inspectd.rules.tables import AnswerTable

__all__ = ["steps"]


def steps(table: AnswerTable, *, base: Path) -> list[Step]:
    """The behaviours of an answer in order; none for one that only says fixed words.

    First what decides whether there is an answer at all (a preflight, credentials), then what the answer is
    (a redirect, a file, events, templates), then what goes onto it (cookies, CORS fields), then what the client has
    of it already (304, ranges), and last what it waits for. `base` is the folder that paths are relative to. Raises
    `CraftError` with the key that can't be used.
    """
    templates = _templates() if table.template else None
    words: Words = templates or _fixed()
    found: list[Step] = []
    if templates is not None:
        from inspectd.rules.behaviour import filled

        found.append(filled.step(table, templates, base))
    found += [*_content(table, words, base), *_fields(table, words)]
    if table.conditional or table.folder is not None:
        from inspectd.rules.behaviour import conditional

        found.append(conditional.step(table))
    if table.poll:
        from inspectd.rules.behaviour import poll

        found.append(poll.step(table))
    if table.auth is not None:
        from inspectd.rules.behaviour import auth

        found.insert(0, auth.step(table.auth))
    if table.cors:
        from inspectd.rules.behaviour import cors

        allowed = cors.make(table)
        found = [allowed.preflight, *(cors.decorated(step, allowed) for step in found), allowed.fields]
    return found


def _content(table: AnswerTable, words: Words, base: Path) -> Iterator[Step]:
    """What the answer is."""
    if table.redirect is not None:
        from inspectd.rules.behaviour import redirect
        from inspectd.rules.tables import RedirectTable

        spelled = isinstance(table.redirect, RedirectTable)
        to = table.redirect.to if isinstance(table.redirect, RedirectTable) else table.redirect
        yield redirect.step(table, words.line("redirect.to" if spelled else "redirect", to))
    if table.folder is not None:
        from inspectd.rules.behaviour import folder

        yield folder.step(table.folder, base)
    if table.events is not None:
        from inspectd.rules.behaviour import events

        yield events.step(table, words)


def _fields(table: AnswerTable, words: Words) -> Iterator[Step]:
    """What goes onto it."""
    if table.cookies:
        from inspectd.rules.behaviour import cookies

        written = [cookies.written(cookie) for cookie in table.cookies]
        yield cookies.step([words.line(f"cookies[{index}]", line) for index, line in enumerate(written)])


def _templates() -> Templates:
    from inspectd.rules.behaviour.template import Templates

    return Templates()


def _fixed() -> Words:
    from inspectd.rules.behaviour.words import Fixed

    return Fixed()
