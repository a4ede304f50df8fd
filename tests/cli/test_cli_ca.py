"""`inspectd ca`, and certificates on the command line: what is said, written, installed, and refused."""

from __future__ import annotations

import shutil
import ssl
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.live_engine import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

needs_certutil = pytest.mark.skipif(
    shutil.which("certutil") is None, reason="certutil of NSS is not installed"
)


def inspectd(state: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "inspectd", *arguments],
        cwd=ROOT,
        env=environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def certificate_of(state: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((state / "inspectd" / "ca.pem").read_bytes())


def test_it_says_where_it_is_and_how_to_trust_it(tmp_path: Path) -> None:
    done = inspectd(tmp_path, "ca")
    assert done.returncode == 0
    said = done.stdout.decode()
    file = tmp_path / "inspectd" / "ca.pem"
    fingerprint = ssl.PEM_cert_to_DER_cert(file.read_text())
    digest = (
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())",
            ],
            input=fingerprint,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    assert digest.upper() in said.replace(":", "")
    for words in (
        f"--cacert {file}",
        "update-ca-certificates",
        "NODE_EXTRA_CA_CERTS",
        "keytool",
        "REQUESTS_CA_BUNDLE",
    ):
        assert words in said
    assert f"{certificate_of(tmp_path).not_valid_after_utc:%Y-%m-%d}" in said
    assert inspectd(tmp_path, "ca").stdout == done.stdout


@pytest.mark.parametrize("kind", ["pem", "der", "p12"])
def test_the_certificate_is_exported_and_the_key_never(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "out"
    assert inspectd(tmp_path, "ca", "export", "--format", kind, file).returncode == 0
    data = file.read_bytes()
    assert inspectd(tmp_path, "ca", "export", "--format", kind).stdout == data or kind == "p12"
    if kind == "pem":
        assert b"PRIVATE" not in data
        found = x509.load_pem_x509_certificate(data)
    elif kind == "der":
        found = x509.load_der_x509_certificate(data)
    else:
        loaded = pkcs12.load_pkcs12(data, None)
        assert loaded.key is None
        found = loaded.additional_certs[0].certificate
    assert found == certificate_of(tmp_path)


@needs_certutil
def test_it_is_put_into_a_database_for_servers_only_and_taken_out_again(tmp_path: Path) -> None:
    database = tmp_path / "nss"
    done = inspectd(tmp_path, "ca", "install", "--nss", database)
    assert done.returncode == 0, done.stderr
    assert b"certutil -d sql:" in done.stdout
    listed = subprocess.run(
        ["certutil", "-d", f"sql:{database}", "-L"], capture_output=True, text=True, check=True
    )
    assert "inspectd CA" in listed.stdout
    assert "C,," in listed.stdout
    assert stat.S_IMODE(database.stat().st_mode) == 0o700
    assert (
        inspectd(tmp_path, "ca", "install", "--firefox", database).returncode == 0
    )  # it looks like a profile
    assert inspectd(tmp_path, "ca", "uninstall", "--nss", database).returncode == 0
    listed = subprocess.run(
        ["certutil", "-d", f"sql:{database}", "-L"], capture_output=True, text=True, check=True
    )
    assert "inspectd CA" not in listed.stdout
    again = inspectd(tmp_path, "ca", "uninstall", "--nss", database)
    assert again.returncode == 1
    assert b"Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("install",), 2, "Name one database"),
        (("install", "--nss", "a", "--firefox", "b"), 2, "Name one database"),
        (("install", "--firefox", "{tmp}"), 1, "is no profile of Firefox"),
        (("install", "--nss", "{tmp}/full"), 1, "is no NSS database"),
        (("uninstall", "--nss", "{tmp}/none"), 1, "there is no NSS database"),
    ],
)
def test_what_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    done = inspectd(tmp_path, "ca", *(word.replace("{tmp}", str(tmp_path)) for word in arguments))
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]
    assert not (tmp_path / "none").exists()


def test_it_can_be_removed_and_another_one_is_made(tmp_path: Path) -> None:
    inspectd(tmp_path, "ca")
    before = certificate_of(tmp_path)
    assert inspectd(tmp_path, "ca", "remove").stdout.startswith(b"deleted ")
    assert not (tmp_path / "inspectd" / "ca-key.pem").exists()
    assert inspectd(tmp_path, "ca", "remove").stdout == b"There is no certificate authority.\n"
    inspectd(tmp_path, "ca")
    assert certificate_of(tmp_path) != before


def test_a_damaged_authority_is_one_clear_error_and_can_be_removed(tmp_path: Path) -> None:
    inspectd(tmp_path, "ca")
    key = tmp_path / "inspectd" / "ca-key.pem"
    key.write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense")
    for arguments in (("ca",), ("--headless", "--listen", "https://127.0.0.1:0")):
        done = inspectd(tmp_path, *arguments)
        assert done.returncode == 1
        assert b"is damaged" in done.stderr
        assert b"inspectd ca remove" in done.stderr
        assert done.stderr.count(b"\n") == 2
    assert inspectd(tmp_path, "ca", "remove").returncode == 0


def make_certificate(state: Path, *, key: str = "rsa:2048", name: str = "own.test") -> tuple[Path, Path]:
    """A certificate that openssl made, and its key."""
    certificate, secret = state / f"{name}.pem", state / f"{name}.key"
    rest = ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(secret), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", key, "-nodes", "-days", "2", "-subj", f"/CN={name}", *rest],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return certificate, secret


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_certificates_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    _, other = make_certificate(tmp_path, name="other.test")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
        timeout=60,
    )
    other_kind = tmp_path / "rsa.key"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", other_kind],
        check=True,
        capture_output=True,
        timeout=60,
    )
    https = ("--headless", "--listen", "https://127.0.0.1:0")
    clear = ("--headless", "--listen", "127.0.0.1:0")
    for options, code, said in (
        ((*clear, "--cert", certificate), 2, "--cert goes with a listener that speaks TLS"),
        ((*https, "--key", key), 2, "--key goes with --cert"),
        ((*https, "--cert", tmp_path / "none.pem"), 1, "No such file"),
        ((*https, "--cert", key, "--key", key), 1, "is no certificate in PEM form"),
        ((*https, "--cert", certificate), 1, "holds no key"),
        ((*https, "--cert", certificate, "--key", other), 1, "is not the key of"),
        ((*https, "--cert", certificate, "--key", other_kind), 1, "is not the key of"),
        ((*https, "--cert", certificate, "--key", locked), 1, "is encrypted with a passphrase"),
        (("--headless", "--listen", "https://unix:/x"), 2, "has no port"),
        (("--headless", "--listen", "https://localhost"), 2, "has no port"),
    ):
        done = inspectd(tmp_path, *options)
        assert (done.returncode, done.stdout) == (code, b""), options
        assert said in done.stderr.decode(), options
        assert b"Traceback" not in done.stderr
    assert not (tmp_path / "inspectd" / "ca-key.pem").exists()
