"""Rules as the text of a rule file: what was put together in Python or sent as JSON can be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    import tomli_w

    data = [_without_null(_builtins(table)) for table in tables]
    text = tomli_w.dumps({"rule": data} if data else {})
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InspectdError(
            "a rule holds a lone surrogate, which no file can", "Write bytes in raw."
        ) from None
    return text


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
