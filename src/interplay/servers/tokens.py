"""Signed tokens (JWT, RFC 7519): who the user is, and until when that holds, for everybody to check.

A token is three parts with dots between: header, claims, signature (ES256). It is not secret what it says;
only its issuer can have signed it. Who checks it needs the issuer's public key, as a JWKS (RFC 7517).

`cryptography` is imported when it is used: without it this module loads.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from ..arguments import number

SIZE = 32  # bytes of each number of the curve P-256


class Issuer:
    """Signs tokens, with a key of its own that lives in memory only."""

    def __init__(self, name: str = "shop") -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())

    def token(self, user: str, seconds: float = 300.0, **claims: Any) -> str:
        """A token for a user, good for so many seconds from now; negative: it has expired already.

        It goes into a header: {"Authorization": f"Bearer {token}"}. `claims` are put into it, too.
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        ends = int(time.time() + number("seconds", seconds))
        header = {"alg": "ES256", "typ": "JWT", "kid": "1"}
        said = ".".join(map(_text, (header, {"iss": self.name, "sub": user, "exp": ends, **claims})))
        r, s = decode_dss_signature(self._key.sign(said.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{said}.{_base64(r.to_bytes(SIZE, 'big') + s.to_bytes(SIZE, 'big'))}"

    def jwks(self) -> str:
        """The public key, as JSON: what is given to those who check."""
        point = self._key.public_key().public_numbers()
        x, y = (_base64(n.to_bytes(SIZE, "big")) for n in (point.x, point.y))
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": x, "y": y}
        return json.dumps({"keys": [key]})


def claims(token: str) -> dict[str, Any]:
    """What a token says. Anybody can read it; the signature is not checked."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _text(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
