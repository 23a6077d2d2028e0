"""Signing with a key from a file, and checking that: DSSE by securesystemslib, keys by pyca/cryptography.

Nothing here computes a signature itself. Keys are PEM, as `openssl genpkey` and `openssl pkey -pubout` write them:
Ed25519, ECDSA on the NIST curves, RSA.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from tracelang.evidence.attestation.covered import opened as opened_file
from tracelang.evidence.attestation.errors import AttestationError
from tracelang.evidence.attestation.statement import LARGE, PAYLOAD
from tracelang.files import contents

KEY = 64 << 10
"""Bytes of a key's file."""
PASSPHRASE = "TRACELANG_KEY_PASSPHRASE"
"""The environment's name of a passphrase."""


class _Signature(BaseModel):
    model_config = ConfigDict(extra="ignore")
    keyid: str = Field(max_length=200)
    sig: str = Field(max_length=20_000)


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore")
    payload: str
    payloadType: str = Field(max_length=200)
    signatures: list[_Signature] = Field(min_length=1, max_length=16)


def signer(key: Path, passphrase: Callable[[], str | None] = lambda: None) -> CryptoSigner:
    """The private key in a file; `passphrase` is asked where it is protected by one.

    Raises AttestationError, OSError.
    """
    data = _read(key)
    if b"PUBLIC KEY" in data:
        raise AttestationError(f"{key}: is a public key; sign with the private one it belongs to")
    protected = b"ENCRYPTED" in data
    word = passphrase() if protected else None
    if protected and not word:
        raise AttestationError(f"{key}: is protected by a passphrase; put it into {PASSPHRASE}, or sign at a terminal")
    try:
        found = load_pem_private_key(data, word.encode() if word else None)
        return CryptoSigner(found)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if protected:
            raise AttestationError(f"{key}: is not opened by this passphrase, or is no key in PEM") from error
        raise _no_key(key, "private") from error


def public(key: Path) -> SSlibKey:
    """The public key in a file. Raises AttestationError, OSError."""
    data = _read(key)
    if b"PRIVATE KEY" in data:
        raise AttestationError(f"{key}: is a private key; check with its public one (openssl pkey -in KEY -pubout)")
    try:
        return SSlibKey.from_crypto(load_pem_public_key(data))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(key, "public") from error


def sign(payload: bytes, by: CryptoSigner) -> bytes:
    """A DSSE envelope, as JSON."""
    envelope = Envelope(payload, PAYLOAD, {})
    envelope.sign(by)
    return (json.dumps(envelope.to_dict(), indent=1) + "\n").encode()


def opened(data: bytes, key: SSlibKey, where: str) -> bytes:
    """The payload of an envelope that was signed by this key. Raises AttestationError."""
    try:
        checked = _Envelope.model_validate_json(data)
        envelope = Envelope.from_dict(checked.model_dump())
    except (ValidationError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise AttestationError(f"{where}: is no DSSE envelope; run: tracec attest OUT --key FILE") from error
    if envelope.payload_type != PAYLOAD:
        raise AttestationError(f"{where}: holds {envelope.payload_type[:80]!r}, which is no in-toto statement")
    try:
        envelope.verify([key], 1)
    except VerificationError as error:
        raise AttestationError(
            f"{where}: is not signed by this key, or was changed after it was (key {key.keyid[:16]})"
        ) from error
    payload: bytes = envelope.payload
    return payload


def read(file: Path) -> bytes:
    """An attestation's file. Raises AttestationError, OSError."""
    try:
        with opened_file(file) as stream:
            data = stream.read(2 * LARGE + 1)
    except FileNotFoundError as error:
        raise AttestationError(f"{file}: is not there; run: tracec attest OUT") from error
    if len(data) > 2 * LARGE:
        raise AttestationError(f"{file}: is larger than any attestation; attest OUT again")
    return data


def _read(key: Path) -> bytes:
    data = contents(key, KEY)
    if len(data) > KEY:
        raise AttestationError(f"{key}: is larger than any key; name a PEM file")
    return data


def _no_key(key: Path, which: str) -> AttestationError:
    made = "openssl genpkey -algorithm ed25519" if which == "private" else "openssl pkey -in KEY -pubout"
    return AttestationError(
        f"{key}: is no {which} key in PEM that can sign (Ed25519, ECDSA, RSA); make one with {made}"
    )
