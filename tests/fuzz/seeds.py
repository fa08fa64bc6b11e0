"""Where the fuzzers start from: the frozen examples, and what other tools write.

Nothing is kept beside the fixtures: what is not in them is made at run time.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stemma_attestations import keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.keys import PublicKey
from stemma_attestations.trusted_root import TrustedRoot
from stemma_registry.ledger import segments
from stemma_registry.trust import public_good
from tests import foreign_forms
from tests.attestations.test_mlbom import built as built_bom
from tests.building import compact, entries_of, manifest_of, sha, statement_about

FIXTURES = Path(__file__).parents[1] / "fixtures"
OWN, SIGSTORE = FIXTURES / "v0.1", FIXTURES / "sigstore"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOSTILE_JSON = (
    *(b"null", b"[]", b"{}", b"0", b"-0", b"1e21", b"9007199254740991", b"1.5e300", b'""'),
    *(
        b'{"a":1,"a":2}',
        b"NaN",
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b"[[[[]]]]",
        b"9007199254740993",
    ),
    *(b"1e400", b"\xef\xbb\xbf{}", b'{"\\u0061":1,"a":2}', b"1E2", b"-0.0", b"5e-324", b"[1,]"),
)
PATHS = ("a/b.txt", "A", "deep/er/x", "\u00e9", "cons.txt", "a b", "-rf", "..x", ".gitx", "x/~")


@dataclass(frozen=True)
class Known:
    """What the properties need of the fixtures."""

    key_der: bytes
    signed: frozenset[bytes]
    log_key: PublicKey
    keyless: bytes
    certified: Certified
    digests: tuple[Digest, ...]


@functools.cache
def known() -> Known:
    """Read the fixtures once."""
    keyless_raw = (SIGSTORE / "staging.rekor2.bundle.json").read_bytes()
    truth = keyless_truths()[1][1]
    root = TrustedRoot.parse((SIGSTORE / "staging.trusted_root.json").read_bytes())
    return Known(
        key_der=PublicKey.parse((OWN / "keys" / "ecdsa-p256.pub").read_bytes()).der,
        signed=frozenset(
            Bundle.parse(path.read_bytes()).envelope.payload
            for path in sorted((OWN / "bundles").glob("*.json"))
        ),
        log_key=root.log(bytes.fromhex(truth.log.log_id)).key,
        keyless=keyless_raw,
        certified=Certified(public_good.TRUSTED_ROOT, truth.identity),
        digests=(sha(b"wheel"), Digest("gitCommit", "a" * 40)),
    )


@functools.cache
def keyless_truths() -> tuple[tuple[bytes, keyless.Verified], ...]:
    """Trusted roots of the real instances, each with what its bundle proves."""
    public = public_good.trusted_root()
    staging = (SIGSTORE / "staging.trusted_root.json").read_bytes()
    pairs = ((public, "public.rekor1.bundle.json"), (staging, "staging.rekor2.bundle.json"))
    return tuple(
        (root, keyless.verify((SIGSTORE / name).read_bytes(), root)) for root, name in pairs
    )


def _files(*patterns: str) -> list[bytes]:
    found = [path.read_bytes() for pattern in patterns for path in sorted(FIXTURES.glob(pattern))]
    assert found, f"no fixture is named {patterns}"
    return found


def _bundles() -> list[bytes]:
    return _files("v0.1/bundles/*.json", "sigstore/*.bundle.json")


def _envelopes() -> list[bytes]:
    return [compact(json.loads(raw)["dsseEnvelope"]) for raw in _bundles()]


def _statements() -> list[bytes]:
    inside = [Bundle.parse(raw).envelope.payload for raw in _files("sigstore/*.bundle.json")]
    bom = statement_about(sha(b"m"), "https://cyclonedx.org/bom", built_bom()).raw
    return [*_files("v0.1/statements/*.json"), *inside, bom]


def _manifests() -> list[bytes]:
    made = [manifest_of({path: path.encode()}) for path in PATHS]
    tree = {f"d{i % 3}/f{i}": bytes([i]) for i in range(7)}
    assert entries_of(tree)
    return [*_files("v0.1/manifest-*.json"), *(m.raw for m in (*made, manifest_of(tree)))]


def _trust() -> list[bytes]:
    identity = b"""format: urn:stemma:trust-root:v0.1
signers:
  - principal: ci
    identity:
      issuer: https://issuer.example
      subject: https://ci.example/acme/*/train.yml
      root: sha256:%s
      claims: {source_repository_ref: refs/heads/main}
    valid_until: 2027-01-01T00:00:00Z
    revoked: 2026-01-01T00:00:00Z
    may: [{predicates: ["*"], names: ["**", a/*]}]
""" % (b"0" * 64)
    return [*_files("v0.1/trust-root.yaml"), identity]


def _roots() -> list[bytes]:
    staging = (SIGSTORE / "staging.trusted_root.json").read_bytes()
    return [compact({"trustedRoot": json.loads(staging)}), staging]


def _entries() -> list[bytes]:
    return _files("v0.1/ledger/*.json")


def _segments() -> list[bytes]:
    empty = segments.build([b""] * segments.SIZE)
    return [empty, empty[:-4], empty + b"\0", segments.build([b"ab", *[b""] * 999])]


def _foreign() -> list[bytes]:
    maker, other = foreign_forms.Maker(), foreign_forms.Maker()
    payload = foreign_forms.statement({"sha256": sha(b"wheel").value}, foreign_forms.SLSA1)
    link = {"_type": "link", "name": "train", "materials": {}, "products": {}, "command": []}
    link["products"] = {"a": {"sha256": sha(b"a").value}}
    return [
        *_bundles(),
        *_envelopes(),
        foreign_forms.npm_answer(maker, other, b"tarball"),
        foreign_forms.index_answer(maker, b"wheel", "m.whl"),
        maker.cosign_blob(b"wheel"),
        maker.cosign_attestation(payload),
        compact(maker.pep740(payload)),
        compact(maker.envelope(payload, cert="-----BEGIN CERTIFICATE-----")),
        compact(maker.envelope(compact(link))),
        compact({"signed": link, "signatures": [{"keyid": "0" * 64, "sig": "00"}]}),
        payload,
    ]


def _settings() -> list[bytes]:
    return [
        b"cache_size: 5 GiB\nstores:\n  s3://models/prod:\n    storage_class: STANDARD_IA\n",
        b"",
    ]


_MAKERS = {
    "json": lambda: [*HOSTILE_JSON, *_statements()],
    "envelope": _envelopes,
    "bundle": _bundles,
    "keyless": lambda: _files("sigstore/*.bundle.json"),
    "statement": _statements,
    "predicates": _statements,
    "manifest": _manifests,
    "trust": _trust,
    "lock": lambda: _files("v0.1/lock.yaml"),
    "root": _roots,
    "identity": lambda: [known().certified.encode()],
    "entry": _entries,
    "segment": _segments,
    "foreign": _foreign,
    "metadata": _foreign,
    "settings": _settings,
}


@functools.cache
def of(target: str) -> tuple[bytes, ...]:
    """The seeds of one target."""
    return tuple(_MAKERS[target]())


def targets() -> Iterable[str]:
    """Those that have seeds."""
    return _MAKERS
