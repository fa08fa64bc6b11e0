"""The file: what is stripped, reordered, mixed, flipped or too much is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, StemmaError
from stemma_attestations.predicates import dossier as predicate
from stemma_attestations.predicates.dossier import Dossier, Member, Role
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.config import LIMITS, Limits
from stemma_registry.dossier import container
from stemma_registry.dossier.container import HEADER, Content
from stemma_registry.errors import BadDossier, NotFound
from tests.dossier.scene import DossierScene, Parts, parse
from tests.world import new_signer

NOT_IN_IT = (Role.FEED, Role.TRUSTED_ROOT, Role.MODULE)
STEP = 211  # bytes between two that CI flips; all of them in the slow run


def listed(scene: DossierScene, content: Content, said: Dossier, signer: str = "owner") -> bytes:
    """A signed list of something about the same artifact, whatever is in the file."""
    subject = ResourceDescriptor(name=str(content.name), digests=(content.artifact,))
    statement = Statement.build([subject], predicate.TYPE, predicate.build(said))
    return scene.world.signer(signer).sign(statement).raw


def test_taken_apart_and_put_together_it_is_the_same(good: Path) -> None:
    raw = good.read_bytes()
    assert Parts.of(raw).join() == raw


def test_every_member_counts(shared: DossierScene, good: Path) -> None:
    parts = Parts.of(good.read_bytes())
    assert shared.changed(parts.join()) == 0
    for number, member in enumerate(parts.members):
        before, after = parts.members[:number], parts.members[number + 1 :]
        for changed in (
            [*before, *after],
            [*before, member, member, *after],
            [*before, b"", *after, member],
            [*before, member[:-1] + bytes([member[-1] ^ 1]), *after],
            [*before, *after, b"x" * len(member)],
        ):
            if b"".join(changed) != b"".join(parts.members):
                assert shared.changed(Parts(parts.bundle, changed).join()) == 10


def test_the_order_counts(shared: DossierScene, good: Path) -> None:
    parts = Parts.of(good.read_bytes())
    for number in range(len(parts.members) - 1):
        members = list(parts.members)
        members[number : number + 2] = members[number + 1], members[number]
        assert shared.changed(Parts(parts.bundle, members).join()) == 10


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"",
        lambda raw: raw[: len(HEADER)],
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw + b"\n",
        lambda raw: raw + raw,
        lambda raw: b"\n" + raw,
        lambda raw: raw.replace(HEADER, HEADER + b"0", 1),
        lambda raw: raw.replace(HEADER, HEADER + b"99999999999\n", 1),
        lambda raw: raw.replace(HEADER, HEADER + b"-1\n", 1),
        lambda raw: raw.replace(HEADER, HEADER + b" 1\n", 1),
        lambda raw: raw.replace(b"v0.1", b"v0.2", 1),
        lambda raw: HEADER + b"2\n{}",
        lambda raw: os.urandom(4096),
    ],
)
def test_another_form_is_refused(
    shared: DossierScene, good: Path, change: Callable[[bytes], bytes]
) -> None:
    assert shared.changed(change(good.read_bytes())) == 10


def flips(shared: DossierScene, good: Path, step: int) -> None:
    raw, before = good.read_bytes(), parse(good.read_bytes())
    root = shared.directory()
    for number in range(0, len(raw), step):
        flipped = bytearray(raw)
        flipped[number] ^= 1 << number % 8
        try:
            content = parse(bytes(flipped))
        except BadDossier:
            continue
        # In the bundle, around what is signed: a no, or a yes that says the same.
        code = shared.changed(bytes(flipped), root=root)
        assert code in (0, 10, 13)
        if code == 0:
            assert replace(content, bundle=before.bundle) == before


def test_no_flipped_bit_gives_another_yes(shared: DossierScene, good: Path) -> None:
    flips(shared, good, STEP)


@pytest.mark.slow
def test_no_flipped_bit_gives_another_yes_anywhere(shared: DossierScene, good: Path) -> None:
    flips(shared, good, 1)


def test_two_dossiers_are_not_mixed(scene: DossierScene) -> None:
    scene.push("acme/model:2", "acme/other:1")
    one, two = (Parts.of(scene.make(f"acme/model:{n}").read_bytes()) for n in (1, 2))
    assert scene.changed(Parts(one.bundle, two.members).join()) == 10
    assert scene.changed(Parts(two.bundle, one.members).join()) == 10
    assert scene.changed(two.join()) == 12  # whole, and about other bytes
    assert scene.changed(two.join(), expected="acme/model:1") == 10
    foreign = next(member for member in two.members if member not in one.members)
    for at in range(len(one.members)):
        members = [*one.members[:at], foreign, *one.members[at + 1 :]]
        assert scene.changed(Parts(one.bundle, members).join()) == 10


def test_a_list_in_another_order_is_refused_however_it_is_signed(scene: DossierScene) -> None:
    content = parse(scene.make().read_bytes())
    said = content.said
    with pytest.raises(BadStatement, match="order"):
        predicate.parse(predicate.build(replace(said, members=said.members[::-1])))
    twice = [said.members[0], *said.members]
    assert scene.changed(Parts(listed(scene, content, replace(said, members=twice))).join()) == 10
    some = said.members[0]
    again = replace(some, role=Role.FEED)
    with pytest.raises(BadStatement, match="twice"):
        predicate.parse(predicate.build(replace(said, members=[some, again])))


@pytest.mark.parametrize("role", [r for r in Role if r not in NOT_IN_IT])
def test_a_signed_list_without_what_is_needed_is_refused(
    shared: DossierScene, good: Path, role: Role
) -> None:
    scene, content = shared, parse(good.read_bytes())
    said = replace(content.said, members=[m for m in content.said.members if m.role is not role])
    blobs = [content.blobs[member.digest] for member in said.members]
    code = scene.changed(Parts(listed(scene, content, said), blobs).join(), policy=None)
    # The trust root in it is a convenience, a checkpoint one more witness, and a key one
    # that the machine's own trust root lists.
    spare = {Role.TRUST_ROOT, Role.CHECKPOINT, Role.KEY}
    assert code == 0 if role in spare else code in (10, 13)


def test_one_statement_less_is_another_list(scene: DossierScene) -> None:
    """Whoever signs a shorter list says so himself; nobody else can."""
    content = parse(scene.make().read_bytes())
    one = content.said.of(Role.STATEMENT)[0]
    said = replace(content.said, members=[m for m in content.said.members if m != one])
    blobs = [content.blobs[member.digest] for member in said.members]
    forged = Parts(listed(scene, content, said, "stranger"), blobs).join()
    assert scene.changed(forged) == 13


def test_limits_are_held(shared: DossierScene, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for changed in (
        replace(LIMITS, dossier_bytes=1000),
        replace(LIMITS, dossier_statement_bytes=9),
    ):
        monkeypatch.setattr(container, "LIMITS", changed)
        with pytest.raises(BadDossier, match="more than"):
            container.read(good)
    assert Limits().dossier_bytes <= 1024**3


def test_a_list_of_ten_gigabytes_is_not_begun(shared: DossierScene, good: Path) -> None:
    content = parse(good.read_bytes())
    said = content.said
    huge = Member(said.members[0].role, said.members[0].digest, 10 * 1024**3)
    bundle = listed(shared, content, replace(said, members=[huge, *said.members[1:]]))
    with pytest.raises(BadDossier, match="more than"):
        parse(Parts(bundle).join())


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        container.read(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadDossier, match="regular"):
        container.read(tmp_path / "pipe")
    with pytest.raises(StemmaError):
        container.read(tmp_path)


def test_another_statement_is_no_dossier(shared: DossierScene) -> None:
    signer = new_signer()
    subject = ResourceDescriptor(name="acme/model:1", digests=(Digest.of(b"x"),))
    bundle = signer.sign(Statement.build([subject], "https://example.org/x", {})).raw
    with pytest.raises(BadDossier, match="no urn:stemma:dossier"):
        container.parse(io.BytesIO(Parts(bundle).join()))
