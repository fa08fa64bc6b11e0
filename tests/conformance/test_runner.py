"""The adapter, end to end, and the runner, which must find what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from tests.building import KEY_KINDS, Key, bundle_bytes, compact, key, statement_about
from tests.conformance import adapter, door, judging
from tests.conformance.__main__ import main
from tests.conformance.case import BadCase, Case, find
from tests.conformance.running import Wrong, one, run
from tests.sigstore.blobs import ARTIFACT, Blob, assemble, by_key
from tests.sigstore.forge import Parts, raw
from tests.sigstore.forge import assemble as envelope
from tests.sigstore.stack import LocalSigstore

CLIENT = Path(__file__).with_name("client")
DIGEST = Digest.of(ARTIFACT)
OTHER = b"poisoned weights\n"
KIND = "urn:example:test"
Corpus = Callable[..., Path]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Write a case's folder into the corpus; returns the folder."""

    def write(folder_name: str, files: Mapping[str, bytes], /, **asked: Any) -> Path:
        folder = tmp_path / "corpus" / folder_name
        folder.mkdir(parents=True)
        (folder / "README").write_text("a case")
        for path, data in files.items():
            (folder / path).write_bytes(data)
        if asked:
            (folder / "case.json").write_text(json.dumps(asked))
        (folder.parent / "a.txt").write_bytes(ARTIFACT)
        return folder

    return write


@pytest.fixture
def good(sigstore: LocalSigstore) -> dict[str, bytes]:
    """The files of a case that is to pass."""
    return {
        "bundle.sigstore.json": raw(assemble(Blob(sigstore))),
        "trusted_root.json": sigstore.trusted_root(),
        "identity": b"alice@example.com\n",
        "issuer": sigstore.oidc.url.encode(),
    }


# --- the runner counts ----------------------------------------------------------------------


def test_all_as_expected(
    corpus: Corpus, good: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    top = corpus("good", good).parent
    corpus("other-artifact_fail", {**good, "artifact": OTHER}, reason="of other bytes")
    corpus("other-identity_fail", {**good, "identity": b"mallory@example.com"}, reason="signed by")
    corpus("other-issuer_fail", {**good, "issuer": b"https://example.com"}, reason="signed by")
    corpus("in-the-question", good, identity="alice@example.com", expect="pass")
    assert main([str(top)]) == 0
    assert capsys.readouterr().out == "5 passed, 0 failed\n"
    assert main(["--verbose", str(top)]) == 0
    assert "signed by alice@example.com" in capsys.readouterr().out


def test_every_wrong_verdict_is_found_and_the_worst_come_first(
    corpus: Corpus, good: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    top = corpus("a-refused", {**good, "artifact": OTHER}).parent
    corpus("b-accepted_fail", good)
    corpus("c-accepted", good, expect="fail")
    corpus("d-reason_fail", {**good, "artifact": OTHER}, reason="the wrong signer")
    corpus("e-lost", {})
    corpus("f-slow", good, max_seconds=0.0001)
    corpus("g-large", good, max_mib=0.0001)
    corpus("h-good", good)
    assert main([str(top)]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "1 passed, 7 failed"
    assert [line.partition(":")[0] for line in lines] == [
        *2 * ["false accept"],
        "other reason",
        *2 * ["over limit"],
        "false reject",
        "broken",
    ]
    assert "of other bytes" in lines[5]
    assert [Path(line.split(": ")[1]).name[0] for line in lines] == list("bcdfgae")


def test_an_exception_that_is_no_refusal_is_a_crash(
    corpus: Corpus, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the case expects a refusal: a crash is none."""

    def crash(*_: object) -> None:
        raise KeyError("predicate")

    monkeypatch.setattr(door, "by_identity", crash)
    for name in ("good", "bad_fail"):
        result = one(corpus(name, good))
        assert (result.wrong, result.detail) == (Wrong.CRASH, "KeyError: 'predicate'")


def test_bytes_and_digest_have_one_answer(
    corpus: Corpus, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = door.by_identity

    def partial(raw: bytes, artifact: bytes | Digest, *rest: Any) -> None:
        if isinstance(artifact, bytes):
            real(raw, artifact, *rest)

    monkeypatch.setattr(door, "by_identity", partial)
    result = one(corpus("other_fail", {**good, "artifact": OTHER}))
    assert result.wrong is Wrong.FALSE_ACCEPT


def test_a_limited_case_that_crashes_or_hangs_is_seen(
    corpus: Corpus, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpus("good", good, max_seconds=20, max_mib=400)
    assert one(folder).wrong is None
    monkeypatch.setattr("tests.conformance.running.PATIENCE", -199.9)
    assert one(folder).wrong is Wrong.CRASH
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr("tests.conformance.running.PATIENCE", 20)
    assert one(folder).wrong is Wrong.CRASH


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"identiy": "x"}, "not a field"),
        ({"max_mib": "4"}, "not of its type"),
        ({"max_mib": True}, "not of its type"),
        ({"expect": "maybe"}, "pass or fail"),
        ({"reason": "x"}, "is to pass"),
        ({"make": "nobody_made_this"}, "maker"),
        ({"trusted_root": "../nowhere.json"}, "cannot be read"),
    ],
)
def test_a_question_that_is_none(
    corpus: Corpus, good: dict[str, bytes], asked: dict[str, Any], problem: str
) -> None:
    del good["trusted_root.json"]
    result = one(corpus("good", good, **asked))
    assert result.wrong is Wrong.BROKEN
    assert problem in result.detail


def test_nothing_to_judge_is_no_success(tmp_path: Path, corpus: Corpus) -> None:
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    assert main([str(tmp_path / "empty")]) == 2
    assert main([str(tmp_path / "nowhere")]) == 2
    with pytest.raises(BadCase):
        list(run([tmp_path / "empty"]))
    lost = corpus("lost_fail", {})
    assert list(find(lost.parent)) == [lost]
    assert one(lost).wrong is Wrong.BROKEN


def test_a_maker_completes_a_copy(
    corpus: Corpus, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = good.pop("bundle.sigstore.json")

    def write(folder: Path) -> None:
        (folder / "bundle.json").write_bytes(bundle)

    makers = type("Makers", (), {"large": staticmethod(write)})
    monkeypatch.setattr(judging, "import_module", lambda _: makers)
    folder = corpus("made", good, make="large")
    assert one(folder).wrong is None
    assert not (folder / "bundle.json").exists()
    assert one(corpus("made_fail", good, make="large")).wrong is Wrong.FALSE_ACCEPT


# --- keys, and trust roots ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_managed_keys(corpus: Corpus, kind: str) -> None:
    signer, stranger = key("a", kind), key("b", kind)
    statement = bundle_bytes(signer, statement_about(DIGEST, KIND, {}).raw)
    for name, bundle in (("message", raw(by_key(signer, ARTIFACT))), ("statement", statement)):
        files = {"bundle.sigstore.json": bundle, "key.pub": signer.public.pem.encode()}
        assert one(corpus(name, files)).wrong is None
        strange = {**files, "key.pub": stranger.public.pem.encode()}
        assert one(corpus(f"{name}-key_fail", strange)).wrong is None
        assert one(corpus(f"{name}-garbage_fail", {**files, "key.pub": b"-"})).wrong is None
        assert one(corpus(f"{name}-file_fail", {**files, "artifact": OTHER})).wrong is None
        assert one(corpus(f"{name}-x_fail", files)).wrong is Wrong.FALSE_ACCEPT
        assert one(corpus(f"{name}-x", strange)).wrong is Wrong.FALSE_REJECT
        del files["key.pub"]
        assert one(corpus(f"{name}-nobody_fail", files)).wrong is None


def trust(signer: Key, name: str = "acme/*", kind: str = KIND, until: str = "") -> bytes:
    """A trust root with one key."""
    pem = "".join(f"      {line}\n" for line in signer.public.pem.splitlines())
    return (
        f"format: urn:stemma:trust-root:v0.1\nsigners:\n  - principal: ci\n    key: |\n{pem}{until}"
        f'    may:\n      - predicates: ["{kind}"]\n        names: ["{name}"]\n'
    ).encode()


def test_a_trust_root_is_asked(corpus: Corpus) -> None:
    signer = key("a")
    statement = statement_about(DIGEST, KIND, {}, name="acme/model:1.0")
    until = "    valid_until: 2026-01-01T00:00:00Z\n"
    files = {"bundle.json": bundle_bytes(signer, statement.raw), "trust.yaml": trust(signer)}
    asked = {"name": "acme/model:1.0", "predicate": KIND, "at": "2026-11-21T12:00:00Z"}
    assert one(corpus("good", files, **asked)).wrong is None
    assert one(corpus("unasked", files)).wrong is None
    ended = {**files, "trust.yaml": trust(signer, until=until)}
    assert one(corpus("then", ended, **{**asked, "at": "2025-11-21T12:00:00Z"})).wrong is None
    bad: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
        "name": (files, {**asked, "name": "acme/other:1.0"}, "not about acme/other"),
        "predicate": (files, {**asked, "predicate": "urn:example:other"}, "not urn:example:other"),
        "file": ({**files, "artifact": OTHER}, asked, "other bytes"),
        "ended": (ended, asked, "at this time"),
        "signer": ({**files, "trust.yaml": trust(key("b"))}, asked, "not in the trust root"),
        "grant": ({**files, "trust.yaml": trust(signer, name="x/*")}, asked, "acme/model"),
        "yaml": ({**files, "trust.yaml": b"signers: []\n"}, asked, "format"),
        "message": ({**files, "bundle.json": raw(by_key(signer, ARTIFACT))}, asked, "envelope"),
    }
    for name, (changed, question, reason) in bad.items():
        folder = corpus(f"{name}_fail", changed, **question, reason=reason)
        result = one(folder)
        assert result.wrong is None, result
    assert one(corpus("x_fail", files, **asked)).wrong is Wrong.FALSE_ACCEPT


def test_a_threshold_counts_principals(corpus: Corpus) -> None:
    """Twice by one principal, with two keys, is once."""
    first, second, third = key("a"), key("b"), key("c")
    raws = [
        bundle_bytes(signer, statement_about(DIGEST, KIND, {}, name="acme/model:1.0").raw)
        for signer in (first, second, third)
    ]
    signers = b"".join(
        trust(signer).split(b"signers:\n")[1].replace(b"principal: ci", b"principal: " + who)
        for signer, who in ((first, b"ada"), (second, b"ada"), (third, b"bob"))
    )
    head = (
        "format: urn:stemma:trust-root:v0.1\nthresholds:\n"
        f'  - predicates: ["{KIND}"]\n    names: ["acme/*"]\n    principals: 2\nsigners:\n'
    )
    files = {"trust.yaml": head.encode() + signers, "bundle.json": raws[0]}
    few = {"reason": "2 distinct principals are asked for: 1"}
    stranger = bundle_bytes(key("d"), statement_about(DIGEST, KIND, {}).raw)
    assert one(corpus("two", {**files, "bundle-2.json": raws[2]})).wrong is None
    assert (
        one(corpus("three", {**files, "bundle-2.json": raws[1], "bundle-3.json": raws[2]})).wrong
        is None
    )
    assert one(corpus("alone_fail", files, **few)).wrong is None
    assert one(corpus("keys_fail", {**files, "bundle-2.json": raws[1]}, **few)).wrong is None
    assert one(corpus("copy_fail", {**files, "bundle-2.json": raws[0]}, **few)).wrong is None
    assert one(corpus("stranger_fail", {**files, "bundle-2.json": stranger}, **few)).wrong is None
    del files["trust.yaml"]
    files |= {"key.pub": first.public.pem.encode(), "bundle-2.json": raws[1]}
    assert one(corpus("no-trust", files)).wrong is Wrong.BROKEN


def test_an_identity_in_a_trust_root(
    corpus: Corpus, sigstore: LocalSigstore, good: dict[str, bytes], tmp_path: Path
) -> None:
    statement = statement_about(DIGEST, KIND, {}, name="acme/model:1.0")
    root = sigstore.trusted_root()
    (tmp_path / "shared.json").write_bytes(root)
    lines = (
        "format: urn:stemma:trust-root:v0.1\nsigners:\n  - principal: alice\n    identity:\n"
        f'      issuer: "{sigstore.oidc.url}"\n      subject: "alice@example.com"\n'
        f'      root: "{Digest.of(root)}"\n'
        f'    may:\n      - predicates: ["{KIND}"]\n        names: ["acme/*"]\n'
    )
    files = {
        "bundle.json": raw(envelope(Parts(sigstore, statement.raw))),
        "trust.yaml": lines.encode(),
    }
    shared = {"trusted_root": "../../shared.json"}
    assert one(corpus("shared", files, **shared)).wrong is None
    assert one(corpus("own", {**files, "trusted_root.json": root})).wrong is None
    assert one(corpus("none_fail", files, reason="not on this machine")).wrong is None


# --- the adapter ----------------------------------------------------------------------------


@pytest.fixture
def client(
    tmp_path: Path,
    sigstore: LocalSigstore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str]]:
    """Run the adapter in a folder with the instance's files; exit code and stderr."""
    config = json.loads(sigstore.trust_config())
    (tmp_path / "root.json").write_bytes(sigstore.trusted_root())
    (tmp_path / "config.json").write_bytes(compact(config["signingConfig"]))
    (tmp_path / "a.txt").write_bytes(ARTIFACT)
    (tmp_path / "other.txt").write_bytes(OTHER)
    statement = statement_about(DIGEST, KIND, {}, name="a.txt")
    (tmp_path / "statement.json").write_bytes(statement.raw)

    monkeypatch.chdir(tmp_path)

    def start(*arguments: str) -> tuple[int, str]:
        return adapter.main(arguments), capsys.readouterr().err

    return start


def test_the_protocol_end_to_end(
    tmp_path: Path, sigstore: LocalSigstore, client: Callable[..., tuple[int, str]]
) -> None:
    token = sigstore.oidc.token("alice", email="alice@example.com")
    where = ("--trusted-root", "root.json")
    bundle = ("--bundle", "made.json")
    services = (*where, "--signing-config", "config.json")
    sign = ("sign-bundle", "--in-toto", "--identity-token", token, *bundle, *services)
    assert client(*sign, "statement.json") == (0, "")
    made = json.loads((tmp_path / "made.json").read_bytes())
    assert "dsseEnvelope" in made

    issuer = ("--certificate-oidc-issuer", sigstore.oidc.url)
    alice = ("--certificate-identity", "alice@example.com", *issuer)
    verify = ("verify-bundle", *bundle)
    assert client(*verify, *alice, *where, "a.txt") == (0, "")
    assert client(*verify, *alice, *where, str(DIGEST)) == (0, "")
    code, said = client(*verify, *alice, *where, "other.txt")
    assert (code, "other bytes" in said) == (1, True)
    code, said = client(*verify, *alice, "a.txt")  # the public root, which knows none of this
    assert (code, "UnknownLog" in said) == (1, True)
    mallory = ("--certificate-identity", "mallory@example.com", *issuer)
    code, said = client(*verify, *mallory, *where, "a.txt")
    assert (code, "not by mallory" in said) == (1, True)
    (tmp_path / str(DIGEST)).write_bytes(OTHER)  # a file of that name is a file
    assert client(*verify, *alice, *where, str(DIGEST))[0] == 1
    assert client(*verify, *alice, *where, "nowhere.txt")[0] == 1

    for artifact, code in (("a.txt", 0), ("other.txt", 1)):
        program = [sys.executable, str(CLIENT), *verify, *alice, *where, artifact]
        done = subprocess.run(program, capture_output=True, text=True, timeout=120)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_a_key_and_a_message(
    tmp_path: Path, sigstore: LocalSigstore, client: Callable[..., tuple[int, str]]
) -> None:
    signer = key("a")
    (tmp_path / "key.pub").write_text(signer.public.pem)
    (tmp_path / "blob.json").write_bytes(raw(by_key(signer, ARTIFACT, Blob(sigstore))))
    verify = ("verify-bundle", "--bundle", "blob.json", "--key", "key.pub")
    assert client(*verify, "--trusted-root", "root.json", "a.txt") == (0, "")
    assert client(*verify, "--trusted-root", "root.json", "other.txt")[0] == 1
    both = ("--certificate-identity", "alice@example.com")
    assert client(*verify, *both, "--trusted-root", "root.json", "a.txt")[0] == 1


def test_what_is_not_offered_says_so(client: Callable[..., tuple[int, str]]) -> None:
    sign = ("sign-bundle", "--identity-token", "t", "--bundle", "made.json")
    code, said = client(*sign, "a.txt")
    assert (code, "no message signatures" in said) == (2, True)
    assert client(*sign, "--staging", "--in-toto", "statement.json")[0] == 2
    verify = ("verify-bundle", "--staging", "--bundle", "a.txt", "--key", "a.txt", "a.txt")
    code, said = client(*verify)
    assert (code, "not shipped" in said) == (2, True)


def test_a_case_is_read_as_sigstore_conformance_does(
    corpus: Corpus, good: dict[str, bytes]
) -> None:
    del good["identity"], good["issuer"]
    case = Case.read(corpus("plain_fail", good))
    assert not case.expected
    assert case.identity.startswith("https://github.com/sigstore-conformance/")
    assert case.issuer == "https://token.actions.githubusercontent.com"
    assert case.artifact() == ARTIFACT
