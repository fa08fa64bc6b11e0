"""`attach`: what identities and certificates signed, made at a Sigstore of the tests' own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from stemma_attestations.digest import Digest
from stemma_attestations.identity import IdentityPattern
from stemma_attestations.predicates import signature
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry import describe
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.errors import Refused
from stemma_registry.foreign import attached
from stemma_registry.foreign.attach import Done, Given, attach
from stemma_registry.foreign.attached import Seen
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry
from stemma_registry.trust import file as trust_file
from stemma_registry.trust.file import Grants
from stemma_registry.trust.roots import TrustedRoots
from tests import foreign_forms as forms
from tests.authorities import chained, issue, signer
from tests.building import manifest_of
from tests.foreign_forms import Maker, compact, statement
from tests.sigstore.forge import Parts, assemble
from tests.sigstore.fulcio import Leaf
from tests.sigstore.stack import LocalSigstore
from tests.world import World

MODEL, REF, ALICE = b"the weights\n", "models/m:1", "alice@example.com"
FILES = {"README.md": b"read me", "model.bin": MODEL}
ABOUT = {"sha256": hashlib.sha256(MODEL).hexdigest()}
WORKFLOW = "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main"
GITHUB = "https://token.actions.githubusercontent.com"


class Place(World):
    """A world that knows one Sigstore instance."""

    def __init__(self, folder: Path, stack: LocalSigstore) -> None:
        super().__init__(folder)
        self.stack = stack
        self.root = TrustedRoots(self.home.roots).add(stack.trusted_root())
        self.registry = self._open()

    def _open(self) -> Registry:
        roots = TrustedRoots(self.home.roots)
        return Registry(
            self.store, Catalogue.open(self.catalogue_path, self.store, roots), self.home
        )

    def made(self, payload: bytes, rekor: int = 1, leaf: Leaf | None = None) -> dict[str, Any]:
        """A good bundle over a payload, by Alice or whoever the leaf names."""
        return assemble(Parts(self.stack, payload, rekor=rekor, leaf=leaf))

    def believe(self, subject: str = ALICE, issuer: str | None = None, *names: str) -> None:
        pattern = IdentityPattern(issuer or self.stack.oidc.url, subject)
        grants = Grants(("*",), names or ("**",), None, None)
        self.trust = trust_file.add_identity(self.trust_path, "ci", pattern, self.root, grants)

    def give(self, document: Any, name: str = "given.json", **options: Any) -> Done:
        raw = document if isinstance(document, bytes) else compact(document)
        given = Given([(name, raw)], **options)
        return attach(self.registry, self.trust, self.signer("owner"), REF, given, self.now)

    def seen(self) -> list[Seen]:
        with self.view() as view:
            return describe.attached(self.registry, view, REF)


@pytest.fixture
def place(tmp_path: Path, sigstore: LocalSigstore) -> Place:
    found = Place(tmp_path, sigstore)
    found.push(REF, FILES, kind="model")
    return found


def workflow() -> Leaf:
    """What GitHub's builders have: the workflow, and claims about the run."""
    return Leaf((x509.UniformResourceIdentifier(WORKFLOW),), GITHUB)


def built(place: Place, rekor: int) -> dict[str, Any]:
    """What attest-build-provenance writes."""
    payload = statement(ABOUT, predicate=forms.github_provenance())
    return place.made(payload, rekor, workflow())


def forms_of(place: Place) -> dict[str, Any]:
    """Name -> what a builder or an index gives out about model.bin, all by the workflow."""
    first, second = built(place, 1), built(place, 2)
    published = place.made(statement(ABOUT, forms.PYPI), 1, workflow())
    by_sha512 = {"sha512": hashlib.sha512(MODEL).hexdigest()}
    npm = place.made(statement(by_sha512, predicate=forms.github_provenance()), 1, workflow())
    pep740 = forms.as_pep740(published)
    group = {"publisher": {"kind": "GitHub"}, "attestations": [pep740]}
    return {
        "github, Rekor v1": first,
        "github, Rekor v2": second,
        "github's answer": forms.as_npm(first),
        "bundle 0.2": forms.older(first, "0.2"),
        "bundle 0.1": forms.older(first, "0.1"),
        "npm, bundle 0.2": forms.as_npm(forms.older(npm, "0.2")),
        "npm, bundle 0.3": forms.as_npm(npm),
        "pep 740": pep740,
        "index": {"version": 1, "attestation_bundles": [group]},
        "cosign": forms.compact(second),
    }


FORMS = (
    "github, Rekor v1", "github, Rekor v2", "github's answer", "bundle 0.2", "bundle 0.1",
    "npm, bundle 0.2", "npm, bundle 0.3", "pep 740", "index", "cosign",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_builders_give_out_is_verified_and_worth_what_the_trust_root_says(
    place: Place, form: str
) -> None:
    done = place.give(forms_of(place)[form])
    (taken,) = done.taken
    assert (taken.names, taken.note) == ("model.bin", "")
    assert taken.identity is not None
    assert taken.identity.identity.subject == WORKFLOW
    (before,) = place.seen()
    assert before.assurance == "signed"
    assert WORKFLOW in before.signer
    place.believe(WORKFLOW.replace("release.yml", "other.yml"), GITHUB)
    assert place.seen()[0].assurance == "signed"
    place.believe(WORKFLOW, GITHUB)
    (seen,) = place.seen()
    assert (seen.assurance, seen.signer, seen.note) == ("attested", "ci", "")
    place.rebuild()
    assert place.seen()[0].assurance == "attested"
    assert place.code(REF) == 0


def test_every_form_was_tried(place: Place) -> None:
    assert tuple(forms_of(place)) == FORMS


def test_npm_answers_with_a_keys_word_and_an_identitys(place: Place) -> None:
    registry = Maker()
    digests = {"sha512": hashlib.sha512(MODEL).hexdigest()}
    old = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    published = registry.key_bundle(
        statement(digests, forms.NPM, forms.V01, predicate={}), "SHA256:x", old
    )
    provenance = place.made(statement(digests), 1, workflow())
    answer = forms.as_npm(json.loads(published), forms.older(provenance, "0.2"))
    done = place.give(answer, keys=[registry.public])
    assert [bool(taken.signer) for taken in done.taken] == [True, True]
    assert [seen.assurance for seen in place.seen()] == ["signed", "signed"]


def test_each_line_of_a_collection_stands_alone(place: Place) -> None:
    good, bad = built(place, 1), built(place, 1)
    other = Maker().certificate_der
    bad["verificationMaterial"]["certificate"]["rawBytes"] = forms.b64(other)
    raw = compact(good) + b"\n" + compact(bad) + b"\n"
    done = place.give(raw, "all.intoto.jsonl")
    assert [bool(taken.identity) for taken in done.taken] == [True, False]
    assert done.taken[1].note == attached.KEYLESS
    place.believe(WORKFLOW, GITHUB)
    assert [seen.assurance for seen in place.seen()] == ["attested", "unverified"]


def test_a_bundle_of_another_instance_is_kept_and_not_believed(place: Place) -> None:
    other = LocalSigstore()
    try:
        payload = statement(ABOUT, predicate=forms.github_provenance())
        document = assemble(Parts(other, payload, leaf=workflow()))
        place.believe(WORKFLOW, GITHUB)
        assert place.give(document).taken[0].note == attached.KEYLESS
        (seen,) = place.seen()
        assert (seen.assurance, seen.note) == ("unverified", attached.KEYLESS)
        TrustedRoots(place.home.roots).add(other.trusted_root())
        assert place.seen()[0].assurance == "signed", "verified, under a root nobody listed"
    finally:
        other.close()


def test_old_statements_are_shown_and_not_verified(place: Place) -> None:
    tekton = statement(ABOUT, forms.SLSA02, forms.V01, predicate=forms.tekton_provenance())
    done = place.give(place.made(tekton))
    assert done.taken[0].note == "a Statement v0.1: shown, never counted"
    assert place.seen()[0].assurance == "unverified"


# --- model signatures -----------------------------------------------------------------------


def oms(ignored: tuple[str, ...] = (), **files: bytes) -> bytes:
    """The statement that model_signing signs of these files."""
    named = {name.replace("_", "."): data for name, data in files.items()} or FILES
    return signature.build(manifest_of(named), "m", ignored).raw


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_keyless_model_signature(place: Place, rekor: int) -> None:
    done = place.give(place.made(oms(), rekor), "model.sig")
    assert (done.taken[0].names, done.taken[0].note) == ("all its files", "")
    (seen,) = place.seen()
    assert (seen.assurance, seen.names) == ("signed", "all its files")
    place.believe(ALICE, None, "other/**")
    assert place.seen()[0].assurance == "signed"
    place.believe(ALICE, None, "models/**")
    assert (place.seen()[0].assurance, place.seen()[0].signer) == ("attested", "ci")
    assert place.code(REF) == 0


def test_a_model_signature_by_a_certificate_is_a_claim_until_its_key_is_listed(
    place: Place,
) -> None:
    root = issue("root")
    who = signer(root)
    document = chained(oms(), who)
    done = place.give(document, "model.sig")
    assert (done.taken[0].signer, done.taken[0].note) == (None, attached.CHAINED)
    (seen,) = place.seen()
    assert (seen.assurance, seen.note) == ("unverified", attached.CHAINED)
    done = place.give(document, "model.sig", keys=[who.public])
    assert done.taken[0].signer == who.public.id
    assert place.seen()[0].assurance == "signed"
    place.trust = trust_file.add(place.trust_path, "s", who.public)
    assert place.seen()[0].assurance == "attested"
    place.rebuild()
    assert place.seen()[0].assurance == "attested"


def old_oms() -> bytes:
    subjects = [
        ResourceDescriptor(name=name, digests=(Digest.of(data),)) for name, data in FILES.items()
    ]
    return Statement.build(subjects, signature.TYPE_V0, {"unused": "x"}).raw


def test_the_format_before_1_0_is_read(place: Place) -> None:
    assert place.give(place.made(old_oms()), "model.sig").taken[0].names == "all its files"


@pytest.mark.parametrize(
    "payload",
    [
        oms(README_md=b"read me", model_bin=b"swapped"),
        oms(README_md=b"read me"),
        oms(README_md=b"read me", model_bin=MODEL, more_bin=b"x"),
        oms(a=b"read me", b=MODEL),  # the same root: it leaves the names out
        oms(README_md=MODEL, model_bin=b"read me"),
        oms(("other",), model_bin=MODEL),
        statement(ABOUT, signature.TYPE, predicate={}),
    ],
)
def test_a_model_signature_of_other_files_is_refused(place: Place, payload: bytes) -> None:
    before = set(place.store.blobs())
    with pytest.raises(Refused, match="of a model signature, all of its files"):
        place.give(place.made(payload), "model.sig")
    assert set(place.store.blobs()) == before


def test_two_layouts_share_a_root_and_only_one_is_signed() -> None:
    assert manifest_of({"a": b"read me", "b": MODEL}).oms_root == manifest_of(FILES).oms_root


def test_what_the_signature_leaves_out_is_said(place: Place) -> None:
    raw = compact(place.made(oms((".gitattributes",))))
    place.push(REF.replace(":1", ":2"), {**FILES, "model.sig": raw, ".gitattributes": b"x"})
    given = Given([("model.sig", raw)])
    two = REF.replace(":1", ":2")
    done = attach(place.registry, place.trust, place.signer("owner"), two, given, place.now)
    assert done.taken[0].names == "its files but .gitattributes, model.sig"
    place.push(REF.replace(":1", ":3"), {**FILES, "evil.py": b"x"})
    three = REF.replace(":1", ":3")
    with pytest.raises(Refused):
        attach(place.registry, place.trust, place.signer("owner"), three, given, place.now)


def test_the_bytes_are_kept_as_they_came(place: Place) -> None:
    raw = compact(place.made(oms()))
    digest = place.give(raw, "model.sig").taken[0].digest
    assert get_bytes(place.store, digest, 100_000) == raw
    with place.view() as view:
        assert resolve(view, REF).name is not None
