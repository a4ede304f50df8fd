"""The JSON Schema of rule files (draft 2020-12), made from the same tables that the loader compares with.

It knows what can be said of types, keys and choices. What a duration or a pattern looks like only the loader knows.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any, Final

import msgspec

from inspectd.rules import parts, tables

ID: Final = "urn:inspectd:rules"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema, ready to be written as JSON. Editors with TOML support take it as it is."""
    _, definitions = msgspec.json.schema_components([tables.FileTable], ref_template="#/$defs/{name}")
    explained = _docstrings()
    for name, definition in definitions.items():
        _finish(definition, explained.get(name, {}))
    whole = definitions.pop("FileTable")
    made = {
        "$schema": DIALECT,
        "$id": ID,
        **whole,
        "title": "inspectd rule file",
        "description": "Crafted answers. The first rule that matches a request answers it.",
        "$defs": definitions,
    }
    plain: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(made)
    )  # defaults that are tuples become arrays
    return plain


def _finish(definition: dict[str, Any], explained: dict[str, str]) -> None:
    """Close a table to unknown keys, explain its keys, and allow the underscores that the loader understands."""
    definition["additionalProperties"] = False
    also: dict[str, Any] = {}
    for key, value in definition.get("properties", {}).items():
        if key in explained and "description" not in value:
            value["description"] = explained[key]
        if value.get("default", 0) is None:
            del value["default"]
        if "-" in key:
            also[f"^{key.replace('-', '_')}$"] = {
                **value,
                "description": f"The same as {key}.",
                "deprecated": True,
            }
    if also:
        definition["patternProperties"] = also


def _docstrings() -> dict[str, dict[str, str]]:
    """What stands below the fields of the tables, by table and key; nothing where the source is not installed."""
    found: dict[str, dict[str, str]] = {}
    try:
        nodes = [node for module in (parts, tables) for node in ast.parse(inspect.getsource(module)).body]
    except OSError:
        return found
    for node in nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        keys = found.setdefault(node.name, {})
        for field, below in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                keys[field.target.id.replace("_", "-")] = inspect.cleandoc(below.value.value)
    return found
