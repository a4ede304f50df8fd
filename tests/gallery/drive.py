"""One HTTP library of Python against every case of the gallery: `python -m tests.gallery.drive httpx`.

Reads a JSON list of cases from standard input and prints a JSON line for each: what the library's ordinary call made
of it. It runs in a process of its own, so that a library that hangs or crashes takes nothing else with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

READ_SECONDS: Final = 2.0
"""How long a library waits for the next byte."""

WHOLE_SECONDS: Final = 4.0
"""How long a library that can limit the whole exchange waits for its end."""

Made = tuple[int, int]
"""A status code, and how many bytes of content the caller gets."""


def _fields(case: dict[str, Any]) -> dict[str, str]:
    return {"Range": case["range"]} if case["range"] else {}


def _credentials(case: dict[str, Any]) -> tuple[str, str] | None:
    if not case["credentials"]:
        return None
    user, _, password = str(case["credentials"]).partition(":")
    return user, password


def with_httpx(case: dict[str, Any]) -> Made:
    """`httpx.Client.request`."""
    import httpx

    given = _credentials(case)
    auth: httpx.Auth | None = None
    if given:
        auth = httpx.DigestAuth(*given) if "digest" in case["name"] else httpx.BasicAuth(*given)
    with httpx.Client(follow_redirects=True, timeout=READ_SECONDS, trust_env=False) as client:
        content = b"x" * case["upload"] if case["upload"] else None
        reply = client.request(case["method"], case["url"], content=content, headers=_fields(case), auth=auth)
        return reply.status_code, len(reply.content)


def with_requests(case: dict[str, Any]) -> Made:
    """`requests.Session.request`."""
    import requests
    from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

    given = _credentials(case)
    auth: AuthBase | None = None
    if given:
        auth = HTTPDigestAuth(*given) if "digest" in case["name"] else HTTPBasicAuth(*given)
    with requests.Session() as session:
        session.trust_env = False
        reply = session.request(
            case["method"],
            case["url"],
            data=b"x" * case["upload"] if case["upload"] else None,
            headers=_fields(case),
            auth=auth,
            timeout=READ_SECONDS,
        )
        return reply.status_code, len(reply.content)


def with_aiohttp(case: dict[str, Any]) -> Made:
    """`aiohttp.ClientSession.request`."""
    return asyncio.run(_with_aiohttp(case))


async def _with_aiohttp(case: dict[str, Any]) -> Made:
    import aiohttp

    given = _credentials(case)
    options: dict[str, Any] = {}
    if given and "digest" in case["name"]:
        options["middlewares"] = (aiohttp.DigestAuthMiddleware(*given),)
    elif given:
        options["auth"] = aiohttp.BasicAuth(*given)
    limit = aiohttp.ClientTimeout(total=WHOLE_SECONDS, sock_read=READ_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=limit, **options) as session,
        session.request(
            case["method"],
            case["url"],
            data=b"x" * case["upload"] if case["upload"] else None,
            headers=_fields(case),
            expect100=case["expect"],
        ) as reply,
    ):
        return reply.status, len(await reply.read())


LIBRARIES: Final[dict[str, Callable[[dict[str, Any]], Made]]] = {
    "httpx": with_httpx,
    "requests": with_requests,
    "aiohttp": with_aiohttp,
}


def main() -> None:
    """Runs all cases from standard input."""
    name = sys.argv[1]
    ask = LIBRARIES[name]
    print(json.dumps({"version": f"{name} {version(name)}"}), flush=True)
    for case in json.load(sys.stdin):
        started = time.monotonic()
        made: dict[str, Any] = {"case": case["name"], "status": None, "length": None, "error": None}
        try:
            made["status"], made["length"] = ask(case)
        except Exception as problem:  # noqa: BLE001  whatever a library raises is what is to be noted
            made["error"] = f"{type(problem).__name__}: {problem}"
        made["seconds"] = round(time.monotonic() - started, 3)
        print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main()
