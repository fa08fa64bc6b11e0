"""What must hold for any bytes, one function a reader.

Each returns quietly, or raises: a foreign exception, or AssertionError where a
property does not hold. Returns whether the bytes were accepted, so that a
target that never accepts anything is noticed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from stemma_attestations import canonical, foreign, json_strict, keyless, lock
from stemma_attestations.bundle import Bundle, verify_bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import Envelope
from stemma_attestations.errors import (
    BadBundle,
    BadEnvelope,
    BadJSON,
    BadLock,
    BadManifest,
    BadStatement,
    BadTrustRoot,
    NotVerified,
    SignatureRefused,
    UnknownLog,
)
from stemma_attestations.log_entry import LogEntry
from stemma_attestations.manifest import Manifest
from stemma_attestations.paths import check_path, folded
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry import settings
from stemma_registry.errors import BadSettings, LedgerBroken
from stemma_registry.foreign import links
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.trust import roots as trusted_roots
from tests.fuzz import seeds
from tests.fuzz.predicates import predicates

Target = Callable[[bytes], bool]


def same(a: Any, b: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)


@contextlib.contextmanager
def only(*kinds: type[Exception]) -> Iterator[None]:
    """Any other exception is a finding, and so is a message of several lines."""
    try:
        yield
    except kinds as error:
        assert type(error) in kinds, f"{type(error).__name__} is not what is documented"
        assert "\n" not in str(error), f"a message of several lines: {error!s:.200}"
        raise


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a name twice"
    return dict(pairs)


def _no_constant(text: str) -> None:
    raise AssertionError(f"{text} was read")


def strict_json(data: bytes) -> bool:
    """What is read is what Python reads; canonical bytes are a fixed point."""
    try:
        with only(BadJSON):
            value = json_strict.loads(data)
    except BadJSON:
        return False
    assert same(value, json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant))
    raw = canonical.dumps(value)
    again = json_strict.loads(raw, max_bytes=len(raw))
    assert again == value
    assert canonical.dumps(again) == raw
    return True


def envelope(data: bytes) -> bool:
    """Parse, write, parse: the same; and signed bytes as the specification spells them."""
    try:
        document = json_strict.loads(data)
        with only(BadEnvelope):
            found = Envelope.parse(document)
    except (BadJSON, BadEnvelope):
        return False
    assert Envelope.parse(json_strict.loads(canonical.dumps(found.to_json()))) == found
    written = [base64.b64encode(item.sig).decode() for item in found.signatures]
    assert written == [item["sig"] for item in document["signatures"]]
    assert base64.b64encode(found.payload).decode() == document["payload"]
    kind = found.payload_type.encode()
    sizes = (str(len(kind)).encode(), str(len(found.payload)).encode())
    expected = b" ".join((b"DSSEv1", sizes[0], kind, sizes[1], found.payload))
    assert found.signed_bytes == expected
    return True


def bundle(data: bytes) -> bool:
    """A bundle, its log entry, and a signature that stands for nothing but what was signed."""
    try:
        with only(SignatureRefused):
            verified = verify_bundle(data, seeds.known().key_der)
        assert verified.raw in seeds.known().signed, "verified, and nobody has signed it"
    except SignatureRefused:
        pass
    try:
        with only(BadBundle):
            found = Bundle.parse(data)
    except BadBundle:
        return False
    assert found.raw == data
    again = Bundle.parse(canonical.dumps(json_strict.loads(data)))
    assert (again.envelope, again.hint) == (found.envelope, found.hint)
    assert again.certificate == found.certificate
    assert (found.certificate is None) != (found.hint == "")
    with contextlib.suppress(BadBundle, BadStatement), only(BadBundle, BadStatement):
        assert found.statement().raw == found.envelope.payload
    with contextlib.suppress(BadBundle):
        with only(BadBundle):
            entry = LogEntry.parse(found.material)
        assert 0 <= entry.index < entry.tree_size
        with contextlib.suppress(SignatureRefused), only(SignatureRefused):
            entry.check_checkpoint(seeds.known().log_key)
    return True


def keyless_bundle(data: bytes) -> bool:
    """Against the real instances: refused, or everything that is reported is as it was."""
    accepted = False
    for root, truth in seeds.keyless_truths():
        try:
            with only(SignatureRefused, UnknownLog):
                found = keyless.verify(data, root)
        except SignatureRefused:
            continue
        assert found == truth, "it verifies, and says something else"
        accepted = True
    return accepted


def statement(data: bytes) -> bool:
    """Parse, build, parse: the same, and a fixed point from there."""
    try:
        with only(BadStatement):
            found = Statement.parse(data)
    except BadStatement:
        return False
    assert found.raw == data
    built = Statement.build(found.subjects, found.predicate_type, found.predicate)
    assert built.subjects == found.subjects
    assert (built.predicate_type, built.predicate) == (found.predicate_type, found.predicate)
    again = Statement.build(built.subjects, built.predicate_type, built.predicate)
    assert again.raw == built.raw
    assert all(subject.digests for subject in found.subjects)
    texts = [text for subject in found.subjects for text in (subject.name, subject.uri)]
    assert all(isinstance(text, str | None) for text in texts)
    return True


def manifest(data: bytes) -> bool:
    """Only canonical bytes; and every path lies in the folder, under its own name."""
    try:
        with only(BadManifest):
            found = Manifest.parse(data)
    except BadManifest:
        return False
    assert found.raw == data
    assert Manifest.of(reversed(found.entries)) == found
    paths = [entry.path for entry in found.entries]
    assert paths == sorted(paths)
    assert len({folded(path) for path in paths}) == len(paths)
    for path in paths:
        assert check_path(path) == path
        assert os.path.normpath(path) == path
        assert not os.path.isabs(path)
    if len(paths) <= 8 and all(len(path.encode()) < 1000 for path in paths):
        _materialise(paths)
    _ = found.oms_root, found.digest, found.size
    return True


def _materialise(paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.path.realpath(folder)) / "inside"
        for path in paths:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(exist_ok=False)
            assert Path(os.path.realpath(target)).is_relative_to(root)
        made = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
        assert made == set(paths)
        assert os.listdir(folder) == ["inside"]


def trust_root(data: bytes) -> bool:
    """A trust root answers every question, and says the same when it is written again."""
    try:
        with only(BadTrustRoot):
            found = TrustRoot.parse(data)
    except BadTrustRoot:
        return False
    plain = yaml.load(data.decode(), yaml.BaseLoader)
    assert [signer.principal for signer in found.signers] == [
        signer["principal"] for signer in plain["signers"]
    ]
    for signer, said in zip(found.signers, plain["signers"], strict=True):
        assert [list(g.names) for g in signer.grants] == [g["names"] for g in said["may"]]
    written = yaml.safe_dump(_plain(data), allow_unicode=True).encode()
    assert TrustRoot.parse(written).signers == found.signers
    speakers = [seeds.known().certified, *(s.key for s in found.signers[:4] if s.key)]
    knowing = found.introducing(seeds.known().certified)
    for speaker in speakers:
        for kind, name in (("urn:x", "a/b"), ("urn:x", None)):
            knowing.authorises(speaker.id, kind, name, seeds.NOW)
            knowing.assurance(speaker.id, kind, name, "a/c")
            assert knowing.refusal(speaker.id, kind, "a/b", ())
    assert not found.authorises("0" * 64, "urn:x", "a/b", seeds.NOW)
    return True


def locked(data: bytes) -> bool:
    """A lock says the same when it is written, and is written in one way."""
    try:
        with only(BadLock):
            found = lock.parse(data)
    except BadLock:
        return False
    written = found.encode()
    assert lock.parse(written) == found
    assert lock.parse(written).encode() == written
    assert all("/" not in member.word and member.signers for member in found.members)
    return True


def _plain(data: bytes) -> Any:
    from stemma_attestations import yaml_strict

    return yaml_strict.load(data, BadTrustRoot)


def trusted_root(data: bytes) -> bool:
    """Extracting is a fixed point, and what is kept can be read."""
    try:
        with only(BadTrustRoot):
            kept = trusted_roots.extract(data)
    except BadTrustRoot:
        return False
    assert trusted_roots.extract(kept) == kept
    with contextlib.suppress(SignatureRefused), only(SignatureRefused, UnknownLog):
        keyless.verify(seeds.known().keyless, kept)
    return True


def certified(data: bytes) -> bool:
    """An identity as the catalogue keeps it."""
    try:
        with only(BadStatement):
            found = Certified.parse(data)
    except BadStatement:
        return False
    assert Certified.parse(found.encode()) == found
    assert len(found.id) == 64
    return True


def ledger_entry(data: bytes) -> bool:
    """Only canonical bytes; what is understood can be written again."""
    found = None
    for n in range(10):
        with contextlib.suppress(LedgerBroken):
            with only(LedgerBroken):
                found = LedgerEntry.parse(data, n)
            assert (found.raw, found.n) == (data, n)
    if found is None:
        return False
    assert canonical.dumps(json_strict.loads(data)) == data
    built = LedgerEntry.build(
        found.n, found.previous, found.nonce, found.time, found.tree_root, found.events
    )
    assert built.events == found.events
    digests = [d for event in found.events for d in (*event.digests, *event.blobs)]
    assert all(type(d) is Digest and d.algorithm == "sha256" for d in digests)
    assert (built.previous, built.tree_root) == (found.previous, found.tree_root)
    return True


def segment(data: bytes) -> bool:
    """A thousand entries, and the one way to write them."""
    try:
        with only(LedgerBroken):
            entries = segments.split(data)
    except LedgerBroken:
        return False
    assert segments.build(entries) == data
    return True


def foreign_pieces(data: bytes) -> bool:
    """What other tools wrote: pieces whose parts can be read, or a refusal."""
    with contextlib.suppress(BadBundle), only(BadBundle):
        for line in foreign.read_lines(data):
            assert bool(line.pieces) != bool(line.problem)
    try:
        with only(BadBundle):
            pieces = foreign.read(data)
    except BadBundle:
        return False
    assert pieces
    for piece in pieces:
        assert piece.raw == data
        if piece.statement is not None:
            assert piece.envelope is not None
            assert piece.statement.raw == piece.envelope.payload
        if piece.bundle is not None:
            with contextlib.suppress(BadBundle), only(BadBundle):
                inner = Bundle.parse(piece.bundle)
                assert piece.envelope is None or inner.envelope.payload == piece.envelope.payload
        piece.names([foreign.Thing("x", seeds.known().digests)])
    return True


def in_toto_metadata(data: bytes) -> bool:
    """Links and layouts in the library's hands: its errors do not come out."""
    try:
        document = json_strict.load_object(data)
        with only(NotVerified):
            links.metadata_of(document)
    except (BadJSON, NotVerified):
        return False
    with contextlib.suppress(BadBundle):
        for piece in foreign.read(data):
            if piece.link is not None:
                assert not links.signed_by(piece.link, seeds.known().log_key)
    return True


def store_settings(data: bytes) -> bool:
    """The home's configuration."""
    try:
        with only(BadSettings):
            found = settings.parse(data)
    except BadSettings:
        return False
    assert found.cache_size >= 0
    assert isinstance(found.s3("s3://models/prod/x"), settings.S3Settings)
    return True


TARGETS: dict[str, Target] = {
    "json": strict_json,
    "envelope": envelope,
    "bundle": bundle,
    "keyless": keyless_bundle,
    "statement": statement,
    "predicates": predicates,
    "manifest": manifest,
    "trust": trust_root,
    "lock": locked,
    "root": trusted_root,
    "identity": certified,
    "entry": ledger_entry,
    "segment": segment,
    "foreign": foreign_pieces,
    "metadata": in_toto_metadata,
    "settings": store_settings,
}
