"""Who gave an answer, as a capture tells it: a rule, a person, or what answers where no rule matches.

A person's decision is known by what the engine calls it in the label, and by the rule that its evidence names then. A
rule may call its answers what it likes: neither alone says enough. Nothing here is safe for a terminal yet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from inspectd.capture.model import State

if TYPE_CHECKING:
    from inspectd.capture.model import EvidenceRow, ExchangeRow

BY_HAND: Final = "held"
"""The rule that evidence names when no rule decided about what was held."""

_BROKEN_OFF: Final = State.ABORTED | State.RESPONSE_STARTED

Deciding: TypeAlias = Literal["edited", "dropped", "reset"]

_DECIDED: Final = re.compile(
    r"(?P<edited>[\d,]+ bytes|answered) by hand(?=;|$)|(?P<dropped>dropped) by hand|(?P<reset>reset) by hand"
)


class Answerer(NamedTuple):
    """`how` stands before the `name` of who answered (`answered by rule`), `what` says what was answered.

    `name` and `what` may be empty.
    """

    how: str
    name: str
    what: str


def decision(rule: str, label: str | None) -> Deciding | None:
    """What a person decided; None where the normal answer went, or a rule's. `rule` is that of the evidence."""
    found = _DECIDED.match(label or "") if rule == BY_HAND else None
    if found is None:
        return None
    if found["edited"]:
        return "edited"
    return "dropped" if found["dropped"] else "reset"


def answerer(rule: str, label: str) -> Answerer:
    """The words for it. `rule` is empty for an answer without evidence.

    `answered by rule api.toml:12 · 200 OK`, `answered by hand · 37 bytes`, `dropped by hand · closed without a byte`.
    """
    decided = decision(rule, label)
    if decided == "edited":
        return Answerer(
            "answered by", "hand", label.replace(" by hand", "", 1).removeprefix("answered").lstrip("; ")
        )
    if decided is not None:
        how, _, what = label.partition(": ")
        return Answerer(how, "", what)
    if rule and rule != BY_HAND:
        return Answerer("answered by rule", rule, label)
    if label.endswith("."):  # no name but a sentence: why there was no other answer
        return Answerer("answered by", "inspectd", label)
    return Answerer("answered by", label, "")


def client_left(row: ExchangeRow, evidence: EvidenceRow | None) -> bool:
    """Whether an exchange only ended because the client left an answer that would have gone on: nothing was cut off."""
    return (
        row.state & _BROKEN_OFF == _BROKEN_OFF
        and evidence is not None
        and evidence.planned is None
        and evidence.ended_by == "client"
    )
