"""A long poll: the answer waits until somebody opens a gate, or its time is over and another one is given."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from inspectd.rules.behaviour import asked, saying
from inspectd.rules.behaviour.words import gathered
from inspectd.rules.program import Hold
from inspectd.rules.tables import PollTable, RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.tables import AnswerTable


def step(table: AnswerTable) -> Step:
    """The step that puts the wait before the answer. Raises `CraftProblems`.

    A gate without a name of its own has that of its rule, else the path of the request without its first slash.
    """
    words = (
        table.poll
        if isinstance(table.poll, PollTable)
        else PollTable(gate=table.poll if isinstance(table.poll, str) else None)
    )
    name = words.gate if words.gate is not None else table.name if isinstance(table, RuleTable) else None
    makes: list[Callable[[], Any]] = [
        partial(saying.status, "poll.otherwise", words.otherwise),
        partial(saying.seconds, "poll.timeout", words.timeout),
    ]
    status, timeout = gathered(makes)

    def poll(call: Call, draft: Draft) -> Draft:
        gate = name if name is not None else asked.own_path(call.request)[1:].decode("ascii")
        draft.otherwise = saying.instead(draft, "")
        draft.otherwise.status_line = status
        draft.before = (*draft.before, Hold(gate, timeout))
        return draft

    return poll
