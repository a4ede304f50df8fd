"""What made a request: method, target and fields read together.

The rules are data (`data/readings/`): the first cause whose conditions hold names what made the request, and
every note whose conditions hold adds what else the head tells. The evidence of a reading is the conditions
themselves, as they stand in the head. Only why Sec-Fetch-* are missing is decided here, because it depends on who
was asked and not on the bytes alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from inspectd.explain.answers import (
    cors_requirements,
    event_stream_requirements,
    preflight_requirements,
    script_requirements,
    websocket_requirements,
)
from inspectd.explain.cors_steps import cors_step
from inspectd.explain.families import family_reading
from inspectd.explain.model import Reading, Requirement
from inspectd.explain.names import clip, field
from inspectd.explain.persistence import persistence
from inspectd.explain.registry import table
from inspectd.explain.sites import site_reading
from inspectd.explain.special import loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MOST_FIELDS = 1000
"""Field lines that are looked at."""

LONGEST = 8192
"""Bytes of one field's value or of the target that are looked at."""

_REQUIREMENTS: dict[str, Callable[[Mapping[str, str]], tuple[Requirement, ...]]] = {
    "preflight": preflight_requirements,
    "cors": cors_requirements,
    "websocket": websocket_requirements,
    "script": script_requirements,
    "event-stream": event_stream_requirements,
}
_NOT_FIELDS = frozenset({"method", "target", "absent", "unlike"})
_ASKER = ":asker"
"""A fact in place of a field, whose name no field can have: whether Origin names this host or a foreign one."""
_WHERE = {
    "same-origin": "on a page of the same origin",
    "same-site": "on a page of another origin of the same site",
    "cross-site": "on a page of another site",
    "none": "asked for by no page",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One field and what its value must be: one of `equal`, or containing one of `containing`, or anything."""

    name: str
    equal: frozenset[str]
    containing: tuple[str, ...]

    def holds(self, value: str | None) -> bool:
        """Return whether a value, None when the field is absent, meets the condition."""
        if value is None:
            return False
        if not self.equal and not self.containing:
            return True
        lowered = value.lower()
        return lowered in self.equal or any(wanted in lowered for wanted in self.containing)


@dataclass(frozen=True, slots=True)
class Rule:
    """A reading and the conditions under which it is the right one."""

    reading: Reading
    methods: frozenset[str]
    target: re.Pattern[str] | None
    conditions: tuple[Condition, ...]
    absent: tuple[str, ...]
    unlike: tuple[Condition, ...]
    must: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A head as the rules see it: each field's first value, keyed in lower case, and its name as it was spelled."""

    method: str
    target: str
    values: dict[str, str]
    spelled: dict[str, str]


def head(
    method: bytes | str,
    target: bytes | str,
    fields: Sequence[tuple[bytes, bytes]],
    *,
    version: bytes | str = "",
    host: str | None = None,
    secure: bool = False,
) -> list[Reading]:
    """Return what a request head says as a whole: what made it first, then what else can be told from it.

    `version` is that of the request line; without it nothing is said about the connection. `host` is the name or
    address the client was asked to reach, with or without a port, where the caller knows it better than the Host
    field does; `secure` says whether the request came over TLS.
    """
    facts = _facts(method, target, fields)
    first = next((rule for rule in _rules("cause") if _holds(rule, facts)), None)
    found = [_read(first, facts)] if first is not None else []
    if host is None:
        host = facts.values.get("host", "")
    missing = _missing_metadata(facts, host, secure=secure)
    if missing is not None:
        found.append(missing)
    found += [_read(rule, facts) for rule in _rules("note") if _holds(rule, facts)]
    foreign = facts.values.get(_ASKER) == "foreign"
    lasting = None
    if version and all(reading.kind != "last-request" for reading in found):
        lasting = persistence(version, [facts.values.get("connection", "")])
    found += filter(
        None,
        (
            cors_step(facts.method, facts.values, facts.spelled, foreign=foreign),
            site_reading(facts.values, host, secure=secure),
            lasting,
            family_reading(list(facts.spelled.values()), facts.values),
        ),
    )
    return found


def _facts(method: bytes | str, target: bytes | str, fields: Iterable[tuple[bytes, bytes]]) -> Facts:
    values: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for number, (name, value) in enumerate(fields):
        if number >= MOST_FIELDS:
            break
        shown = name[:LONGEST].decode("latin-1")
        key = shown.lower()
        if key not in values:
            values[key] = value[:LONGEST].decode("latin-1").strip(" \t")
            spelled[key] = shown
    if "origin" in values:
        origin, host = values["origin"].lower(), values.get("host", "").lower()
        values[_ASKER] = "same" if origin in {f"http://{host}", f"https://{host}"} else "foreign"
    return Facts(_text(method), _text(target), values, spelled)


def _text(wire: bytes | str) -> str:
    return wire[:LONGEST].decode("latin-1") if isinstance(wire, bytes) else wire[:LONGEST]


@lru_cache(maxsize=2)
def _rules(section: str) -> tuple[Rule, ...]:
    return tuple(_rule(entry) for entry in table("readings")[section])


def _rule(entry: dict[str, Any]) -> Rule:
    when: dict[str, Any] = entry.get("when", {})
    methods = when.get("method", [])
    return Rule(
        Reading(
            entry["title"], (), " ".join(entry.get("paragraph", "").split()), entry["source"], entry["kind"]
        ),
        frozenset([methods] if isinstance(methods, str) else methods),
        re.compile(when["target"], re.DOTALL) if "target" in when else None,
        tuple(_condition(name, wanted) for name, wanted in when.items() if name not in _NOT_FIELDS),
        tuple(when.get("absent", ())),
        tuple(_condition(name, wanted) for name, wanted in when.get("unlike", {}).items()),
        entry.get("must", ""),
    )


def _condition(name: str, wanted: str | list[str]) -> Condition:
    texts = [wanted] if isinstance(wanted, str) else wanted
    return Condition(
        name,
        frozenset(text for text in texts if text[:1] not in {"~", "*"}),
        tuple(text[1:] for text in texts if text.startswith("~")),
    )


def _holds(rule: Rule, facts: Facts) -> bool:
    return (
        (not rule.methods or facts.method in rule.methods)
        and all(condition.holds(facts.values.get(condition.name)) for condition in rule.conditions)
        and not any(name in facts.values for name in rule.absent)
        and not any(condition.holds(facts.values.get(condition.name)) for condition in rule.unlike)
        and (rule.target is None or rule.target.match(facts.target) is not None)
    )


def _read(rule: Rule, facts: Facts) -> Reading:
    """Return a rule's reading of a head: blanks filled in, the evidence as it stands there."""
    because = [f"method {clip(facts.method, 24)}"] if rule.methods else []
    if rule.target is not None:
        because.append(f"target {clip(facts.target, 48)}")
    because += [_quoted(facts, condition.name) for condition in rule.conditions if condition.name != _ASKER]
    if "{where}" in rule.reading.title and "sec-fetch-site" in facts.values:
        because.append(_quoted(facts, "sec-fetch-site"))
    because += [f"no {_canonical(name)}" for name in rule.absent if not because or name == "origin"]
    must = _REQUIREMENTS[rule.must](facts.values) if rule.must else ()
    return replace(
        rule.reading,
        title=_filled(rule.reading.title, facts),
        paragraph=_filled(rule.reading.paragraph, facts),
        because=tuple(dict.fromkeys(because)),
        must=must,
    )


def _quoted(facts: Facts, name: str) -> str:
    return f"{clip(facts.spelled[name], 40)}: {clip(facts.values[name], 64)}"


def _canonical(name: str) -> str:
    title = field(name).title
    return title if title.lower() == name else name


def _page(facts: Facts) -> str:
    return clip(facts.values.get("origin") or facts.values.get("referer") or "a page it does not name", 64)


BLANKS: dict[str, Callable[[Facts], str]] = {
    "method": lambda facts: clip(facts.method, 24),
    "page": _page,
    "where": lambda facts: _WHERE.get(facts.values.get("sec-fetch-site", "").lower(), "on a page"),
    "wanted": lambda facts: clip(facts.values.get("access-control-request-method", "?"), 24),
    "product": lambda facts: clip(facts.values.get("user-agent", "?").partition(" ")[0], 40),
}
"""What the blanks of titles and paragraphs are filled with; what the head lacks is worded as such."""


def _filled(text: str, facts: Facts) -> str:
    return re.sub(r"\{(\w+)\}", lambda blank: BLANKS[blank[1]](facts), text) if "{" in text else text


def _missing_metadata(facts: Facts, host: str, *, secure: bool) -> Reading | None:
    """Return why a request has no Sec-Fetch-* fields, or None when it has them."""
    values = facts.values
    if any(name in values for name in ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")):
        return None
    agent = values.get("user-agent", "")
    browser = agent.startswith("Mozilla/") and "compatible;" not in agent
    if not browser:
        key, evidence = "not-a-browser", (_quoted(facts, "user-agent") if agent else "no User-Agent")
    elif not secure and not loopback(_without_port(host)):
        key, evidence = "untrustworthy", f"plain http to {clip(host, 64) or 'a host it does not name'}"
    elif "websocket" in values.get("upgrade", "").lower():
        key, evidence = "websocket", _quoted(facts, "upgrade")
    else:
        key, evidence = "old-or-imitated", _quoted(facts, "user-agent")
    entry = table("readings")["missing"][key]
    return Reading(
        entry["title"],
        ("no Sec-Fetch-*", evidence),
        " ".join(entry["paragraph"].split()),
        entry["source"],
        f"no-fetch-metadata-{key}",
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host
