"""An answer as a person writes it: on the command line, in the terminal UI or in JSON over the control API.

One meaning for all three doors, so that what a preview shows, what `--answer` starts with and what a script
puts are the same bytes.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspectd.control.messages import Preview
from inspectd.control.routing import text
from inspectd.rules.answer import AUTOMATIC, AnswerError, compile_for, make_answer, preview, remarks
from inspectd.rules.passing import Pass
from inspectd.rules.program import Program, Send, SendFile
from inspectd.rules.responder import Fixed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.control.messages import AnswerRequest
    from inspectd.rules.alone import Alone
    from inspectd.rules.answer import Answer
    from inspectd.rules.program import LiveProgram
    from inspectd.rules.request import Request
    from inspectd.rules.responder import Responder
    from inspectd.rules.rule import Rule

_PEEKED: Final = 24  # steps of a live program that are shown


def responder_for(request: AnswerRequest, rules: Iterable[Rule] = ()) -> Responder:
    """The responder that gives this answer; `rules` are those in use. Raises `AnswerError` when it can't be sent."""
    if request.rule is not None:
        return _alone(request, rules)
    if not request.mirror:
        return Fixed(answer_for(request))
    _only(request, "the mirror", "mirror")
    from inspectd.rules.mirror import Mirror

    return Mirror()


def _only(request: AnswerRequest, whose: str, key: str) -> None:
    """Refuse what would make an answer beside the one that `key` asks for."""
    if request.status is not None or request.headers or request.no_auto or _bodies(request):
        raise AnswerError(
            f"{whose} makes its own answer: it takes no status, headers or body",
            f"Leave out `{key}`, or everything else.",
        )


def _alone(request: AnswerRequest, rules: Iterable[Rule]) -> Alone:
    from inspectd.rules.alone import Alone

    if request.mirror:
        raise AnswerError("the mirror and a rule are two answers", "Give one of them.")
    _only(request, "a rule", "rule")
    for rule in rules:
        if rule.id == request.rule:
            return Alone(rule)
    raise AnswerError(f"there is no rule {request.rule!r}", "See GET /v1/rules.")


def answer_for(request: AnswerRequest) -> Answer:
    """The fixed answer that is asked for. Raises `AnswerError` when it can't be sent."""
    if unknown := sorted(set(request.no_auto) - AUTOMATIC):
        raise AnswerError(
            f"inspectd adds no field named {unknown[0]!r} by itself",
            f"It adds {', '.join(sorted(AUTOMATIC))}.",
        )
    if len(_bodies(request)) > 1:
        raise AnswerError("the answer has more than one body", "Give one of body, body_base64 and body_file.")
    return make_answer(
        "200 OK" if request.status is None else str(request.status),
        request.headers,
        _body(request),
        auto=AUTOMATIC - frozenset(request.no_auto),
    )


def preview_of(request: AnswerRequest, *, now: float, rules: Iterable[Rule] = ()) -> Preview:
    """What a plain GET would be sent at `now` (seconds since the epoch). Raises `AnswerError`."""
    if request.rule is not None:
        return _preview_alone(_alone(request, rules), now)
    if request.mirror:
        raise AnswerError(
            "the mirror's answer depends on the request", "Ask it: curl -i the engine's address."
        )
    answer = answer_for(request)
    return _preview(compile_for(answer, now=now), tuple(remarks(answer)))


def _preview_alone(alone: Alone, now: float) -> Preview:
    from inspectd.control.recorded import made_up

    request = made_up("GET /")
    program = alone.preview(request, now=now)
    if not isinstance(program, Program):
        raise AnswerError(
            "this rule's answer is made while it is sent", "Ask it: curl -i the engine's address."
        )
    return _preview(program, remarks_of(program, request))


def _preview(program: Program, odd: tuple[str, ...]) -> Preview:
    return Preview(
        encoded=base64.b64encode(preview(program)).decode(),
        length=length(program) or 0,
        steps=steps_of(program),
        added=tuple(map(text, program.added)),
        remarks=odd,
        label=text(program.label),
    )


def length(program: Program) -> int | None:
    """The bytes that a program sends; None when a server decides that."""
    if isinstance(program, Pass):
        return None
    sizes = (
        len(op.data) if isinstance(op, Send) else op.length if isinstance(op, SendFile) else 0
        for op in program.ops
    )
    return sum(sizes)


def steps_of(program: Program | LiveProgram) -> tuple[str, ...]:
    """What a program does, a sentence for each step."""
    from inspectd.rules.timeline import timeline

    return tuple(text(entry.sentence) for entry in timeline(program))


def remarks_of(program: Program | LiveProgram, request: Request) -> tuple[str, ...]:
    """What does nothing in an answer, and what is illegal or odd about its bytes."""
    from inspectd.rules.remarks import remarks_of as found

    idle = program.idle if isinstance(program, Program) else ()
    odd = [f"{each.sentence} ({each.section})" for each in found(program, method=request.head.method)]
    return tuple(map(text, (*idle, *odd)))


def timeline_of(program: Program | LiveProgram) -> tuple[str, ...]:
    """What a program does and when, with its bytes: lines of safe text. A live one is used up by it."""
    from inspectd.rules import timeline

    return tuple(text(timeline.text(timeline.timeline(program, peek=_PEEKED))).splitlines())


def _bodies(request: AnswerRequest) -> list[str]:
    return [given for given in (request.body, request.body_base64, request.body_file) if given is not None]


def _body(request: AnswerRequest) -> bytes | Path:
    if request.body_file is not None:
        path = Path(request.body_file)
        try:
            found = path.is_absolute() and path.is_file()
        except OSError as problem:  # a name that is too long, a folder that may not be entered
            raise AnswerError(f"{request.body_file!r} can't be read: {problem.strerror}") from problem
        if not found:
            raise AnswerError(
                f"{request.body_file!r} is no file that the engine can send", "Give an absolute path."
            )
        return path
    if request.body_base64 is not None:
        try:
            return base64.b64decode(request.body_base64, validate=True)
        except (binascii.Error, ValueError) as problem:
            raise AnswerError(f"body_base64 is not base64: {problem}") from problem
    return (request.body or "").encode("utf-8", "surrogateescape")
