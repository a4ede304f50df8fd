"""What checking some credentials came to."""

from __future__ import annotations

from typing import Final, NamedTuple


class Verdict(NamedTuple):
    """`right`; or `stale`: they would be, were their nonce not used up; or `malformed`: no such credentials exist.

    `generation` counts the stale answers that a client has got on its way.
    """

    right: bool = False
    stale: bool = False
    malformed: bool = False
    generation: int = 0


RIGHT: Final = Verdict(right=True)
WRONG: Final = Verdict()
MALFORMED: Final = Verdict(malformed=True)
