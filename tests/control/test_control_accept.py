"""Connections that are turned away, as the control API or a rule file says, and gates that answers wait at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.control.client import ControlClient, ControlError
from tests.control.talk import ask, message
from tests.control.test_control_rules import BUSY, until
from tests.live_engine import receive_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live_engine import LiveEngine

    Start = Callable[..., LiveEngine]


def is_reset(engine: LiveEngine) -> bool:
    try:
        return not ask(engine)
    except ConnectionResetError:
        return True


def test_so_many_are_reset_and_then_all_is_as_usual(engine: LiveEngine, client: ControlClient) -> None:
    shown = client.set_accept({"do": "reset", "count": 2})

    assert (shown.accept, shown.left) == ({"do": "reset", "count": 2}, 2)
    assert [is_reset(engine) for _ in range(4)] == [True, True, False, False]
    assert client.accept().now == ""
    client.set_accept({"do": "close"})
    assert is_reset(engine)
    assert client.set_accept(None).accept is None
    assert not is_reset(engine)


def test_what_is_no_accept_table_changes_nothing(engine: LiveEngine, client: ControlClient) -> None:
    client.set_accept({"do": "reset", "count": 1})
    for wrong in ({"do": "explode"}, {"do": "wait", "for": "soon"}, {"do": "reset", "count": 0}, {}):
        with pytest.raises(ControlError):
            client.set_accept(wrong)

    assert client.accept().accept == {"do": "reset", "count": 1}
    assert is_reset(engine)


def test_rules_bring_it_and_take_it_along(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules('[accept]\ndo = "reset"\n' + BUSY)
    assert is_reset(engine)
    client.put_rules(BUSY)
    assert not is_reset(engine)
    client.put_rules('[accept]\ndo = "close"\n')
    assert is_reset(engine)
    client.delete_rules()
    assert not is_reset(engine)


def test_a_rule_file_brings_it_too(live_engine: Start, tmp_path: Path) -> None:
    file = tmp_path / "api.toml"
    file.write_text('[accept]\ndo = "reset"\ncount = 1\n' + BUSY)
    engine = live_engine("--rules", str(file))
    with ControlClient(Path(engine.listening["control"])) as client:
        assert is_reset(engine)
        assert not is_reset(engine)
        file.write_text('[accept]\ndo = "reset"\ncount = 1\n' + BUSY.replace("503", "599"))
        until(lambda: ask(engine, "GET /busy").startswith(b"HTTP/1.1 599"))  # and it doesn't begin again
        file.write_text('[accept]\ndo = "reset"\ncount = 2\n' + BUSY)
        until(lambda: client.accept().left == 2)
        assert is_reset(engine)


def test_what_waits_at_a_gate_goes_on_when_it_is_opened(engine: LiveEngine, client: ControlClient) -> None:
    client.put_rules(
        '[[rule]]\nmatch = "/poll"\nrespond = "200 News"\npoll = { gate = "a b/c", timeout = "60s" }\n'
    )
    with engine.connect() as sock:
        sock.sendall(message("GET /poll"))
        assert client.wait("/poll", state="arrived", timeout=60).ok
        assert client.open_gate("a b").waiting == 0  # nothing waits at a gate of this name
        until(lambda: client.close_gate("a b/c").waiting == 1)
        opened = client.open_gate("a b/c")
        assert (opened.open, opened.waiting) == (True, 1)
        assert receive_response(sock).startswith(b"HTTP/1.1 200 News\r\n")
    closed = client.close_gate("a b/c")
    assert (closed.open, closed.waiting) == (False, 0)
    client.put_rules(
        '[[rule]]\nmatch = "/poll"\nrespond = "200 News"\npoll = { gate = "a b/c", timeout = "200ms" }\n'
    )
    assert ask(engine, "GET /poll").startswith(b"HTTP/1.1 204 ")
