"""Mistakes a person can cause and mend. They are caught once, at the edge, and printed without a traceback."""

from __future__ import annotations


class InspectdError(Exception):
    """Something a person asked for can't be done.

    `what` names the thing and what is wrong with it, `mend` how to put it right (may be empty), `exit_code` is
    the process's answer: 1 the job failed, 2 wrong usage.
    """

    def __init__(self, what: str, mend: str = "", *, exit_code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.what}\n{self.mend}" if self.mend else self.what
