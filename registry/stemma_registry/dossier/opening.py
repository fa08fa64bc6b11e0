"""From a dossier to a verdict: believed, opened into a private registry, and asked by the gate.

No registry is opened here and no network asked, but for the status feed where somebody
wants to know how new the status is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from stemma_attestations import policy_file
from stemma_attestations.accepted import Signed, verified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadPolicy, SignatureRefused, Undecided
from stemma_attestations.guarding import guarded
from stemma_attestations.names import NameVersion
from stemma_attestations.policy import Policy, RegoRule
from stemma_attestations.predicates import dossier as predicate
from stemma_attestations.predicates.dossier import Role
from stemma_attestations.request import Evidence
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot
from stemma_registry import directory, gate, policy_source
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import acts, keyless_facts
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.doubt import doubt
from stemma_registry.catalogue.held import Held
from stemma_registry.config import LIMITS, Home
from stemma_registry.dossier import excerpt, standing
from stemma_registry.dossier.container import Content
from stemma_registry.dossier.held import HeldStore
from stemma_registry.errors import BadDossier, NotFound, Stale
from stemma_registry.gate import Subject, Terms
from stemma_registry.lineage import matched
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.trust.roots import TrustedRoots

_NO_BOMS = (
    "a package is stopped, and the dossier was made by an older stemma, without the BOMs of "
    "what is above: make it again"
)


@dataclass(frozen=True)
class Machine:
    """Who verifies: the home, how its registry is called, the time, and whom it believes.

    `trust` gets a store with what came in the dossier: a trust root that is pinned by its
    digest may come from there.
    """

    home: Home
    location: Callable[[], str]
    now: datetime
    trust: Callable[[Callable[[], Store]], TrustRoot]


@dataclass(frozen=True)
class Asked:
    """What is held against the dossier. Without a policy or a stage the dossier's hold."""

    root: Path
    expected: NameVersion | None
    policy: Policy | None
    stage: str | None
    max_age: timedelta | None
    stale_ok: str | None


@dataclass(frozen=True)
class Opened:
    """A dossier that is believed, as a registry of its own, and what to ask the gate."""

    registry: Registry
    view: Snapshot
    subject: Subject
    terms: Terms


@dataclass(frozen=True)
class _Carrying(TrustedRoots):
    """The Sigstore trusted roots of this machine, and those that came along.

    One that came is only used where the trust root asks for its digest.
    """

    carried: Mapping[Digest, bytes]

    def digests(self) -> list[Digest]:
        return sorted({*super().digests(), *self.carried})

    def read(self, digest: Digest) -> bytes:
        return self.carried[digest] if digest in self.carried else super().read(digest)


@contextlib.contextmanager
def opened(
    path: Path,
    content: Content,
    machine: Machine,
    asked: Asked,
    progress: Progress | None = None,
) -> Iterator[Opened]:
    """Open a dossier and read the directory.

    Raises BadDossier, SignatureRefused, Undecided (Stale where it has expired), Unavailable.
    """
    if asked.expected not in (None, content.name):
        raise BadDossier(f"the dossier is of {content.name}, not of {asked.expected}")
    store = HeldStore(path, content.blobs)
    trust = machine.trust(lambda: store)
    roots = _Carrying(machine.home.roots, content.all(Role.TRUSTED_ROOT))
    by = _believed(content, trust, roots, machine.now)
    _check_time(content, machine.now)
    entries = excerpt.read(content, trust)
    terms = _terms(content, asked)
    fresh = standing.ask(content, trust, roots, terms, machine)
    held = Held.of(roots)
    catalogue = Catalogue.passing(store, roots)
    registry = Registry(store, catalogue, machine.home, roots)
    with contextlib.closing(store), contextlib.closing(catalogue):
        excerpt.project(catalogue, store, content, entries, held)
        n = standing.project(catalogue, store, held, fresh, content.said.n)
        with catalogue.reading() as connection:
            known = trust.knowing(lambda one: keyless_facts.certified(connection, one))
            why = doubt(connection, known, held)
            known, more = acts.with_distrust(connection, known, machine.now)
            view = Snapshot(connection, n, known, machine.now, why or more)
            if not content.said.boms and matched.has_any(view):
                view = replace(view, doubt=view.doubt or _NO_BOMS)
            observed = directory.observe(directory.scan(asked.root), progress)
            store.beside(asked.root, {entry.sha256: entry.path for entry in observed.entries})
            found = _resolve(view, content)
            manifest = gate.load_manifest(registry, view, found)
            resolution = (
                f"{asked.root} is held against the dossier of {content.name}",
                str(manifest.digest),
                _origin(content, by),
            )
            subject = Subject(str(asked.root), found, manifest, observed, resolution)
            yield Opened(registry, view, subject, replace(terms, freshness=fresh.freshness))


def _origin(content: Content, by: str) -> str:
    made, end = format_time(content.said.issued), format_time(content.said.expires)
    return f"dossier by {by}, {made} to {end}"


def _believed(content: Content, trust: TrustRoot, roots: TrustedRoots, now: datetime) -> str:
    """Who signed it, who may. Raises BadDossier, SignatureRefused."""
    evidence = Evidence(content.bundle.digest, content.bundle.raw, None)
    present = roots.present(trust.all_roots)
    try:
        signed: Signed = guarded(lambda: verified(evidence, trust, present))
    except SignatureRefused as error:
        raise SignatureRefused(f"the dossier's signature: {error}") from error
    known, name = trust.introducing(signed.certified), content.name.name
    if not known.principals(signed.signer, predicate.TYPE, name, now, signed.signed):
        why = known.refusal(signed.signer, predicate.TYPE, str(content.name), signed.signed)
        raise SignatureRefused(f"the dossier: {why}")
    if known.needed(predicate.TYPE, name) > 1:
        raise SignatureRefused(
            f"the trust root asks for more than one principal behind {predicate.TYPE}, "
            "and a dossier has one signature"
        )
    return known.label(signed.signer)


def _check_time(content: Content, now: datetime) -> None:
    """Raise Stale for a dossier that is over, Undecided for one of the future."""
    said = content.said
    if said.expires <= said.issued or said.expires - said.issued > timedelta(
        days=LIMITS.dossier_days
    ):
        raise BadDossier(
            f"the dossier is good for longer than {LIMITS.dossier_days} days, or never"
        )
    if now >= said.expires:
        raise Stale(f"the dossier of {content.name} expired at {format_time(said.expires)}")
    if now < said.issued - timedelta(seconds=LIMITS.feed_skew_seconds):
        raise Undecided(
            f"the dossier was made at {format_time(said.issued)}, which is still to come: "
            "a clock is wrong"
        )


def _terms(content: Content, asked: Asked) -> Terms:
    policy, stage = asked.policy, asked.stage or content.said.stage
    if policy is None:
        raw = content.one(Role.POLICY)
        if raw is None or Digest.of(raw) != content.said.policy:
            raise BadDossier("the dossier's policy is not in it")
        try:
            policy = policy_file.parse(raw, content.said.policy_name, content.said.policy_source)
            policy = policy_source.modules_from(policy, lambda rego: _module(content, rego))
        except BadPolicy as error:
            raise BadDossier(f"the policy in the dossier: {error}") from error
    return Terms(policy, stage, None, asked.max_age, asked.stale_ok)


def _module(content: Content, rego: RegoRule) -> bytes:
    raw = content.all(Role.MODULE).get(rego.digest) if rego.digest else None
    if raw is None:
        raise BadDossier(f"the Rego module {rego.file} of its policy is not in it")
    return raw


def _resolve(view: Snapshot, content: Content) -> Resolved:
    """The artifact under its name, as the statements in the dossier bind it."""
    try:
        found = resolve(view, f"{content.name.name}@{content.artifact}")
    except NotFound as error:
        raise BadDossier(f"nothing in the dossier says that it is {content.name}") from error
    return replace(found, name=content.name, label=str(content.name))
