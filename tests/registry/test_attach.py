"""`attach`: what other tools signed is kept as it came, and counts for what it proves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from stemma_attestations import foreign
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, StemmaError
from stemma_attestations.keys import PublicKey
from stemma_registry import describe
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import Refused
from stemma_registry.foreign import attached
from stemma_registry.foreign.attach import Done, Given, attach
from stemma_registry.foreign.attached import Seen
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.reference import resolve
from stemma_registry.registry import record
from stemma_registry.trust import file as trust_file
from tests import foreign_forms as forms
from tests.foreign_forms import Maker, compact, statement
from tests.world import World

MODEL, REF = b"the weights\n", "models/m:1"
SHA256 = hashlib.sha256(MODEL).hexdigest()
ABOUT = {"sha256": SHA256}


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def world(world: World) -> World:
    world.push(REF, {"model.bin": MODEL, "README.md": b"read me"}, kind="model")
    return world


def give(
    world: World,
    *raws: bytes,
    keys: Sequence[PublicKey] = (),
    name: str = "given.json",
    skip_bad: bool = False,
    by: str = "owner",
) -> Done:
    given = Given([(name, raw) for raw in raws], keys, skip_bad)
    return attach(world.registry, world.trust, world.signer(by), REF, given, world.now)


def listed(world: World) -> list[Seen]:
    with world.view() as view:
        return describe.attached(world.registry, view, REF)


def rows(world: World, digest: str = "") -> list[Fact]:
    """The statements about the artifact, or about a file of it."""
    with world.view() as view:
        found = resolve(view, f"sha256:{digest}" if digest else REF)
        return query.facts_about(view.connection, found.node)


def believe(world: World, maker: Maker, principal: str = "builder") -> None:
    world.trust = trust_file.add(world.trust_path, principal, maker.public)


def about_artifact(world: World) -> dict[str, str]:
    with world.view() as view:
        return {"sha256": resolve(view, REF).digest.value}


# --- what verifies --------------------------------------------------------------------------


def test_a_bundle_by_a_listed_key_is_a_statement_like_any_other(world: World, maker: Maker) -> None:
    believe(world, maker)
    raw = maker.key_bundle(statement(about_artifact(world), "https://example.org/t", name=REF))
    done = give(world, raw)
    (taken,) = done.taken
    assert (taken.names, taken.note) == ("the artifact", "")
    fact = rows(world)[-1]
    assert (fact.bundle, fact.signer) == (Digest.of(raw), maker.public.id)
    with world.view() as view:
        last = describe.attestations(world.registry, view, REF)[-1]
    assert (last.signer, str(last.assurance)) == ("builder", "attested")
    assert listed(world) == []
    assert world.code(REF) == 0
    world.rebuild()
    assert rows(world)[-1] == fact


def test_a_bare_envelope_is_wrapped_with_the_signed_bytes_as_they_were(
    world: World, maker: Maker
) -> None:
    payload = statement(about_artifact(world), "https://example.org/t", name=REF)
    raw = compact(maker.envelope(payload, "some id that means nothing"))
    done = give(world, raw, keys=[maker.public])
    fact = rows(world)[-1]
    assert fact.signer == maker.public.id
    assert fact.bundle != Digest.of(raw)
    wrapped = Bundle.parse(get_bytes(world.store, fact.bundle, 10_000))
    assert wrapped.envelope.payload == payload
    assert get_bytes(world.store, done.taken[0].digest, 10_000) == raw


def test_an_envelope_with_two_signers_is_two_statements(world: World, maker: Maker) -> None:
    other, payload = Maker(), statement(about_artifact(world), "https://example.org/t")
    both = maker.envelope(payload)
    both["signatures"] += other.envelope(payload)["signatures"]
    give(world, compact(both), keys=[maker.public, other.public])
    signers = {fact.signer for fact in rows(world) if fact.predicate_type.endswith("/t")}
    assert signers == {maker.public.id, other.public.id}


def test_who_came_first_without_the_key_withholds_nothing(world: World, maker: Maker) -> None:
    raw = maker.key_bundle(statement(about_artifact(world), "https://example.org/t"))
    give(world, raw, by="stranger")
    assert rows(world)[-1].signer is None
    give(world, raw, keys=[maker.public])
    assert {f.signer for f in rows(world) if f.bundle == Digest.of(raw)} == {maker.public.id}
    world.rebuild()
    assert {f.signer for f in rows(world) if f.bundle == Digest.of(raw)} == {maker.public.id}


def test_the_same_again_is_nothing(world: World, maker: Maker) -> None:
    raw = maker.key_bundle(statement(ABOUT))
    first = give(world, raw, keys=[maker.public])
    before = set(world.store.blobs())
    assert give(world, raw, keys=[maker.public]).entry is None
    assert set(world.store.blobs()) == before
    assert give(world, raw, keys=[maker.public], by="other").entry == (first.entry or 0) + 1


# --- every form -----------------------------------------------------------------------------


def forms_of(maker: Maker) -> dict[str, tuple[bytes, str, bool]]:
    """Name -> the document, what it says, and whether the key alone verifies it."""
    github = statement(ABOUT, predicate=forms.github_provenance())
    gitlab = statement(ABOUT, predicate=forms.gitlab_provenance())
    tekton = statement(ABOUT, forms.SLSA02, forms.V01, predicate=forms.tekton_provenance())
    v2 = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    v1 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
    cert = maker.certificate_pem.decode()
    return {
        "bundle 0.3": (maker.key_bundle(github), forms.SLSA1, True),
        "bundle 0.2": (maker.key_bundle(github, media=v2), forms.SLSA1, True),
        "bundle 0.1": (maker.key_bundle(github, media=v1), forms.SLSA1, True),
        "github": (compact(maker.keyless_bundle(github)), forms.SLSA1, False),
        "chain": (compact(maker.keyless_bundle(github, v1)), forms.SLSA1, False),
        "generator": (compact(maker.envelope(github, "", cert=cert)), forms.SLSA1, False),
        "gitlab, bare": (gitlab, forms.SLSA1, False),
        "gitlab, signed": (compact(maker.envelope(gitlab)), forms.SLSA1, True),
        "tekton": (compact(maker.envelope(tekton, "SHA256:x")), forms.SLSA02, True),
        "pep 740": (compact(maker.pep740(statement(ABOUT, forms.PYPI))), forms.PYPI, False),
        "index": (forms.index_answer(maker, MODEL, "model.bin"), forms.PYPI, False),
        "cosign, key": (maker.cosign_attestation(github, certificate=False), forms.SLSA1, True),
        "cosign": (maker.cosign_attestation(github), forms.SLSA1, False),
        "cosign, blob": (maker.cosign_blob(MODEL), "message signature", False),
    }


@pytest.mark.parametrize("form", forms_of(Maker()))
def test_a_form_is_read_kept_and_shown_for_what_it_is(
    world: World, maker: Maker, form: str
) -> None:
    raw, says, by_key = forms_of(maker)[form]
    keys = [maker.public] if by_key and form != "cosign, key" else []
    done = give(world, raw, keys=keys)
    (taken,) = done.taken
    assert (taken.piece.says, taken.names) == (says, "model.bin")
    assert bool(taken.signers) == by_key
    assert get_bytes(world.store, taken.digest, 1_000_000) == raw
    (seen,) = listed(world)
    assert (seen.piece.says, seen.names) == (says, "model.bin")
    assert (seen.key_id == maker.public.id) == by_key
    assert seen.assurance == ("signed" if by_key else "unverified")
    assert world.code(REF) == 0
    # A Statement v1 by a known key is a row about the file; nothing else is.
    is_row = by_key and form != "tekton"
    assert [f.signer for f in rows(world, SHA256) if f.signer] == [maker.public.id] * is_row


@pytest.mark.parametrize(
    ("form", "note"),
    [
        ("github", attached.KEYLESS),
        ("chain", attached.KEYLESS),
        ("generator", attached.NO_PROOF),
        ("pep 740", attached.KEYLESS),
        ("index", attached.KEYLESS),
        ("cosign", attached.NO_PROOF),
    ],
)
def test_what_a_certificate_signed_is_kept_and_not_believed(
    world: World, maker: Maker, form: str, note: str
) -> None:
    done = give(world, forms_of(maker)[form][0])
    assert done.taken[0].note == note
    (seen,) = listed(world)
    assert (seen.assurance, seen.signer, seen.note) == ("unverified", "(keyless)", note)


def test_pypi_attestations_become_bundles_over_the_same_bytes(world: World, maker: Maker) -> None:
    payload = statement(ABOUT, forms.PYPI)
    give(world, compact(maker.pep740(payload)))
    (seen,) = listed(world)
    (digest,) = seen.item.bundles
    document = json.loads(get_bytes(world.store, digest, 100_000))
    assert set(document["verificationMaterial"]) == {"certificate", "tlogEntries"}
    piece = foreign.read(get_bytes(world.store, digest, 100_000))[0]
    assert piece.envelope is not None
    assert piece.envelope.payload == payload
    maker.public.verify(piece.envelope.signatures[0].sig, piece.envelope.signed_bytes)


def test_npm_names_a_tarball_by_sha512_only(world: World, maker: Maker) -> None:
    registry = Maker()
    done = give(world, forms.npm_answer(registry, maker, MODEL), keys=[registry.public])
    assert [t.names for t in done.taken] == ["model.bin", "model.bin"]
    published, built = listed(world)
    assert (published.assurance, built.assurance) == ("signed", "unverified")
    with pytest.raises(Refused, match="digests are none"):
        give(world, forms.npm_answer(registry, maker, b"another tarball"))


# --- what is about something else -----------------------------------------------------------

OTHER = hashlib.sha256(b"other").hexdigest()
SHA1, MD5 = hashlib.sha1(MODEL).hexdigest(), hashlib.md5(MODEL).hexdigest()
SHA512 = hashlib.sha512(MODEL).hexdigest()


@pytest.mark.parametrize(
    ("digests", "named"),
    [
        (ABOUT, True),
        ({"sha512": SHA512}, True),
        ({**ABOUT, "sha1": SHA1, "md5": MD5, "sha512": SHA512}, True),
        ({**ABOUT, "dirHash1": "unknown"}, True),
        ({"sha256": OTHER}, False),
        ({"sha1": SHA1}, False),
        ({"sha1": SHA1, "md5": MD5}, False),
        ({"sha256": OTHER, "sha1": SHA1}, False),
        ({**ABOUT, "sha1": "0" * 40}, False),
        ({**ABOUT, "md5": "0" * 32}, False),
        ({**ABOUT, "sha512": "0" * 128}, False),
        ({"sha512": SHA512, "sha256": OTHER}, False),
        ({"gitBlob": "0" * 40}, False),
    ],
)
def test_all_digests_must_match_and_a_strong_one_must(
    world: World, maker: Maker, digests: dict[str, str], named: bool
) -> None:
    raw = maker.key_bundle(statement(digests))
    if named:
        assert give(world, raw).taken[0].names == "model.bin"
        return
    before = set(world.store.blobs())
    with pytest.raises(Refused, match="digests are none of this artifact's"):
        give(world, raw, keys=[maker.public])
    assert set(world.store.blobs()) == before


def test_the_right_name_with_another_digest_is_refused(world: World, maker: Maker) -> None:
    with pytest.raises(Refused):
        give(world, maker.key_bundle(statement({"sha256": OTHER}, name=REF)))


# --- collections ----------------------------------------------------------------------------


def test_each_line_stands_alone(world: World, maker: Maker) -> None:
    good = maker.key_bundle(statement(ABOUT))
    by_another = Maker().key_bundle(statement(ABOUT, "https://example.org/planted"))
    raw = good + b"\r\n\n" + by_another + b"\n"
    done = give(world, raw, keys=[maker.public], name="all.intoto.jsonl")
    assert [t.label for t in done.taken] == ["all.intoto.jsonl line 1", "all.intoto.jsonl line 3"]
    assert [bool(t.signers) for t in done.taken] == [True, False]
    assert [t.digest for t in done.taken] == [Digest.of(good), Digest.of(by_another)]
    signed = {f.predicate_type: f.signer for f in rows(world, SHA256)}
    assert signed["https://example.org/planted"] is None


def hostile(maker: Maker) -> dict[str, bytes]:
    """Lines that must be refused, each beside a good one."""
    good = maker.key_bundle(statement(ABOUT))
    twice = statement(ABOUT).replace(b'"predicate":', b'"predicateType":"x","predicate":')
    return {
        "an open brace": b"{",
        "null": b"null",
        "a list": b"[]",
        "an empty object": b"{}",
        "another artifact's bundle": maker.key_bundle(statement({"sha256": OTHER})),
        "a duplicate key": good.replace(b'{"mediaType"', b'{"mediaType":"x","mediaType"', 1),
        "a duplicate key inside": maker.key_bundle(twice),
        "an open brace inside": maker.key_bundle(b"{"),
        "null inside": maker.key_bundle(b"null"),
        "NaN": good.replace(b'"tlogEntries":[]', b'"tlogEntries":[NaN]'),
        "deep": b"[" * 5000 + b"]" * 5000,
        "deep inside": maker.key_bundle(b'{"_type":' + b"[" * 99 + b"]" * 99 + b"}"),
        "huge": b'{"mediaType":"' + b"x" * 3_000_000 + b'"}',
        "not UTF-8": b"\xff\xfe",
        "another type": good.replace(b"bundle.v0.3", b"bundle.v9.9"),
        "a layout": compact({"signed": {"_type": "layout"}, "signatures": []}),
        "no signature": good.replace(b'"signatures":[', b'"signatures":[],"x":['),
        "another payload type": good.replace(b"vnd.in-toto+json", b"vnd.other+json"),
        "a key and a certificate": good.replace(b'"publicKey":', b'"certificate":{},"publicKey":'),
    }


@pytest.mark.parametrize("what", hostile(Maker()))
def test_a_bad_line_is_named_and_nothing_is_attached(world: World, maker: Maker, what: str) -> None:
    good = maker.key_bundle(statement(ABOUT))
    raw = good + b"\n" + hostile(maker)[what] + b"\n" + good
    before = set(world.store.blobs())
    with pytest.raises((BadBundle, Refused), match=r"c\.jsonl line 2: "):
        give(world, raw, name="c.jsonl", keys=[maker.public])
    assert set(world.store.blobs()) == before
    done = give(world, raw, name="c.jsonl", keys=[maker.public], skip_bad=True)
    assert [t.label for t in done.taken] == ["c.jsonl line 1", "c.jsonl line 3"]
    (skipped,) = done.skipped
    assert skipped.startswith("c.jsonl line 2: ")
    assert world.code(REF) == 0


def test_nothing_good_is_nothing_attached(world: World) -> None:
    with pytest.raises(Refused, match="nothing is left"):
        give(world, b"{\nnull\n", name="c.jsonl", skip_bad=True)
    with pytest.raises(BadBundle, match="nothing in it"):
        give(world, b" \n \n", name="c.jsonl")


def test_too_many_lines_are_refused(world: World) -> None:
    with pytest.raises(BadBundle, match="more than 1000 lines"):
        give(world, b"{}\n" * 1001, name="c.jsonl", skip_bad=False)


# --- whatever stands in the ledger ----------------------------------------------------------


def test_an_attachment_that_nobody_may_make_changes_no_verdict(world: World, maker: Maker) -> None:
    give(world, maker.key_bundle(statement(about_artifact(world), name=REF)), by="stranger")
    assert world.code(REF) == 0
    assert any(f.predicate_type.startswith("urn:stemma:attach") for f in rows(world))


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"attached": []},
        {"attached": [{"name": "x"}]},
        {"attached": [{"name": 7, "digest": ABOUT}]},
        {"attached": [{"name": "x", "digest": {"sha1": "0" * 40}}]},
        {"attached": [{"name": "x", "digest": ABOUT, "line": 0}]},
        {"attached": [{"name": "x", "digest": ABOUT}], "keys": {}},
    ],
)
def test_a_malformed_attachment_is_passed_over(world: World, predicate: dict[str, Any]) -> None:
    from stemma_attestations.predicates import attachment
    from stemma_attestations.statement import ResourceDescriptor, Statement

    signer = world.signer("owner")
    with world.view() as view:
        subject = ResourceDescriptor(name=REF, digests=(resolve(view, REF).digest,))
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    bundle = signer.sign(Statement.build([subject], attachment.TYPE, predicate))
    event = Event(PUSH, bundles=(uploads.put(bundle.raw),), keys=(uploads.put(signer.public.der),))
    record(world.registry, world.trust, signer, world.now, lambda: [event], uploads)
    assert listed(world) == []
    assert world.code(REF) == 0


@pytest.mark.parametrize("form", forms_of(Maker()))
def test_no_changed_byte_of_a_form_verifies_or_crashes(
    world: World, maker: Maker, form: str
) -> None:
    raw = forms_of(maker)[form][0]
    signed = {piece.envelope and piece.envelope.payload for piece in foreign.read(raw)}
    keys = {maker.public.id: maker.public}
    from stemma_registry.foreign.links import signers

    for place in range(0, len(raw), 23):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            pieces = foreign.read(changed)
        except StemmaError:
            continue
        for piece in pieces:
            if signers(piece, keys):
                assert piece.envelope is not None
                assert piece.envelope.payload in signed
