"""The verbs of an answer: what is said, at what pace, and what goes wrong. A rule has them, and so has an answer alone.

Each verb adds to one table, which is that of a rule file, and gives back what it was called on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack

from inspectd.testing.hiding import hidden
from inspectd.testing.words import AnswerWords, keys, lines, one_answer

if TYPE_CHECKING:
    from inspectd.testing.words import Do, Headers, Words


__tracebackhide__ = hidden


class Verbs:
    """What answers and rules have in common."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        """The table that the verbs have made so far, in the keys of a rule file."""

    def _changed(self) -> None:
        """A verb has changed the table."""

    def _with(self, **changes: Any) -> Self:
        before = dict(self.table)
        self.table.update({key.replace("_", "-"): value for key, value in changes.items()})
        try:
            self._changed()
        except BaseException:
            self.table = before  # what can't be is not left behind
            raise
        return self

    # -- what is said

    def headers(self, headers: Headers) -> Self:
        """Add field lines: `["X-A: 1", "x-a: 2"]` or `{"X-A": "1"}`."""
        return self._with(headers=[*self.table.get("headers", ()), *lines(headers)])

    def json(self, value: Any, status: str | int = "200 OK", **words: Unpack[AnswerWords]) -> Self:
        """Answer with JSON."""
        words["json"] = value
        return self._with(respond=str(status), **keys(words))

    # -- how it leaves

    def pace(
        self,
        *,
        before: str | float = 0,
        head: str | None = None,
        body: str | None = None,
        all: str | None = None,  # noqa: A002  the key of a rule file
        jitter: float = 0.0,
        seed: int = 0,
    ) -> Self:
        """Take time: `before` the first byte (`"300ms"`), then bytes in a time (`"1B/20ms"`, `"4KiB/s"`)."""
        given = {"before": before, "head": head, "body": body, "all": all, "jitter": jitter, "seed": seed}
        return self._with(pace={key: value for key, value in given.items() if value})

    def auto(self, *fields: str) -> Self:
        """Let only these fields be added when they aren't given: `date`, `content-length`, ... None for none."""
        return self._with(auto=list(fields))

    # -- what goes wrong

    def fault(self, do: Do, at: str = "start", *, after: str | float = 0, **more: Any) -> Self:
        """Let something go wrong at a place: `start`, `status-line`, `head+10`, `body+50%`, `byte 7`, `chunk 2`.

        `after` is how long to wait at the place first. Several faults happen in the order of their places.
        """
        fault: dict[str, Any] = {"do": do, "at": at, **more}
        if after:
            fault["after"] = after
        before = self.table.get("fault", [])
        return self._with(fault=[*(before if isinstance(before, list) else [before]), fault])

    def reset(self, at: str = "start", *, after: str | float = 0, per: str = "response") -> Self:
        """Send RST at a place: what the client reads there is ECONNRESET."""
        return self.fault("reset", at, after=after, **_per(per))

    def close(self, at: str | None = None, *, after: str | float = 0, per: str = "response") -> Self:
        """Send FIN at a place; without one, after the whole answer."""
        if at is None:
            return self._with(close=True)
        return self.fault("close", at, after=after, **_per(per))

    def half_close(self, at: str = "body", *, after: str | float = 0) -> Self:
        """Send FIN at a place, and go on reading."""
        return self.fault("half-close", at, after=after)

    def stall(self, at: str = "start", *, per: str = "response") -> Self:
        """Send nothing more from a place on, and leave the connection open."""
        return self.fault("stall", at, **_per(per))

    def truncate(self, at: str) -> Self:
        """Leave out the rest from a place on, and go on as if the answer were whole."""
        return self.fault("truncate", at)

    def garbage(
        self, at: str = "head", *, data: bytes | None = None, length: int = 64, seed: int = 0
    ) -> Self:
        """Put bytes in at a place: these, or random ones."""
        if data is not None:
            return self.fault("garbage", at, bytes=data.decode("latin-1"))
        return self.fault("garbage", at, length=length, seed=seed)


class Answer(Verbs):
    """One answer of several: `reply(answer().reset(), "200 OK")`."""


def answer(words: Words | None = None, **more: Unpack[AnswerWords]) -> Answer:
    """An answer with fields, a body or faults of its own, for a place in a sequence.

    >>> answer("200 OK", json={"ok": True}).reset(at="body+50%").table["respond"]
    '200 OK'
    """
    made = Answer()
    if words is not None:
        made.table.update(one_answer(words))
    made.table.update(keys(more))
    return made


def _per(per: str) -> dict[str, str]:
    return {} if per == "response" else {"per": per}
