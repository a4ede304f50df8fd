"""Runs a person's command against cases of the gallery, once a case, and notes how each run ended.

The command is started without a shell, in a process group of its own, so that a time limit ends its children as well.
Its output is read to the end and mostly thrown away: an answer may unpack to megabytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from inspectd.errors import InspectdError
from inspectd.gallery.serving import NOTHING, Seen, seen, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inspectd.gallery.catalogue import Case

KEPT: Final = 4096
"""Bytes of each output in which its first line is looked for."""

TRACEBACK: Final = b"Traceback (most recent call last):"
_LAST_WORDS: Final = 1.0
"""Seconds that are waited for children that a command left behind to close its output."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run of the command ended.

    `exit_code` is None when the time limit killed it, and negative for the number of a signal. `output` and `error` are
    the first lines that aren't blank, as the command wrote them (of a traceback the last).
    """

    case: Case
    exit_code: int | None
    seconds: float
    output: bytes
    error: bytes

    @property
    def outcome(self) -> str:
        """`exit 0`, `signal 11`, `killed after 5 s`."""
        if self.exit_code is None:
            return f"killed after {self.seconds:.3g} s"
        return f"exit {self.exit_code}" if self.exit_code >= 0 else f"signal {-self.exit_code}"


@dataclass(frozen=True, slots=True)
class Result:
    """A run, and what the engine saw of it."""

    ran: Ran
    seen: Seen

    def as_json(self) -> dict[str, Any]:
        """Plain values; text from outside is read as ISO-8859-1, one character a byte."""
        ran = self.ran
        return {
            "case": ran.case.name,
            "group": ran.case.group,
            "outcome": "killed" if ran.exit_code is None else "exit",
            "exit_code": ran.exit_code,
            "seconds": round(ran.seconds, 3),
            **asdict(self.seen),
            "output": ran.output.decode("latin-1"),
            "error": ran.error.decode("latin-1"),
        }


async def run_all(
    command: Sequence[str],
    cases: Sequence[Case],
    *,
    capture: Path,
    timeout: float,  # noqa: ASYNC109  a limit for each of many
    jobs: int,
    done: Callable[[Ran], None],
) -> list[Result]:
    """Run `command` once a case against an engine of its own; what came of it, in the order of the cases.

    At most `jobs` run at once, each for `timeout` seconds at most. `done` is called after each. Being cancelled ends
    what runs, and returns what came of the cases until then. Raises `InspectdError` when the command can't be started.
    """
    room = asyncio.Semaphore(jobs)
    rans: dict[str, Ran] = {}
    async with served(cases, capture) as address:

        async def one(case: Case) -> None:
            async with room:
                ran = await _run(filled_in(command, case, address), case, environment(case, address), timeout)
            rans[case.name] = ran
            done(ran)

        tasks = [asyncio.create_task(one(case)) for case in cases]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            pass  # ctrl-c: what has been found out is worth its table
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    evidence = seen(capture)
    return [
        Result(rans[name], evidence.get(name, NOTHING))
        for name in (case.name for case in cases)
        if name in rans
    ]


def filled_in(command: Sequence[str], case: Case, address: str) -> list[str]:
    """The words of the command with `{url}`, `{name}` and `{method}` replaced."""
    values = {"{url}": f"{_base(address)}{case.path}", "{name}": case.name, "{method}": case.method}
    words = list(command)
    for place, value in values.items():
        words = [word.replace(place, value) for word in words]
    return words


def _base(address: str) -> str:
    return address if address.startswith("https://") else f"http://{address}"


def environment(case: Case, address: str) -> dict[str, str]:
    """What a script can read to send the request that shows what a case is about."""
    return {
        "INSPECTD_URL": f"{_base(address)}{case.path}",
        "INSPECTD_CASE": case.name,
        "INSPECTD_METHOD": case.method,
        "INSPECTD_UPLOAD": str(case.upload),
        "INSPECTD_EXPECT": "100-continue" if case.expect else "",
        "INSPECTD_RANGE": case.range or "",
        "INSPECTD_CREDENTIALS": case.credentials or "",
    }


async def _run(words: Sequence[str], case: Case, more: Mapping[str, str], limit: float) -> Ran:
    async with _pipe() as (out, output), _pipe() as (err, error):
        started = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env={**os.environ, **more},
            )
        except (OSError, ValueError) as problem:
            raise not_started(words, problem, "inspectd gallery run -- curl -sS {url}", "CMD {url}") from None
        finally:
            os.close(out)
            os.close(err)
        killed = False
        try:
            async with asyncio.timeout(limit):
                await process.wait()
            seconds = time.monotonic() - started
            await _last_words(output, error)
        except TimeoutError:
            killed = True
            seconds = time.monotonic() - started
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = await process.wait()
        if killed:
            await _last_words(output, error)
        return Ran(case, None if killed else code, seconds, output.line, error.line)


def not_started(
    words: Sequence[str], problem: Exception, example: str, in_shell: str, *, exit_code: int = 1
) -> InspectdError:
    """What to say of a command that can't be started. `example` is one that can, `in_shell` what `sh -c` would get."""
    why = str(getattr(problem, "strerror", None) or problem).lower()
    mend = f"Name a program that is there: {example}"
    if len(words) == 1 and " " in words[0]:
        mend = f"No shell is in between: write its words without quotes, or -- sh -c '{in_shell}'"
    return InspectdError(f"can't run {words[0]!r}: {why}", mend, exit_code=exit_code)


class _Output(asyncio.Protocol):
    """Reads what a command prints; keeps its beginning and its end."""

    def __init__(self) -> None:
        self._kept = b""
        self._end = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """A piece of it."""
        if len(self._kept) < KEPT:
            self._kept += data[: KEPT - len(self._kept)]
        self._end = (self._end + data)[-KEPT:]

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody can write any more."""
        self.ended.set()

    @property
    def line(self) -> bytes:
        """The first line that isn't blank, as far as it stands in the first `KEPT` bytes; the last one when it begins
        with a traceback of Python's, because only there it says what happened.
        """
        first = next(_lines(self._kept), b"")
        return list(_lines(self._end))[-1] if first == TRACEBACK else first


def _lines(data: bytes) -> Iterator[bytes]:
    return (line.strip() for line in data.splitlines() if line.strip())


@contextlib.asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[int, _Output]]:
    """A pipe that is read: the end to write to, which the caller closes, and what comes out of it.

    It is no pipe of asyncio's subprocess, whose end is waited for together with the process: a child in another
    session keeps it open as long as it likes.
    """
    reading, writing = os.pipe()
    file = os.fdopen(reading, "rb", buffering=0)
    transport, output = await asyncio.get_running_loop().connect_read_pipe(_Output, file)
    try:
        yield writing, output
    finally:
        transport.close()


async def _last_words(*outputs: _Output) -> None:
    """Wait a moment until nobody can write any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            for output in outputs:
                await output.ended.wait()
