"""Where a request goes that a rule leaves to a server, and with which changes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.engine.proxy.routes import Failure, Forwarder, OriginError, Route, parse_origin
from inspectd.rules.patch import HeadPatch, patch_head

if TYPE_CHECKING:
    from inspectd.engine.proxy.routes import Origin
    from inspectd.rules.passing import Pass
    from inspectd.wire import ArrivedHead

NO_SERVER = (
    "A rule leaves this request to the server that the engine stands before, and it stands before none: name a server "
    'in the rule, proxy = "http://HOST:PORT", or start the engine with inspectd reverse.'
)

_CREDENTIALS: Final = re.compile(rb"proxy-authorization\Z", re.IGNORECASE)


class RuledOnly(Forwarder):
    """Of an engine that answers by itself: only what a rule leaves to a server it names is forwarded."""

    def route(self, head: ArrivedHead) -> Route | Failure:  # noqa: ARG002 - none goes anywhere
        """Nowhere."""
        return Failure(502, NO_SERVER)


def ruled(forwarder: Forwarder, told: Pass, head: ArrivedHead) -> Route | Failure:
    """Where this request goes as a rule says, and the head that is sent there."""
    route = forwarder.route(head)
    if told.origin is not None:
        origin = _origin(told.origin)
        if isinstance(origin, Failure):
            return origin
        if isinstance(route, Failure) or forwarder.config.origin is not None:
            route = _not_for_servers(forwarder, head, Route(origin))
        else:
            route = route._replace(origin=origin)
    if isinstance(route, Failure) or route.tunnel:
        return route
    patches = [HeadPatch(set=(b"Host: " + told.host,))] if told.host is not None else []
    if told.patch is not None:
        patches.append(told.patch.request)
    raw, changes = route.head or head.raw, list(route.changes)
    for patch in patches:
        raw, more = patch_head(raw, "request", patch)
        changes += more
    if len(changes) == len(route.changes):
        return route
    return route._replace(head=raw, changes=tuple(changes))


def _not_for_servers(forwarder: Forwarder, head: ArrivedHead, route: Route) -> Route:
    """The password of this proxy stays here, whatever the form of the request in which it came."""
    if forwarder.password is None:
        return route
    raw, changes = patch_head(head.raw, "request", HeadPatch(remove=(_CREDENTIALS,)))
    return route._replace(head=raw, changes=tuple(changes)) if changes else route


@lru_cache(maxsize=256)
def _origin(url: str) -> Origin | Failure:
    try:
        return parse_origin(url)
    except OriginError as problem:
        return Failure(502, f"A rule names a server that can't be asked: {problem.what}.")
