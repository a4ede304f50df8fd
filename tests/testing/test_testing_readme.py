"""The examples of the README's section on pytest are tests, and they pass as they stand there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from inspectd.testing.answer import Verbs
from inspectd.testing.rule import Rule
from tests.live_engine import ROOT
from tests.testing.test_testing_plugin import INI

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTION = (
    (ROOT / "README.md")
    .read_text("utf-8")
    .partition("\n## Test clients with pytest\n")[2]
    .partition("\n## ")[0]
)
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_passes(pytester: pytest.Pytester, number: int) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(test_it=EXAMPLES[number])

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-q")

    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] == (
        84 if "here 84 times" in SECTION and "sweep" in EXAMPLES[number] else outcomes["passed"]
    )


def _verbs() -> Iterator[str]:
    for row in re.findall(r"^\| (`.+?) \|", SECTION, re.MULTILINE):
        yield from re.findall(r"`(\w+)\(", row)


def test_the_verbs_of_the_table_are_there() -> None:
    verbs = set(_verbs())

    assert len(verbs) > 12
    assert verbs <= set(dir(Rule)) | set(dir(Verbs))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3
