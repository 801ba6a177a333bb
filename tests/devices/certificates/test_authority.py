"""Our own authority: what it signs, what it refuses, and that its key lies safely."""

import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from devices.certificates import authority as authorities
from devices.certificates.authority import AuthorityMissing
from devices.certificates.model import RevokedSerial
from kernel.errors import Conflict, Invalid


def request(name: str | None, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    names = [] if name is None else [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_the_key_is_encrypted_in_a_file_of_its_owner_alone(tmp_path: Path, now: datetime) -> None:
    made = authorities.create("银龄设备", now)
    authorities.save(made, tmp_path / "ca", b"open sesame")
    key_file = tmp_path / "ca" / authorities.KEY_FILE
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in key_file.read_bytes()
    opened = authorities.load(tmp_path / "ca", b"open sesame")
    assert opened.certificate == made.certificate
    with pytest.raises(AuthorityMissing):
        authorities.load(tmp_path / "ca", b"open barley")
    with pytest.raises(AuthorityMissing):
        authorities.load(tmp_path / "elsewhere", b"open sesame")
    with pytest.raises(Conflict):
        authorities.save(made, tmp_path / "ca", b"open sesame")


def test_a_device_gets_a_certificate_for_clients_under_its_id(now: datetime) -> None:
    made = authorities.create("silverline", now)
    key, _ = authorities.new_key()
    certificate = authorities.sign_device(made, "W-0193", key, now, 30)
    certificate.verify_directly_issued_by(made.certificate)
    assert authorities.identity_of(certificate) == "W-0193"
    assert certificate.not_valid_after_utc == now + timedelta(days=30)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [one.dotted_string for one in usage] == ["1.3.6.1.5.5.7.3.2"]
    with pytest.raises(Invalid):
        authorities.sign_device(made, "W-0193", key, now, 0)


def test_a_request_is_taken_for_its_own_device_and_a_strong_key_only() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for name in ("W-1", None):
        assert authorities.request_key(request(name, key), "W-1") == key.public_key()
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - meant to be refused
    forged = request("W-1", key).replace("M", "N", 2)
    for text, problem in (
        ("", "required"),
        ("x" * 20_000, "too_long"),
        ("no PEM at all", "unreadable"),
        (request("W-2", key), "name"),
        (request("W-1", weak), "key"),
        (request("W-1", ec.generate_private_key(ec.SECP192R1())), "key"),
        (forged, "unreadable"),
    ):
        with pytest.raises(Invalid) as refused:
            authorities.request_key(text, "W-1")
        assert refused.value.fields == {"csr": problem}


def test_the_list_of_revoked_certificates_names_them(now: datetime) -> None:
    made = authorities.create("silverline", now)
    revoked = [RevokedSerial("ff01", now, "key_compromise"), RevokedSerial("2", now, "unspecified")]
    pem = authorities.revocation_list(made, revoked, now, timedelta(days=7))
    read = x509.load_pem_x509_crl(pem)
    assert read.is_signature_valid(made.key.public_key())
    assert {one.serial_number for one in read} == {0xFF01, 2}
    assert read.next_update_utc == now + timedelta(days=7)


def test_a_foreign_name_is_found_where_it_stands(now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    def made(common: str, *names: x509.GeneralName) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), 7)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key, hashes.SHA256())

    assert authorities.identity_of(made("W-1")) == "W-1"
    assert authorities.identity_of(made("device of ours", x509.DNSName("W-2"))) == "W-2"
    urn = x509.UniformResourceIdentifier("urn:silverline:device:W_3")
    assert authorities.identity_of(made("设备 3", urn)) == "W_3"
    assert authorities.identity_of(made("no device id")) is None
