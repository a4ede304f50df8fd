"""What was asked for, in the cells that a column has: the path counts most, then the end of the host's name.

A whole URL is shown where there is room for it. Then its scheme goes, then the middle of its host, and the end of the
path last. What comes in and goes out is safe text.
"""

from __future__ import annotations

import re
from typing import Final

from inspectd.text.safe import cells, clip

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15}://)([^/?#]+)(.*)", re.DOTALL)
LEAST_HOST: Final = 9
"""Cells of a host that stay, if there are so many, however long the path is: `localh…01`."""
LEAST_PATH: Final = 6
"""Cells of a path that stay, in the same way, however long the host is."""


def is_url(target: str) -> bool:
    """Whether it names a server, as what is asked of a proxy does."""
    return _URL.match(target[:200]) is not None


def short_target(target: str, width: int) -> tuple[str, str]:
    """The server and the rest of it, at most `width` cells together; the server is empty in most requests."""
    found = _URL.match(target)
    if found is None:
        return "", clip(target, width)
    scheme, host, path = found.groups()
    if cells(target) <= width:
        return scheme + host, path
    wanted = min(cells(path), max(width - LEAST_HOST, min(LEAST_PATH, width // 2)))
    host = in_the_middle(host, max(width - wanted, 1))
    return host, clip(path, width - cells(host))


def in_the_middle(text: str, width: int) -> str:
    """The text, with `…` for its middle where it takes more than `width` cells."""
    if cells(text) <= width:
        return text
    if width < 4 or not text.isascii():
        return clip(text, width)
    end = width // 2
    return f"{text[: width - 1 - end]}…{text[-end:]}"
