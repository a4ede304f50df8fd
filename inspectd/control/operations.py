"""Everything that can be asked of the control API, version 1: one table for what is served, documented and tested.

A handler is found by an operation's `name`. Paths are below `/v1`; `{id}` stands for one segment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from inspectd.control import conversation_messages as c
from inspectd.control import messages as m
from inspectd.control import rules_messages as r
from inspectd.control import traffic_messages as t

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_STREAM: Final = "text/event-stream"

_RULES_EXAMPLE: Final = {"toml": '[[rule]]\nmatch = "GET /busy"\nrespond = "503 Busy"\n'}
_ANSWER_EXAMPLE: Final = {"status": "418 I'm a teapot", "headers": ["X-A: 1"], "body": "short"}


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query. `schema` is its JSON Schema."""

    name: str
    schema: Mapping[str, Any]
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked: what it takes and gives (structs; None: nothing, or the media type says it)."""

    name: str
    method: str
    path: str
    about: str
    gives: type | None
    takes: type | None = None
    example: Mapping[str, Any] | None = None
    needs_content: bool = True
    """Whether an empty content means nothing; only asked where something is taken."""
    query: tuple[Query, ...] = ()
    media: str = "application/json"
    tag: str = ""


def _of(tag: str, *operations: Operation) -> tuple[Operation, ...]:
    return tuple(replace(operation, tag=tag) for operation in operations)


_AFTER: Final = Query(
    "after", {"type": "integer", "minimum": 0, "maximum": 1 << 62, "default": 0}, "only larger ids than this"
)

OPERATIONS: Final = (
    *_of(
        "engine",
        Operation("status", "GET", "/status", "How the engine is.", m.Status),
        Operation("answer", "GET", "/answer", "What is being answered.", m.CurrentAnswer),
        Operation(
            "set_answer",
            "PUT",
            "/answer",
            "Answer with this from the next request on, where no rule matches.",
            m.CurrentAnswer,
            takes=m.AnswerRequest,
            example=_ANSWER_EXAMPLE,
        ),
        Operation(
            "restore_answer",
            "DELETE",
            "/answer",
            "Answer again as when the engine started: a proxy passes requests on again.",
            m.CurrentAnswer,
        ),
        Operation(
            "preview",
            "POST",
            "/answer/preview",
            "The exact bytes that a plain GET would be sent. Nothing is changed.",
            m.Preview,
            takes=m.AnswerRequest,
            example=_ANSWER_EXAMPLE,
        ),
        Operation("clear", "POST", "/clear", "Remove every exchange that is over from the capture.", m.Done),
        Operation("stop", "POST", "/stop", "End the engine: what is in flight is finished.", m.Done),
        Operation(
            "events",
            "GET",
            "/events",
            "Server-sent events as things happen: answer, rules, held, gone, released, clear, capture, stopping.",
            None,
            media=EVENT_STREAM,
        ),
        Operation("openapi", "GET", "/openapi.json", "This document.", None),
    ),
    *_of(
        "rules",
        Operation("rules", "GET", "/rules", "The rules in use, in the order they are tried.", r.RulesShown),
        Operation(
            "put_rules",
            "PUT",
            "/rules",
            "Put these rules in the place of all that came over this API; they begin anew. They are tried before those"
            " of files.",
            r.RulesShown,
            takes=r.RulesRequest,
            example=_RULES_EXAMPLE,
        ),
        Operation(
            "add_rules",
            "POST",
            "/rules",
            "Put these rules in front of those that came over this API before.",
            r.RulesShown,
            takes=r.RulesRequest,
            example={"rules": [{"match": "/slow", "respond": "200 OK", "pace": {"before": "2s"}}]},
        ),
        Operation(
            "delete_rules", "DELETE", "/rules", "Remove all rules that came over this API.", r.RulesShown
        ),
        Operation(
            "check_rules",
            "POST",
            "/rules/check",
            "Whether these rules could be used, and every problem when not. Nothing is changed.",
            r.RulesChecked,
            takes=r.RulesRequest,
            example=_RULES_EXAMPLE,
        ),
        Operation(
            "show_rules",
            "POST",
            "/rules/show",
            "What would be answered to a request, and why by that rule. Nothing is changed.",
            r.RuleShowing,
            takes=r.ShowRequest,
            example={"request": "GET /busy"},
        ),
        Operation(
            "reload_rules",
            "POST",
            "/rules/reload",
            "Read the rule files again, whether they have changed or not.",
            r.RulesShown,
        ),
        Operation(
            "open_gate", "POST", "/gates/{name}/open", "Let everything pass that waits at it.", r.GateShown
        ),
        Operation(
            "close_gate", "POST", "/gates/{name}/close", "Let what comes to it wait again.", r.GateShown
        ),
        Operation(
            "accept", "GET", "/accept", "What happens to connections before a byte is read.", r.AcceptShown
        ),
        Operation(
            "put_accept",
            "PUT",
            "/accept",
            "Reset, close, keep waiting or refuse the connections that come next.",
            r.AcceptShown,
            takes=dict,
            example={"do": "reset", "count": 2},
        ),
        Operation("delete_accept", "DELETE", "/accept", "Accept connections as usual.", r.AcceptShown),
    ),
    *_of(
        "holds",
        Operation("holds", "GET", "/holds", "What waits for somebody to decide.", t.HoldsShown),
        Operation(
            "put_holds",
            "PUT",
            "/holds",
            "Hold the next requests.",
            t.HoldsShown,
            takes=t.HoldRequest,
            example={"next": 1, "timeout": "60s"},
        ),
        Operation(
            "release_all",
            "POST",
            "/holds/release",
            "Release everything that is held with its normal answer, and hold no more.",
            t.Released,
            takes=t.ReleaseAllRequest,
            needs_content=False,
        ),
        Operation(
            "release",
            "POST",
            "/holds/{id}/release",
            "Answer a held exchange: as it would have been, or otherwise.",
            t.Released,
            takes=t.ReleaseRequest,
            example={"status": "503 Busy", "headers": ["Retry-After: 1"]},
            needs_content=False,
        ),
        Operation(
            "drop", "POST", "/holds/{id}/drop", "Close its connection without a byte: FIN.", t.Released
        ),
        Operation("reset", "POST", "/holds/{id}/reset", "Abort its connection: RST.", t.Released),
    ),
    *_of(
        "exchanges",
        Operation(
            "exchanges",
            "GET",
            "/exchanges",
            "What was recorded, in the order of arrival.",
            t.ExchangesShown,
            query=(
                _AFTER,
                Query(
                    "limit",
                    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
                    "at most so many",
                ),
                Query("method", {"type": "string"}, "only this method"),
                Query(
                    "target", {"type": "string"}, "only this target, as it was sent; * stands for anything"
                ),
            ),
        ),
        Operation(
            "exchange",
            "GET",
            "/exchanges/{id}",
            "One exchange: its messages, and what the client did with the answer.",
            t.ExchangeDetail,
        ),
        Operation(
            "messages",
            "GET",
            "/exchanges/{id}/messages",
            "What was said after the heads: the messages of a WebSocket or the events of an event stream, until now.",
            c.ConversationShown,
            query=(
                Query(
                    "after",
                    {"type": "integer", "minimum": 0, "maximum": 1 << 62, "default": 0},
                    "only those behind this number",
                ),
                Query(
                    "limit",
                    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
                    "at most so many",
                ),
            ),
        ),
        Operation(
            "wait",
            "POST",
            "/wait",
            "Wait until something has come. The answer says whether it did in time.",
            t.Waited,
            takes=t.WaitRequest,
            example={"match": "POST /pay", "count": 3, "state": "answered", "timeout": "10s"},
        ),
        Operation(
            "verify",
            "POST",
            "/verify",
            "Whether what came is what was to come, and what came closest when not.",
            t.Verified,
            takes=t.VerifyRequest,
            example={"match": "POST /pay", "count": 3},
        ),
    ),
)
"""Every operation."""
