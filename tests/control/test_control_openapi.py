"""The OpenAPI document: valid, served by the engine itself, and about exactly what is served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from inspectd.control.messages import PREFIX
from inspectd.control.openapi import document
from inspectd.control.operations import OPERATIONS, Operation
from tests.control.talk import by_socket

if TYPE_CHECKING:
    from inspectd.control.client import ControlClient
    from tests.live_engine import LiveEngine

DOCUMENT = document()


def schema(name: str) -> dict[str, Any]:
    """A schema of the document, with the others to be found from it."""
    return {
        "$ref": f"#/components/schemas/{name}",
        "components": {"schemas": DOCUMENT["components"]["schemas"]},
    }


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_engine_serves_it(client: ControlClient) -> None:
    assert client.openapi() == json.loads(json.dumps(DOCUMENT))


def test_it_documents_every_operation_and_no_other() -> None:
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert documented == {(each.method, PREFIX + each.path) for each in OPERATIONS}
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)


def test_every_path_is_served_with_its_methods_and_no_other(engine: LiveEngine) -> None:
    for path, methods in DOCUMENT["paths"].items():
        if path == f"{PREFIX}/stop":
            continue
        place = path.replace("{id}", "999999").replace("{name}", "x")
        for method in {"GET", "PUT", "POST", "DELETE", "PATCH"} - {each.upper() for each in methods}:
            assert by_socket(engine, f"{method} {place}")[0] == 405, (method, path)
        for method in methods:
            if path != f"{PREFIX}/events":
                status, said = by_socket(engine, f"{method.upper()} {place}", b"[]")
                assert status != 405, said
                assert status != 404 or "{id}" in path, said
                assert status != 500, said


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.example], ids=lambda each: each.name
)
def test_every_example_fits_its_schema(operation: Operation) -> None:
    said = DOCUMENT["paths"][PREFIX + operation.path][operation.method.lower()]
    name = said["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]

    OAS31Validator(schema(name)).validate(dict(operation.example or {}))


def test_what_the_engine_says_fits_the_schemas(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules('[[rule]]\nmatch = "/busy"\nrespond = "503 Busy"\n')
    for path, name in {
        "status": "Status",
        "answer": "CurrentAnswer",
        "rules": "RulesShown",
        "holds": "HoldsShown",
        "exchanges": "ExchangesShown",
        "accept": "AcceptShown",
    }.items():
        status, said = by_socket(engine, f"GET {PREFIX}/{path}")

        assert status == 200
        OAS31Validator(schema(name)).validate(said)
    OAS31Validator(schema("Problem")).validate(by_socket(engine, "GET /nowhere")[1])
