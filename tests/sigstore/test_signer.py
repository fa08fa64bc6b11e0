"""Signing with `sigstore:`: one identity, one certificate, and nothing that is half signed."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from stemma_attestations import keyless
from stemma_attestations.errors import BadKey, SignatureRefused, StemmaError
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.keyless import (
    Instance,
    KeylessSigner,
    load_signer,
    parse_uri,
)
from tests.sigstore.scene import STATEMENT, both, signer, statement
from tests.sigstore.server import Answer, Call, in_json
from tests.sigstore.stack import ISSUE, LOG, STAMP, LocalSigstore


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CI system's identity reaches the tests, wherever they run."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("id.detect_credential", lambda _: None)


@pytest.fixture
def config(sigstore: LocalSigstore, tmp_path: Path) -> Path:
    path = tmp_path / "trust config.json"
    path.write_bytes(sigstore.trust_config())
    return path


def uri(config: Path, token_file: Path | None = None) -> str:
    text = f"sigstore:?trust-config={config}".replace(" ", "%20")
    return text if token_file is None else f"{text}&token-file={token_file}"


def alice(sigstore: LocalSigstore) -> str:
    return sigstore.oidc.token("alice", email="alice@example.com")


# --- one push -------------------------------------------------------------------------------


@both
def test_one_token_and_one_certificate_sign_everything(sigstore: LocalSigstore, rekor: int) -> None:
    asked = []

    def token() -> str:
        asked.append(1)
        return alice(sigstore)

    one = KeylessSigner(Instance.parse(sigstore.trust_config(rekor)), token)
    assert asked == []
    with sigstore.requests() as made:
        bundles = [one.sign(statement(n)) for n in range(5)]
    assert asked == [1]
    assert made == [ISSUE, *[STAMP, LOG[rekor]] * 5]
    assert len({bundle.certificate for bundle in bundles}) == 1
    for n, bundle in enumerate(bundles):
        verified = keyless.verify(bundle.raw, sigstore.trusted_root())
        assert verified.statement.predicate == {"n": n}
        assert verified.identity == one.identity
        assert len(verified.timestamps) == 1


def test_an_instance_without_a_timestamp_authority(sigstore: LocalSigstore) -> None:
    bundle = signer(sigstore, 1, tsa=False).sign(STATEMENT)
    verified = keyless.verify(bundle.raw, sigstore.trusted_root())
    assert verified.timestamps == ()
    assert verified.log_time is not None
    with pytest.raises(StemmaError):  # v2 without one proves no time at all
        signer(sigstore, 2, tsa=False).sign(STATEMENT)


# --- what is missing is an error ------------------------------------------------------------


@both
@pytest.mark.parametrize(("status", "kind"), [(500, Unavailable), (503, Unavailable)])
@pytest.mark.parametrize("service", ["authority", "log", "timestamp"])
def test_a_service_that_fails(
    sigstore: LocalSigstore, rekor: int, service: str, status: int, kind: type[StemmaError]
) -> None:
    route = {"authority": ISSUE, "log": LOG[rekor], "timestamp": STAMP}[service]
    with sigstore.broken(route, status, "down\nfor repair"), pytest.raises(kind) as caught:
        signer(sigstore, rekor).sign(STATEMENT)
    assert "\n" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@both
def test_nothing_is_logged_that_has_no_timestamp(sigstore: LocalSigstore, rekor: int) -> None:
    """The log is for ever: a signature that will be thrown away is not put there."""
    with sigstore.broken(STAMP), sigstore.requests() as made, pytest.raises(Unavailable):
        signer(sigstore, rekor).sign(STATEMENT)
    assert LOG[rekor] not in made


@both
def test_a_timestamp_that_is_garbage(
    sigstore: LocalSigstore, rekor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sigstore.tsa, "answer", lambda raw: b"garbage")
    with pytest.raises(Unavailable, match="timestamp"):
        signer(sigstore, rekor).sign(STATEMENT)


@both
def test_a_timestamp_of_something_else(
    sigstore: LocalSigstore, rekor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is well made and verifies for other bytes: with v1 nobody else would notice."""
    monkeypatch.setattr(sigstore.tsa, "answer", lambda raw: sigstore.tsa.stamp(b"other"))
    with pytest.raises((Unavailable, SignatureRefused)):
        signer(sigstore, rekor).sign(STATEMENT)


@both
def test_what_does_not_verify_never_leaves(
    sigstore: LocalSigstore, rekor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = sigstore.log(rekor)
    true = log.note
    monkeypatch.setattr(log, "note", lambda size, root: true(size + 1, root))
    with pytest.raises(SignatureRefused, match="another tree"):
        signer(sigstore, rekor).sign(STATEMENT)


def test_an_authority_that_names_somebody_else(
    sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is then for that somebody, and says so: nothing is assumed."""
    mallory = sigstore.oidc.token("mallory", email="mallory@example.com")
    check = sigstore.oidc.check
    monkeypatch.setattr(sigstore.oidc, "check", lambda _: check(mallory))
    assert signer(sigstore).identity.subject == "mallory@example.com"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_not_an_outage(sigstore: LocalSigstore, status: int) -> None:
    broken = sigstore.broken(ISSUE, status, "no\nsuch identity")
    with broken, pytest.raises(Refused, match="no such identity"):
        signer(sigstore).sign(STATEMENT)
    for passing in (408, 429):
        with sigstore.broken(ISSUE, passing), pytest.raises(Unavailable):
            signer(sigstore).sign(STATEMENT)


def test_an_instance_that_is_gone() -> None:
    gone = LocalSigstore()
    one = signer(gone)
    gone.close()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        one.sign(STATEMENT)


def test_an_authority_that_never_answers(
    sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sigstore's clients would wait for ever."""
    done = threading.Event()

    def hang(_: Call) -> Answer:
        done.wait(20)
        return in_json({}, 500)

    monkeypatch.setattr("stemma_registry.answers.TIMEOUT_SECONDS", 0.3)
    for route in (ISSUE, LOG[1], LOG[2]):
        with monkeypatch.context() as patch:
            patch.setitem(sigstore.front.routes, route, hang)
            with pytest.raises(Unavailable, match="timed out"):
                signer(sigstore, 1 if route == LOG[1] else 2).sign(STATEMENT)
    done.set()


def test_failures_print_nothing(
    sigstore: LocalSigstore, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with sigstore.broken(STAMP), pytest.raises(Unavailable):
        signer(sigstore).sign(STATEMENT)
    assert capfd.readouterr() == ("", "")


# --- tokens ---------------------------------------------------------------------------------


def test_the_token_file_comes_first_then_the_variable(
    sigstore: LocalSigstore, config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(sigstore.oidc.token("bob", email="bob@example.com") + "\n")
    both_given = load_signer(uri(config, file), alice(sigstore), browser=False)
    assert both_given.identity.subject == "bob@example.com"
    variable = load_signer(uri(config), alice(sigstore), browser=False)
    assert variable.identity.subject == "alice@example.com"


def test_a_workflow_of_a_ci_system(
    sigstore: LocalSigstore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = "https://github.com/acme/models/.github/workflows/train.yml@refs/heads/main"
    token = sigstore.oidc.token(subject, ref="refs/heads/main", event_name="push")
    monkeypatch.setattr("id.detect_credential", lambda audience: token)
    one = load_signer(uri(config), None, browser=False)
    assert one.identity.subject == subject
    assert one.identity.claims == (
        ("build_trigger", "push"),
        ("source_repository_ref", "refs/heads/main"),
    )
    assert keyless.verify(one.sign(STATEMENT).raw, sigstore.trusted_root()).identity == one.identity


def test_a_ci_system_that_may_not_give_a_token(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import id as ambient

    def refuse(_: str) -> str:
        raise ambient.IdentityError("no id-token: write")

    monkeypatch.setattr("id.detect_credential", refuse)
    with pytest.raises(Refused, match="id-token: write"):
        load_signer(uri(config), None, browser=True).sign(STATEMENT)


def test_a_browser_log_in(
    sigstore: LocalSigstore,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the access token is opaque, as most are: the identity token is what signs."""
    visits = []

    def browse(url: str) -> bool:
        def visit() -> None:
            with urllib.request.urlopen(url) as page:
                visits.append(page.status)

        threading.Thread(target=visit).start()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    one = load_signer(uri(config), None, browser=True)
    assert one.sign(STATEMENT).certificate is not None
    assert one.sign(statement(2)).certificate is not None
    assert one.identity.subject == "alice@example.com"
    assert visits == [200]


def test_nobody_there(config: Path) -> None:
    with pytest.raises(Refused, match="STEMMA_ID_TOKEN"):
        load_signer(uri(config), None, browser=False).sign(STATEMENT)


@pytest.mark.parametrize("token", ["", " \n", "a b", "\u0430.b.c", "x.y.z", "nonsense"])
def test_tokens_that_are_none(config: Path, token: str) -> None:
    """Also an empty one: a secret that is not set must not make us somebody else."""
    with pytest.raises(Refused) as caught:
        load_signer(uri(config), token, browser=True).sign(STATEMENT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "claims", [{"lifetime": -60}, {"aud": "other"}, {"email_verified": False}, {"iss": "https://x"}]
)
def test_tokens_that_are_refused_and_not_shown(
    sigstore: LocalSigstore, config: Path, claims: dict[str, object]
) -> None:
    token = sigstore.oidc.token("bob", email="bob@example.com", **claims)  # type: ignore[arg-type]
    one = load_signer(uri(config), token, browser=False)
    with pytest.raises(Refused) as caught:
        one.sign(STATEMENT)
    assert token not in str(caught.value)
    assert token not in repr(one)


def test_a_forged_token(sigstore: LocalSigstore, config: Path) -> None:
    other = LocalSigstore()
    token = other.oidc.token("alice", email="alice@example.com", iss=sigstore.oidc.url)
    other.close()
    with pytest.raises(Refused, match="400"):
        load_signer(uri(config), token, browser=False).sign(STATEMENT)


# --- the URI --------------------------------------------------------------------------------


def test_the_uri() -> None:
    assert parse_uri("sigstore:") == {}
    assert parse_uri("sigstore:?trust-config=a%20b%26c&token-file=d+e") == {
        "trust-config": "a b&c",
        "token-file": "d+e",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key:x",
        "sigstore",
        "Sigstore:",
        "sigstore:alice",
        "sigstore://x",
        "sigstore:?trust-config",
        "sigstore:?trust-config=",
        "sigstore:?token-file=a&token-file=b",
        "sigstore:?token=secret",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(BadKey):
        parse_uri(text)


def test_files_that_are_missing_or_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_signer(f"sigstore:?trust-config={tmp_path}/none", None, browser=False)
    with pytest.raises(Unavailable):
        load_signer(f"sigstore:?trust-config={tmp_path}", None, browser=False)
    for text in ("", "{", "[]", "{}", '{"mediaType":"application/json"}'):
        (tmp_path / "config").write_text(text)
        with pytest.raises(BadKey):
            load_signer(f"sigstore:?trust-config={tmp_path}/config", None, browser=False)
    with pytest.raises(NotFound):
        load_signer(f"sigstore:?token-file={tmp_path}/none", None, browser=False).sign(STATEMENT)


def test_a_configuration_without_services(sigstore: LocalSigstore, tmp_path: Path) -> None:
    document = json.loads(sigstore.trust_config())
    document["signingConfig"]["rekorTlogUrls"] = []
    path = tmp_path / "config"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="Rekor"):
        load_signer(uri(path), alice(sigstore), browser=False).sign(STATEMENT)


def test_naming_a_signer_imports_nothing_heavy() -> None:
    code = (
        "import sys; from stemma_registry.keyless import load_signer;"
        "load_signer('sigstore:', 'x', False);"
        "print([n for n in ('sigstore', 'requests', 'tuf', 'pydantic') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[]\n"
