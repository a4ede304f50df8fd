"""What is said of JSON that is not what the control API asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from inspectd.control.messages import AnswerRequest
from inspectd.control.mistakes import mistake_in
from inspectd.control.traffic_messages import HoldRequest, ReleaseRequest, WaitRequest
from tests.control.talk import by_socket

if TYPE_CHECKING:
    from tests.live_engine import LiveEngine

EXAMPLE = {"next": 1}
LIKE = 'Send JSON, like {"next": 1}'


@pytest.mark.parametrize(
    ("kind", "content", "error", "mend"),
    [
        (HoldRequest, b"{", "the content is no JSON: it ends too early", LIKE),
        (HoldRequest, b"{]", "the content is no JSON: object keys must be strings, at byte 1", LIKE),
        (HoldRequest, b"[]", "the content is an object, not a list", LIKE),
        (HoldRequest, b"{}", "the key 'next' is missing", LIKE),
        (HoldRequest, b'{"next": "1"}', "'next' is a whole number or null, not text", LIKE),
        (HoldRequest, b'{"next": -1}', "'next' is a whole number >= 0", LIKE),
        (AnswerRequest, b'{"headers": [1]}', "'headers[0]' is text, not a whole number", LIKE),
        (
            WaitRequest,
            b'{"state": "gone"}',
            "'state' can't be 'gone'",
            "Write one of: arrived, held, answered, ended.",
        ),
        (
            HoldRequest,
            b'{"nxt": 1}',
            "there is no key 'nxt' here",
            "Did you mean 'next'? There are: next, timeout, owner, lease.",
        ),
    ],
)
def test_each_mistake_is_named_and_has_a_way_out(kind: type, content: bytes, error: str, mend: str) -> None:
    with pytest.raises(msgspec.DecodeError) as raised:
        msgspec.json.decode(content, type=kind)

    assert mistake_in(raised.value, kind, EXAMPLE) == (error, mend)


def test_the_engine_says_so(engine: LiveEngine) -> None:
    status, said = by_socket(engine, "PUT /v1/answer", b'{"stats": "404"}')

    assert (status, said["error"]) == (400, "there is no key 'stats' here")
    assert said["mend"].startswith("Did you mean 'status'? There are: mirror, rule, status,")
    assert by_socket(engine, "PUT /v1/answer", b"{'status'}")[1]["mend"].startswith("Send JSON, like {")


def test_a_number_is_a_status_code(engine: LiveEngine) -> None:
    status, said = by_socket(engine, "PUT /v1/answer", b'{"status": 404}')

    assert (status, said["status_line"]) == (200, "HTTP/1.1 404")
    assert msgspec.json.decode(b'{"status": 503}', type=ReleaseRequest).status == 503
    assert by_socket(engine, "PUT /v1/answer", b'{"status": -4}')[0] == 400
