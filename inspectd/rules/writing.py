"""Rules as the text of a rule file: what was put together in Python or sent as JSON can be kept."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.tables import RuleTable


def to_toml(tables: Sequence[RuleTable]) -> str:
    """A rule file that holds these rules; keys that have their usual value are left out.

    TOML has no null. JSON that holds one becomes a body of the same bytes, and says its type in a field of its own.
    Raises `InspectdError` for text that no UTF-8 file can hold.
    """
    text = "\n".join(_rule(_without_null(_builtins(table))) for table in tables)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InspectdError(
            "a rule holds a lone surrogate, which no file can", "Write bytes in raw."
        ) from None
    return text


_FIRST: Final = ("name", "about", "match")
"""The keys that a rule begins with: what it is for stands before what it answers."""

_WIDTH: Final = 100
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def _rule(table: dict[str, Any]) -> str:
    """A `[[rule]]`, a key a line. A list that is too long for a line has a line an element."""
    lines = ["[[rule]]"]
    for key in sorted(table, key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST)):
        line = f"{_key(key)} = {_inline(table[key])}"
        if len(line) > _WIDTH and isinstance(table[key], list | tuple) and table[key]:
            elements = "".join(f"    {_inline(element)},\n" for element in table[key])
            line = f"{_key(key)} = [\n{elements}]"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    """A value on one line. What JSON escapes TOML understands; DEL is what only TOML wants escaped."""
    if isinstance(value, dict):
        members = ", ".join(f"{_key(key)} = {_inline(member)}" for key, member in value.items())
        return f"{{ {members} }}" if members else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _inline(key)


def _builtins(table: RuleTable) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(table, str_keys=True)
    return data


def _without_null(answer: dict[str, Any]) -> dict[str, Any]:
    """The table of an answer in which no JSON holds null."""
    if "json" in answer and _holds_null(answer["json"]):
        value = answer.pop("json")
        answer["body"] = msgspec.json.encode(value).decode()
        names = [
            line.partition(":")[0].strip().lower()
            for line in answer.get("headers", ())
            if isinstance(line, str)
        ]
        if "content-type" not in names:
            answer["headers"] = [*answer.get("headers", ()), "Content-Type: application/json"]
    if "each" in answer:
        answer["each"] = [_without_null(item) if isinstance(item, dict) else item for item in answer["each"]]
    return answer


def _holds_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_null, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_null, value))
    return value is None
