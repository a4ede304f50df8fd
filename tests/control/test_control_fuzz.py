"""Whatever is asked, made from the schemas and then spoilt here and there: an answer comes, and it is never a 500."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from inspectd.control.messages import PREFIX
from inspectd.control.openapi import document
from inspectd.control.operations import OPERATIONS, Operation
from tests.control.talk import ask, by_socket

if TYPE_CHECKING:
    from tests.live_engine import LiveEngine

SCHEMAS: Final[dict[str, Any]] = document()["components"]["schemas"]
TEXTS: Final = (
    "", "a", "/", "*", "GET /x", "/x", "\x00", "é\u202e", "x" * 300, "200 OK", "1s", "0.01", "([", "{{", "=", "$.a",
    "10.0.0.0/8", "header:x", "chunk 1", "body+50%", "byte 5", "gzip", "last", "[[rule]]\nmatch = '/x'\n", "VGVzdA==",
)  # fmt: skip
NUMBERS: Final = (0, -1, 1, 2, 2**31, 2**63, 2**64, 1.5, -0.0, 1e300)
ASKED: Final = [each for each in OPERATIONS if each.name not in {"stop", "events", "accept", "put_accept"}]


class Maker:
    """Makes values by a schema; `spoilt` is how often one is something else."""

    def __init__(self, seed: int, spoilt: float) -> None:
        self.chance = random.Random(seed)
        self.spoilt = spoilt

    def make(self, schema: dict[str, Any], depth: int = 0) -> Any:
        chance = self.chance
        if depth > 6 or chance.random() < self.spoilt:
            return chance.choice([None, True, *NUMBERS, *TEXTS, [], {}, [[]], {"a": {"a": None}}])
        if "$ref" in schema:
            return self.make(SCHEMAS[schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return self.make(chance.choice(schema["anyOf"]), depth)
        if "enum" in schema:
            return chance.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self.table(schema, depth)
            case "array":
                return [self.make(schema.get("items") or {}, depth + 1) for _ in range(chance.randrange(3))]
            case "integer" | "number":
                return chance.choice((0, 1, 2, 5))
            case "boolean":
                return chance.random() < 0.5
            case _:
                return chance.choice((*schema.get("examples", ()), *TEXTS))

    def table(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required, often = schema.get("required", ()), 0.3 if depth < 2 else 0.15
        keys = [
            key for key in schema.get("properties", ()) if key in required or self.chance.random() < often
        ]
        return {key: self.make(schema["properties"][key], depth + 1) for key in keys}

    def content(self, operation: Operation) -> dict[str, Any]:
        assert operation.takes is not None
        said = self.make({"$ref": f"/{operation.takes.__name__}"})
        said = said if isinstance(said, dict) else {"toml": said}
        if operation.name == "wait":
            said["timeout"] = 0
        if operation.takes.__name__ == "RulesRequest" and self.chance.random() < 0.8:
            table = {"match": "/x", "respond": "200 OK"} | self.table(SCHEMAS["RuleTable"], 4)
            said = {"rules": [table], "base": "/tmp"}
        return said


@pytest.mark.parametrize(("seed", "spoilt"), [(1, 0.2), (2, 0.05), (3, 0.01), (4, 0.0)])
def test_every_question_gets_an_answer(engine: LiveEngine, seed: int, spoilt: float) -> None:
    maker = Maker(seed, spoilt)
    for number in range(150):
        operation = maker.chance.choice(ASKED)
        place = operation.path.replace("{id}", str(number % 3)).replace("{name}", "x%00")
        content = b""
        if operation.takes is not None:
            content = json.dumps(maker.content(operation)).encode()
        code, said = by_socket(engine, f"{operation.method} {PREFIX}{place}", content)

        assert code in {200, 400, 404}, (operation.name, content, said)
        assert ("error" in said) == (code != 200) or operation.name in {"rules", "openapi"}
    assert by_socket(engine, "PUT /v1/holds", b'{"next": 0}')[0] == 200
    assert by_socket(engine, "DELETE /v1/rules")[0] == 200
    assert by_socket(engine, "POST /v1/holds/release")[0] == 200
    assert ask(engine, "GET /there")
    assert engine.stderr == ""
