"""Every entry of every data file is complete, plain text, and refers to things that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from inspectd.explain import registry
from inspectd.explain.readings import BLANKS
from inspectd.explain.registered import Registration, registration
from inspectd.explain.shapes import SHAPES
from inspectd.explain.special import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.explain.model import Explanation

SUBJECTS = ("methods", "status", "roles", "steps", "texts", "sockets", "terms", "framing", "events")
MARKUP = re.compile(r"[<>]|\[/?[a-z]|`|\*\*|\]\(|[\x00-\x1f\x7f]")
SOURCE = re.compile(
    r"RFC \d+( §[\w.]+(, §[\w.]+)*)?"
    r"|(W3C|WICG|WHATWG|IANA|IETF|POSIX|OASIS|ECMA-426|CTA-5|not registered: ).*"
    r"|[a-z0-9]+\([237]\)"
    r"|[a-z]+'s manual.*"
    r"|inspectd"
)


def every_explanation() -> Iterator[tuple[str, Explanation]]:
    for subject in SUBJECTS:
        for name, found in registry.entries(subject).items():
            yield f"{subject}/{name}", found
    for name, entry in registry.fields().items():
        yield f"fields/{name}", entry.explanation
    for name in registry.table("values"):
        for value, found in registry.vocabulary(name).entries.items():
            yield f"values/{name}/{value}", found
    for name, entry in registry.table("field_prefixes").items():
        yield f"field_prefixes/{name}", registry.explanation(name, entry)


def problems(place: str, found: Explanation) -> Iterator[str]:
    """Return what is wrong with an entry."""
    if not found.sentence.endswith("."):
        yield f"{place}: the sentence ends without a full stop"
    if len(found.sentence) > 160:
        yield f"{place}: the sentence has {len(found.sentence)} characters"
    if found.paragraph and not found.paragraph.endswith("."):
        yield f"{place}: the paragraph ends without a full stop"
    if len(found.paragraph) > 600:
        yield f"{place}: the paragraph has {len(found.paragraph)} characters"
    for source in re.split(r", (?=RFC|W3C|WHATWG|WICG|[a-z0-9]+\()", found.source):
        if not SOURCE.fullmatch(source):
            yield f"{place}: no specification is called {source!r}"
    for text in (found.title, found.sentence, found.paragraph):
        if not text.isprintable() or "  " in text:
            yield f"{place}: not plain text: {text}"
    if MARKUP.search(found.sentence + found.paragraph):
        yield f"{place}: markup"


def test_every_entry_is_complete_short_and_plain() -> None:
    assert [problem for place, found in every_explanation() for problem in problems(place, found)] == []


@pytest.mark.parametrize("name", sorted(registry.fields()))
def test_a_field_names_a_shape_and_vocabularies_that_exist(name: str) -> None:
    entry = registry.fields()[name]
    assert entry.shape in {**SHAPES, **SPECIAL}
    assert not (set(SHAPES) & set(SPECIAL))
    known = registry.table("values")
    for vocabulary in (entry.values, entry.parameters, entry.whole):
        assert not vocabulary or vocabulary in known
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", entry.explanation.title)
    blanks = set(re.findall(r"\{(\w*)\}", entry.summary))
    assert blanks <= {"value", "first", "count", "list", "meanings", "brands", "client"}
    assert not entry.summary or entry.summary.endswith(".")


def test_related_names_are_explained_too() -> None:
    known = set(registry.fields()) | set(registry.entries("methods"))
    for place, found in every_explanation():
        missing = [name for name in found.see if name.lower() not in known]
        assert not missing, place


def test_every_vocabulary_is_used() -> None:
    used = {
        name
        for entry in registry.fields().values()
        for name in (entry.values, entry.parameters, entry.whole)
        if name
    }
    by_code = {
        "wildcards", "cookie-prefixes", "cookie-names", "languages", "regions", "scripts", "ports", "schemes",
        "range-units", "auth-schemes", "protocols",
    }  # fmt: skip
    assert set(registry.table("values")) - used - by_code == set()


def test_a_name_is_explained_once() -> None:
    for subject in (*SUBJECTS, "fields", "values"):
        names = [name.lower() for name in registry.table(subject)]
        assert len(names) == len(set(names))
    for name, vocabulary in registry.table("values").items():
        values = [value.lower() for value in vocabulary["values"]]
        assert len(values) == len(set(values)), name


def test_every_reading_is_complete() -> None:
    readings = registry.table("readings")
    for entry in (*readings["cause"], *readings["note"]):
        assert re.fullmatch(r"[a-z][a-z0-9-]+", entry["kind"])
        assert entry["title"]
        assert not entry["title"].endswith(".")
        assert len(entry["title"]) <= 120
        assert not entry.get("paragraph") or entry["paragraph"].strip().endswith(".")
        assert entry["source"]
        assert entry["when"]
        text = entry["title"] + " ".join(entry.get("paragraph", "").split())
        assert not MARKUP.search(text)
        assert set(re.findall(r"\{(\w*)\}", text)) <= set(BLANKS)
    for entry in readings["missing"].values():
        assert {"title", "paragraph", "source"} <= set(entry)


def test_what_registries_and_browsers_say_is_about_fields_that_are_explained() -> None:
    known = registry.fields()
    registered, browsers = registry.table("registered"), registry.table("browsers")
    states = [
        name
        for key in ("permanent", "provisional", "deprecated", "obsoleted")
        for name in registered["fields"][key].split()
    ]
    kinds = [name for names in registered["structured"].values() for name in names.split()]
    assert [name for name in (*states, *kinds, *browsers["support"]) if name.lower() not in known] == []
    assert len(states) == len(set(states))
    assert len(kinds) == len(set(kinds))
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", registered["fields"]["as_of"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", browsers["as_of"])
    for versions in browsers["support"].values():
        assert len(versions) == 3
        assert all(re.fullmatch(r"(~?[\d.]+(-[\d.]+)?|preview)?", version) for version in versions)


def test_a_name_of_a_socket_or_a_word_is_used_once() -> None:
    for subject in ("sockets", "terms"):
        names = [
            name for key, entry in registry.table(subject).items() for name in (key, *entry.get("also", ()))
        ]
        assert len(names) == len({name.lower() for name in names}), subject


def test_a_field_knows_its_registration() -> None:
    mode = registration("sec-fetch-MODE")
    assert (mode.state, mode.structured) == ("", "item")
    assert [each.words for each in mode.support] == [
        "Chrome since 76",
        "Firefox since 90",
        "Safari since 16.4",
    ]
    assert registration("Priority").state == "permanent"
    assert registration("Warning").state == "obsoleted"
    assert [each.words for each in registration("X-XSS-Protection").support] == [
        "Chrome from 4 to 78", "not Firefox", "Safari from 5 to 15.4",
    ]  # fmt: skip
    assert registration("X-Unheard-Of") == Registration("", "", ())
