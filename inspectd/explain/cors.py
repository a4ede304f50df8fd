"""What an answer has to say for the client to be content, and whether it does (WHATWG Fetch, RFC 6455)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.explain.model import Check, Requirement
from inspectd.explain.registry import table
from inspectd.explain.splitting import elements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OK_STATUS = Requirement("", "a status from 200 to 299", "A preflight answered with any other status fails.")

# CORS-safelisted methods need no permission, WHATWG Fetch §2.2.1.
_SAFE_METHODS = frozenset({"GET", "HEAD", "POST"})
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


def preflight_requirements(fields: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what a preflight's answer has to say; `fields` are the request's, keyed in lower case."""
    found = [OK_STATUS, _allow_origin(fields.get("origin", "null"))]
    method = fields.get("access-control-request-method", "")
    if method and method not in _SAFE_METHODS:
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
    import hashlib
    from base64 import b64encode

    key = fields.get("sec-websocket-key", "").encode("latin-1", "replace")
    accept = b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest()).decode("ascii")
    return (
        Requirement("", "status 101", "Any other status is an ordinary answer, and the WebSocket fails."),
        _require("Upgrade", "websocket"),
        _require("Connection", "Upgrade"),
        _require("Sec-WebSocket-Accept", accept),
    )


def check_answer(
    requirements: Sequence[Requirement], status: int, fields: Sequence[tuple[bytes, bytes]]
) -> tuple[Check, ...]:
    """Return for each requirement whether an answer with this status and these fields meets it."""
    return tuple(_check(requirement, status, fields) for requirement in requirements)


def _require(name: str, value: str) -> Requirement:
    return Requirement(name, value, table("requirements")[name.lower()])


def _allow_origin(origin: str) -> Requirement:
    return _require("Access-Control-Allow-Origin", origin)


def _check(requirement: Requirement, status: int, fields: Sequence[tuple[bytes, bytes]]) -> Check:
    if not requirement.name:
        met = status == 101 if "101" in requirement.value else 200 <= status <= 299
        return Check(requirement, met, "" if met else f"the status is {status}")
    name = requirement.name.lower().encode("ascii")
    values = [value.decode("latin-1").strip(" \t") for found, value in fields if found.lower() == name]
    if not values:
        return Check(requirement, met=False, note="not sent")
    problem = _problem(requirement, values)
    return Check(requirement, not problem, problem)


def _problem(requirement: Requirement, values: list[str]) -> str:
    """Return what is wrong with the values sent for a requirement, or an empty text."""
    if requirement.name in {"Access-Control-Allow-Origin", "Sec-WebSocket-Accept"}:
        if len(values) > 1:
            return "sent more than once"
        wildcard = requirement.name == "Access-Control-Allow-Origin" and values[0] == "*"
        return "" if wildcard or values[0] == requirement.value else "another value was sent"
    # Methods compare with regard to case, everything else without.
    exact = requirement.name == "Access-Control-Allow-Methods"
    sent = {piece.text if exact else piece.text.lower() for value in values for piece in elements(value)}
    wanted = [piece.text if exact else piece.text.lower() for piece in elements(requirement.value)]
    # The wildcard of Access-Control-Allow-Headers does not cover Authorization, WHATWG Fetch §3.3.4.
    listing = requirement.name in {"Access-Control-Allow-Methods", "Access-Control-Allow-Headers"}
    missing = [
        name
        for name in wanted
        if name not in sent and not (listing and "*" in sent and name != "authorization")
    ]
    return f"{', '.join(missing)} missing" if missing else ""
