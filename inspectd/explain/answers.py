"""What an answer has to say for the client to be content, and whether it does (WHATWG Fetch and HTML, RFC 6455)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.explain.model import Check, Requirement
from inspectd.explain.registry import table
from inspectd.explain.splitting import elements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OK_STATUS = Requirement("", "a status from 200 to 299", "With any other status the browser gives up.")
SWITCH_STATUS = Requirement(
    "", "status 101", "Any other status is an ordinary answer, and the WebSocket fails."
)

# JavaScript MIME types, WHATWG MIME Sniffing §4.6
_JAVASCRIPT = frozenset(
    {
        *(f"text/javascript{version}" for version in ("", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5")),
        *(f"text/{name}" for name in ("ecmascript", "jscript", "livescript", "x-ecmascript", "x-javascript")),
        *(f"application/{name}" for name in ("ecmascript", "javascript", "x-ecmascript", "x-javascript")),
    }
)
_SINGLE = frozenset(
    {"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Sec-WebSocket-Accept"}
)
_WITH_WILDCARD = frozenset({"Access-Control-Allow-Methods", "Access-Control-Allow-Headers"})

# CORS-safelisted methods need no permission, WHATWG Fetch §2.2.1.
SAFE_METHODS = frozenset({"GET", "HEAD", "POST"})


def preflight_requirements(fields: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what a preflight's answer has to say; `fields` are the request's, keyed in lower case."""
    found = [OK_STATUS, _allow_origin(fields.get("origin", "null"))]
    method = fields.get("access-control-request-method", "")
    if method and method not in SAFE_METHODS:
        found.append(_require("Access-Control-Allow-Methods", method))
    names = ", ".join(piece.text for piece in elements(fields.get("access-control-request-headers", "")))
    if names:
        found.append(_require("Access-Control-Allow-Headers", names))
    found += (
        _require(f"Access-Control-Allow-{network}-Network", "true")
        for network in ("Local", "Private")
        if fields.get(f"access-control-request-{network.lower()}-network", "").lower() == "true"
    )
    return tuple(found)


def cors_requirements(fields: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what the answer to a CORS request has to say before the page may read it."""
    found = [_allow_origin(fields.get("origin", "null"))]
    if "cookie" in fields:
        found.append(_require("Access-Control-Allow-Credentials", "true"))
    return tuple(found)


def websocket_requirements(fields: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what the answer to a WebSocket handshake has to say (RFC 6455 §4.2.2)."""
    from inspectd.wire.websocket.accept import accept_of

    key = fields.get("sec-websocket-key", "").encode("latin-1", "replace")
    accept = accept_of(key).decode("ascii")
    return (
        SWITCH_STATUS,
        _require("Upgrade", "websocket"),
        _require("Connection", "Upgrade"),
        _require("Sec-WebSocket-Accept", accept),
    )


def script_requirements(fields: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what the answer to a worker's request has to say (WHATWG HTML, fetching worker scripts).

    Nothing when the client has a copy: 304, which needs no type, is as good an answer then.
    """
    if "if-none-match" in fields or "if-modified-since" in fields:
        return ()
    why = "A worker's script is refused under any other type than JavaScript's."
    return (OK_STATUS, Requirement("Content-Type", "text/javascript", why))


def event_stream_requirements(_fields: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what the answer to an EventSource has to say (WHATWG HTML, server-sent events)."""
    why = (
        "Under any other type, or with another status than 200, the EventSource fails and does not come back."
    )
    return (Requirement("Content-Type", "text/event-stream", why),)


def check_answer(
    requirements: Sequence[Requirement], status: int, fields: Sequence[tuple[bytes, bytes]]
) -> tuple[Check, ...]:
    """Return for each requirement whether an answer with this status and these fields meets it.

    Whether the wildcard will do as origin depends on the other requirements: with credentials it does not.
    """
    wildcard = all(required.name != "Access-Control-Allow-Credentials" for required in requirements)
    return tuple(_check(required, status, fields, wildcard=wildcard) for required in requirements)


def _require(name: str, value: str) -> Requirement:
    return Requirement(name, value, table("requirements")[name.lower()])


def _allow_origin(origin: str) -> Requirement:
    return _require("Access-Control-Allow-Origin", origin)


def _check(
    required: Requirement, status: int, fields: Sequence[tuple[bytes, bytes]], *, wildcard: bool
) -> Check:
    if not required.name:
        met = status == 101 if required == SWITCH_STATUS else 200 <= status <= 299
        return Check(required, met, "" if met else f"the status is {status}")
    name = required.name.lower().encode("ascii")
    values = [value.decode("latin-1").strip(" \t") for found, value in fields if found.lower() == name]
    if not values:
        problem = "not sent"
    elif required.name == "Content-Type":
        problem = _type_problem(required, values)
    elif required.name in _SINGLE:
        problem = _single_problem(required, values, wildcard=wildcard)
    else:
        problem = _list_problem(required, values)
    return Check(required, not problem, problem)


def _single_problem(required: Requirement, values: list[str], *, wildcard: bool) -> str:
    """Return what is wrong with a field that holds one value and is compared as it stands, or an empty text."""
    if len(values) > 1:
        return "sent more than once"
    if values[0] == "*" and required.name == "Access-Control-Allow-Origin":
        return "" if wildcard else "* is not enough with cookies"
    return "" if values[0] == required.value else "another value was sent"


def _type_problem(required: Requirement, values: list[str]) -> str:
    """Return what is wrong with a media type, or an empty text; JavaScript has several names."""
    essence = values[-1].partition(";")[0].strip(" \t").lower()
    accepted = _JAVASCRIPT if required.value in _JAVASCRIPT else {required.value}
    return "" if essence in accepted else "another type was sent"


def _list_problem(required: Requirement, values: list[str]) -> str:
    """Return which names a list lacks, or an empty text."""
    # Methods compare with regard to case, everything else without.
    exact = required.name == "Access-Control-Allow-Methods"
    sent = {piece.text if exact else piece.text.lower() for value in values for piece in elements(value)}
    wanted = [piece.text if exact else piece.text.lower() for piece in elements(required.value)]
    if "*" in sent and required.name in _WITH_WILDCARD:
        # The wildcard does not cover Authorization, WHATWG Fetch, CORS protocol and credentials.
        wanted = [name for name in wanted if name == "authorization"]
    missing = [name for name in wanted if name not in sent]
    return f"{', '.join(missing)} missing" if missing else ""
