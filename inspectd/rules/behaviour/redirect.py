"""Redirects (RFC 9110 §15.4): to an address sent verbatim, in so many steps, or round and round.

A chain leads through the rule's own path with `?hop=1`, `?hop=2` and so on; its last step goes to the address. When
that is the rule's own path, or blank, the last step carries its number too and is answered in the ordinary way, so
one rule is the whole chain. Nothing is kept: where a client is, its request says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.rules.behaviour import asked, saying
from inspectd.rules.tables import RedirectTable

if TYPE_CHECKING:
    from inspectd.rules.behaviour.words import Text
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.tables import AnswerTable

_HOP: Final = re.compile(rb"hop=([0-9]{1,9}+)")


def step(table: AnswerTable, to: Text) -> Step:
    """The step that turns a draft into a redirect; `to` is the address. Raises `CraftError`."""
    words = (
        table.redirect
        if isinstance(table.redirect, RedirectTable)
        else RedirectTable(to=table.redirect or "")
    )
    line = saying.status("redirect.status", words.status)

    def redirect(call: Call, draft: Draft) -> Draft:
        address = _next(call, words, to(call))
        if address is None:
            return draft
        draft.status_line = line
        draft.put(b"Location: " + address)
        return draft

    return redirect


def _next(call: Call, words: RedirectTable, to: bytes) -> bytes | None:
    """Where this request is sent, or None when it has arrived."""
    if not words.chain and not words.loop:
        return to
    own = asked.own_path(call.request)
    here = _hop(call)
    if words.loop:
        return _with_hop(call, to or own, (here + 1) % words.chain if words.chain else 0)
    if here + 1 < words.chain:
        return _with_hop(call, own, here + 1)
    if to not in {b"", own}:
        return to
    return _with_hop(call, own, words.chain) if here < words.chain else None


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
