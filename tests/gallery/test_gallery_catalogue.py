"""The gallery's data: complete, consistent, and the same when it is exported and loaded again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inspectd.gallery.catalogue import (
    Case,
    NoSuchCase,
    book,
    case_of,
    case_of_rule,
    cases,
    chosen,
    groups,
    rule_file,
    rules_of,
    search,
)
from inspectd.rules.file import load_text

ALL = tuple(cases().values())
SECTION = re.compile(r"(RFC [0-9]{3,5} §[0-9]+(\.[0-9]+)*|HTML Standard, .+)")


def test_there_are_many_cases_and_each_has_a_name_of_its_own() -> None:
    names = [case.name for group in groups() for case in group.cases]
    assert len(names) >= 80
    assert len(set(names)) == len(names)
    assert not {"list", "show", "export", "serve", "run"} & set(names)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_each_case_says_what_a_person_wants_to_know(case: Case) -> None:
    for text in (case.correct, case.seen):
        assert text.endswith("."), text
        assert len(text) <= 240
    assert not case.title.endswith(".")
    assert len(case.title) <= 80
    assert SECTION.fullmatch(case.section)
    assert case.method in {"GET", "HEAD", "POST", "PUT"}


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_each_case_compiles_and_answers_its_own_path(case: Case) -> None:
    rules = rules_of([case])
    assert [case_of_rule(rule.id) for rule in rules] == [case.name] * len(rules)
    assert any(case.path in rule.match for rule in rules)


def test_all_cases_share_one_book_without_standing_in_each_others_way() -> None:
    made = book()
    assert len(made.rules) == sum(len(case.rules) for case in ALL)
    paths = [case.path for case in ALL]
    for path in paths:
        assert not any(other.startswith(f"{path}/") for other in paths)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_the_exported_rule_file_holds_the_same_rules(case: Case) -> None:
    loaded = load_text(rule_file([case]), source="gallery", base=Path("/"))
    assert [rule.table for rule in loaded.rules] == list(case.rules)


def test_every_item_of_the_short_list_is_there() -> None:
    wanted = """
        status-999 status-negative status-one-digit status-100-digits reason-empty status-only version-1.2
        version-2.0-text http-0.9 icy one-byte nul-in-value lone-cr-in-value leading-space colon-less nameless obs-fold
        line-100k fields-5000 length-larger length-smaller length-negative length-plus length-list-same
        length-twice-same length-twice-different length-on-204 length-on-304 length-on-head chunk-size-illegal
        chunk-size-overflow chunk-early-close chunked-and-length chunk-extension trailer-undeclared chunk-lf-only
        chunked-twice chunked-not-last interim-100-close interim-103 switching-unasked expect-417 expect-never-invited
        empty stale-reset upload-closed answer-early stall trickle redirect-loop location-blank location-network-path
        location-three-slashes location-dots location-utf-8 post-301 post-302 post-303 post-307 post-308 503-then-200
        429-seconds 429-date range-ignored range-off-by-one range-416 gzip-broken-header gzip-two-members gzip-bomb
        gzip-unsaid br-unasked digest-stale two-challenges-one-line proxy-407-close
    """
    assert set(wanted.split()) - set(cases()) == set()


def test_cases_are_chosen_by_globs_of_names_and_groups() -> None:
    assert [case.name for case in chosen(["stale-*"])] == [
        "stale-reset",
        "stale-close",
        "stale-post",
        "stale-408",
    ]
    assert {case.group for case in chosen(["codings"])} == {"codings"}
    assert chosen([]) == list(ALL)


def test_a_name_that_is_not_there_says_which_one_was_probably_meant() -> None:
    with pytest.raises(NoSuchCase) as error:
        case_of("stale-rest")
    assert error.value.mend == "Did you mean stale-reset?"
    with pytest.raises(NoSuchCase):
        chosen(["nothing-like-this*"])


def test_words_are_searched_in_all_texts() -> None:
    found = {case.name for group in search(["Retry-After", "DATE"]) for case in group.cases}
    assert {"429-date", "retry-after-past"} <= found
    assert search(["no such words anywhere"]) == []


def test_nothing_of_the_gallery_is_loaded_for_the_help_of_the_root_command() -> None:
    code = (
        "import sys\n"
        "from inspectd.cli.root import run_command_line\n"
        "run_command_line(['--help'])\n"
        "print([name for name in sys.modules if name.startswith(('inspectd.gallery', 'inspectd.rules'))])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(run.stdout.splitlines()[-1].replace("'", '"')) == []
    assert "gallery" in run.stdout
