"""A certificate authority for devices: EC P-256, made and kept without a server of its own.

Its key lies in a file (PKCS 8, encrypted, readable by its owner alone), never in the database. All
of it follows RFC 5280; names are those of the devices, in the common name and as a URI.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devices.certificates.model import RevokedSerial
from devices.registry.guard import DEVICE_ID
from kernel.errors import Conflict, DomainError, Invalid

CERTIFICATE_FILE, KEY_FILE, CRL_FILE = "ca.pem", "ca.key", "crl.pem"
URI = "urn:silverline:device:"
AUTHORITY_LASTS = timedelta(days=20 * 365)
USUAL_DAYS, MOST_DAYS = 825, 3650
LARGEST_CSR = 16 * 1024
# Devices whose clock is a little behind are let in all the same.
_LEEWAY = timedelta(hours=1)
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class AuthorityMissing(DomainError):
    """There is no authority in the folder, or its key does not open."""

    code = "no_authority"
    status = 409


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority with its key in memory."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> str:
        """The certificate of the authority, for devices and brokers."""
        return pem_of(self.certificate)


def create(name: str, now: datetime) -> Authority:
    """Make a fresh authority. Raises Invalid for a name that no certificate can have."""
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise Invalid("The authority needs a name.", {"name": "1 to 64 characters"})
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_LASTS)
    usage = _usage(key_cert_sign=True, crl_sign=True)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def save(authority: Authority, folder: Path, passphrase: bytes) -> None:
    """Write the authority into a folder. Raises Conflict when there is one already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealed = authority.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    try:
        write_private(folder / KEY_FILE, sealed)
    except FileExistsError as error:
        raise Conflict(f"There is an authority in {folder} already.") from error
    (folder / CERTIFICATE_FILE).write_text(authority.pem, "utf-8")


def load(folder: Path, passphrase: bytes) -> Authority:
    """Open the authority of a folder. Raises AuthorityMissing with what is wrong."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
        sealed = (folder / KEY_FILE).read_bytes()
    except OSError as error:
        text = f"There is no certificate authority in {folder}; make one: silverline ca init."
        raise AuthorityMissing(text) from error
    try:
        key = serialization.load_pem_private_key(sealed, passphrase)
    except (ValueError, TypeError) as error:
        text = "The key of the authority does not open: wrong passphrase or master key."
        raise AuthorityMissing(text) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityMissing("The key of the authority is of another kind than P-256.")
    return Authority(certificate, key)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone can read. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def sign_device(
    authority: Authority, device_id: str, key: PublicKey, now: datetime, days: int
) -> x509.Certificate:
    """Return a client certificate for the device. Raises Invalid (days)."""
    if not 0 < days <= MOST_DAYS:
        raise Invalid(f"A certificate lasts 1 to {MOST_DAYS} days.", {"days": "range"})
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
    names = [x509.UniformResourceIdentifier(URI + device_id)]
    builder = _builder(subject, authority.certificate.subject, key, now, timedelta(days=days))
    return _sign_end(authority, builder, key, names, ExtendedKeyUsageOID.CLIENT_AUTH)


def sign_server(
    authority: Authority, names: Sequence[str], key: PublicKey, now: datetime, days: int
) -> x509.Certificate:
    """Return a certificate for the broker under host names and addresses. Raises Invalid."""
    if not names or not 0 < days <= MOST_DAYS:
        raise Invalid("A server certificate has a name and lasts some days.", {"names": "required"})
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = _builder(subject, authority.certificate.subject, key, now, timedelta(days=days))
    found = [_server_name(name) for name in names]
    return _sign_end(authority, builder, key, found, ExtendedKeyUsageOID.SERVER_AUTH)


def _server_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise Invalid(f"{name!r} is no host name.", {"names": "form"}) from error


def _sign_end(
    authority: Authority,
    builder: x509.CertificateBuilder,
    key: PublicKey,
    names: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
) -> x509.Certificate:
    issuer = authority.key.public_key()
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + lasts)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def request_key(text: str, device_id: str) -> PublicKey:
    """Return the key of a certificate signing request (PKCS 10, PEM) of a device.

    Raises Invalid (csr: required, too_long, unreadable, signature, key or name): the request proves
    that its sender has the key; a common name in it must be the device's id.
    """
    if not text.strip():
        raise Invalid("A signing request is needed.", {"csr": "required"})
    if len(text) > LARGEST_CSR:
        raise Invalid("The signing request is too long.", {"csr": "too_long"})
    try:
        request = x509.load_pem_x509_csr(text.strip().encode())
        proven, key = request.is_signature_valid, request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Invalid("This is no signing request in PEM.", {"csr": "unreadable"}) from error
    if not proven:
        raise Invalid("The request is not signed with its key.", {"csr": "signature"})
    names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if names and names[0].value != device_id:
        raise Invalid("The request is for another device.", {"csr": "name"})
    return _strong(key)


def _strong(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= 256:
        return key
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise Invalid("The key is too weak, or of an unknown kind.", {"csr": "key"})


def new_key() -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """Return a fresh P-256 key: its public half, and the private one as PEM (PKCS 8, in clear)."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key.public_key(), private


def revocation_list(
    authority: Authority, revoked: Sequence[RevokedSerial], now: datetime, lasts: timedelta
) -> bytes:
    """Return the list of revoked certificates (RFC 5280, 5) as PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now)
        .next_update(now + lasts)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    for one in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(one.serial, 16))
            .revocation_date(one.revoked_at)
        )
        if one.reason != "unspecified":
            flag = x509.ReasonFlags[one.reason]
            entry = entry.add_extension(x509.CRLReason(flag), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    crl = builder.sign(authority.key, hashes.SHA256())
    return crl.public_bytes(serialization.Encoding.PEM)


def write_list(folder: Path, data: bytes) -> Path:
    """Put the list in its place, whole at once: a broker may be reading it."""
    path = folder / CRL_FILE
    beside = folder / f".{CRL_FILE}.{secrets.token_hex(4)}"
    beside.write_bytes(data)
    beside.replace(path)
    return path


def identity_of(certificate: x509.Certificate) -> str | None:
    """Return the device id that a certificate names: its common name, or else a name of ours."""
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if DEVICE_ID.fullmatch(str(attribute.value)):
            return str(attribute.value)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    found = [uri.removeprefix(URI) for uri in uris if uri.startswith(URI)]
    found += names.get_values_for_type(x509.DNSName)
    return next((name for name in found if DEVICE_ID.fullmatch(name)), None)


def serial_of(certificate: x509.Certificate) -> str:
    """Return the serial number as it is kept: hexadecimal, without leading zeros."""
    return format(certificate.serial_number, "x")


def pem_of(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
