"""Which family a client belongs to, by how it writes its head: said as likelihood, because anybody can write so.

What each family does is data (`data/readings/families.toml`). Three things count: what User-Agent says, the order in
which the fields stand and how their names are spelled, and values that stand as this family sends them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspectd.explain.model import Reading
from inspectd.explain.names import clip
from inspectd.explain.registry import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FEWEST: Final = 3
"""Fields that have to stand in a family's order before that says anything."""
_SHOWN: Final = 8
_SOURCE: Final = "inspectd"


class Family(NamedTuple):
    """How clients of one kind write a head."""

    name: str
    agents: tuple[str, ...]
    order: tuple[str, ...]
    values: dict[str, str]
    telling: tuple[str, ...]
    places: dict[str, tuple[str, int]]
    """Each field of the order, keyed in lower case: how it is spelled, and at which place it stands."""


class Match(NamedTuple):
    """What of a head fits a family: the fields that stand in its order, and values and fields that it sends."""

    family: Family
    agent: bool
    ordered: tuple[str, ...]
    odd: str
    signs: tuple[str, ...]

    @property
    def written(self) -> bool:
        """Whether the head is written as this family writes."""
        return not self.odd and len(self.ordered) >= _FEWEST

    @property
    def weight(self) -> int:
        """How much speaks for it."""
        return 4 * self.agent + (2 + len(self.ordered) if self.written else 0) + 2 * len(self.signs)


def family_reading(names: Sequence[str], values: Mapping[str, str]) -> Reading | None:
    """Which family wrote this head, with the evidence; None when nothing tells.

    `names` are the fields' names as spelled, in order; `values` their values, keyed in lower case.
    """
    known = _told()
    told = {lowered: name for name in names if (lowered := name.lower()) in known}
    matches = [_match(family, told, values) for family in _families()]
    claimed = next((match for match in matches if match.agent), None)
    best = max(matches, key=lambda match: match.weight)
    if claimed is None:
        return _unnamed(best, values)
    others = [match for match in matches if match.written and match.signs and len(match.ordered) > _FEWEST]
    other = max((match for match in others if not match.agent), key=lambda match: match.weight, default=None)
    if not claimed.odd or claimed.written or other is None:
        sure = claimed.written
        how = "It says so itself, and writes its head as this family does." if sure else "It says so itself."
        evidence = (_agent(values), *_evidence(claimed))
        title = f"{'Very likely' if sure else 'Probably'} {claimed.family.name}"
        return Reading(title, evidence, how, _SOURCE, "client-family")
    return Reading(
        f"Says it is {claimed.family.name}, but writes like {other.family.name}",
        (_agent(values), f"{claimed.odd} isn't where the first writes it", *_evidence(other)),
        "User-Agent is easily written; the order of fields and their spelling come from the library underneath. A "
        "proxy on the way, or settings of the client, may have changed them as well.",
        _SOURCE,
        "client-disguised",
    )


def _unnamed(best: Match, values: Mapping[str, str]) -> Reading | None:
    """A head whose User-Agent names no family that is known, or that has none."""
    if not best.written or len(best.signs) < 2:
        return None
    evidence = _evidence(best)
    said = "User-Agent names another program" if values.get("user-agent") else "There is no User-Agent"
    return Reading(
        f"Perhaps {best.family.name}, or a program that uses it",
        evidence,
        f"{said}; order and values of the fields are like this family's.",
        _SOURCE,
        "client-family",
    )


def _match(family: Family, told: Mapping[str, str], values: Mapping[str, str]) -> Match:
    agent = values.get("user-agent", "")
    ordered: list[str] = []
    highest = -1
    odd = ""
    for lowered, name in told.items():
        found = family.places.get(lowered)
        if found is None:
            continue
        spelled, place = found
        if spelled != name or place < highest:
            odd = odd or clip(name, 40)
            continue
        highest = place
        ordered.append(name)
    signs = [f"{told[key]}: {value}" for key, value in family.values.items() if values.get(key) == value]
    signs += [told[name] for name in family.telling if name in told]
    return Match(family, _says(family, agent), tuple(ordered), odd, tuple(signs))


def _says(family: Family, agent: str) -> bool:
    return any(
        wanted[1:] in agent if wanted.startswith("~") else agent.startswith(wanted)
        for wanted in family.agents
    )


def _agent(values: Mapping[str, str]) -> str:
    return f"User-Agent: {clip(values.get('user-agent', ''), 64)}"


def _evidence(match: Match) -> tuple[str, ...]:
    """The order and the values that speak for a family, as they stand in the head."""
    shown = list(match.ordered[:_SHOWN])
    order = ", ".join(shown) + (", …" if len(match.ordered) > _SHOWN else "")
    found = (f"in this order: {order}",) if match.written else ()
    return (*found, *(clip(sign, 64) for sign in match.signs[:4]))


@lru_cache(maxsize=1)
def _families() -> tuple[Family, ...]:
    return tuple(_family(entry) for entry in table("readings")["family"])


@lru_cache(maxsize=1)
def _told() -> frozenset[str]:
    """Every field that tells something about some family, in lower case."""
    return frozenset(
        name for family in _families() for name in (*family.places, *family.values, *family.telling)
    )


def _family(entry: dict[str, Any]) -> Family:
    return Family(
        entry["name"],
        tuple(entry["agent"]),
        tuple(entry["order"]),
        dict(entry.get("values", {})),
        tuple(entry.get("telling", ())),
        {name.lower(): (name, place) for place, name in enumerate(entry["order"])},
    )
