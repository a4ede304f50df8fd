"""The JSON Schema of rule files and the loader agree, and what is written as TOML is read as the same rules."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from inspectd.errors import InspectdError
from inspectd.rules.file import RuleFileError, load_tables, load_text, schema, to_toml
from inspectd.rules.shape import fit
from inspectd.rules.tables import FileTable, RuleTable

NOWHERE = Path("/nowhere")
SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)

GOOD = [
    "",
    "seed = 5",
    "[[rule]]",
    "[[rule]]\nmatch = 'GET /x'\nrespond = '200'",
    "[[rule]]\nmatch = { method = ['GET', 'HEAD'], path-regex = '/x', header.Accept = '*json*', query.a = true }",
    "[[rule]]\nmatch = { json = { '$.a' = [1, { b = 2 }] }, nth = 1, first = true, tls = false }",
    "[[rule]]\nheaders = ['A: b', { raw = 'x' }]\nbody = 'x'\nauto = ['date', 'connection']",
    "[[rule]]\nbody_hex = '00 ff'",
    "[[rule]]\neach = ['503', { respond = '200', json = { ok = true } }]\nthen = '404'\nper = 'client'",
    "[[rule]]\npace = { before = '300ms', head = '1B/20ms', jitter = 0.5 }",
    "[[rule]]\npace = { before = 1.5 }\nfault = [{ do = 'reset', at = 'body+50%' }, { do = 'stall' }]",
    "[[rule]]\nfault = { do = 'garbage', length = '4KiB' }\nhold = { timeout = 5 }",
    "[[rule]]\ncoding = 'gzip'\nbody = 'x'",
    "[[rule]]\ncoding = { apply = ['gzip', 'br'], damage = 'flip' }\nbody = 'x'",
    "[[rule]]\nchunked = { sizes = [1, 2], trailers = ['A: b'], line-end = '\\n' }\nbody = 'x'",
    "[[rule]]\nevents = ['a', { data = 'b', after = '1s' }]",
    "[accept]\ndo = 'wait'\nfor = '2s'",
]

BAD = [
    "rules = []",
    "rule = {}",
    "seed = '5'",
    "[[rule]]\nrespnd = '200'",
    "[[rule]]\nrespond = 200",
    "[[rule]]\nmatch = 5",
    "[[rule]]\nmatch = { paths = '/x' }",
    "[[rule]]\nmatch = { nth = 0 }",
    "[[rule]]\nmatch = { header = 'x' }",
    "[[rule]]\nheaders = 'A: b'",
    "[[rule]]\nheaders = [{ row = 'x' }]",
    "[[rule]]\nauto = ['dates']",
    "[[rule]]\neach = '200'",
    "[[rule]]\neach = [200]",
    "[[rule]]\npick = 'any'",
    "[[rule]]\npace = '1s'",
    "[[rule]]\npace = { jitter = 2 }",
    "[[rule]]\nfault = { at = 'head' }",
    "[[rule]]\nfault = { do = 'rset' }",
    "[[rule]]\nhold = 'yes'",
    "[[rule]]\ncoding = 'gzp'",
    "[[rule]]\nweight = -1",
    "[accept]\ncount = 1",
    "[accept]\ndo = 'nothing'",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_the_loader_takes_the_schema_takes(text: str) -> None:
    load_text(text, source="a", base=NOWHERE)
    VALIDATOR.validate(tomllib.loads(text))


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_the_loader_refuses(text: str) -> None:
    with pytest.raises(RuleFileError):
        load_text(text, source="a", base=NOWHERE)
    assert not VALIDATOR.is_valid(tomllib.loads(text))


def _known_words(node: Any) -> set[str]:
    """Every key and choice that the schema names."""
    words: set[str] = set()
    if isinstance(node, dict):
        words |= set(node.get("properties", {}))
        words |= {choice for choice in node.get("enum", ()) if isinstance(choice, str)}
        for value in node.values():
            words |= _known_words(value)
    elif isinstance(node, list):
        for value in node:
            words |= _known_words(value)
    return words


_WORDS = st.sampled_from(sorted(_known_words(SCHEMA)))
_NAMES = _WORDS | _WORDS.map(lambda word: word.replace("-", "_"))
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 100), st.floats(0.1, 0.9), _WORDS, st.sampled_from(["200", "1s", ""])
)  # fmt: skip
_DATA = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(
    rules=st.lists(st.dictionaries(_NAMES, _DATA, max_size=4), max_size=2),
    rest=st.dictionaries(_NAMES, _DATA, max_size=1),
)
def test_schema_and_loader_agree_on_the_shape_of_anything(rules: list[Any], rest: dict[str, Any]) -> None:
    data = {"rule": rules} | rest
    _, problems = fit(data, FileTable)
    if any("there twice" in problem.what for problem in problems):
        return  # a schema can't say that two spellings are one key
    assert VALIDATOR.is_valid(data) is not bool(problems), problems


def test_the_schema_is_one_and_explains_itself() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["title"] == "inspectd rule file"
    for name, table in SCHEMA["$defs"].items():
        assert table["additionalProperties"] is False, name
        assert table["description"], name
    event = SCHEMA["$defs"]["EventTable"]["properties"]
    assert event["after"]["description"], "what stands below a field of the tables is said too"
    assert not any("_" in key for table in SCHEMA["$defs"].values() for key in table["properties"])


# -- writing


@pytest.mark.parametrize("text", GOOD)
def test_written_rules_are_the_same_rules(text: str) -> None:
    tables = [
        rule.table for rule in load_text(text, source="a", base=NOWHERE).rules if rule.table is not None
    ]
    again = load_text(to_toml(tables), source="a", base=NOWHERE)
    assert [rule.table for rule in again.rules] == tables


_TEXT = st.text(st.characters(codec="utf-8"))
_JSON = st.recursive(
    st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
)


@given(body=_TEXT, raw=_TEXT, value=_JSON)
def test_any_text_and_any_json_survives(body: str, raw: str, value: Any) -> None:
    tables = [
        msgspec.convert(rule, RuleTable)
        for rule in ({"body": body}, {"raw": raw}, {"json": value}, {"each": ["200", {"json": {"a": value}}]})
    ]
    assert [msgspec.convert(rule, RuleTable) for rule in tomllib.loads(to_toml(tables))["rule"]] == tables


def test_json_that_holds_null_becomes_a_body_of_the_same_bytes() -> None:
    given_tables: list[dict[str, Any]] = [
        {"respond": "200", "json": {"a": [None]}},
        {"each": [{"json": None, "headers": ["X: 1"]}, {"json": [None], "headers": ["content-type: a/b"]}]},
    ]
    tables = [
        rule.table for rule in load_tables(given_tables, source="a", base=NOWHERE) if rule.table is not None
    ]
    written = tomllib.loads(to_toml(tables))["rule"]
    assert written == [
        {"respond": "200", "body": '{"a":[null]}', "headers": ["Content-Type: application/json"]},
        {
            "each": [
                {"body": "null", "headers": ["X: 1", "Content-Type: application/json"]},
                {"body": "[null]", "headers": ["content-type: a/b"]},
            ]
        },
    ]


def test_no_rules_are_an_empty_file_and_no_file_holds_a_lone_surrogate() -> None:
    assert to_toml([]) == ""
    with pytest.raises(InspectdError, match="lone surrogate"):
        to_toml([RuleTable(body="\ud800")])
