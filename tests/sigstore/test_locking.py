"""Identities in a lock: who they are, not which certificate they had."""

from __future__ import annotations

from tests.sigstore.desk import ALICE, Desk

BOB = "bob@example.com"


def test_an_identity_is_locked_and_held_to(desk: Desk) -> None:
    desk.push()
    assert desk.believe() == 0
    path = desk.folder / "stemma.lock"
    code, said = desk.run("lock", "models/m:1", "-o", str(path))
    assert code == 0, said
    (member,) = said["members"]
    assert member["signers"][0].endswith(f"(identity {ALICE})")
    text = path.read_text()
    assert f"subject: {ALICE}" in text
    assert f"issuer: {desk.stack.oidc.url}" in text
    assert "root: sha256:" in text
    code, said = desk.run("verify", "--lock", str(path))
    assert code == 0, said

    # Another run of the same job has another certificate, and is the same signer.
    desk.push()
    assert desk.run("lock", "--update", str(path))[1]["outcome"] == "unchanged"

    path.write_text(text.replace(f"subject: {ALICE}", f"subject: {BOB}"))
    code, said = desk.run("verify", "--lock", str(path))
    assert code == 13
    desk.push(email=BOB, subject="bob")
    assert desk.run("verify", "--lock", str(path))[0] == 13, "nobody believes Bob"
    assert desk.believe(BOB) == 0
    code, said = desk.run("verify", "--lock", str(path))
    assert code == 13, "he signed, as another principal than the lock says"
