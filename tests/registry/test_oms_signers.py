"""Model signatures by certificates and identities, there and back with the real tool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stemma_attestations.errors import SignatureRefused
from stemma_attestations.predicates import signature
from stemma_registry import signing
from stemma_registry.errors import Refused
from stemma_registry.foreign import oms, oms_signers
from stemma_registry.keyless import Instance, KeylessSigner
from tests.authorities import DAY, SERVER, Holder, chained, issue, signer
from tests.building import manifest_of
from tests.cli.test_commands import Run, run  # noqa: F401 - a fixture
from tests.registry.test_oms import MODEL_SIGNING
from tests.sigstore.stack import LocalSigstore

ALICE = "alice@example.com"
FILES = {"a/x": "1", "a-b": "2", "weights.bin": "w" * 10_000}


@dataclass(frozen=True)
class Desk:
    """A directory with a model, and beside it whatever signs it."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "model"

    @property
    def sig(self) -> Path:
        return self.root / "model.sig"

    def tool(self, verb: str, how: str, *options: object) -> subprocess.CompletedProcess[str]:
        """The real tool."""
        words = [MODEL_SIGNING, verb, how, "--signature", self.sig, *options, self.root]
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120)

    def tool_signs(self, how: str, *options: object) -> None:
        done = self.tool("sign", how, *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def check(self, believe: oms_signers.Believe, *ignore: str) -> oms.Checked:
        return oms.verify(self.root, self.sig, believe, ignore, None)

    def by_certificate(self, *pinned: Holder) -> oms_signers.Believe:
        return oms_signers.by_certificate([one.der for one in pinned], datetime.now(UTC))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(tmp_path)
    for name, text in FILES.items():
        path = found.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return found


# --- certificates ---------------------------------------------------------------------------


def test_certificates_there_and_back_with_the_real_tool(desk: Desk) -> None:
    root = issue("root")
    middle = issue("middle", root)
    who = signer(middle)
    pem = who.write(desk.folder, "signer")
    above = middle.write(desk.folder, "middle")
    anchor = root.write(desk.folder, "root")
    key = signing.load_signer(f"key:{desk.folder / 'signer.pem'}", lambda: None)
    chain, now = [who.der, middle.der, root.der], datetime.now(UTC)
    written = oms.sign(desk.root, desk.sig, (), oms_signers.with_certificate(key, chain, now))
    assert written.signer.startswith("certificate CN=signer (")
    done = desk.tool("verify", "certificate", "--certificate_chain", anchor)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.check(desk.by_certificate(root)).differences == ()

    desk.sig.unlink()
    private = desk.folder / "signer.pem"
    desk.tool_signs(
        "certificate", "--private_key", private,
        "--signing_certificate", pem, "--certificate_chain", above,
    )  # fmt: skip
    checked = desk.check(desk.by_certificate(root))
    assert (checked.differences, checked.by.signer) == ((), written.signer)
    (desk.root / ".github").mkdir()
    (desk.root / ".github/evil.py").write_text("import os")
    (desk.root / "a-b").write_text("swapped")
    lines = desk.check(desk.by_certificate(root)).differences
    assert [line.partition(":")[0] for line in lines] == [".github/evil.py", "a-b"]


@pytest.mark.parametrize("changes", [{"end": -DAY}, {"purposes": [SERVER]}])
def test_what_the_tool_takes_and_we_do_not(desk: Desk, changes: dict[str, Any]) -> None:
    """It asks a certificate at its own first second, and for either of two uses."""
    root = issue("root", start=-9 * DAY)
    who = signer(root, **changes)
    manifest = manifest_of({name: text.encode() for name, text in FILES.items()})
    payload = signature.build(manifest, "model", ["model.sig"]).raw
    desk.sig.write_text(json.dumps(chained(payload, who)))
    done = desk.tool(
        "verify", "certificate", "--certificate_chain", root.write(desk.folder, "root")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.raises(SignatureRefused):
        desk.check(desk.by_certificate(root))
    good = signer(root)
    desk.sig.write_text(json.dumps(chained(payload, good)))
    assert desk.check(desk.by_certificate(root)).differences == ()


def test_the_tools_own_chain_is_no_anchor(desk: Desk) -> None:
    root, other = issue("root"), issue("root")
    who = signer(other)
    pem, above = who.write(desk.folder, "signer"), other.write(desk.folder, "other")
    private = desk.folder / "signer.pem"
    desk.tool_signs(
        "certificate", "--private_key", private,
        "--signing_certificate", pem, "--certificate_chain", above,
    )  # fmt: skip
    with pytest.raises(SignatureRefused, match="no path"):
        desk.check(desk.by_certificate(root))
    assert desk.check(desk.by_certificate(other)).differences == ()
    with pytest.raises(SignatureRefused):
        desk.check(oms_signers.by_key(who.public))
    with pytest.raises(SignatureRefused):
        desk.check(oms_signers.by_identity(ALICE, "https://issuer.example", b"{}"))


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_only_keys_of_the_tool_sign_with_a_certificate(desk: Desk, kind: str) -> None:
    path = desk.folder / "key.pem"
    signing.write_key(path, *signing.new_key(kind, None))
    key = signing.load_signer(f"key:{path}", lambda: None)
    with pytest.raises(Refused, match="ECDSA P-256"):
        oms_signers.with_certificate(key, [issue("root").der], datetime.now(UTC))


# --- identities -----------------------------------------------------------------------------


@pytest.mark.parametrize("rekor", [1, 2])
def test_identities_there_and_back_with_the_real_tool(
    desk: Desk, sigstore: LocalSigstore, rekor: int
) -> None:
    config = desk.folder / "config.json"
    config.write_bytes(sigstore.trust_config(rekor))
    root, issuer = sigstore.trusted_root(), sigstore.oidc.url
    token = sigstore.oidc.token("alice", email=ALICE)
    who = KeylessSigner(Instance.parse(config.read_bytes()), lambda: token)
    written = oms.sign(desk.root, desk.sig, (), oms_signers.with_identity(who))
    assert ALICE in written.signer
    expect = (
        "--trust_config", config, "--identity", ALICE, "--identity_provider", issuer,
    )  # fmt: skip
    done = desk.tool("verify", "sigstore", *expect)
    assert done.returncode == 0, done.stdout + done.stderr
    believe = oms_signers.by_identity(ALICE, issuer, root)
    mine = desk.check(believe)
    assert mine.differences == ()
    assert mine.by.signed is not None

    desk.sig.unlink()
    fresh = sigstore.oidc.token("alice", email=ALICE)
    desk.tool_signs("sigstore", "--trust_config", config, "--identity_token", fresh)
    theirs = desk.check(believe)
    assert (theirs.differences, theirs.signed.root) == ((), mine.signed.root)
    (desk.root / ".github").mkdir()
    (desk.root / ".github/evil.py").write_text("import os")
    if rekor == 1:
        assert desk.tool("verify", "sigstore", *expect).returncode == 0
    (line,) = desk.check(believe).differences
    assert line.startswith(".github/evil.py: not signed")


@pytest.fixture
def keyless(desk: Desk, sigstore: LocalSigstore) -> Desk:
    """A model that Alice signed."""
    token = sigstore.oidc.token("alice", email=ALICE)
    who = KeylessSigner(Instance.parse(sigstore.trust_config(2)), lambda: token)
    oms.sign(desk.root, desk.sig, (), oms_signers.with_identity(who))
    return desk


NEAR: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "case": lambda who, by: (who.upper(), by),
    "a prefix": lambda who, by: (who[:-1], by),
    "a suffix": lambda who, by: (f"{who}.evil.example", by),
    "in front": lambda who, by: (f"x{who}", by),
    "a new line": lambda who, by: (f"{who}\n", by),
    "a letter that looks alike": lambda who, by: (who.replace("a", "\u0430", 1), by),
    "a wildcard": lambda who, by: ("*", by),
    "nobody": lambda who, by: ("", by),
    "a slash": lambda who, by: (who, f"{by}/"),
    "another issuer": lambda who, by: (who, "https://accounts.example.com"),
    "both changed about": lambda who, by: (by, who),
}


@pytest.mark.parametrize("near", NEAR)
def test_an_identity_is_compared_exactly(keyless: Desk, sigstore: LocalSigstore, near: str) -> None:
    subject, issuer = NEAR[near](ALICE, sigstore.oidc.url)
    with pytest.raises(SignatureRefused, match="somebody else signed it"):
        keyless.check(oms_signers.by_identity(subject, issuer, sigstore.trusted_root()))


def test_an_identity_under_another_root_is_nobody(keyless: Desk, sigstore: LocalSigstore) -> None:
    from stemma_registry.trust import public_good

    root = public_good.trusted_root()
    with pytest.raises(SignatureRefused, match="does not know"):
        keyless.check(oms_signers.by_identity(ALICE, sigstore.oidc.url, root))
    with pytest.raises(SignatureRefused):
        keyless.check(keyless.by_certificate(issue("root")))


# --- the commands ---------------------------------------------------------------------------


def test_the_commands_with_a_certificate(desk: Desk, run: Run) -> None:  # noqa: F811
    root = issue("root")
    middle = issue("middle", root)
    who = signer(middle)
    pem = who.write(desk.folder, "signer")
    above, anchor = middle.write(desk.folder, "middle"), root.write(desk.folder, "root")
    key = ("--sign", f"key:{desk.folder / 'signer.pem'}")
    sign = ("sign-oms", str(desk.root), *key)
    verify = ("verify-oms", str(desk.root))
    assert run(*sign, "--certificate-chain", str(above)).code == 2
    wrong = ("sign-oms", str(desk.root), "--sign", f"key:{desk.folder / 'root.pem'}")
    assert run(*wrong, "--certificate", str(pem)).code == 13
    done = run(*sign, "--certificate", str(pem), "--certificate-chain", str(above), "--json")
    assert (done.code, done.json["key_id"]) == (0, None)
    assert done.json["signer"].startswith("certificate CN=signer (")
    done = run(*verify, "--certificate-chain", str(anchor), "--json")
    assert (done.code, done.json["verified"], done.json["signed"]) == (0, True, None)
    assert "certificate CN=signer" in run(*verify, "--certificate-chain", str(anchor)).out
    assert run(*verify, "--certificate-chain", str(above)).code == 13
    assert run(*verify, "--certificate-chain", str(desk.folder / "signer.pem")).code == 2
    assert run(*verify).code == 2
    assert run(*verify, "--certificate-chain", str(anchor), "--identity", ALICE).code == 2
    (desk.root / "a-b").write_text("swapped")
    assert run(*verify, "--certificate-chain", str(anchor)).code == 12


def test_the_commands_with_an_identity(
    desk: Desk,
    run: Run,  # noqa: F811
    sigstore: LocalSigstore,
) -> None:
    config, token = desk.folder / "config.json", desk.folder / "token"
    config.write_bytes(sigstore.trust_config(2))
    token.write_text(sigstore.oidc.token("alice", email=ALICE))
    uri = f"sigstore:?trust-config={quote(str(config))}&token-file={quote(str(token))}"
    done = run("sign-oms", str(desk.root), "--sign", uri, "--json")
    assert (done.code, done.json["key_id"]) == (0, None)
    issuer = sigstore.oidc.url
    verify = ("verify-oms", str(desk.root))
    exact = ("--identity", ALICE, "--issuer", issuer)
    assert run(*verify, *exact).code == 13, "not of the public instance"
    done = run(*verify, *exact, "--trusted-root", str(config), "--json")
    assert (done.code, done.json["verified"]) == (0, True)
    assert done.json["signed"] is not None
    digest = run("trust", "root", "add", str(config), "--json").json["root"]
    assert run(*verify, *exact, "--trusted-root", digest).code == 0
    assert run(*verify, *exact, "--trusted-root", "sha256:" + "0" * 64).code == 3
    assert run(*verify, "--identity", ALICE).code == 2

    trust = desk.folder / "trust.yaml"
    by = ("--trust", str(trust))
    add = ("trust", "add", *exact, "--root", digest, "--principal", "Alice", *by)
    assert run(*add, "--names", "models/*").code == 0
    done = run(*verify, *by)
    assert (done.code, "a model without a name" in done.err) == (13, True)
    assert run(*verify, *by, "--as", "other/m:1").code == 13
    assert run(*verify, *by, "--as", "models/m:1").code == 0
    assert "Alice (identity" in run(*verify, *by, "--as", "models/m:1").out
    assert run("trust", "revoke", "Alice", "--at", "2020-01-01T00:00:00Z", *by).code == 0
    assert run(*verify, *by, "--as", "models/m:1").code == 13


def test_a_trust_root_believes_keys_too_and_no_certificates(desk: Desk, run: Run) -> None:  # noqa: F811
    root = issue("root")
    who = signer(root)
    pem = who.write(desk.folder, "signer")
    key, trust = f"key:{desk.folder / 'signer.pem'}", desk.folder / "trust.yaml"
    public = desk.folder / "signer.pub"
    public.write_text(who.public.pem)
    by = ("--trust", str(trust))
    assert run("trust", "add", str(public), "--principal", "S", *by).code == 0
    assert run("sign-oms", str(desk.root), "--sign", key).code == 0
    assert run("verify-oms", str(desk.root), *by).code == 0
    plain = trust.read_text()
    trust.write_text(
        f"{plain}\nthresholds:\n- {{predicates: ['*'], names: ['models/*'], principals: 2}}\n"
    )
    for name, code in ((), 13), (("--as", "models/m:1"), 13), (("--as", "other/m:1"), 0):
        done = run("verify-oms", str(desk.root), *by, *name)
        assert (done.code, "2 principals must say so" in done.err) == (code, code == 13)
    trust.write_text(plain)
    desk.sig.unlink()
    assert run("sign-oms", str(desk.root), "--sign", key, "--certificate", str(pem)).code == 0
    done = run("verify-oms", str(desk.root), *by)
    assert (done.code, "no key or identity of the trust root" in done.err) == (13, True)
    assert json.loads(desk.sig.read_bytes())["verificationMaterial"]["x509CertificateChain"]
