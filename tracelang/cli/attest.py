"""`tracec attest`, and what `tracec verify --attested` prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli.progress import progress
from tracelang.cli.refusals import COULD_NOT, refusals
from tracelang.cli.running import mistakes
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.evidence.attestation.check import Held

INSTALL = "pip install 'tracelang[attest]'"
TOLD = 20
"""So many files that differ are named, a line each; the rest is counted."""


@click.command(
    help="Sign what `verify` found of the edit in OUT: in-toto statements of the result and of where the edit comes "
    "from, which cover every file of OUT. With a key of your own, or with an identity, by sigstore."
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--key", metavar="FILE", type=click.Path(path_type=Path), help="A private key in PEM.")
@click.option("--keyless", is_flag=True, help="Sign with an identity, by sigstore: goes into its public log.")
@click.option(
    "--identity-token",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Whose identity, of --keyless: a file with an OIDC token. Default: the CI's, else a browser asks.",
)
def command(out: Path, key: Path | None, keyless: bool, identity_token: Path | None) -> None:
    if (key is None) != keyless or (identity_token and not keyless):
        raise click.UsageError("sign either with --key FILE or with --keyless, which alone takes --identity-token")
    with refusals(), mistakes("close other programs", code=COULD_NOT, dtype=False), refused():
        from tracelang.evidence.attestation import attest

        if key is not None:
            from tracelang.evidence.attestation import keys

            by = keys.signer(key, _passphrase(key, keys.PASSPHRASE))
            places, who = attest.WITH_KEY, f"key {by.public_key.keyid[:16]}"

            def sign(payloads: list[bytes]) -> list[bytes]:
                return [keys.sign(payload, by) for payload in payloads]
        else:
            from tracelang.evidence.attestation import keyless as sigstore

            token = sigstore.token(identity_token) if identity_token else None
            places, who = attest.KEYLESS, "an identity, by sigstore"

            def sign(payloads: list[bytes]) -> list[bytes]:
                return sigstore.sign(payloads, token)

        with progress() as report:
            done = attest.attest(out, sign, places, report)
        _covers(done.kinds)
        click.echo(safe(f"{out}: {done.result}, signed with {who}: {out / places[0]}, {out / places[1]}"))


def check(out: Path, key: Path | None, identity: str | None, issuer: str | None, *, quiet: bool) -> Held:
    """Check an attestation, print what it covers and what it does not unless `quiet`, and return it."""
    with refused():
        from tracelang.evidence.attestation import attest
        from tracelang.evidence.attestation.check import check as checked

        if key is not None:
            from tracelang.evidence.attestation import keys

            public = keys.public(key)
            places, who = attest.WITH_KEY, f"key {public.keyid[:16]}"

            def opened(data: bytes, where: str) -> bytes:
                return keys.opened(data, public, where)
        else:
            from tracelang.evidence.attestation import keyless as sigstore

            assert identity is not None
            name = identity
            places, who = attest.KEYLESS, name

            def opened(data: bytes, where: str) -> bytes:
                return sigstore.opened(data, name, issuer, where)

        with progress() as report:
            found = checked(out, opened, places, report)
    if quiet:
        return found
    click.echo(
        safe(f"signed by {who}; every file is what was signed, the recipe gives the plan, the records the report")
    )
    _covers(found.kinds)
    for line in found.uncovered:
        click.echo(safe(f"does not cover: {line}"))
    return found


@contextmanager
def refused() -> Iterator[None]:
    """Turn what keeps OUT from being attested, or an attestation from holding, into `error: …` and exit code 2."""
    try:
        from tracelang.evidence.attestation.errors import AttestationError, NotAsSigned

        try:
            yield
        except NotAsSigned as error:
            for line in error.lines[:TOLD]:
                click.echo(safe(f"error: {line}"), err=True)
            if (more := len(error.lines) - TOLD) > 0:
                click.echo(f"error: and {more} more files are not what was signed", err=True)
            raise click.exceptions.Exit(COULD_NOT) from error
        except AttestationError as error:
            click.echo(f"error: {safe(' '.join(str(error).split()))}", err=True)
            raise click.exceptions.Exit(COULD_NOT) from error
    except ModuleNotFoundError as error:
        package = (error.name or "tracelang").partition(".")[0]
        if package in {"tracelang", *sys.stdlib_module_names}:
            raise
        click.echo(f"error: this needs {package}: {INSTALL}", err=True)
        raise click.exceptions.Exit(COULD_NOT) from error


def _passphrase(key: Path, name: str) -> Callable[[], str | None]:
    """Where a passphrase comes from: the environment, else the terminal."""

    def ask() -> str | None:
        if told := os.environ.get(name):
            return told
        if not sys.stdin.isatty():
            return None
        return str(click.prompt(safe(f"passphrase of {key}"), hide_input=True, err=True))

    return ask


def _covers(kinds: tuple[tuple[str, int, int], ...]) -> None:
    from tracelang.evidence.report.wording import NO_BREAK, size

    for told, number, total in kinds:
        click.echo(
            safe(f"covers: {told}: {number} file{'s' if number > 1 else ''}, {size(total).replace(NO_BREAK, ' ')}")
        )
