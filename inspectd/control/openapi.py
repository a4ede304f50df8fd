"""The OpenAPI 3.1 document of the control API, made from the table of operations and the structs themselves."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from inspectd import __version__
from inspectd.control.messages import PREFIX, Event, Problem
from inspectd.control.operations import EVENT_STREAM, OPERATIONS, Operation
from inspectd.control.rules_messages import RulesNews
from inspectd.control.traffic_messages import HoldNews
from inspectd.rules.tables import AcceptTable, MatchTable, RuleTable

_ABOUT: Final = (
    "Everything that a running inspectd can be asked and told: answers, rules, held exchanges, what was recorded."
    " On the Unix socket nothing else is needed; on the TCP port (--control) send the bearer token. Requests that come"
    " from pages (Origin, Sec-Fetch-Site) are refused, and no CORS field is ever sent."
)
_EVENTS: Final = (
    "Events until the engine stops: `event` is the name, `data` JSON. `answer`, the first one, brings CurrentAnswer;"
    " `rules` RulesNews; `held`, `gone` and `released` HoldNews; `capture` what is wrong with it."
)
_ERRORS: Final = {
    "400": "The request is not what is asked for here.",
    "401": "The bearer token is missing or wrong (TCP only).",
    "403": "The request comes from a page, or under a name that isn't loopback.",
    "404": "There is no such thing.",
    "405": "This path takes other methods.",
    "413": "The content is larger than 8 MiB.",
    "500": "The engine failed.",
    "503": "The engine ends.",
}
_PARAMETERS: Final = {
    "id": {"schema": {"type": "integer", "minimum": 0}, "description": "the exchange's id"},
    "name": {"schema": {"type": "string", "maxLength": 200}, "description": "the gate's name"},
}
_REF: Final = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """The whole document, of what JSON knows only."""
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_document()))
    return said


def _document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "inspectd control API",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "the engine"}],
        "security": [{"bearer": []}, {}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in OPERATIONS)],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "the word in the file that the listening line names (control_token_file)",
                }
            },
            "responses": {
                f"E{status}": {"description": about, "content": _json({"$ref": _REF.format(name="Problem")})}
                for status, about in _ERRORS.items()
            },
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Any]:
    kinds: set[type] = {Problem, Event, RulesNews, HoldNews, RuleTable, MatchTable, AcceptTable}
    for operation in OPERATIONS:
        kinds.update(kind for kind in (operation.takes, operation.gives) if kind not in {None, dict})
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    for schema in components.values():
        if "description" in schema:
            schema["description"] = re.sub(r"\s*\n\s*", " ", schema["description"])
    return dict(sorted(components.items()))


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.about,
        "responses": {"200": _success(operation)}
        | {status: {"$ref": f"#/components/responses/E{status}"} for status in _ERRORS},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, **_PARAMETERS[name]}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    parameters += [
        {"name": each.name, "in": "query", "schema": dict(each.schema), "description": each.about}
        for each in operation.query
    ]
    if parameters:
        said["parameters"] = parameters
    if operation.takes is not None:
        content = _json(_schema_of(operation.takes))
        if operation.example is not None:
            content["application/json"]["example"] = dict(operation.example)
        said["requestBody"] = {"required": operation.needs_content, "content": content}
    return said


def _success(operation: Operation) -> dict[str, Any]:
    if operation.media == EVENT_STREAM:
        return {
            "description": _EVENTS,
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        }
    schema = {"type": "object"} if operation.gives is None else _schema_of(operation.gives)
    return {"description": "Done.", "content": _json(schema)}


def _schema_of(kind: type) -> dict[str, Any]:
    return {"$ref": _REF.format(name="AcceptTable" if kind is dict else kind.__name__)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
