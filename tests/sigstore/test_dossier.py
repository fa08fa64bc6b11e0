"""A dossier of what identities signed, on a machine that has only the trust root."""

from __future__ import annotations

import shutil

from tests.sigstore.desk import Desk


def verify(desk: Desk) -> tuple[int, dict[str, object]]:
    code, said = desk.run("verify", "model", "--dossier", "m.dossier")
    return code, said


def test_the_trusted_root_comes_along_and_the_pin_of_it_does_not(desk: Desk) -> None:
    desk.push()
    assert desk.believe() == 0
    home = desk.folder / "home"
    assert desk.run("dossier", "models/m:1", "m.dossier", "--sign", desk.sign())[0] == 0
    shutil.rmtree(home / "registry")
    shutil.rmtree(home / "roots")
    code, said = verify(desk)
    assert (code, said["verified"]) == (0, True)
    # Somebody's trusted root in the file is used by nobody who has not pinned its digest.
    trust = (home / "trust.yaml").read_text()
    (home / "trust.yaml").write_text(trust.replace(desk.root, "sha256:" + "0" * 64))
    assert verify(desk)[0] == 13


def test_an_identity_that_may_not_pack(desk: Desk) -> None:
    desk.push()
    provenance = ("--predicates", "https://slsa.dev/provenance/v1")
    issuer = ("--issuer", desk.stack.oidc.url, "--root", desk.root)
    who = ("trust", "add", "--identity", "alice@example.com", "--principal", "alice")
    assert desk.run(*who, *issuer, *provenance, "--predicates", "https://cyclonedx.org/bom")[0] == 0
    assert desk.run("dossier", "models/m:1", "m.dossier")[0] == 0
    assert verify(desk)[0] == 0, "the home's own key may"
    code, made = desk.run("dossier", "models/m:1", "m.dossier", "--sign", desk.sign())
    assert code == 0
    assert len(made["warnings"]) == 1
    assert verify(desk)[0] == 13
