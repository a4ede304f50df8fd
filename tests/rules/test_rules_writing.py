"""Rules written as a rule file: readable, and the same rules when they are read again."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.file import load_text
from inspectd.rules.tables import AnswerTable, MatchTable, RawLine, RuleTable
from inspectd.rules.writing import to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(TEXT, TEXT, JSON)
def test_any_text_and_any_json_come_back(body: str, name: str, value: Any) -> None:
    tables = [RuleTable(about=name, respond="200 OK", body=body), RuleTable(respond="200 OK", json=value)]
    first, second = tomllib.loads(to_toml(tables))["rule"]
    assert (first["about"], first["body"]) == (name, body)
    assert second["json"] == value


def test_a_rule_reads_as_a_person_would_write_it() -> None:
    rule = RuleTable(
        respond="200 OK",
        headers=(RawLine(raw="X: \x7f\x00"), "Y: 1"),
        match=MatchTable(path="/a", header={"X Y": True}),
        name="one",
        each=("503 Busy " * 12, AnswerTable(respond="200 OK")),
    )
    assert to_toml([rule]) == (
        "[[rule]]\n"
        'name = "one"\n'
        'match = { path = "/a", header = { "X Y" = true } }\n'
        'respond = "200 OK"\n'
        'headers = [{ raw = "X: \\u007f\\u0000" }, "Y: 1"]\n'
        "each = [\n"
        f'    "{"503 Busy " * 12}",\n'
        '    { respond = "200 OK" },\n'
        "]\n"
    )


def test_nothing_is_a_file_without_rules() -> None:
    assert to_toml([]) == ""
    assert load_text("", source="a", base=Path("/")).rules == []
