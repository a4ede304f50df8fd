"""A folder of files: what is found, what never is, and what is said about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspectd.rules.behaviour.folder import resolve
from inspectd.rules.draft import CraftProblems, Draft, FileSlice
from inspectd.rules.media_types import media_type
from tests.rules.behaviour.drafting import Acting, content_of
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder `site` with files, links and oddities, and secrets beside it."""
    root = tmp_path / "site"
    for name, content in {
        "index.html": "the index",
        "a b.txt": "space",
        "ü.css": "umlaut",
        "..dots": "dots",
        "sub/page.html": "page",
        "sub/index.html": "sub index",
        "empty/.keep": "",
        "percent%2e%2e": "percent",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site-beside").mkdir()
    (tmp_path / "site-beside" / "secret").write_text("secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "inside").symlink_to(root / "sub")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


def _answer(
    site: Path, path: str, *, method: str = "GET", captured: Mapping[str, str] | None = None
) -> Draft:
    acting = Acting(site.parent, folder="site")
    draft = Draft(b"HTTP/1.1 200 OK", auto=frozenset({"content-type"}))
    return acting(get(path, method=method), captured=captured, draft=draft)


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/", "the index", "text/html; charset=utf-8"),
        ("/index.html", "the index", "text/html; charset=utf-8"),
        ("/a%20b.txt?x=/../y", "space", "text/plain; charset=utf-8"),
        ("/%C3%BC.css", "umlaut", "text/css; charset=utf-8"),
        ("/..dots", "dots", "application/octet-stream"),
        ("/sub/page.html", "page", "text/html; charset=utf-8"),
        ("/sub/", "sub index", "text/html; charset=utf-8"),
        ("/inside/page.html", "page", "text/html; charset=utf-8"),
        ("/percent%252e%252e", "percent", "application/octet-stream"),
        ("http://a.test/sub/page.html", "page", "text/html; charset=utf-8"),
    ],
)
def test_a_file_is_found_and_has_its_type(site: Path, path: str, content: str, kind: str) -> None:
    draft = _answer(site, path)
    assert draft.status_line == b"HTTP/1.1 200 OK"
    assert isinstance(draft.content, FileSlice)
    assert content_of(draft) == content.encode()
    assert draft.get(b"content-type") == kind.encode()
    assert draft.get(b"etag") is not None
    assert draft.get(b"accept-ranges") == b"bytes"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret", "/..%2fsecret", "/%2e%2e/secret", "/sub/../index.html", "/./index.html", "/%2e/index.html",
        "/out", "/up/secret", "/up", "/loop", "/pipe", "/nothing", "/index.html/x", "/a//b", "/sub//page.html",
        "/a%00b", "/index.html%00",
        "/../site-beside/secret", "/empty/", "/sub%2fpage.html", "/%2fetc%2fpasswd", "//etc/passwd", "/" + "x" * 5000,
        "/" + "sub/" * 2000, "/%ff", "/sub\\page.html",
    ],
)  # fmt: skip
def test_nothing_else_is(site: Path, path: str) -> None:
    draft = _answer(site, path)
    assert draft.status_line == b"HTTP/1.1 404 Not Found"
    assert draft.content == b"404 Not Found\n"


def test_what_the_wildcard_stood_for_names_the_file(site: Path) -> None:
    assert content_of(_answer(site, "/static/sub/page.html", captured={"**": "sub/page.html"})) == b"page"
    assert content_of(_answer(site, "/static/index.html", captured={"*": "index.html"})) == b"the index"
    assert content_of(_answer(site, "/static/", captured={"**": ""})) == b"the index"


@pytest.mark.parametrize(
    ("path", "captured", "location"),
    [
        ("/sub", None, b"/sub/"),
        ("/static/sub?a=b", {"**": "sub"}, b"/static/sub/?a=b"),
        ("//sub", {"**": "sub"}, b"/.//sub/"),
    ],
)
def test_a_folder_without_its_slash_is_redirected_to_it(
    site: Path, path: str, captured: dict[str, str] | None, location: bytes
) -> None:
    draft = _answer(site, path, captured=captured)
    assert (draft.status_line, draft.get(b"location")) == (b"HTTP/1.1 301 Moved Permanently", location)


def test_only_reading_is_allowed(site: Path) -> None:
    assert isinstance(_answer(site, "/index.html", method="HEAD").content, FileSlice)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        draft = _answer(site, "/index.html", method=method)
        assert (draft.status_line, draft.get(b"allow")) == (b"HTTP/1.1 405 Method Not Allowed", b"GET, HEAD")


def test_a_file_is_conditional_by_itself(site: Path) -> None:
    etag = (_answer(site, "/index.html").get(b"etag") or b"").decode()
    acting = Acting(site.parent, folder="site")
    again = acting(get("/index.html", f"If-None-Match: {etag}"))
    assert (again.status_line, again.content) == (b"HTTP/1.1 304 Not Modified", b"")
    part = acting(get("/index.html", "Range: bytes=4-"))
    assert content_of(part) == b"index"


@pytest.mark.parametrize(
    "folder", ["../elsewhere", "nothing", "site/index.html", "sub/../../site", "x" * 300]
)
def test_a_folder_that_is_none_or_outside_is_refused(site: Path, folder: str) -> None:
    with pytest.raises(CraftProblems) as caught:
        Acting(site.parent, folder=folder)
    assert [problem.key for problem in caught.value.problems] == ["folder"]


_PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "%2e",
        "%2F",
        "%5c",
        "\\",
        "%00",
        "sub",
        "up",
        "out",
        "inside",
        "secret",
        "site",
        "%",
        "%zz",
        "index.html",
        "é",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(_PIECES, max_size=12).map("".join)
    | st.binary(max_size=40).map(lambda data: data.decode("latin-1"))
)
def test_nothing_outside_the_folder_is_ever_named(site: Path, path: str) -> None:
    found = resolve(site.resolve(), path.encode("latin-1", "replace"))
    assert found is None or found.resolve().is_relative_to(site.resolve())


@pytest.mark.parametrize(
    ("name", "kind"), [("A.HTML", "text/html; charset=utf-8"), ("x", "application/octet-stream")]
)
def test_a_media_type_goes_by_the_name(name: str, kind: str) -> None:
    assert media_type(Path(name)) == kind
