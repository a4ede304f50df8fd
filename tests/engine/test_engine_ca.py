"""The certificate authority: made once, private, right in the eyes of strict clients, and clear about what is wrong."""

from __future__ import annotations

import datetime as dt
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from inspectd.engine import ca
from inspectd.engine.ca import CaError

if TYPE_CHECKING:
    from pathlib import Path


def _open(where: Path) -> ca.Authority:
    return ca.open_authority(where)


def _leaf(authority: ca.Authority, *names: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.leaf(*names).pem)


def test_it_is_made_once_and_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    where = tmp_path / "share" / "inspectd"
    first = _open(where)
    again = _open(where)
    assert first.fingerprint == again.fingerprint
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    assert stat.S_IMODE((where / ca.KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in where.iterdir()) == [ca.KEY_FILE, ca.CERTIFICATE_FILE]
    assert b"PRIVATE" not in (where / ca.CERTIFICATE_FILE).read_bytes()
    assert first.name.startswith("inspectd CA ")


def test_it_lives_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert ca.directory() == tmp_path / ".local" / "share" / "inspectd"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert ca.directory() == tmp_path / "data" / "inspectd"


def test_processes_that_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from inspectd.engine.ca import open_authority;"
        "sys.stdin.read(); print(open_authority(Path(sys.argv[1])).fingerprint)"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "ca")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
        racer.stdin = None
    said = {racer.communicate(timeout=60)[0] for racer in racers}
    assert len(said) == 1
    assert said == {_open(tmp_path / "ca").fingerprint + "\n"}
    assert len(list((tmp_path / "ca").iterdir())) == 2


def test_a_certificate_is_as_browsers_want_it(tmp_path: Path) -> None:
    authority = _open(tmp_path)
    leaf = _leaf(authority, "lab.test", "127.0.0.1", "::1")
    leaf.verify_directly_issued_by(authority.certificate)
    now = dt.datetime.now(dt.UTC)
    assert now - dt.timedelta(days=2) < leaf.not_valid_before_utc < now - dt.timedelta(hours=23)
    assert dt.timedelta(days=89) < leaf.not_valid_after_utc - now <= dt.timedelta(days=ca.LEAF_DAYS)
    assert leaf.serial_number.bit_length() > 64
    assert leaf.serial_number != _leaf(authority, "lab.test").serial_number
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(name.value) for name in names.value] == ["lab.test", "127.0.0.1", "::1"]
    assert [type(name) for name in names.value] == [x509.DNSName, x509.IPAddress, x509.IPAddress]
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    key = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert issuer.key_identifier == key.digest
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)


def test_a_name_too_long_for_a_common_name_stands_in_the_alternative_names_only(tmp_path: Path) -> None:
    name = ".".join(("a" * 60, "b" * 60, "test"))
    leaf = _leaf(_open(tmp_path), name)
    assert not list(leaf.subject)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert [str(each.value) for each in names.value] == [name]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("name", ["lab.test", "192.0.2.7", "2001:db8::7"])
def test_the_strictest_check_of_openssl_is_passed(tmp_path: Path, name: str) -> None:
    authority = _open(tmp_path)
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(authority.leaf(name).pem)
    match = ["-verify_hostname" if name == "lab.test" else "-verify_ip", name]
    trusted = ["-CAfile", str(authority.certificate_path)]
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *match, *trusted, str(leaf)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "address", "names"),
    [
        ("lab.test", "127.0.0.1", ("lab.test",)),
        ("Lab.Test.", "127.0.0.1", ("lab.test",)),
        ("a_b.test", "127.0.0.1", ("a_b.test",)),
        ("localhost", "::1", ("localhost", "127.0.0.1", "::1")),
        ("192.0.2.7", "127.0.0.1", ("192.0.2.7",)),
        (None, "127.0.0.1", ("127.0.0.1", "localhost", "::1")),
        (None, "127.0.0.5", ("127.0.0.5", "localhost", "127.0.0.1", "::1")),
        (None, "192.0.2.7", ("192.0.2.7",)),
        (None, "::ffff:192.0.2.7", ("192.0.2.7",)),
        (None, "fe80::1%eth0", ("fe80::1",)),
        (None, "", ("localhost", "127.0.0.1", "::1")),
        ("a..b", "192.0.2.7", ("192.0.2.7",)),
        ("*.test", "192.0.2.7", ("192.0.2.7",)),
        ("a b\\x00", "192.0.2.7", ("192.0.2.7",)),
        ("x" * 64, "192.0.2.7", ("192.0.2.7",)),
        (".".join(["abcdefgh"] * 30), "192.0.2.7", ("192.0.2.7",)),
    ],
)
def test_names_that_a_certificate_is_made_for(name: str | None, address: str, names: tuple[str, ...]) -> None:
    assert ca.names_for(name, address) == names


def test_no_certificate_outlives_the_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca, "CA_DAYS", 3)
    authority = _open(tmp_path)
    assert authority.leaf("a.test").ends == authority.ends
    assert _leaf(authority, "a.test").not_valid_after_utc == authority.ends


def test_an_authority_that_has_expired_says_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca, "CA_DAYS", 0)
    authority = _open(tmp_path)
    with pytest.raises(CaError) as caught:
        authority.leaf("a.test")
    assert f"expired on {authority.ends:%Y-%m-%d}" in caught.value.what
    assert "inspectd ca remove" in caught.value.mend


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *, authority: bool) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _damaged() -> dict[str, tuple[bytes, str]]:
    one, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    big = rsa.generate_private_key(65537, 2048)
    whole = _certificate(one, authority=True) + _pem(one)
    return {
        "empty": (b"", "is damaged"),
        "garbage": (bytes(range(256)), "is damaged"),
        "cut": (whole[: len(whole) // 2], "is damaged"),
        "no key": (_certificate(one, authority=True), "is damaged"),
        "other key": (_certificate(one, authority=True) + _pem(other), "don't belong together"),
        "rsa": (_certificate(big, authority=True) + _pem(big), "don't belong together"),
        "no authority": (_certificate(one, authority=False) + _pem(one), "may not sign others"),
    }


@pytest.mark.parametrize("what", list(_damaged()))
def test_a_damaged_or_foreign_file_is_left_alone_and_says_how_to_mend_it(tmp_path: Path, what: str) -> None:
    data, why = _damaged()[what]
    path = tmp_path / ca.KEY_FILE
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(CaError) as caught:
        _open(tmp_path)
    assert str(path) in caught.value.what
    assert why in caught.value.what
    assert "inspectd ca remove" in caught.value.mend
    assert path.read_bytes() == data


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    _open(tmp_path)
    path = tmp_path / ca.KEY_FILE
    path.chmod(0o640)
    with pytest.raises(CaError) as caught:
        _open(tmp_path)
    assert "other users can read the key" in caught.value.what
    assert f"chmod 600 {path}" in caught.value.mend


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaError) as caught:
        _open(tmp_path / "file" / "inspectd")
    assert "Not a directory" in caught.value.what or "File exists" in caught.value.what


def test_the_copy_without_the_key_is_kept_right(tmp_path: Path) -> None:
    authority = _open(tmp_path)
    right = authority.certificate_path.read_bytes()
    authority.certificate_path.write_bytes(b"something else")
    assert _open(tmp_path).certificate_path.read_bytes() == right


def test_removing_it_leaves_nothing(tmp_path: Path) -> None:
    assert ca.existing(tmp_path) is None
    before = _open(tmp_path).fingerprint
    assert {path.name for path in ca.remove(tmp_path)} == {ca.KEY_FILE, ca.CERTIFICATE_FILE}
    assert ca.remove(tmp_path) == []
    assert _open(tmp_path).fingerprint != before
