"""Media types by file name: ours, the same on every machine."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from inspectd.rules.media_types import UNKNOWN, media_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("dir.json/A.JSON", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("a.b.mjs", "text/javascript; charset=utf-8"),
        ("a", UNKNOWN),
        (".html", UNKNOWN),
        ("a.", UNKNOWN),
        ("", UNKNOWN),
        ("a.\x00", UNKNOWN),
    ],
)
def test_a_suffix_names_a_type(name: str, kind: str) -> None:
    assert media_type(PurePosixPath(name)) == kind
