"""What the proofs share: engines that forward, and the five ways to a server that is a plain socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING

import pytest

from tests.engine.proxy.certificates import Authority, serving
from tests.live_engine import LiveEngine
from tests.proof.dialogue import WAYS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proof.dialogue import Way


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Way, Stage]]:
    """One engine of each mode, and the ways through them."""
    program = (sys.executable, "-m", "inspectd")
    certificates = tmp_path_factory.mktemp("certificates")
    authority = Authority(certificates)
    with contextlib.ExitStack() as life:
        listeners = {way: life.enter_context(socket.create_server(("127.0.0.1", 0))) for way in WAYS}
        url = "http://127.0.0.1:{}".format(listeners["reverse"].getsockname()[1])
        folder = tmp_path_factory.mktemp("reverse")
        reverse = life.enter_context(LiveEngine(folder, interpreter=(*program, "reverse", url)))
        folder = tmp_path_factory.mktemp("proxy")
        trust = ("--trust", str(authority.file))
        proxy = life.enter_context(LiveEngine(folder, *trust, interpreter=(*program, "proxy")))
        found = {way: Stage(way, reverse if way == "reverse" else proxy, listeners[way]) for way in WAYS}
        found["tls"].server_context = serving(authority.leaf("127.0.0.1", "localhost"))
        context = ssl.create_default_context(cafile=str(folder / "inspectd" / "ca.pem"))
        found["tls"].client_context = context
        yield found
        assert [engine.stop() for engine in (reverse, proxy)] == [0, 0]
        assert "Traceback" not in reverse.stderr + proxy.stderr
