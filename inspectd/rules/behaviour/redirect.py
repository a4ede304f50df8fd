"""Redirects (RFC 9110 §15.4): to an address sent verbatim, in so many steps, or round and round.

A chain leads through the rule's own path with `?hop=1`, `?hop=2` and so on; its last step goes to the address. When
that is the rule's own path, or blank, the last step carries its number too and is answered in the ordinary way, so
one rule is the whole chain. Nothing is kept: where a client is, its request says.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from inspectd.rules.behaviour import asked, saying
from inspectd.rules.behaviour.words import gathered
from inspectd.rules.tables import RedirectTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.behaviour.words import Words
    from inspectd.rules.draft import Call, Draft, Step

_HOP: Final = re.compile(rb"hop=([0-9]{1,9}+)")


def step(redirect: str | RedirectTable, words: Words) -> Step:
    """The step that turns a draft into a redirect. Raises `CraftProblems`."""
    spelled = isinstance(redirect, RedirectTable)
    table = redirect if isinstance(redirect, RedirectTable) else RedirectTable(to=redirect)
    makes: list[Callable[[], Any]] = [
        partial(words.line, "redirect.to" if spelled else "redirect", table.to),
        partial(saying.status, "redirect.status", table.status),
    ]
    to, line = gathered(makes)

    def lead(call: Call, draft: Draft) -> Draft:
        address = _next(call, table, to(call))
        if address is None:
            return draft
        draft.status_line = line
        draft.put(b"Location: " + address)
        return draft

    return lead


def _next(call: Call, table: RedirectTable, to: bytes) -> bytes | None:
    """Where this request is sent, or None when it has arrived."""
    if not table.chain and not table.loop:
        return to
    own = asked.own_path(call.request)
    here = _hop(call)
    if table.loop:
        return _with_hop(call, to or own, (here + 1) % table.chain if table.chain else 0)
    if here + 1 < table.chain:
        return _with_hop(call, own, here + 1)
    if to not in {b"", own}:
        return to
    return _with_hop(call, own, table.chain) if here < table.chain else None


def _hop(call: Call) -> int:
    """How many steps the client has gone, as its query says."""
    hops = [_HOP.fullmatch(part) for part in asked.origin_form(call.request)[1].split(b"&")]
    return max((int(hop[1]) for hop in hops if hop), default=0)


def _with_hop(call: Call, address: bytes, hop: int) -> bytes:
    """`address` with the query of the request and this number in it; 0 is said by saying nothing."""
    parts = asked.origin_form(call.request)[1].split(b"&")
    kept = [asked.visible(part) for part in parts if part and not _HOP.fullmatch(part)]
    if hop:
        kept.append(b"hop=%d" % hop)
    joined = b"&".join(kept)
    if not joined:
        return address
    return address + (b"&" if b"?" in address else b"?") + joined
