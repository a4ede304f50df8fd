"""Answers by Python functions: what they return becomes an answer, what they raise becomes a failed test."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from inspectd.rules.answer import compile_answer, problem_answer
from inspectd.rules.passing import Pass
from inspectd.rules.program import LiveProgram, Program
from inspectd.rules.tables import HoldTable
from inspectd.rules.units import duration
from inspectd.testing.words import WordsError, keys, one_answer
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from inspectd.rules.book import Rule as BookRule
    from inspectd.rules.draft import Call
    from inspectd.rules.program import Op
    from inspectd.testing.rule import Rule
    from inspectd.testing.seen import SeenRequest
    from inspectd.testing.server import Inspectd

Function: TypeAlias = "Callable[[SeenRequest], Any]"
"""Answers a request: `inspectd.testing.rule.Rule.call` says what it may return."""


def with_function(rule: Rule, compiled: BookRule, server: Inspectd, function: Function) -> BookRule:
    """The rule with a function in place of each of its answers."""
    table = compiled.table
    hold = table.hold if table is not None else False
    seconds = duration(hold.timeout) if isinstance(hold, HoldTable) else None
    reply = FunctionReply(server, rule, compiled.id, function, seconds)
    answers = replace(compiled.answers, replies=(reply,) * len(compiled.answers.replies))
    return replace(compiled, answers=answers)


class FunctionReply:
    """The reply of a rule that calls a function. It is called while the answer is played, so nobody else waits."""

    status_line = ""

    def __init__(
        self, server: Inspectd, rule: Rule, name: str, function: Function, hold: float | None
    ) -> None:
        self.label = f"call {getattr(function, '__name__', type(function).__name__)}"
        self._server = server
        self._rule = rule
        self._name = name
        self._function = function
        self._hold = hold
        self._rest = {key: value for key, value in rule.table.items() if key in _ANSWER_PARTS}
        self._context = contextvars.copy_context()

    def program(self, call: Call) -> LiveProgram:
        """Steps that are known when the function has returned."""
        return LiveProgram(self._steps(call), label=self.label, rule=self._name, hold=self._hold)

    async def _steps(self, call: Call) -> AsyncIterator[Op]:
        seen = self._server.seen_of(call.request)
        seen.captured = call.captured
        try:
            returned = await _called(self._function, seen, self._context)
            table = {**self._rest, **returned_table(returned)}
            program = self._server.reply_of(table, self._name).program(call)
            if isinstance(program, Pass):
                raise WordsError(
                    "a function can't leave its answer to a server", "Make a rule of it: rule.proxy(url)."
                )
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  also a failed check in it (pytest.fail) is for the test to hear
            self._server.failed(seen, self._rule, error)
            said = f"The function that answers the rule {self._rule} failed: {type(error).__name__}: {error}"
            problem = problem_answer(500, safe(said), "The test that made the rule fails for this.")
            program = compile_answer(problem, call.request, now=call.now, persist=False)
        if isinstance(program, Program):
            for op in program.ops:
                yield op
        else:
            async for op in program.ops:
                yield op


_ANSWER_PARTS = (
    "headers",
    "auto",
    "pace",
    "fault",
    "close",
    "interim",
    "cors",
    "cookies",
    "coding",
    "chunked",
)
"""What a rule says beside what its function returns."""


async def _called(function: Function, request: SeenRequest, context: contextvars.Context) -> Any:
    """What the function returns. A blocking one runs in a thread of its own, which nobody ever waits for in vain."""
    if inspect.iscoroutinefunction(function):
        returned = await function(request)
    else:
        returned = await _in_thread(lambda: context.copy().run(function, request))
    if inspect.isawaitable(returned):
        returned = await returned
    return returned


def _in_thread(work: Callable[[], Any]) -> Awaitable[Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def done(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):
            future.set_exception(RuntimeError("the function raised StopIteration"))
        else:
            future.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  it goes to whoever waits for the answer
            failure = error
        try:
            loop.call_soon_threadsafe(done, result, failure)
        except RuntimeError:
            return  # the loop has ended meanwhile, and nobody waits

    threading.Thread(target=run, name="inspectd call", daemon=True).start()
    return future


def returned_table(returned: Any) -> dict[str, Any]:
    """The table of the answer that a function means by what it returned. Raises WordsError for what means none."""
    if returned is None:
        return {"respond": "200 OK"}
    if isinstance(returned, tuple):
        status, *rest = returned
        headers, body = rest if len(rest) == 2 else ((), rest[0] if rest else "")
        return {**one_answer(status), **keys({"headers": headers} if headers else {}), **_content(body)}
    if isinstance(returned, (list, dict)):
        return {"respond": "200 OK", "json": returned}
    if isinstance(returned, (str, int, bytes, Mapping, msgspec.Struct)) or hasattr(returned, "table"):
        return one_answer(returned)
    raise WordsError(
        f"a function returned {type(returned).__name__}, which is no answer",
        "Return a status, (status, body), (status, headers, body), bytes, a dict or a list.",
    )


def _content(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    return keys({"body": body}) if isinstance(body, (str, bytes)) else {"json": body}
