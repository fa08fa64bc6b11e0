"""Keyless from the command line: a push that an identity signs, and who is believed about it."""

from __future__ import annotations

import json
import socket

import pytest

from stemma_attestations import keyless
from tests.sigstore.desk import ALICE, Desk


def test_signed_by_an_identity_and_verified_without_a_network(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.push()
    assert desk.verify() == 13, "nobody believes Alice yet"
    assert desk.believe() == 0

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is off")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    code, verdict = desk.run("verify", "models/m:1")
    assert code == 0, verdict
    assert ALICE in json.dumps(verdict)
    assert ALICE in json.dumps(desk.run("attestations", "models/m:1")[1])
    assert desk.run("list")[1][0]["signer"] == ALICE


def test_the_same_again_is_nothing_new_though_each_run_has_its_certificate(desk: Desk) -> None:
    assert desk.push()["outcome"] == "created"
    assert desk.push()["outcome"] == "unchanged"
    other = desk.push(email="bob@example.com", subject="bob")
    assert other["outcome"] == "added"


@pytest.mark.parametrize(
    "near",
    ["Alice@example.com", "alice@example.com.evil.org", "alice@example.org", "xalice@example.com"],
)
def test_a_near_miss_is_a_miss(desk: Desk, near: str) -> None:
    desk.push()
    assert desk.believe(near) == 0
    assert desk.verify() == 13


def test_an_identity_speaks_for_the_names_it_was_given(desk: Desk) -> None:
    desk.push()
    desk.push("other/m:1")
    assert desk.believe(names="models/*") == 0
    assert (desk.verify(), desk.verify("other/m:1")) == (0, 13)


def test_an_identity_under_another_root_is_somebody_else(desk: Desk) -> None:
    desk.push()
    issuer = ("--issuer", desk.stack.oidc.url)
    assert desk.run("trust", "add", "--identity", ALICE, *issuer, "--principal", "a")[0] == 0
    assert desk.verify() == 13, "it was to be the public instance"


def test_a_root_that_comes_later_proves_what_was_there_before(desk: Desk) -> None:
    desk.push()
    assert desk.believe() == 0
    assert desk.verify() == 0
    kept = next((desk.folder / "home" / "roots").iterdir())
    raw = kept.read_bytes()
    kept.unlink()
    assert desk.verify() == 13
    kept.write_bytes(raw[:-1] + b" ")
    assert desk.verify() == 13, "not the root that it is named after"
    kept.write_bytes(raw)
    assert desk.verify() == 0


def test_a_quarantine_by_an_identity_stops_if_it_may(desk: Desk) -> None:
    desk.push()
    assert desk.believe() == 0
    uri = desk.sign("bob@example.com", "bob")
    stop = ("quarantine", "models/m:1", "--reason", "poison", "--sign", uri)
    code, said = desk.run(*stop)
    assert code == 0, said
    assert desk.verify() == 0, "nobody asked Bob"
    assert desk.believe("bob@example.com") == 0
    assert desk.verify() == 11


def test_what_was_signed_before_the_revocation_stays(desk: Desk) -> None:
    desk.push()
    assert desk.believe() == 0
    assert desk.run("trust", "revoke", ALICE, "--at", "2099-01-01T00:00:00Z")[0] == 0
    assert desk.verify() == 0
    assert desk.run("trust", "revoke", ALICE, "--at", "2020-01-01T00:00:00Z")[0] == 0
    code, said = desk.run("verify", "models/m:1")
    assert code == 13
    assert "was revoked, and nothing proves that it had signed before" in json.dumps(said)


def test_a_library_that_crashes_is_not_verified(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.push()
    assert desk.believe() == 0

    def crash(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(keyless, "_verify", crash)
    assert desk.verify() == 13


def test_trust_test_says_why(desk: Desk) -> None:
    desk.push()
    (path, *_) = (
        path
        for path in (desk.folder / "home" / "registry" / "blobs").rglob("*")
        if path.is_file() and b"tlogEntries" in path.read_bytes()
    )
    code, said = desk.run("trust", "test", str(path))
    assert (code, "lists no identity" in json.dumps(said)) == (13, True)
    assert desk.believe(names="elsewhere/*") == 0
    code, said = desk.run("trust", "test", str(path))
    assert (code, said["principal"]) == (13, ALICE)
    assert "may not say" in said["subjects"][0]["refusal"]
    assert desk.believe() == 0
    code, said = desk.run("trust", "test", str(path))
    assert (code, said["believed"], said["subjects"][0]["refusal"]) == (0, True, None)


def test_what_only_keys_may_do(desk: Desk) -> None:
    uri = desk.sign()
    assert desk.run("snapshot", "--sign", uri)[0] == 1


def test_a_quarantine_by_an_identity_is_in_the_status_feed(desk: Desk) -> None:
    assert desk.run("push", "model", "models/m:1", "--kind", "model")[0] == 0
    for name in ("one", "two"):
        assert desk.run("key", "new", "--out", f"{name}.pem")[0] == 0
    assert (
        desk.run("feed", "init", "--root-key", "key:one.pem", "--root-key", "key:two.pem")[0] == 0
    )
    stop = ("quarantine", "models/m:1", "--reason", "poison", "--sign", desk.sign())
    assert desk.run(*stop)[1]["feed"]["published"]
    assert desk.run("feed", "fetch")[1]["quarantines"] == [], "nobody believes Alice"
    assert desk.believe() == 0
    assert desk.run("feed", "refresh")[1]["changed"]
    code, said = desk.run("feed", "fetch")
    assert (code, {one["by"] for one in said["quarantines"]}) == (0, {ALICE})
    folder = desk.folder / "home" / "roots"
    (kept,) = folder.glob("*.json")
    kept.rename(desk.folder / kept.name)
    _, said = desk.run("feed", "fetch")
    assert "is not on this machine" in said["undecided"], "a stop that cannot be judged"
    (desk.folder / kept.name).rename(kept)
    lift = ("release", "models/m:1", "--reason", "good", "--sign", desk.sign())
    assert desk.run(*lift)[1]["feed"]["published"]
    assert desk.run("feed", "fetch")[1]["quarantines"] == []
