"""What is known of the server that an exchange was forwarded to: the way there, and its TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from inspectd.wire.tls.certificate import Certificate, certificate

if TYPE_CHECKING:
    from inspectd.capture.model import ForwardRow, TlsRow, UpstreamRow

UNCHECKED: Final = "--insecure."
"""What a sentence ends with about a certificate that was used all the same."""


class Reader(Protocol):
    """The part of a capture that is needed."""

    def upstream(self, connection: int, /) -> UpstreamRow | None: ...
    def tls(self, connection: int, /) -> TlsRow | None: ...


class Server(NamedTuple):
    """The way to a server: through which proxy, and what it showed."""

    via: str | None
    tls: TlsRow | None
    certificate: Certificate | None

    @property
    def trusted(self) -> bool | None:
        """Whether its certificate was found good; None without TLS, or when it didn't come to that."""
        tls = self.tls
        if tls is None or tls.shown is None:
            return None
        return tls.shaken_ns is not None and not (tls.sentence or "").endswith(UNCHECKED)


def server_of(capture: Reader, forward: ForwardRow | None) -> Server | None:
    """What is known of it; None when there was no connection to it."""
    if forward is None or forward.upstream is None:
        return None
    upstream, tls = capture.upstream(forward.upstream), capture.tls(forward.upstream)
    shown = None if tls is None or tls.shown is None else certificate(tls.shown)
    return Server(None if upstream is None else upstream.via, tls, shown)


def tls_json(server: Server | None) -> dict[str, Any] | None:
    """The TLS of a server as fields; None without."""
    if server is None or server.tls is None:
        return None
    tls, found = server.tls, server.certificate
    return {
        "version": tls.version,
        "cipher": tls.cipher,
        "alpn": tls.alpn,
        "sni": tls.sni,
        "trusted": server.trusted,
        "problem": tls.sentence,
        "alert": tls.alert,
        "certificate": None
        if found is None
        else {
            "names": list(found.names),
            "subject": found.subject,
            "issuer": found.issuer,
            "not_before": f"{found.begins:%Y-%m-%dT%H:%M:%SZ}",
            "not_after": f"{found.ends:%Y-%m-%dT%H:%M:%SZ}",
        },
    }
