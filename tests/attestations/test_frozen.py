"""The frozen examples of v0.1: read for ever, byte for byte and field for field."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stemma_attestations import canonical, json_strict
from stemma_attestations.bundle import Bundle, verify_bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates import (
    attachment,
    checkpoint,
    dataset,
    lineage,
    provenance,
    status,
)
from stemma_attestations.predicates.lineage import Edge
from stemma_attestations.predicates.provenance import GitSource, Input
from stemma_attestations.statement import Statement
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import Event, LedgerEntry
from stemma_registry.ledger.log import Head, entries_after, entry_key
from tests.building import FIXTURES

# As sha256sum prints them.
SUMS = """
78008855efd1254ac379291b37a1bfc0a1ebe96ebff4367ae8c85bcbc8f7e87d bundles/checkpoint.ecdsa-p256.json
97d408754ad6a4863db482a7348620a79015feb4e7b609603d9e350a649edf61 bundles/dataset.ecdsa-p256.json
dadf4c845873ddc928697df31b7ed6c4824e1bc4fceab6bfda9fc50121457b34 bundles/erase.privacy.json
7b295e65fca12f291210a17e99861c7c6c09280d8c5d525f41e326d3c0161521 bundles/lineage.ecdsa-p256.json
09cf820d7befd522ebcbde262d4d5f9c4314d8979b1df5948ee2714f170ace00 bundles/provenance.ecdsa-p256.json
cf34c1f6f264c610c0f9c35360eac2f7f06d8a237fe1b78eaef27b59b6a04fd7 bundles/quarantine.ed25519.json
569ec2b9e9bb9d4f4b519d6f5dca403cb18392949262b36e267abccc66478c04 bundles/release.ed25519.json
5009ff6792da52e7ba50cd370c7eda1d900fc73c47703694041ad940893a8f5a bundles/snapshot.operator.json
541fb8c94f5ac4f752136b747c22f13d391e63072a594272d4e5206d192680e5 dossier/model.dossier
e694481f90feb43ce88b10fe7051ca2048ffe250733c73908eb8f05ad589fd29 feed/head-signed.json
7106709027f044f354ded901f7fd7a6d603906997434ddd101e267b2b09486df feed/head.json
e50fafd610b9806799e0e1a55fe849c5ed5a5ea558cbb4e0648f8c389de2c621 feed/quarantines.json
1443b615906faca732753036b5cb937af6e1fb1ee221847cc66147dd516d5451 keys/ecdsa-p256.pub
556ca36a7d021d60db0cd58fa9d0fa6869c6ee2ba2ddffadba6fd1612161d11b keys/ed25519.pub
d4e8a224aa8542e2f74d33d43457b45c0802c63ec66f13e0017d1d001a52f45b keys/operator.pub
688eae0a6cf6f196a7a25c534c2a34edcf8c24efecc01d8f8cd9653001a1cdb2 keys/privacy.pub
e44dfd97b74cf2f5f92b85cb4e3e6cf21930d662b298a546cf19d2a94dd1abb3 ledger/000000.json
7b1666a9c538fa8ccbffa75a9d910e0ade7bb7d7006bb1982c4fef8705df5e49 ledger/000001.json
85a8c28e8bbffeb440130f98eb3f93ff29218d256f6bf1f54db3e51b598c080f ledger/000002.json
07fa6060e8c5f9004415be67991622aab2fd0df318dac6a10c608c5eeeec4143 ledger/000003.json
74c50984fe3ad77c95927e1fd75339dc22c9f27c007b8ce159ab59b3b1b90e5d ledger/000004.json
8ab561d6d6a5d4389780f55032dcd19f37727cda230abbde26cebad7c5062c4e ledger/000005.json
daa6df5d76f7fe10268d7c043abd6ca6ca962289131dec82ff4fe55234fdb043 ledger/000006.json
a190a60481ce1997ae995b4bbeedac694ed4f749bb77f39c5c3a74f18f254c59 ledger/000007.json
cd31b240705a734a8ab9c321fbe03e59e964520071d9a6070bee7d37a59ce48d ledger/000008.json
ce89e9c63a0c3e39be5f2bdf6b9a261c0e4a21b5d3bfa21ffe0495f0e0067a07 ledger/000009.json
b98ae219ebaa27aeefe2431fdcb5074105b5ab4456b2748ce21777f64f1409f7 lock.yaml
95b0374d616e64c605f76cfabfc821ad7b78fc43cdf70c091e8e33679c07e827 manifest-dataset.json
fef2f6916c0d6d7f44991bfe7b7c3b40452c1149c0304e3ff2a33a3813706c78 manifest-model.json
5e2c60094889a1e067af94dc01a12cb2b7c890672ef1e566dd3529b8deeeaec6 policy-cases.yaml
0bbac625e402d1c1c1fe4789f1b1a363450b34d25a0fed4fec67cf0abc5bd613 policy-input.json
e2aa8dde671ee1b99153989be139d830602c657cf81fea03d7207d03018ab0ba policy.yaml
1bc0eca25d7fb74aa4896d9452fdef9a06bb9b3f0f76a5c60afaa8265e2274c5 records/exact.filter
cd7002c624fee54a869fa89b1f147eb8382229e2c2cba140645adbde084f6480 records/exact.hashes
e94d5ca83f0f32d601be31a8aa5f8b7317020212c731a5a1b526b79fb84e9d98 records/letters.jsonl
1d34e7ce2e9759695870b5bc99fdffac42a950de16edfeb1cd86f23ef7ba321e records/near.filter
2c6e25ad024926f8525117810fad928ae30334656da96b589d8ee628e88543a2 records/near.hashes
1fe696d4660e4e2d92c8d67584933df45110238bb550c759ddcfbcd30d83d453 seen-head.json
f5e8f0a2c839553465d4572b3b25fec6d7f75fb57ae0f79a9507238cbf4848fa statements/admission.json
054543cef10bbaecd11aff27b894667f57fce223efb2747c6a0f7ca57ce356d1 statements/approval.json
1995c561734017af60b637bb823f2acc11a223734ca4966ce687064e484a5252 statements/attachment.json
72366d15f142d89422cf321f95fe03ebb01abd85230b91a55025cfb16e2f6541 statements/checkpoint.json
f2022dac9cc0f96c85ac9e45c9d198ff34b23cfd73ab82a01a4c27a47c9eeca2 statements/dataset.json
3b7c0fca4ba579e3776963c09a0d98f7f7c32743bea2cffa37a95cd29d8c417b statements/deployment.json
3bd1df6e1bd04c8ae7df26d8b1fd064ae348d87c4585c7ec422cc6867dbe535c statements/distrust.json
318982a7b16f2a5689fb3ba3b94c343aced61bfdd5b8665bff9dab16f5023848 statements/dossier.json
c0d6630e359443f41d64a1ce4c64fe1886ddab420e5092cde46087896ad6aca9 statements/erase.json
6d4cedb67e9bc2d9e05612bae22d7da976570062d1a16803030ff46844391d87 statements/import.json
e7f6fa2d61043e12744131dfb8d45c907c0a648403b5f7839fe917325999375b statements/lineage.json
485d2c625a2f731a4097978c60dd5a14b76156800fd3dfb64abff85b442a4093 statements/model-signature.json
47abfda9bf478c104160852a3f7e41cd7423926d0ae9f449d30860055fcfff1c statements/policy-sync.json
2f297baa9968b1203279352a29cf18f19bce4f6b5e8ca4f1b1d8a2aafd8b82cf statements/provenance.json
4628e4018ed2802c39b6521a84920ff094cf1a92df0aea4a865f38d93d1feefd statements/quarantine.json
a282dd3caaa6fd8cc7e8865fb8bd6dd9bc5b32fc29c68674a58be89e62b74770 statements/record-index-near.json
dd75f3ac70cd53a210f3c0369c96ab8c3a3cce48b68da619d5eeb9c62292fc83 statements/record-index.json
ae2b092e802c50693228b32ce07662abcb10e56189e475637891634cb02f37b6 statements/release.json
0c53c2b772d9ce7f87d9cee1606ac87d8e6fdb293518e11cbcdd2ef5fb84847a statements/retire.json
5c4a4b64561803944bf888ffd5cae2d76e18dd97155535dff4099f4b9fad0921 statements/snapshot.json
9849bfa2c48712cf2c4d8914878a40708a3981c9f08ff00caac7b4fd3a8a4a4b statements/stage.json
640e2d6b0313d32eac4f1fcf542d6bd7bad34d383e7ab544dee70804f7a21d0f statements/tags.json
5d4087fc1af431534e998d27252ab8e46332f0255b93e7991e572a070aedcc1f statements/tensors.json
2f92649cf0f8c3e7d6fdb82663ae0d53383bebcc97467f2090213eae79361f1e statements/waiver.json
b2886bda05df4b7efe64e710e3b1badd0a981f12e632978a177c500f3a420155 tensors/model.safetensors
dcd2056f182a6a1b29c360e2189ae44a0313e4bc8721ba44d092f953721e3cfd tensors/table.json
25a752b70adcd16e76b6cfb63429e06fe41b9d26835a4e462f52d48dd976d5fa trust-root.yaml
"""
DIGESTS = {name: digest for digest, name in (line.split() for line in SUMS.strip().splitlines())}
DATASET = Digest("sha256", DIGESTS["manifest-dataset.json"])
MODEL = Digest("sha256", DIGESTS["manifest-model.json"])
SHARD = "96b8ef9f7e7b3ad7a33b7dd8f206336b862d124fb75a95333ebeb419166aaa43"
ERASED = Digest("sha256", "6ad87064a7d057d869e902204d829fd721ecc62bcea29683058f0e8136531cd5")
LEFT = Digest.of(b"left behind by a push that was cut off\n")
COMMIT = Digest("gitCommit", "3f0e4f7f1cbb9b0a0f4b6a54f4b6a2d1c0ffee00")
CI = "0a9a21a630ef24003b737aee36213f114c1607e93cc47549148aa780a86c8ccd"
OPERATOR = "09f737b164f459dba7c4a3606de92447b82f76f9740ea5a881c600268f430f5c"
PRIVACY = "842221ffa981b600919688ccb10d0af5c12d921e6494e41e3d8b031abf018a92"
RESPONDER = "a046c57ffabedeb6a52fbfeb6018a8d739d40eaad3488b87bcafdd01b450267a"


def frozen(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def statement(name: str) -> Statement:
    return Statement.parse(frozen(f"statements/{name}.json"))


def test_nothing_was_added_lost_or_changed() -> None:
    found = {
        path.relative_to(FIXTURES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FIXTURES.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert found == DIGESTS


# --- manifests ------------------------------------------------------------------------------


def test_manifests() -> None:
    manifest = Manifest.parse(frozen("manifest-dataset.json"))
    assert manifest.digest == DATASET
    assert [(e.path, e.size) for e in manifest.entries] == [
        ("README.md", 9),
        ("empty.bin", 0),
        ("labels/\ufb33.txt", 6),
        ("labels/\U0001f600.txt", 14),
        ("train/shard-0000.jsonl", 26),
        ("train/shard-0001.jsonl", 26),
    ]
    assert manifest.by_path["train/shard-0001.jsonl"].sha256.value == SHARD
    assert manifest.size == 81
    assert (
        manifest.oms_root.value
        == "d5699e1ca2422dff47e4b14f71d878148768efab212a6f04d7772bfe4f767290"
    )
    assert Manifest.of(reversed(manifest.entries)).digest == DATASET
    model = Manifest.parse(frozen("manifest-model.json"))
    assert model.digest == MODEL
    assert [e.path for e in model.entries] == [
        "config.json",
        "model.safetensors",
        "tokenizer/vocab.txt",
    ]


# --- statements -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "subject"),
    [
        ("checkpoint", "urn:stemma:checkpoint:v0.1", "ledger"),
        ("dataset", "urn:stemma:dataset:v0.1", "acme/digits:1.0"),
        ("erase", "urn:stemma:status:v0.1", "acme/digits:1.0"),
        ("lineage", "urn:stemma:lineage:v0.1", "acme/digits-base:2026-11-21"),
        ("provenance", "https://slsa.dev/provenance/v1", "acme/digits-base:2026-11-21"),
        ("quarantine", "urn:stemma:status:v0.1", "acme/digits:1.0"),
        ("record-index", "urn:stemma:record-index:v0.1", "acme/letters:1"),
        ("record-index-near", "urn:stemma:record-index:v0.1", "acme/letters:1"),
        ("release", "urn:stemma:status:v0.1", "acme/digits:1.0"),
        ("snapshot", "urn:stemma:snapshot:v0.1", "catalogue"),
        ("tensors", "urn:stemma:tensors:v0.1", "acme/two:1"),
    ],
)
def test_statements(name: str, kind: str, subject: str) -> None:
    read = statement(name)
    assert read.digest.value == DIGESTS[f"statements/{name}.json"]
    assert (read.predicate_type, read.subjects[0].name) == (kind, subject)
    # What v0.1 wrote, a writer of today writes again.
    assert Statement.build(read.subjects, kind, read.predicate).raw == read.raw


SOURCE = GitSource(
    commit=COMMIT.value,
    tree="8c1d7f5d2f6f3b7e4a5c9d0e1f2a3b4c5d6e7f80",
    branch="main",
    remote="https://example.com/acme/train.git",
    dirty=True,
    diff=Digest.of(b"diff"),
)
INPUTS = [
    Input("evaluated-on", Digest("sha256", SHARD)),
    Input("trained-on", DATASET, "acme/digits:1.0"),
    Input("built-from", COMMIT),
]


def test_provenance() -> None:
    read = provenance.parse(statement("provenance").predicate)
    assert (read.build, read.kind) == ("train", "model")
    assert read.parameters == {"epochs": "3", "learning_rate": "0.001"}
    assert read.source == SOURCE
    assert sorted(read.inputs, key=str) == sorted(INPUTS, key=str)
    assert read.builder == "https://example.com/stemma/builder"
    assert (read.started, read.finished) == ("2026-11-21T10:00:00Z", "2026-11-21T10:30:00Z")
    assert (
        read.definition.value == "dc1a8b62ff10e34021cda64d3d32bf91b914541924cbae14f1c289977464a013"
    )


def test_lineage() -> None:
    edges = lineage.parse(statement("lineage"))
    assert sorted(edges, key=str) == sorted([Edge(MODEL, i) for i in INPUTS], key=str)


def test_dataset() -> None:
    read = dataset.parse(statement("dataset").predicate)
    assert (read.files, read.size) == (6, 81)
    assert read.formats == {"bin": 1, "jsonl": 2, "md": 1, "txt": 2}
    assert (read.source, read.licence) == ("https://example.com/digits", "BSD-3-Clause")


def test_status() -> None:
    stopped = status.parse(statement("quarantine").predicate)
    assert (stopped.action, stopped.reason) == ("quarantine", "labels of shard 1 were flipped")
    assert (stopped.issued, stopped.releases) == ("2026-11-21T11:00:00Z", ())
    whole, shard = statement("quarantine").subjects
    assert whole.digests == (DATASET,)
    assert (shard.name, shard.digests) == (None, (Digest("sha256", SHARD),))
    assert shard.annotations == {"path": "train/shard-0001.jsonl"}
    lifted = status.parse(statement("release").predicate)
    assert (lifted.action, lifted.reason) == ("release", "checked again: the labels are right")
    assert lifted.releases == (statement("quarantine").digest,)
    erased = status.parse(statement("erase").predicate)
    assert (erased.action, erased.reason) == ("erase", "a person in it asked to be forgotten")
    (file,) = statement("erase").subjects
    assert file.digests == (ERASED,)
    assert file.annotations == {"path": "train/shard-0000.jsonl"}


def test_checkpoint() -> None:
    read = checkpoint.parse(statement("checkpoint"))
    assert read.n == 4
    assert read.entry.value == DIGESTS["ledger/000004.json"]
    assert read.tree_root == LedgerEntry.parse(frozen("ledger/000004.json"), 4).tree_root
    assert read.time == "2026-11-21T13:00:02Z"


# --- keys and bundles -----------------------------------------------------------------------

KEYS = {"ecdsa-p256": CI, "ed25519": RESPONDER, "privacy": PRIVACY, "operator": OPERATOR}


@pytest.mark.parametrize("name", [name for name in DIGESTS if name.startswith("bundles/")])
def test_bundles(name: str) -> None:
    said, kind = name.removeprefix("bundles/").removesuffix(".json").split(".")
    public = PublicKey.parse(frozen(f"keys/{kind}.pub"))
    assert public.id == KEYS[kind]
    bundle = Bundle.parse(frozen(name))
    assert bundle.digest.value == DIGESTS[name]
    assert bundle.hint == public.id
    assert bundle.verify(public).raw == frozen(f"statements/{said}.json")
    for other in (frozen(f"keys/{k}.pub") for k in KEYS if k != kind):
        with pytest.raises(SignatureRefused):
            verify_bundle(bundle.raw, other)
    rebuilt = Bundle.build(bundle.envelope.payload, bundle.envelope.signatures[0].sig, public)
    assert rebuilt.raw == bundle.raw


# --- trust root -----------------------------------------------------------------------------


def test_trust_root() -> None:
    root = TrustRoot.parse(frozen("trust-root.yaml"))
    assert root.digest.value == DIGESTS["trust-root.yaml"]
    assert [s.principal for s in root.signers] == ["training-ci", "incident responders"]
    assert [s.key.id for s in root.signers] == [CI, RESPONDER]
    ci = root.signers[0]
    assert ci.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert ci.valid_until == datetime(2027, 1, 1, tzinfo=UTC)
    now, later = datetime(2026, 11, 21, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert root.authorises(CI, provenance.TYPE, "acme/digits", now)
    assert not root.authorises(CI, provenance.TYPE, "acme/digits", later)
    assert not root.authorises(CI, provenance.TYPE, "other/digits", now)
    assert not root.authorises(CI, status.TYPE, "acme/digits", now)
    assert root.authorises(RESPONDER, status.TYPE, "any/thing", later)
    assert root.assurance(RESPONDER, status.TYPE, None, "any/thing") is Assurance.ATTESTED
    assert root.assurance(CI, status.TYPE, "acme/x", "acme/x") is Assurance.SIGNED


def test_an_attachment() -> None:
    read = attachment.parse(statement("attachment").predicate)
    (collection, link), (key,) = read.items, read.keys
    assert (collection.name, collection.line) == ("evaluate.intoto.jsonl", 2)
    assert (collection.digest, collection.bundles) == (
        Digest.of(b"line 2"),
        (Digest.of(b"the same signed bytes"),),
    )
    assert (link.name, link.line, link.bundles) == ("train.1f0d3c2b.link", None, ())
    assert (link.digest, key.value) == (Digest.of(b"link"), CI)
    again = Statement.build(
        statement("attachment").subjects, attachment.TYPE, attachment.build(read)
    )
    assert again.raw == frozen("statements/attachment.json")


# --- ledger ---------------------------------------------------------------------------------

LOCATION = "/srv/stemma/registry"


class PlacedStore(MemoryStore):
    """A store in memory at the place that the frozen head was seen at."""

    @property
    def location(self) -> str:
        return LOCATION


def frozen_store(entries: int = 5) -> PlacedStore:
    store = PlacedStore()
    for n in range(entries):
        store.create(entry_key(n), frozen(f"ledger/{n:06d}.json"))
    return store


def test_ledger_entries() -> None:
    head = Head()
    entries = list(entries_after(frozen_store(), head))
    assert head.n == 4
    assert [e.digest.value for e in entries] == [DIGESTS[f"ledger/{n:06d}.json"] for n in range(5)]
    assert [e.previous for e in entries] == [None, *(e.digest for e in entries[:-1])]
    assert [e.time for e in entries] == [f"2026-11-21T{9 + n:02d}:00:01Z" for n in range(5)]
    assert all(len(e.nonce) == 32 for e in entries)
    assert head.tree.root == "2d0910cd98ede9d01d84391e413b1ad782806b3672f31cfff3cbffdf14ca1dd2"
    assert [[event.type for event in e.events] for e in entries] == [
        ["init"],
        ["push"],
        ["push"],
        ["status"],
        ["status", "remark"],
    ]

    def bundle(name: str) -> Digest:
        return Digest("sha256", DIGESTS[f"bundles/{name}.json"])

    ci, responder = Digest("sha256", CI), Digest("sha256", RESPONDER)
    assert entries[1].events == (Event("push", (DATASET,), (bundle("dataset.ecdsa-p256"),), (ci,)),)
    of_model = (bundle("provenance.ecdsa-p256"), bundle("lineage.ecdsa-p256"))
    assert entries[2].events == (Event("push", (MODEL,), of_model, (ci,)),)
    assert entries[3].events == (
        Event("status", (), (bundle("quarantine.ed25519"),), (responder,)),
    )
    release = (bundle("release.ed25519"),)
    assert entries[4].events == (
        Event("status", (), release, (responder,)),
        Event("remark", (), release, (), critical=False),
    )


def test_ledger_entries_on_what_leaves_the_store() -> None:
    head = Head()
    *_, condemn, collect, collected, erase, erased = entries_after(frozen_store(10), head)
    assert head.n == 9
    assert condemn.events == (Event("condemn", blobs=(LEFT,)),)
    assert collect.events == (Event("collect", blobs=(LEFT,)),)
    assert collected.events == (Event("collected", blobs=(LEFT,)),)
    bundle = Digest("sha256", DIGESTS["bundles/erase.privacy.json"])
    key = Digest("sha256", PRIVACY)
    assert erase.events == (Event("erase", (), (bundle,), (key,), blobs=(ERASED,)),)
    assert erased.events == (Event("collected", blobs=(ERASED,)),)
    # To be named there is no reference: nothing needs the bytes any more.
    assert condemn.events[0].digests == ()
    assert erase.events[0].digests == (bundle, key)


def test_ledger_entries_are_written_again_as_they_were() -> None:
    for n in (0, 1, 2, 3, 5, 6, 7, 8, 9):
        raw = frozen(f"ledger/{n:06d}.json")
        read = LedgerEntry.parse(raw, n)
        again = LedgerEntry.build(
            n, read.previous, read.nonce, read.time, read.tree_root, read.events
        )
        assert again.raw == raw
        assert canonical.dumps(json_strict.loads(raw)) == raw


def test_the_unknown_event_would_stop_every_reader_if_it_were_critical() -> None:
    raw = frozen("ledger/000004.json").replace(b'"critical":false', b'"critical":true')
    with pytest.raises(LedgerBroken, match="remark"):
        LedgerEntry.parse(raw, 4)


def test_a_checkpoint_beside_the_ledger() -> None:
    root, store = TrustRoot.parse(frozen("trust-root.yaml")), frozen_store()
    store.replace(heads.CHECKPOINT, frozen("bundles/checkpoint.ecdsa-p256.json"))
    signed = heads.read_checkpoint(store, root)
    assert signed == checkpoint.parse(statement("checkpoint"))
    head = Head()
    list(entries_after(store, head))
    heads.check_checkpoint(store, head, signed)
    shorter, behind = frozen_store(4), Head()
    list(entries_after(shorter, behind))
    with pytest.raises(LedgerBroken, match="rewound"):
        heads.check_checkpoint(shorter, behind, signed)


def test_the_head_that_was_seen(tmp_path: Path) -> None:
    name = hashlib.sha256(LOCATION.encode()).hexdigest()[:32] + ".json"
    shutil.copy(FIXTURES / "seen-head.json", tmp_path / name)
    document = json_strict.load_object(frozen("seen-head.json"))
    assert document == {
        "format": "urn:stemma:seen-head:v0.1",
        "location": LOCATION,
        "n": 4,
        "entry": f"sha256:{DIGESTS['ledger/000004.json']}",
    }
    store, head = frozen_store(), Head()
    list(entries_after(store, head))
    seen = heads.read_seen(tmp_path, store)
    assert seen is not None
    assert (seen.n, seen.entry) == (4, head.entry)
    heads.check_seen(store, head, seen)
    shorter, behind = frozen_store(4), Head()
    list(entries_after(shorter, behind))
    with pytest.raises(LedgerBroken, match="rewound"):
        heads.check_seen(shorter, behind, seen)
    # A ledger that is as long and another is refused too.
    replaced = frozen_store(4)
    other = LedgerEntry.build(
        4, behind.entry, "0" * 32, "2026-11-21T13:00:01Z", behind.tree.root, [Event("init")]
    )
    replaced.create(entry_key(4), other.raw)
    beside = Head()
    list(entries_after(replaced, beside))
    with pytest.raises(LedgerBroken, match="rewritten or replaced"):
        heads.check_seen(replaced, beside, seen)


def test_the_head_is_remembered_as_it_was(tmp_path: Path) -> None:
    store, head = frozen_store(), Head()
    list(entries_after(store, head))
    heads.remember(tmp_path, store, head, None)
    (written,) = tmp_path.glob("*.json")
    document = json_strict.load_object(written.read_bytes())
    assert document.pop("first") == str(Digest.of(store.read(entry_key(0))))  # since then
    assert document.pop("check").startswith("sha256:")
    assert document == json_strict.load_object(frozen("seen-head.json"))
