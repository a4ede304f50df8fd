"""Behaviours: what an answer does beyond saying fixed words. Each is a step from a draft to a draft.

`steps` gives those that a table asks for, in the order in which they are run. A step ends the run with `Draft.final`.
They are total over requests: whatever a client sends, the worst is a 500 that says what the rule can't do with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec

from inspectd.rules.draft import CraftError, CraftProblems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.rules.behaviour.cors import Cors
    from inspectd.rules.behaviour.words import Words
    from inspectd.rules.draft import Step
    from inspectd.rules.tables import AnswerTable

__all__ = ["steps"]

_P = ParamSpec("_P")


def steps(table: AnswerTable, *, base: Path) -> list[Step]:
    """The behaviours of an answer in order; none for one that only says fixed words.

    First what decides whether there is an answer at all (a preflight, credentials), then what the answer is
    (a redirect, a file, events, templates), then what goes onto it (cookies, CORS fields), then what the client has
    of it already (304, ranges), and last what it waits for. `base` is the folder that paths are relative to. Raises
    `CraftProblems` with everything that can't be used.
    """
    found = _Found()
    words: Words = _templates() if table.template else _fixed()
    cors = _cors(table, found) if table.cors else None
    if table.auth is not None:
        from inspectd.rules.behaviour import auth

        found.add(auth.step, table.auth)
    _content(table, words, base, found)
    if table.cookies:
        from inspectd.rules.behaviour import cookies

        found.add(cookies.step, table.cookies, words)
    if cors is not None:
        found.steps = [cors.preflight, *map(cors.on_endings, found.steps), cors.fields]
    if table.conditional or table.folder is not None:
        from inspectd.rules.behaviour import conditional

        found.add(conditional.step, table)
    if table.poll:
        from inspectd.rules.behaviour import poll

        found.add(poll.step, table)
        if cors is not None:
            found.steps.append(cors.on_otherwise)
    if found.problems:
        raise CraftProblems(found.problems)
    return found.steps


def _content(table: AnswerTable, words: Words, base: Path, found: _Found) -> None:
    """What the answer is."""
    if table.template:
        from inspectd.rules.behaviour import filled
        from inspectd.rules.behaviour.template import Templates

        if isinstance(words, Templates):
            found.add(filled.step, table, words, base)
    if table.redirect is not None:
        from inspectd.rules.behaviour import redirect

        found.add(redirect.step, table.redirect, words)
    if table.folder is not None:
        from inspectd.rules.behaviour import folder

        found.add(folder.step, table.folder, base)
    if table.events is not None:
        from inspectd.rules.behaviour import events

        found.add(events.step, table.events, words)
    if table.websocket is not None:
        from inspectd.rules.behaviour import websocket

        found.add(websocket.step, table.websocket, words, own_status=table.respond is not None)


class _Found:
    """The steps of a table, and what kept others from being one."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.problems: list[CraftError] = []

    def add(self, make: Callable[_P, Step], *given: _P.args, **options: _P.kwargs) -> None:
        """Add the step that `make` makes, or note its problems."""
        try:
            self.steps.append(make(*given, **options))
        except CraftProblems as problems:
            self.problems += problems.problems
        except CraftError as problem:
            self.problems.append(problem)


def _cors(table: AnswerTable, found: _Found) -> Cors | None:
    from inspectd.rules.behaviour import cors

    try:
        return cors.make(table)
    except CraftError as problem:
        found.problems.append(problem)
    return None


def _templates() -> Words:
    from inspectd.rules.behaviour.template import Templates

    return Templates()


def _fixed() -> Words:
    from inspectd.rules.behaviour.words import Fixed

    return Fixed()
