"""What was signed is what stands there: a changed, added or missing byte of any file is named, whoever hides it.

Signatures are made and checked by securesystemslib and read here by pyca/cryptography alone, as any other tool would.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigstore.dsse import Statement

import tracelang
from tests.evidence.edits import RECIPE, closed_form, rehash
from tracelang.cli import main
from tracelang.evidence.attestation import check, covered, keys, statement
from tracelang.evidence.attestation.attest import WITH_KEY
from tracelang.evidence.attestation.errors import AttestationError
from tracelang.evidence.units import everyday
from tracelang.models.weights import sha256

EXPECT = "expect over 2 samples { shown(dog) <= 80% residual(dog) <= 80% }"
REPORT, ORIGIN = WITH_KEY
KINDS = {
    "key": ed25519.Ed25519PrivateKey.generate,
    "other": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, and a verified OUT with its attestation; nobody writes into it."""
    folder = tmp_path_factory.mktemp("home")
    for name, make in KINDS.items():
        key = make()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem)
        (folder / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
        (folder / f"{name}.locked.pem").write_bytes(locked)
    out = closed_form(tracelang.compile(RECIPE + EXPECT), folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everyday, "COUNT", everyday.LEAST)
        said("verify", str(out), "--samples", "0", "--steps", "2", "--device", "cpu")
        said("verify", str(out), "--samples", "0", "--steps", "3", "--device", "cpu")  # another run, an earlier report
    said("attest", str(out), "--key", str(folder / "key.pem"))
    return folder


@pytest.fixture
def out(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home / "out", tmp_path / "out", copy_function=os.link)  # nobody writes through: see `write`
    return tmp_path / "out"


def write(file: Path, data: bytes | None) -> None:
    """Another file under the name, so that other names of the old one keep it."""
    file.unlink(missing_ok=True)
    if data is not None:
        file.write_bytes(data)


def said(*words: str, code: tuple[int, ...] = (0, 1, 3)) -> str:
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code in code, ran.output
    return ran.stdout


def refused(*words: str, lines: int = 1) -> str:
    ran = CliRunner().invoke(main, words)
    told = [line for line in ran.stderr.splitlines() if not line.startswith("digests, MB: ")]
    assert ran.exit_code == 2 and len(told) == lines and all(line.startswith("error: ") for line in told), ran.output
    return "\n".join(told)


def checked(home: Path, out: Path, **more: Any) -> str:
    """What an attestation that does not hold is told by."""
    with pytest.raises(AttestationError) as caught:
        hold(home, out, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def hold(home: Path, out: Path, key: str = "key") -> check.Held:
    public = keys.public(home / f"{key}.pub")
    return check.check(out, lambda data, where: keys.opened(data, public, where), WITH_KEY)


def payload(file: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(file.read_bytes())["payload"]))


def test_an_attestation_holds_and_says_what_it_covers(home: Path, out: Path) -> None:
    ran = CliRunner().invoke(main, ["verify", str(out), "--attested", "--key", str(home / "key.pub")])
    report = json.loads((out / "report" / "report.json").read_bytes())
    assert ran.exit_code == {"pass": 0, "fail": 1, "inconclusive": 3}[report["verdict"]], ran.output
    assert "signed by key " in ran.stdout and f"{report['verdict']}: " in ran.stdout
    for kind in ("model, adapters, configs", "recipe, plan, lock", "units and pictures", "log of runs", "earlier"):
        assert f"covers: {kind}" in ran.stdout
    assert " MB\n" in ran.stdout and "\\x" not in ran.stdout
    assert "does not cover: the base model itself" in ran.stdout and "judge micro" in ran.stdout
    shown = CliRunner().invoke(main, ["verify", str(out), "--attested", "--key", str(home / "key.pub"), "--json"])
    assert json.loads(shown.stdout)["verdict"] == report["verdict"]


def test_the_statements_are_in_totos_and_every_file_is_in_them(home: Path, out: Path) -> None:
    """Read as any other tool would read them: sigstore's own model takes them, pyca/cryptography alone verifies."""
    for name, kind in ((REPORT, statement.TEST_RESULT), (ORIGIN, statement.PROVENANCE)):
        envelope = json.loads((out / name).read_bytes())
        data, (signature,) = base64.b64decode(envelope["payload"]), envelope["signatures"]
        mark = f"DSSEv1 {len(envelope['payloadType'])} {envelope['payloadType']} {len(data)} ".encode()
        loaded = keys.load_pem_public_key((home / "key.pub").read_bytes())
        loaded.verify(base64.b64decode(signature["sig"]), mark + data)  # type: ignore[union-attr,call-arg]
        Statement(data)
        assert payload(out / name)["predicateType"] == kind
    result = payload(out / REPORT)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {one["name"] for one in result["subject"]} == files - covered.LEFT_OUT
    predicate, report = result["predicate"], json.loads((out / "report" / "report.json").read_bytes())
    assert predicate["result"] == statement.RESULTS[report["verdict"]]
    tests = [*predicate["passedTests"], *predicate["warnedTests"], *predicate["failedTests"]]
    assert sorted(tests) == ["everyday pictures", "residual(dog) <= 80%", "shown(dog) <= 80%"]
    assert {"plan.json", "lock.json", "judge micro"} <= {one["name"] for one in predicate["configuration"]}
    origin = payload(out / ORIGIN)
    assert {one["name"] for one in origin["subject"]} == {
        name for name in files if not name.startswith("report/") and name != "README.md"
    }
    built = origin["predicate"]["buildDefinition"]
    assert built["externalParameters"]["model"] == "micro-sd"
    names = {one.get("name") or one["uri"].partition("@")[0] for one in built["resolvedDependencies"]}
    assert {"base/unet", "base/vae", "judge micro", "pkg:pypi/torch", "pkg:pypi/tracelang"} <= names


def test_a_byte_of_any_file_is_found_and_named(home: Path, out: Path) -> None:
    """One byte, one more, none at all, of every file there is: model, recipe, plan, report, units, pictures, log."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    seen = set()
    for file in files:
        name = file.relative_to(out).as_posix()
        if name in covered.LEFT_OUT:
            continue
        seen.add(covered.kind(name))
        data = file.read_bytes()
        for new, word in ((bytes([data[0] ^ 1]) + data[1:] if data else b"x", "changed"), (None, "missing")):
            write(file, new)
            every = covered.digests(covered.files(out))
            signed = {one["name"]: one["digest"]["sha256"] for one in payload(out / REPORT)["subject"]}
            (line,) = covered.compared(out, signed, every)
            assert line.startswith(f"{file}: ") and word in line
        write(file, data)
    assert seen == {kind for kind, _ in covered.KINDS}
    hold(home, out)


@pytest.mark.parametrize(
    "name", ["report/x.png", "report/work/x.json", "report/earlier/x", "APPROVED.txt", "report/.x", "model/unet/.x"]
)
def test_what_was_added_is_named(home: Path, out: Path, name: str) -> None:
    (out / name).write_text("signed off by the safety board")
    (out / "plan.json").rename(out / "plan.old")
    told = refused("verify", str(out), "--attested", "--key", str(home / "key.pub"), lines=3)
    assert f"{out / name}: was added after" in told and f"{out / 'plan.json'}: is missing" in told
    (out / "plan.old").unlink()
    for i in range(30):
        (out / f"more-{i:02d}").touch()
    told = refused("verify", str(out), "--attested", "--key", str(home / "key.pub"), lines=21)
    assert "and 12 more files are not what was signed" in told


def test_whoever_computes_every_digest_anew_still_has_no_key(home: Path, out: Path) -> None:
    """The manifest made to agree with a changed file: both are named, and a statement anew needs the key."""
    lora = out / "lora.safetensors"
    write(lora, lora.read_bytes()[:-1] + b"\0")
    manifest = (out / "manifest.json").read_bytes()
    write(out / "manifest.json", manifest)
    rehash(out)
    told = checked(home, out)
    assert "lora.safetensors: was changed" in told and "manifest.json: was changed" in told
    for name in WITH_KEY:
        data = base64.b64decode(json.loads((out / name).read_bytes())["payload"])
        for file in ("lora.safetensors", "manifest.json"):
            old, new = (sha256(folder / file).encode() for folder in (home / "out", out))
            data = data.replace(old, new)
        write(out / name, keys.sign(data, keys.signer(home / "other.pem")))
    assert "not signed by this key" in checked(home, out)


def test_the_wrong_key_and_a_changed_statement(home: Path, out: Path) -> None:
    assert "not signed by this key" in checked(home, out, key="other")
    envelope = json.loads((out / REPORT).read_bytes())
    told = base64.b64decode(envelope["payload"]).replace(b'"FAILED"', b'"PASSED"').replace(b'"WARNED"', b'"PASSED"')
    write(out / REPORT, json.dumps({**envelope, "payload": base64.b64encode(told + b" ").decode()}).encode())
    assert f"{out / REPORT}: is not signed by this key, or was changed" in checked(home, out)
    write(out / REPORT, (home / "out" / ORIGIN).read_bytes())
    assert "states 'https://slsa.dev/provenance/v1' where" in checked(home, out)
    write(out / REPORT, None)
    assert f"{out / REPORT}: is not there; run: tracec attest OUT" in checked(home, out)


def test_a_statement_signed_over_something_untrue_does_not_hold(home: Path, out: Path) -> None:
    """By the right key, which somebody else used: what it says has to be what OUT gives."""
    by = keys.signer(home / "key.pem")
    for name in WITH_KEY:
        true = payload(out / name)
        for field, value in (("passedTests", ["all"]), ("result", "PASSED"), ("runDetails", {})):
            told = {**true, "predicate": {**true["predicate"], field: value}}
            if told == true or (field == "runDetails") != (name == ORIGIN):
                continue
            write(out / name, keys.sign(statement.text(told), by))
            assert str(out / name) in checked(home, out)
        for subject in (true["subject"][1:], [{**true["subject"][0], "name": "../../etc/passwd"}], []):
            write(out / name, keys.sign(statement.text({**true, "subject": subject}), by))
            told_of = checked(home, out)
            assert "added after" in told_of or str(out / name) in told_of
        write(out / name, (home / "out" / name).read_bytes())
    hold(home, out)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_other_keys_sign_too_and_a_passphrase_opens_one(
    home: Path, out: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in WITH_KEY:
        data = base64.b64decode(json.loads((out / name).read_bytes())["payload"])
        write(out / name, keys.sign(data, keys.signer(home / f"{kind}.locked.pem", lambda: "open")))
    hold(home, out, key=kind)
    key = str(home / f"{kind}.locked.pem")
    assert "is protected by a passphrase; put it into TRACELANG_KEY_PASSPHRASE" in refused(
        "attest", str(out), "--key", key
    )
    monkeypatch.setenv("TRACELANG_KEY_PASSPHRASE", "shut")
    assert "is not opened by this passphrase" in refused("attest", str(out), "--key", key)
    monkeypatch.setenv("TRACELANG_KEY_PASSPHRASE", "open")
    assert "signed with key" in said("attest", str(out), "--key", key)
    assert "signed by key" in said("verify", str(out), "--attested", "--key", str(home / f"{kind}.pub"))


def test_what_is_no_key_is_said_in_a_line(home: Path, out: Path, tmp_path: Path) -> None:
    assert "is a public key; sign with the private one" in refused("attest", str(out), "--key", str(home / "key.pub"))
    attested = ("verify", str(out), "--attested", "--key")
    assert "is a private key; check with its public one" in refused(*attested, str(home / "key.pem"))
    for name, data in (
        ("text", b"hello"),
        ("large", b"-" * 70_000),
        ("empty", b""),
        ("cut", b"-----BEGIN PUBLIC KEY-----"),
    ):
        (tmp_path / name).write_bytes(data)
        assert str(tmp_path / name) in refused(*attested, str(tmp_path / name))
        assert str(tmp_path / name) in refused("attest", str(out), "--key", str(tmp_path / name))
    assert "no such file" in refused(*attested, str(tmp_path / "nowhere"))
    for words in (
        ("attest", str(out)),
        ("attest", str(out), "--key", "k", "--keyless"),
        ("verify", str(out), "--key", "k"),
        ("verify", str(out), "--attested"),
        (*attested, str(home / "key.pub"), "--steps", "3"),
    ):
        ran = CliRunner().invoke(main, words)
        assert ran.exit_code == 2 and "Usage:" in ran.stderr, words


def test_without_the_library_it_is_named(home: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tracelang.evidence.attestation.keys", raising=False)
    monkeypatch.delattr("tracelang.evidence.attestation.keys", raising=False)
    for name in [name for name in sys.modules if name.startswith("securesystemslib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "securesystemslib", None)
    told = refused("attest", str(out), "--key", str(home / "key.pem"))
    assert "this needs securesystemslib: pip install 'tracelang[attest]'" in told


def test_links_and_what_is_no_file_are_refused(home: Path, out: Path, tmp_path: Path) -> None:
    for name in ("report/work/x", "model/unet/config.json"):
        data = (out / name).read_bytes() if (out / name).exists() else None
        write(out / name, None)
        (out / name).symlink_to(home / "key.pub")
        assert f"{out / name}: is a link" in checked(home, out)
        assert f"{out / name}: is " in refused("attest", str(out), "--key", str(home / "key.pem"))
        write(out / name, data)
    for make in (os.mkfifo, os.mkdir, lambda place: os.symlink(home / "key.pub", place)):
        kept = (out / REPORT).read_bytes()
        write(out / REPORT, None)
        make(out / REPORT)
        assert "report.intoto.json: " in refused("verify", str(out), "--attested", "--key", str(home / "key.pub"))
        os.rmdir(out / REPORT) if (out / REPORT).is_dir() else os.unlink(out / REPORT)
        write(out / REPORT, kept)
    os.mkfifo(out / "report" / "pipe")
    assert "report/pipe: is no file" in checked(home, out)
    (out / "report" / "pipe").unlink()
    broken = os.fsencode(out / "report") + b"/\xff"
    Path(os.fsdecode(broken)).touch()
    assert "not UTF-8" in checked(home, out)
    os.unlink(broken)
    assert stat.S_ISREG((out / REPORT).stat().st_mode)


def test_a_report_that_its_records_do_not_give_is_not_signed(home: Path, out: Path) -> None:
    file = out / "report" / "report.json"
    write(file, file.read_bytes().replace(b'"pictures"', b'"pictures" ', 1))
    assert "is not what its records give; run: tracec merge" in refused(
        "attest", str(out), "--key", str(home / "key.pem")
    )
    write(file, file.read_bytes().replace(b'"run": "', b'"run": "../', 1))
    assert "does not say of which run" in refused("attest", str(out), "--key", str(home / "key.pem"))
    write(file, None)
    assert "has no report; run: tracec verify" in refused("attest", str(out), "--key", str(home / "key.pem"))


def test_a_report_that_is_replaced_takes_its_attestation_with_it(home: Path, out: Path) -> None:
    """A merge that changes nothing leaves it; another report's is kept beside that and stands for no other."""
    before = (out / REPORT).read_bytes()
    said("merge", str(out))
    assert (out / REPORT).read_bytes() == before
    hold(home, out)
    (other,) = (
        path
        for path in (out / "report" / "work").glob("*/")
        if path.name != json.loads((out / "report" / "report.json").read_bytes())["registered"]["run"]
    )
    said("merge", str(out), str(other))
    assert not (out / REPORT).exists() and not (out / ORIGIN).exists()
    kept = max((out / "report" / "earlier").iterdir())
    assert (kept / "report.intoto.json").read_bytes() == before


def test_the_same_output_and_key_give_the_same_statement(home: Path, out: Path) -> None:
    before = {name: (out / name).read_bytes() for name in WITH_KEY}
    said("attest", str(out), "--key", str(home / "key.pem"))
    assert {name: (out / name).read_bytes() for name in WITH_KEY} == before


def test_progress_of_large_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covered, "CHUNK", 1_000_000)
    (tmp_path / "a").write_bytes(bytes(3_500_000))
    told: list[tuple[str, int, int]] = []
    covered.digests(covered.files(tmp_path), lambda *one: told.append(one))
    assert told == [("digests, MB", done, 3) for done in (1, 2, 3)]


HOSTILE = [
    b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'{"payload": 1}',
    b'{"payload": "!!!!", "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "a", "sig": "b"}]}',
    b'{"payload": "e30=", "payloadType": "text/plain", "signatures": [{"keyid": "a", "sig": "e30="}]}',
    b'{"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": []}',
    b'{"payload": "e30=", "payloadType": "x", "signatures": [{"keyid": "a", "sig": "\xc3\xa9"}]}',
    json.dumps({"payload": "e30=", "payloadType": "x", "signatures": [{"keyid": "a", "sig": "e30="}] * 2}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_envelopes_are_one_line(home: Path, data: bytes) -> None:
    with pytest.raises(AttestationError) as caught:
        keys.opened(data, keys.public(home / "key.pub"), "x")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("_type", "subject", "predicateType", "predicate", "payload", "payloadType", "signatures")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES), st.binary(max_size=60), st.integers(0, 400))
def test_fuzzed_statements_are_one_line_or_hold(home: Path, fields: dict[str, Any], noise: bytes, at: int) -> None:
    public = keys.public(home / "key.pub")
    whole = (home / "out" / ORIGIN).read_bytes()
    base = payload(home / "out" / ORIGIN)
    data = json.dumps({**base, **fields}, default=str).encode()
    for read in (
        lambda: statement.parse(data, "x", statement.PROVENANCE),
        lambda: statement.parse(noise, "x", statement.PROVENANCE),
        lambda: keys.opened(whole[:at] + noise + whole[at + len(noise) :], public, "x"),
        lambda: keys.opened(json.dumps({**json.loads(whole), **fields}, default=str).encode(), public, "x"),
    ):
        try:
            read()
        except AttestationError as error:
            assert "\n" not in str(error)


def test_a_statement_that_is_too_large_or_names_a_file_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = {"name": "a", "digest": {"sha256": "0" * 64}}
    told = {"_type": statement.STATEMENT, "predicateType": statement.PROVENANCE, "predicate": {}}
    for subject, word in (
        ([one, one], "twice"),
        ([{**one, "name": "/etc/passwd"}], "no path"),
        ([{**one, "name": "a//b"}], "no path"),
        ([], "subject"),
        ([{**one, "digest": {"sha256": "0"}}], "sha256"),
    ):
        with pytest.raises(AttestationError, match=word):
            statement.parse(json.dumps({**told, "subject": subject}).encode(), "x", statement.PROVENANCE)
    monkeypatch.setattr(statement, "LARGE", 10)
    monkeypatch.setattr(keys, "LARGE", 10)
    with pytest.raises(AttestationError, match="larger than any statement"):
        statement.parse(b"{" * 11, "x", statement.PROVENANCE)
    (tmp_path / "x").write_bytes(b" " * 21)
    with pytest.raises(AttestationError, match="larger than any attestation"):
        keys.read(tmp_path / "x")


def token(**claims: Any) -> str:
    now = int(time.time())
    told = {"iss": "https://example.org", "sub": "me", "aud": "sigstore", "iat": now, "exp": now + 600, **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, told)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "AAAA"])


def test_without_a_key_everything_up_to_the_network_is_sigstores(
    home: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real library with the real statements and an identity; the network is where it ends here, in one line."""
    import requests
    from sigstore.models import ClientTrustConfig

    from tracelang.evidence.attestation import keyless

    reached = []

    def offline(*_: Any, **__: Any) -> Any:
        reached.append(True)
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(ClientTrustConfig, "production", offline)
    assert keyless.identity(token()).identity == "me"
    (tmp_path / "token").write_text(token() + "\n")
    words = ("attest", str(out), "--keyless", "--identity-token", str(tmp_path / "token"))
    assert "cannot be signed without a key (no network)" in refused(*words) and reached
    assert (out / REPORT).read_bytes() == (home / "out" / REPORT).read_bytes()
    reached.clear()
    for raw in (b"\xff\xfe", b"a" * (1 << 17)):
        (tmp_path / "token").write_bytes(raw)
        assert "is no OIDC token" in refused(*words) and not reached
    for bad in ("", "nonsense", token(exp=1), token(aud="somebody else")):
        (tmp_path / "token").write_text(bad)
        assert "no identity (" in refused(*words) and not reached
    with pytest.raises(AttestationError, match="malformed in-toto statement"):
        keyless.sign([b"{}"], token())
    who = ("verify", str(out), "--attested", "--identity", "me", "--issuer", "https://example.org")
    assert "report.sigstore.json: is not there" in refused(*who)
    (out / "report" / "report.sigstore.json").write_bytes((out / REPORT).read_bytes())
    assert "report.sigstore.json: is no sigstore bundle" in refused(*who)
