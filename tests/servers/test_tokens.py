"""Tokens and certificates: checked by a library that is not ours."""

import base64
import json
import ssl
import time

import pytest

from interplay import ArgumentError
from interplay.servers import certificates, tokens

cryptography = pytest.importorskip("cryptography")
pytest.importorskip("cryptography.exceptions")
x509 = pytest.importorskip("cryptography.x509")


def verifies(token, jwks):
    """By the book (RFC 7515), with the key as it stands in the JWKS."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    def number(text):
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")

    (key,) = json.loads(jwks)["keys"]
    public = ec.EllipticCurvePublicNumbers(number(key["x"]), number(key["y"]), ec.SECP256R1()).public_key()
    said, _, signature = token.rpartition(".")
    whole = f"{number(signature):0128x}"
    pair = utils.encode_dss_signature(int(whole[:64], 16), int(whole[64:], 16))
    try:
        public.verify(pair, said.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def test_a_token_says_who_until_when_and_who_says_so():
    issuer = tokens.Issuer("shop")
    token = issuer.token("ada", seconds=60, role="buyer")
    said = tokens.claims(token)
    assert {name: said[name] for name in ("iss", "sub", "role")} == {
        "iss": "shop",
        "sub": "ada",
        "role": "buyer",
    }
    assert said["exp"] == pytest.approx(time.time() + 60, abs=3)
    assert tokens.claims(issuer.token("ada", seconds=-60))["exp"] < time.time()
    assert "=" not in token
    assert verifies(token, issuer.jwks())
    assert not verifies(token, tokens.Issuer("shop").jwks())  # another key
    header, _, signature = token.split(".")
    other = issuer.token("grace").split(".")[1]
    assert not verifies(f"{header}.{other}.{signature}", issuer.jwks())
    with pytest.raises(ArgumentError, match="seconds is '60'"):
        issuer.token("ada", seconds="60")


def test_signatures_have_their_full_length_always():
    issuer = tokens.Issuer()
    assert {len(issuer.token("ada").rpartition(".")[2]) for _ in range(2000)} == {86}  # 64 bytes


def test_an_authority_signs_names():
    authority = certificates.Authority()
    identity = authority.issue("orders.shop")
    root = x509.load_pem_x509_certificate(authority.certificate.encode())
    leaf = x509.load_pem_x509_certificate(identity.certificate.encode())
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["orders.shop"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 1
    assert leaf.not_valid_before_utc.timestamp() < time.time() < leaf.not_valid_after_utc.timestamp()
    other = x509.load_pem_x509_certificate(certificates.Authority().certificate.encode())
    with pytest.raises(cryptography.exceptions.InvalidSignature):  # the same name, another key
        leaf.verify_directly_issued_by(other)


def test_a_context_shows_the_identity_and_trusts_the_authority():
    authority = certificates.Authority("of the test")
    context = authority.issue("web.shop").context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "of the test"),),)
