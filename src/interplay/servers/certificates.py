"""Certificates made on the spot: an authority of our own, and the identity of each service.

An identity is a name in a certificate (subject alternative name, DNS) that the authority has signed, and the
private key that only its owner has. They are good for a day and exist in memory only. Real meshes hand out
new ones every few hours, and name a service by a SPIFFE URI.

`cryptography` is imported when it is used: without it this module loads.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, as PEM text, and the certificate of who signed it."""

    name: str
    certificate: str
    key: str
    authority: str

    def context(self) -> ssl.SSLContext:
        """For a client such as httpx (`verify=`): trusts the authority, and shows this identity if asked.

        The name of the server is not compared: here every server is 127.0.0.1.
        """
        context = ssl.create_default_context(cadata=self.authority)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # as from Python 3.13 on
        handle, path = tempfile.mkstemp(suffix=".pem")  # the ssl module reads keys from files only
        try:
            with os.fdopen(handle, "w") as file:
                file.write(self.key + self.certificate)
            context.load_cert_chain(path)
        finally:
            Path(path).unlink()
        return context


class Authority:
    """Signs identities. Whoever trusts it believes the names in them."""

    def __init__(self, name: str = "the shop's authority") -> None:
        self.name = name
        self._key = _new_key()
        self._certificate = _sign(name, self._key.public_key(), name, self._key, is_authority=True)
        self.certificate = _pem(self._certificate)

    def issue(self, name: str) -> Identity:
        """A new key for a service, and a certificate for it, good for a day."""
        key = _new_key()
        certificate = _sign(name, key.public_key(), self.name, self._key)
        return Identity(name, _pem(certificate), _private(key), self.certificate)


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _sign(name: str, public: Any, issuer: str, with_: Any, is_authority: bool = False) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    def called(text: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_usage(signs=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(with_.public_key()), critical=False)
    )
    if not is_authority:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(with_, hashes.SHA256())


def _usage(signs: bool) -> Any:
    from cryptography import x509

    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    never = dict.fromkeys((*names, "decipher_only"), False)
    return x509.KeyUsage(digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, **never)


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return str(certificate.public_bytes(Encoding.PEM).decode())


def _private(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
