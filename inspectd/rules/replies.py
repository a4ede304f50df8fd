"""Replies at work: a request comes, and a ready answer becomes the program for it.

This is the data path: nothing here raises, and the plain answer costs one look into a cache. A program is valid for a
second (it holds the date) and as long as its file stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.errors import InspectdError
from inspectd.rules.answer import compile_for, file_state, problem_answer, read_slice
from inspectd.rules.assemble import assemble, assemble_whole
from inspectd.rules.draft import Call, Draft, FileSlice
from inspectd.rules.faults import Layout, landmarks
from inspectd.rules.passing import Pass
from inspectd.rules.program import Program, Send, SendFile
from inspectd.rules.request import ordinary_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.assemble import Finish
    from inspectd.rules.draft import Content, Step
    from inspectd.rules.mirror import Mirror
    from inspectd.rules.patch import Patch
    from inspectd.rules.program import LiveProgram

LARGEST_RAW: Final = 1 << 20
"""Bytes of a raw file that are sent in one piece; what is larger is read while it is sent."""

_HEAD_WINDOW: Final = 1 << 16  # bytes of a large raw file in which its head is looked for
_SPECIAL_METHODS: Final = frozenset({b"HEAD", b"CONNECT"})

_Made: TypeAlias = "Program | LiveProgram"


@dataclass(frozen=True, slots=True)
class Words:
    """What an answer says: a status line, field lines, and content or the file of it."""

    status_line: bytes
    fields: tuple[bytes, ...]
    auto: frozenset[str]
    body: bytes | Path


class _Guarded:
    """A reply that answers with a 500 when its own answer can't be made.

    `idle` says what of its words does nothing, as far as that is the same for every request.
    """

    def __init__(self, finish: Finish) -> None:
        self.label = finish.stamp.label
        self.idle: tuple[str, ...] = ()
        self._finish = finish

    def _problem(self, call: Call, error: Exception) -> Program:
        if isinstance(error, InspectdError):
            answer = problem_answer(500, error.what, error.mend)
        else:
            answer = problem_answer(500, f"The rule failed: {type(error).__name__}: {error}")
        head = call.request.head
        program = compile_for(
            answer, now=call.now, method=head.method, version=head.version, persist=call.persist
        )
        return replace(program, rule=self._finish.stamp.rule)


class WordedReply(_Guarded):
    """An answer made of words, and of the behaviours that change them."""

    def __init__(self, words: Words, steps: Sequence[Step], finish: Finish) -> None:
        super().__init__(finish)
        self._words = words
        self._steps = tuple(steps)
        self._same = not steps and not any(fault.per_connection for fault in finish.faults)
        self._valid: object = None
        self._programs: dict[tuple[bytes, bool, bool], _Made] = {}

    def program(self, call: Call) -> _Made:
        """The answer to this call, or a 500 that says why there is none."""
        try:
            return self._kept(call) if self._same else self._made(call)
        except Exception as error:  # noqa: BLE001  whatever a rule leads to, its client gets an answer
            return self._problem(call, error)

    def try_out(self) -> None:
        """Make the answer to an ordinary GET. Raises `InspectdError` when it can't be made."""
        made = self._made(_ordinary_call())
        self.idle = made.idle if isinstance(made, Program) else ()

    def _kept(self, call: Call) -> _Made:
        valid: object = int(call.now)
        if not isinstance(self._words.body, bytes):
            valid = (valid, file_state(self._words.body))
        if self._valid != valid:
            self._valid = valid
            self._programs.clear()
        head = call.request.head
        method = head.method
        key = (method if method in _SPECIAL_METHODS else b"", head.version == b"HTTP/1.0", call.persist)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = self._made(call)
        return program

    def _made(self, call: Call) -> _Made:
        words = self._words
        draft = Draft(words.status_line, list(words.fields), _content(words.body), words.auto)
        for step in self._steps:
            draft = step(call, draft)
            if draft.final:
                break
        return assemble(draft, call, self._finish)


@cache
def _ordinary_call() -> Call:
    return Call(ordinary_request(), 0.0, persist=True)


def _content(body: bytes | Path) -> Content:
    return body if isinstance(body, bytes) else FileSlice(body, 0, file_state(body)[1])


class RawReply(_Guarded):
    """An answer that is given byte by byte."""

    def __init__(self, raw: bytes | Path, finish: Finish) -> None:
        super().__init__(finish)
        self._raw = raw
        self._same = not any(fault.per_connection for fault in finish.faults)
        self._valid: object = None
        self._program: Program | None = None

    def program(self, call: Call) -> _Made:
        """The bytes, or a 500 that says why there are none."""
        try:
            valid = None if isinstance(self._raw, bytes) else file_state(self._raw)
            if not self._same:
                return self._made(call)
            if self._program is None or self._valid != valid:
                self._program = self._made(call)
                self._valid = valid
            return self._program
        except Exception as error:  # noqa: BLE001  whatever a rule leads to, its client gets an answer
            return self._problem(call, error)

    def try_out(self) -> None:
        """Make the answer. Raises `InspectdError` when it can't be made."""
        self.idle = self._made(_ordinary_call()).idle

    def _made(self, call: Call) -> Program:
        if isinstance(self._raw, bytes):
            return assemble_whole((Send(self._raw),), landmarks(self._raw), call, self._finish)
        size = file_state(self._raw)[1]
        if size <= LARGEST_RAW:
            data = read_slice(self._raw, 0, size)
            return assemble_whole((Send(data),), landmarks(data), call, self._finish)
        found = landmarks(read_slice(self._raw, 0, _HEAD_WINDOW))
        head = read_slice(self._raw, 0, found.head)
        layout = Layout(found.start, found.status_line, found.head, size)
        rest = SendFile(self._raw, found.head, size - found.head)
        return assemble_whole((Send(head), rest), layout, call, self._finish)


class MirrorReply(_Guarded):
    """The client's own request as its answer."""

    def __init__(self, mirror: Mirror, finish: Finish) -> None:
        super().__init__(finish)
        self._mirror = mirror

    def program(self, call: Call) -> _Made:
        """The mirror's answer, sent as the rule says."""
        try:
            persist = call.persist and not self._finish.closes
            mirrored = self._mirror.respond(call.request, now=call.now, persist=persist)
            data = b"".join(op.data for op in mirrored.ops if isinstance(op, Send))
            return assemble_whole(mirrored.ops, landmarks(data), call, self._finish, mirrored.added)
        except Exception as error:  # noqa: BLE001  whatever a rule leads to, its client gets an answer
            return self._problem(call, error)


class PassReply(_Guarded):
    """The answer of a server, with changes perhaps."""

    def __init__(self, origin: str | None, host: bytes | None, patch: Patch | None, finish: Finish) -> None:
        super().__init__(finish)
        self.held = finish.stamp.hold is not None
        """Somebody wants to see the request before it goes on."""
        self._patch = patch
        stamp, before = finish.stamp, finish.timing.before
        self._program = Pass(
            (),
            stamp.label,
            (),
            stamp.rule,
            stamp.hold,
            (),
            origin,
            host,
            patch,
            before,
            finish.faults,
            finish.closes,
        )

    def program(self, call: Call) -> Program:
        """What is to be asked of which server, or a 500 that says why the content of the patch isn't there."""
        patch = self._patch
        if patch is None or not isinstance(patch.body, Path):
            return self._program
        try:
            body = read_slice(patch.body, 0, file_state(patch.body)[1])
        except Exception as error:  # noqa: BLE001  whatever a rule leads to, its client gets an answer
            return self._problem(call, error)
        return replace(self._program, patch=replace(patch, body=body))
