"""Handshakes that go wrong on purpose: certificates with a flaw, one version only, or no answer at all.

A rule file's `[[tls]]` tables say for which names (RFC 6066 §3). Certificates with a flaw are made when a client first
asks for them, as good ones are; keys and issuers of theirs live as long as the process and are trusted by nobody.
"""

from __future__ import annotations

import datetime as dt
import ssl
import time
import warnings
from collections import OrderedDict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspectd.engine import ca
from inspectd.engine.credentials import CONTEXTS_KEPT, FLAW, Issued, Refusal, Shown, context_of

if TYPE_CHECKING:
    from inspectd.engine.credentials import OwnCertificate
    from inspectd.rules.tables import TlsTable

WRONG_NAME: Final = "wrong-name.invalid"
"""Whom a certificate is for that is meant for another (RFC 6761 §6.4: nobody has this name)."""
_DAY: Final = dt.timedelta(days=1)
_SAYS: Final = {
    "expired": "it expired yesterday",
    "not-yet-valid": "it will be valid tomorrow",
    "wrong-name": f"it is for {WRONG_NAME}",
    "self-signed": "it is signed by itself",
    "unknown-issuer": "it is signed by an authority that nobody knows",
}
_REFUSED: Final = {
    "abort": "with the alert {alert}",
    "close": "with FIN",
    "reset": "with RST",
    "stall": "with silence",
}


class Handshakes:
    """What clients are shown: what `usual` shows, unless a table says otherwise."""

    def __init__(self, usual: OwnCertificate | Issued) -> None:
        self.tables: tuple[TlsTable, ...] = ()
        self._usual = usual
        self._made: OrderedDict[tuple[str, str | None, tuple[str, ...]], Shown] = OrderedDict()
        self._authority: ca.Authority | None = None

    @property
    def issuer(self) -> ca.Authority | None:
        """Who signs what clients are usually shown, unless that is a person's own certificate."""
        return self._usual.authority if isinstance(self._usual, Issued) else None

    @property
    def advice(self) -> str:
        """What to do when a client refuses what it is usually shown."""
        return self._usual.advice

    def show(self, name: str | None, address: str) -> Shown | Refusal:
        """What a client sees that asked for `name` at this address. Raises CaError when the authority has expired."""
        table = self._table(name)
        if table is None:
            return self._usual.show(name, address)
        if table.do is not None:
            how = _REFUSED[table.do].format(alert=table.alert)
            return Refusal(table.do, table.alert, f"A rule wants this handshake to be answered {how}.")
        names = ca.names_for(name, address)
        key = table.certificate or "", table.version, names
        made = self._made.get(key)
        if made is None or made.until < time.time():
            made = self._made[key] = self._make(table, names, name, address)
            if len(self._made) > CONTEXTS_KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return made

    def _table(self, name: str | None) -> TlsTable | None:
        asked = (name or "").lower()
        return next((table for table in self.tables if fnmatchcase(asked, table.name.lower())), None)

    def _make(self, table: TlsTable, names: tuple[str, ...], name: str | None, address: str) -> Shown:
        said: list[str] = []
        if table.certificate is None:
            shown = self._usual.fresh(name, address)
        else:
            leaf = self._leaf(table.certificate, names)
            shown = Shown(context_of(leaf.pem), leaf.names, float("inf"))
            said.append(f"{FLAW}{_SAYS[table.certificate]}.")
        if table.version is not None:
            _allow_only(shown.context, table.version)
            said.append(f"A rule allows {table.version} only.")
        return shown._replace(advice=" ".join(said))

    def _leaf(self, flaw: str, names: tuple[str, ...]) -> ca.Leaf:
        """A certificate with this flaw, and with no other."""
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        match flaw:
            case "expired":
                return ca.open_authority().leaf(*names, begins=now - 30 * _DAY, ends=now - _DAY)
            case "not-yet-valid":
                return ca.open_authority().leaf(*names, begins=now + _DAY, ends=now + 30 * _DAY)
            case "wrong-name":
                return ca.open_authority().leaf(WRONG_NAME)
            case "self-signed":
                return ca.self_signed(*names)
            case _:
                return self._nobodys_authority().leaf(*names)

    def _nobodys_authority(self) -> ca.Authority:
        """An authority of this process alone."""
        if self._authority is None:
            self._authority = ca.Authority(Path(), *ca.new_authority())
        return self._authority


def _allow_only(context: ssl.SSLContext, version: str) -> None:
    """Agree to one version. Those before TLS 1.2 need ciphers that OpenSSL gives up only when asked to (RFC 8996)."""
    wanted = {
        "TLSv1": ssl.TLSVersion.TLSv1,
        "TLSv1.1": ssl.TLSVersion.TLSv1_1,
        "TLSv1.2": ssl.TLSVersion.TLSv1_2,
        "TLSv1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # they are old, and that is the point
        if version in {"TLSv1", "TLSv1.1"}:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = wanted
            context.maximum_version = wanted
        else:
            context.maximum_version = wanted
            context.minimum_version = wanted
