"""The profile of a Firefox: its preferences, and an authority that it trusts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from inspectd.browsers import nss

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Value = bool | int | str

QUIET: Final[Mapping[str, Value]] = {
    "app.normandy.enabled": False,
    "app.shield.optoutstudies.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none",
    "toolkit.telemetry.enabled": False,
}
"""What a browser does by itself, switched off: first of all what it asks servers at every start."""

_QUIETER: Final[Mapping[str, Value]] = {
    "app.update.auto": False,
    "browser.contentblocking.report.lockwise.enabled": False,
    "browser.discovery.enabled": False,
    "browser.newtabpage.activity-stream.feeds.system.topstories": False,
    "browser.newtabpage.activity-stream.feeds.topsites": False,
    "browser.newtabpage.enabled": False,
    "browser.ml.enable": False,
    "browser.preonboarding.enabled": False,
    "browser.region.network.url": "",
    "browser.region.update.enabled": False,
    "browser.safebrowsing.blockedURIs.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.provider.google4.updateURL": "",
    "browser.safebrowsing.provider.google5.updateURL": "",
    "browser.safebrowsing.provider.mozilla.updateURL": "",
    "browser.search.serpEventTelemetryCategorization.enabled": False,
    "browser.search.update": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.startup.page": 0,
    "browser.topsites.contile.enabled": False,
    "browser.urlbar.merino.enabled": False,
    "browser.urlbar.quicksuggest.enabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.usage.uploadEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.blocklist.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-provider.enabled": False,
    "network.trr.mode": 5,  # no DNS over HTTPS
    "privacy.query_stripping.enabled": False,
    "security.OCSP.enabled": 0,
    "security.remote_settings.crlite_filters.enabled": False,
    "security.remote_settings.intermediates.enabled": False,
    "termsofuse.bypassNotification": True,
    "toolkit.startup.max_resumed_crashes": -1,  # no question about a safe mode
}


ENVIRONMENT: Final[Mapping[str, str]] = {"MOZ_REMOTE_SETTINGS_DEVTOOLS": "1"}
"""Without it Firefox doesn't heed `services.settings.server`, and asks Mozilla's for lists at every start."""


def user_js(preferences: Mapping[str, Value]) -> str:
    """The file `user.js` of a profile with these preferences."""
    return "".join(
        f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()
    )


def through_proxy(proxy: str) -> dict[str, Value]:
    """The preferences that send everything to the proxy at HOST:PORT, loopback as well."""
    host, _, port = proxy.rpartition(":")
    return {
        "network.proxy.type": 1,
        "network.proxy.http": host,
        "network.proxy.http_port": int(port),
        "network.proxy.ssl": host,
        "network.proxy.ssl_port": int(port),
        "network.proxy.no_proxies_on": "",
        "network.proxy.allow_hijacking_localhost": True,
        "network.http.http3.enable": False,
    }


def prepare(program: Path, profile: Path, *, proxy: str, certificate: Path, authority: str) -> None:
    """Write a profile that goes through the proxy and trusts the authority of this name and certificate (PEM).

    NSS's certutil is the quick way to that; without it Firefox does it itself, which takes a second more. Raises
    `InspectdError`.
    """
    (profile / "user.js").write_text(user_js({**QUIET, **_QUIETER, **through_proxy(proxy)}), "utf-8")
    if nss.has_certutil():
        nss.make(profile)
        nss.trust(profile, authority, certificate)
        return
    from inspectd.browsers.marionette import trust

    trust(program, profile, certificate, ENVIRONMENT)


def command(program: Path | str, profile: str, url: str, *, headless: bool) -> list[str]:
    """Firefox with this profile, showing `url`, whatever other Firefox runs."""
    return [*base(program, profile, headless=headless), url]


def base(program: Path | str, profile: str, *, headless: bool) -> list[str]:
    """Firefox with this profile; more flags and a URL may follow."""
    return [str(program), *(["--headless"] if headless else []), "--no-remote", "--profile", profile]
