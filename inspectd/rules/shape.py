"""Compares what a file says with what `tables` allows, and says of every difference what was expected.

What fits is handed on with its keys in the usual spelling; what doesn't is left out and noted, so that the rest can
be looked at as well. Values that are quoted are safe text.
"""

from __future__ import annotations

import datetime as dt
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import inspect

from inspectd.rules.instead import example
from inspectd.rules.problems import KeyProblem, either, nearest
from inspectd.rules.tables import AnswerTable, FileTable, MatchTable, RawLine, RuleTable, TextMatch
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.rules.problems import KeyPath

BAD: Final = object()
"""Stands for a value that doesn't fit."""

_TABLES: Final = (inspect.StructType, inspect.DictType)
_ARRAYS: Final = (inspect.VarTupleType, inspect.ListType)

_MANY_KEYS: Final = 20
_MOST_BITS: Final = 14_000  # of a number that Python writes in decimal: it stops at 4,300 digits

_MEANT: Final = {
    "status": "respond",
    "response": "respond",
    "reply": "respond",
    "header": "headers",
    "content": "body",
    "text": "body",
    "delay": 'pace = { before = "300ms" }',
    "sleep": 'pace = { before = "300ms" }',
    "latency": 'pace = { before = "300ms" }',
    "close-connection": "close = true",
    "compress": 'coding = "gzip"',
    "gzip": 'coding = "gzip"',
    "reset": 'fault = { do = "reset" }',
    "stall": 'fault = { do = "stall" }',
    "truncate": 'fault = { do = "truncate", at = "body+50%" }',
    "garbage": 'fault = { do = "garbage", at = "head" }',
    "responses": "each",
    "fallback": "then",
}
"""What people write who come from elsewhere, and what it is here, in a rule or an answer."""


def fit(data: Mapping[str, Any], table: type) -> tuple[dict[str, Any], list[KeyProblem]]:
    """The part of `data` that fits a table of `tables`, and what doesn't.

    An array with an element that doesn't fit is left out as a whole; of a file's rules such a one becomes None.
    """
    fitter = _Fitter()
    fitted = fitter.struct(data, _shape(table), ())
    return (fitted if isinstance(fitted, dict) else {}), fitter.problems


@lru_cache(maxsize=8)
def _shape(table: type) -> inspect.StructType:
    shape = inspect.type_info(table)
    assert isinstance(shape, inspect.StructType)
    return shape


class _Fitter:
    def __init__(self) -> None:
        self.problems: list[KeyProblem] = []

    def wrong(self, path: KeyPath, what: str, mend: str = "") -> object:
        self.problems.append(KeyProblem(path, what, mend))
        return BAD

    def struct(self, data: Mapping[str, Any], shape: inspect.StructType, path: KeyPath) -> Any:
        fields = {field.encode_name: field for field in shape.fields}
        fitted: dict[str, Any] = {}
        whole = True
        meant: set[str] = set()
        for key, value in data.items():
            name = key if key in fields else key.replace("_", "-")
            field = fields.get(name)
            if field is None:
                meant.add(self.unknown(key, shape, fields, path))
                whole = whole and shape.cls is not TextMatch
            elif name in fitted:
                self.wrong(
                    (*path, key), f"{name} is there twice, once with a hyphen", "Take one of them out."
                )
            else:
                fitted[name] = self.value(value, field.type, (*path, key))
        for name, field in fields.items():
            if field.required and name not in fitted:
                if name not in meant:
                    self.wrong(path, f"the key '{name}' is missing", _known(fields))
                whole = False
            elif fitted.get(name) is BAD:
                del fitted[name]
                whole = whole and not field.required
        return fitted if whole else BAD

    def unknown(self, key: str, shape: inspect.StructType, fields: Mapping[str, Any], path: KeyPath) -> str:
        """Note an unknown key. Returns the known one that it looks like."""
        shown = f"unknown key '{clip(safe(key[:200]), 60)}'"
        answering = issubclass(shape.cls, AnswerTable)
        mend = near = ""
        if answering and key.replace("_", "-") in _MEANT:
            meant = _MEANT[key.replace("_", "-")]
            mend = f"Write {meant}." if "=" in meant else f"Here it is called {meant}."
        elif shape.cls is RuleTable and key.replace("_", "-") in _names(MatchTable):
            mend = f"It belongs into match: match = {{ {safe(key)} = ... }}."
        elif shape.cls is FileTable and key.replace("_", "-") in _names(RuleTable):
            mend = "Write [[rule]] on a line before it."
        elif near := nearest(key, fields):
            shown += f"; did you mean '{near}'?"
        elif shape.cls is RawLine:
            mend, near = 'A field line is text: headers = ["Name: value"].', "raw"
        else:
            mend = _known(fields)
        self.wrong((*path, key), shown, mend)
        return near

    def value(self, value: Any, kind: inspect.Type, path: KeyPath) -> Any:
        """The value as far as it fits one of the alternatives of its key."""
        alternatives, described = _alternatives(kind)
        for one in alternatives:
            if isinstance(one, inspect.AnyType):
                return value if self.jsonable(value, path) else BAD
            if isinstance(value, dict):
                if isinstance(one, inspect.StructType):
                    return self.struct(value, one, path)
                if isinstance(one, inspect.DictType):
                    items = {
                        key: self.value(item, one.value_type, (*path, key)) for key, item in value.items()
                    }
                    return BAD if any(item is BAD for item in items.values()) else items
            elif isinstance(value, (list, tuple)):
                if isinstance(one, _ARRAYS):
                    return self.array(value, one.item_type, path)
            elif _is_scalar(value, one):
                return self.scalar(value, one, path)
        expected = either(dict.fromkeys(filter(None, map(_expected, alternatives))))
        mend = f"About {path[-1]}: {described}." if described and isinstance(path[-1], str) else ""
        if path == ("rule",) and isinstance(value, dict):
            mend = "Write [[rule]], in two brackets."
        elif instead := example(path, value) or _instead(value, alternatives):
            mend = f"Write {instead}. {mend}".rstrip()
        return self.wrong(path, f"expected {expected}, not {_got(value)}", mend)

    def array(self, values: list[Any] | tuple[Any, ...], kind: inspect.Type, path: KeyPath) -> Any:
        items = [self.value(item, kind, (*path, number)) for number, item in enumerate(values)]
        if path == ("rule",):
            return [None if item is BAD else item for item in items]
        return BAD if any(item is BAD for item in items) else items

    def scalar(self, value: Any, kind: inspect.Type, path: KeyPath) -> Any:
        """A value of the right type, as far as it is one that is allowed."""
        if isinstance(kind, inspect.LiteralType):
            if value in kind.values:
                return value
            choices = [str(choice) for choice in kind.values]
            near = nearest(value, choices) if isinstance(value, str) else ""
            meant = f"; did you mean '{near}'?" if near else ""
            self.wrong(path, f"{_got(value)} is not one of {', '.join(choices)}{meant}")
            return near or BAD  # with what was meant the rest of its table can be looked at
        if isinstance(kind, (inspect.IntType, inspect.FloatType)):
            if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
                return self.wrong(path, "a number of more than 64 bits", "Write a smaller one.")
            if not math.isfinite(value):
                return self.wrong(path, f"{value} is no number to count with")
            if kind.ge is not None and value < kind.ge:
                return self.wrong(path, f"{value} is less than {kind.ge}", "It is the least that is allowed.")
            if kind.le is not None and value > kind.le:
                return self.wrong(path, f"{value} is more than {kind.le}", "It is the most that is allowed.")
        return value

    def jsonable(self, value: Any, path: KeyPath) -> bool:
        """Whether a value can be written as JSON."""
        if isinstance(value, dict):
            results = [self.jsonable(item, (*path, key)) for key, item in value.items()]  # all of them
            return all(results)
        if isinstance(value, (list, tuple)):
            results = [self.jsonable(item, (*path, number)) for number, item in enumerate(value)]
            return all(results)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            self.wrong(
                path, "a number of thousands of digits", "Write a smaller one, or it in quotes, as text."
            )
            return False
        if isinstance(value, (dt.date, dt.time)):
            self.wrong(path, f"{_got(value)} is no JSON value", "Write it in quotes, as text.")
            return False
        if isinstance(value, float) and not math.isfinite(value):
            self.wrong(path, f"{value} is no JSON value", "Write it in quotes, as text.")
            return False
        return True


def _instead(value: Any, alternatives: list[inspect.Type]) -> str:
    """A value of the wrong type as it might have been meant; empty when nobody can tell."""
    kinds = {type(one) for one in alternatives}
    items = {
        type(one) for array in alternatives if isinstance(array, _ARRAYS) for one in _kinds(array.item_type)
    }
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and inspect.StrType in kinds:
        small = abs(value) < 1 << 64 and len(f"{value}") < 20
        return f'it in quotes: "{value}"' if small else "it in quotes"
    if isinstance(value, str) and inspect.StrType in items:
        return f"it in brackets: [{_got(value)}]"
    if isinstance(value, dict) and inspect.StrType in items:
        return 'an array: ["...", "..."]'
    for one in alternatives:
        if isinstance(one, inspect.StructType) and isinstance(value, (str, int, float)):
            keys = [field.encode_name for field in one.fields]
            return f"a table with keys of these: {', '.join(keys)}" if len(keys) < _MANY_KEYS else ""
    return ""


def _names(table: type) -> set[str]:
    return {field.encode_name for field in _shape(table).fields}


def _known(fields: Mapping[str, Any]) -> str:
    return f"Known here: {', '.join(fields)}."


def _alternatives(kind: inspect.Type) -> tuple[list[inspect.Type], str]:
    """The types that a value may have, unwrapped, and what its key is for."""
    described = ""
    if isinstance(kind, inspect.Metadata):
        described = str((kind.extra_json_schema or {}).get("description", ""))
        found, inner = _alternatives(kind.type)
        return found, described or inner
    if not isinstance(kind, inspect.UnionType):
        return [kind], described
    alternatives: list[inspect.Type] = []
    for one in kind.types:
        found, inner = _alternatives(one)
        alternatives += found
        described = described or inner
    return alternatives, described


def _kinds(kind: inspect.Type) -> list[inspect.Type]:
    return _alternatives(kind)[0]


def _is_scalar(value: Any, kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(kind, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, inspect.FloatType):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(kind, (inspect.StrType, inspect.LiteralType)):
        return isinstance(value, str)
    return isinstance(kind, inspect.NoneType) and value is None


def _expected(kind: inspect.Type) -> str:
    """A type in the words of TOML; empty for the absence of a value, which TOML can't write."""
    if isinstance(kind, inspect.LiteralType):
        return f"one of {', '.join(map(str, kind.values))}"
    if isinstance(kind, _TABLES):
        return "a table"
    if isinstance(kind, _ARRAYS):
        return "an array"
    words = {
        inspect.StrType: "a string",
        inspect.BoolType: "a boolean",
        inspect.IntType: "a whole number",
        inspect.FloatType: "a number",
    }
    return words.get(type(kind), "")


def _got(value: Any) -> str:
    """A value in an error, by its type where it is long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{clip(safe(value[:200]), 60)}'"
    if isinstance(value, (int, float)):
        return "a huge number" if isinstance(value, int) and abs(value) >= 1 << 64 else f"{value}"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "an array"
    if value is None:
        return "null"
    return f"the date or time {safe(str(value))}"
