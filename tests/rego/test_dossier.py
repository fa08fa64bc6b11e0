"""A policy with a Rego file, carried in a dossier."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from stemma_attestations.predicates.dossier import Role
from stemma_registry import policy_source
from stemma_registry.dossier import container
from stemma_registry.errors import BadDossier
from stemma_registry.gate import Terms
from tests.dossier.scene import DossierScene
from tests.rego.test_gate import write_policy

MODULE = b'package stemma.gate\n\nallow if input.artifact.kinds == ["model"]\n'


def test_the_module_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = DossierScene(tmp_path)
    (tmp_path / "a.rego").write_bytes(MODULE)
    digest = hashlib.sha256(MODULE).hexdigest()
    named = write_policy(tmp_path, f"    file: a.rego\n    sha256: '{digest}'\n")
    terms = Terms(policy_source.load(named))
    path = scene.make(terms=terms, policy=Path(named).read_bytes())
    (tmp_path / "a.rego").unlink()
    assert scene.verify(path, policy=None).policy == terms.policy
    content = container.read(path)
    assert list(content.all(Role.MODULE).values()) == [MODULE]
    members = [one for one in content.said.members if one.role is not Role.MODULE]
    without = replace(content, said=replace(content.said, members=members))
    monkeypatch.setattr(container, "read", lambda _: without)
    with pytest.raises(BadDossier, match=r"a\.rego"):
        scene.verify(path, policy=None)
