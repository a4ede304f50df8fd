"""The command line of Chromium, and of what is made from it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_PREFERENCES: Final = {
    "signin": {"allowed": False},
    "background_mode": {"enabled": False},
    "credentials_enable_service": False,
    "search": {"suggest_enabled": False},
}

HEADLESS: Final = ("--headless=new", "--disable-gpu")

_QUIET_FEATURES: Final = (
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "Translate",
)

_NOWHERE: Final = "https://0.0.0.0:1/"
"""Chromium refuses this port before it asks anybody, the proxy included."""

QUIET: Final = (
    "--disable-background-networking",  # field trials, safe browsing, promotions, push messages
    "--disable-breakpad",
    "--disable-default-apps",
    "--disable-extensions",  # which look for updates of themselves
    "--disable-domain-reliability",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    f"--disable-features={','.join(_QUIET_FEATURES)}",
    f"--component-updater=url-source={_NOWHERE}",
    f"--gaia-url={_NOWHERE}",  # where it asks whether somebody is signed in at Google
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--password-store=basic",  # no question for the person's key ring, here and
    "--use-mock-keychain",  # on macOS
)
"""What a browser does by itself, switched off."""


def base(program: Path | str, profile: str, *, headless: bool) -> list[str]:
    """Chromium with this profile, in its simplest form; more flags and a URL may follow."""
    words = [str(program), f"--user-data-dir={profile}", "--no-first-run", "--disable-component-update"]
    if headless:
        words += HEADLESS
    if os.geteuid() == 0:  # its sandbox can't work then, and it refuses to start with it
        words += ["--no-sandbox", "--disable-dev-shm-usage"]
    return words


def prepare(profile: Path) -> None:
    """Write the preferences that no flag stands for."""
    folder = profile / "Default"
    folder.mkdir()
    (folder / "Preferences").write_text(json.dumps(_PREFERENCES), "utf-8")


def command(
    program: Path | str, profile: str, url: str, *, proxy: str, spki: str, headless: bool
) -> list[str]:
    """Chromium that asks the proxy at `proxy` (HOST:PORT) for everything, and shows `url`.

    `spki` is the SHA-256 of an authority's public key (DER, Base64). Whatever chain has it in is as good as one that
    the system trusts: caching and HSTS work, and nothing is written outside the profile. Chromium warns of that flag
    in a bar above the page unless it is told that it is being tested.
    """
    return [
        *base(program, profile, headless=headless),
        *QUIET,
        f"--proxy-server=http://{proxy}",
        "--proxy-bypass-list=<-loopback>",  # without it loopback never goes through a proxy
        "--disable-quic",
        f"--ignore-certificate-errors-spki-list={spki}",
        "--test-type",
        url,
    ]
