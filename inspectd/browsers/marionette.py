"""Making a Firefox profile trust an authority without any tool but Firefox.

Firefox is started once without a window, told over Marionette (its remote protocol: `LENGTH:JSON` over TCP) to put the
certificate into its own database, and ended. The browser that a person sees is another process, without remote control.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from inspectd.browsers.process import BrowserProcess, new_profile
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECONDS: Final = 30.0
"""How long all of it may take."""
_LOOK_SECONDS: Final = 0.02
_PORT_FILE: Final = "MarionetteActivePort"
_LONGEST: Final = 1 << 20
_SCRIPT: Final = """
Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(arguments[0], "C,,");
return true;
"""


def trust(program: Path, profile: Path, certificate: Path, environment: Mapping[str, str]) -> None:
    """Make the profile trust the authority with this certificate (PEM), for servers only. Raises `InspectdError`.

    The profile has its `user.js`; `environment` is what the browser gets beside ours.
    """
    pem = certificate.read_text("ascii")
    der = "".join(line for line in pem.splitlines() if not line.startswith("-"))
    words = [str(program), "--headless", "--no-remote", "--profile", str(profile)]
    words += ["--marionette", "--remote-allow-system-access"]
    preferences = profile / "user.js"
    own = preferences.read_text("utf-8")
    preferences.write_text(own + 'user_pref("marionette.port", 0);\n', "utf-8")
    try:
        browser = BrowserProcess(words, new_profile("marionette"), environment=environment)
        try:
            _tell(browser, profile / _PORT_FILE, der)
        finally:
            browser.close()
    except (OSError, ValueError) as problem:
        raise InspectdError(
            f"Firefox can't be made to trust the certificate authority: {problem}",
            "install certutil (Debian: apt install libnss3-tools) and try again",
        ) from problem
    finally:
        preferences.write_text(own, "utf-8")
        (profile / "prefs.js").unlink(missing_ok=True)  # it has kept the port, and what remote control likes


def _tell(browser: BrowserProcess, port_file: Path, certificate: str) -> None:
    deadline = time.monotonic() + SECONDS
    port = _port(browser, port_file, deadline)
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        _receive(connection)  # the greeting
        _ask(connection, 1, "WebDriver:NewSession", {})
        _ask(connection, 2, "Marionette:SetContext", {"value": "chrome"})
        script = {"script": _SCRIPT, "args": [certificate], "sandbox": "system", "newSandbox": True}
        _ask(connection, 3, "WebDriver:ExecuteScript", script)
        with contextlib.suppress(OSError, ValueError):  # it may be gone before it has answered
            _ask(connection, 4, "Marionette:Quit", {"flags": ["eForceQuit"]})


def _port(browser: BrowserProcess, file: Path, deadline: float) -> int:
    while time.monotonic() < deadline:
        if (code := browser.wait(_LOOK_SECONDS)) is not None:
            raise OSError(f"it ended with exit code {code}: {browser.last_words}")
        with contextlib.suppress(OSError, ValueError):  # not there yet, or not yet written
            return int(file.read_text("ascii"))
    raise OSError(f"it offered no Marionette within {SECONDS:g} s")


def _ask(connection: socket.socket, number: int, command: str, parameters: dict[str, Any]) -> None:
    """Send a command and wait for its answer. Raises ValueError when that is an error."""
    message = json.dumps([0, number, command, parameters]).encode()
    connection.sendall(b"%d:%b" % (len(message), message))
    answer = _receive(connection)
    if not isinstance(answer, list) or len(answer) != 4 or answer[1] != number:
        raise ValueError(f"{command} was answered with something else")
    if answer[2] is not None:
        raise ValueError(f"{command}: {str(answer[2])[:200]}")


def _receive(connection: socket.socket) -> Any:
    length = b""
    while not length.endswith(b":") and len(length) < 10:
        length += _some(connection, 1)
    wanted = int(length[:-1])
    if wanted > _LONGEST:
        raise ValueError(f"a message of {wanted} bytes")
    data = b""
    while len(data) < wanted:
        data += _some(connection, wanted - len(data))
    return json.loads(data)


def _some(connection: socket.socket, count: int) -> bytes:
    piece = connection.recv(count)
    if not piece:
        raise ConnectionResetError("it ended the connection")
    return piece
