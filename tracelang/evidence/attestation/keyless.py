"""Signing without a key of one's own, by sigstore: a certificate of minutes for an identity, a line in a public log.

All of it is sigstore's own library. Both ways need the network: its roots are refreshed, an identity is shown, and the
signature goes into the public transparency log, with the identity in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sigstore.dsse import Statement
from sigstore.errors import Error
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityToken, Issuer, detect_credential
from sigstore.sign import SigningContext
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from tracelang.evidence.attestation.errors import AttestationError
from tracelang.evidence.attestation.statement import PAYLOAD
from tracelang.files import contents

ISSUER = "https://oauth2.sigstore.dev/auth"
"""Sigstore's own, which asks GitHub, Google or Microsoft who somebody is."""
TOKEN = 64 << 10
"""Bytes of a token's file."""
LIBRARIES = {"sigstore", "requests", "urllib3", "tuf", "id", "securesystemslib", "jwt"}
"""Whose errors are of the network, of a service or of an identity."""


def token(file: Path) -> str:
    """An OIDC token from a file. Raises AttestationError, OSError."""
    data = contents(file, TOKEN)
    if len(data) > TOKEN or not data.isascii():
        raise AttestationError(f"{file}: is no OIDC token; name a file that holds one and nothing else")
    return data.decode().strip()


def identity(raw: str | None) -> IdentityToken:
    """Who signs: of a token that was given, of the CI that this runs in, else whoever answers in a browser.

    Raises AttestationError.
    """
    with _told("no identity"):
        raw = detect_credential() if raw is None else raw
        return IdentityToken(raw) if raw is not None else Issuer(ISSUER).identity_token()


def sign(payloads: Sequence[bytes], token: str | None) -> list[bytes]:
    """A sigstore bundle of each statement, as JSON. Statements and identity are looked at before the network is.

    Raises AttestationError.
    """
    with _told("cannot be signed without a key"):
        statements = [Statement(payload) for payload in payloads]
    who = identity(token)
    with _told("cannot be signed without a key"):
        context = SigningContext.from_trust_config(ClientTrustConfig.production())
        with context.signer(who) as signer:
            return [signer.sign_dsse(statement).to_json().encode() + b"\n" for statement in statements]


def opened(data: bytes, who: str, issuer: str | None, where: str) -> bytes:
    """The payload of a bundle that this identity signed, as its issuer vouches. Raises AttestationError."""
    with _told(f"{where}: is no sigstore bundle"):
        bundle = Bundle.from_json(data)
    with _told(f"{where}: cannot be checked, or is not signed by {who}"):
        kind, payload = Verifier.production().verify_dsse(bundle, Identity(identity=who, issuer=issuer))
    if kind != PAYLOAD:
        raise AttestationError(f"{where}: holds {kind[:80]!r}, which is no in-toto statement")
    return payload


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What sigstore, its services or the network refuse, in one line that begins with `what`."""
    try:
        yield
    except (Error, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AttestationError(f"{what} ({_reason(error)})") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in LIBRARIES:
            raise
        raise AttestationError(f"{what} ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split()) or " ".join(str(error.__cause__ or type(error).__name__).split())
    return said[:200]
