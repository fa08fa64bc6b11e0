"""Which statements count: their signatures verify (step 3), and their signers are believed (4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, SignatureRefused
from stemma_attestations.grants import distinct
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import subject_name
from stemma_attestations.reasons import Reason
from stemma_attestations.request import Evidence, Request
from stemma_attestations.statement import Statement
from stemma_attestations.times import Times
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Step


@dataclass(frozen=True)
class Signed:
    """A statement whose signature verified, who made it, and what proves when."""

    bundle: Digest
    statement: Statement
    signer: str
    certified: Certified | None = None
    signed: Times = ()


def signatures(request: Request) -> tuple[list[Signed], Step]:
    """Step 3: the statements about these bytes whose signatures verify."""
    title = "signatures verify over their exact bytes"
    if not request.evidence:
        none = Reason("no signed statement is about it", "statement-missing")
        return [], Step.failed(3, title, SignatureRefused, none)
    signed, reasons = [], list[Reason]()
    for evidence in request.evidence:
        try:
            item = verified(evidence, request.trust, request.roots)
        except (SignatureRefused, BadBundle, BadKey) as error:
            why = f"{evidence.digest.short}: {error}"
            reasons.append(Reason(why, "signature-refused", bundle=evidence.digest))
            continue
        if item.statement.subjects_about(request.expected.digest):
            signed.append(item)
        else:
            why = f"{evidence.digest.short}: its statement is about other bytes"
            reasons.append(against(request, item, "subject-differs", why))
    if not signed:
        return [], Step.failed(3, title, SignatureRefused, *reasons)
    count = f"{len(signed)} of {len(request.evidence)} bundles"
    return signed, Step.passed(3, title, count, *(reason.text for reason in reasons))


def verified(evidence: Evidence, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Signed:
    """Verify one bundle; whether its signer is believed is not asked here.

    `roots` are the trusted roots at hand. Raises SignatureRefused, BadBundle, BadKey.
    """
    bundle = Bundle.parse(evidence.raw)
    if bundle.digest != evidence.digest:
        raise BadBundle("the bundle's bytes are not those of its digest")
    if bundle.certificate is not None:
        from stemma_attestations import keyless  # what it stands on takes a second to import

        found = keyless.verify_each(bundle.raw, trust.roots, roots)
        who, signed = keyless.speaker(found)
        return Signed(bundle.digest, found[who.root].statement, who.id, who, signed)
    key = trust.key(bundle.hint)
    if key is None and evidence.key is not None:
        key = PublicKey.parse(evidence.key)
    if key is None:
        raise SignatureRefused(f"public key {bundle.hint:.12} is not known")
    statement = bundle.verify(key)
    times = dating.under_roots(bundle, key.id, trust.time, roots)
    return Signed(evidence.digest, statement, key.id, signed=times)


def signers(request: Request, signed: Sequence[Signed]) -> tuple[list[Signed], Step]:
    """Step 4: those of them whose signers may say so."""
    title = "a signer is authorised by the trust root"
    if not signed:
        none = Reason("there is no valid signature to judge", "statement-missing")
        return [], Step.failed(4, title, SignatureRefused, none)
    accepted, reasons = [], list[Reason]()
    for item in signed:
        refusal = _refusal(request, item)
        if refusal is None:
            accepted.append(item)
        else:
            reasons.append(refusal)
    if not accepted:
        return [], Step.failed(4, title, SignatureRefused, *reasons)
    people = sorted({_trust(request, s).label(s.signer) for s in accepted})
    return accepted, Step.passed(4, title, f"signed by {', '.join(people)}")


def against(request: Request, item: Signed, code: str, text: str) -> Reason:
    """A reason that names a statement and who signed it."""
    who = _trust(request, item).label(item.signer)
    return Reason(text, code, bundle=item.bundle, signer=who, key_id=item.signer)


def _refusal(request: Request, item: Signed) -> Reason | None:
    """Why the statement does not count, or None if it does."""
    kind, trust = item.statement.predicate_type, _trust(request, item)
    names = [s.name for s in item.statement.subjects_about(request.expected.digest)]
    if request.name is not None and str(request.name) not in names:
        why = f"{kind}: said about {names[0] or 'no name'}, not about {request.name}"
        return against(request, item, "name-differs", why)
    if principals(request, item):
        return None
    subject = str(request.name or names[0] or "what has no name")
    why = trust.refusal(item.signer, kind, subject, item.signed)
    return against(request, item, "signer-refused", why)


def about(request: Request, item: Signed) -> list[str | None]:
    """The names that it counts for: the one that is asked about, else all that it names."""
    if request.name is not None:
        return [request.name.name]
    subjects = item.statement.subjects_about(request.expected.digest)
    names = [subject_name(subject.name) for subject in subjects]
    return [name.name if name else None for name in names]


def principals(request: Request, item: Signed) -> frozenset[str]:
    """As whom its signer may say it."""
    kind, trust = item.statement.predicate_type, _trust(request, item)
    return frozenset().union(
        *(
            trust.principals(item.signer, kind, name, request.now, item.signed)
            for name in about(request, item)
        )
    )


def people(request: Request, item: Signed) -> frozenset[str]:
    """Whose its signer is, whatever he may say: one of several principals is all of them."""
    return frozenset(entry.principal for entry in _trust(request, item).entries(item.signer))


def too_few(request: Request, good: Sequence[Signed]) -> str | None:
    """Why statements of one type that are all good do not suffice: too few principals."""
    kind = good[0].statement.predicate_type
    names = {name for item in good for name in about(request, item)}
    asked = max(request.trust.needed(kind, name) for name in names)
    count = distinct(people(request, item) for item in good)
    if count >= asked:
        return None
    who = ", ".join(sorted(set[str]().union(*(principals(request, item) for item in good))))
    return f"{kind} by {asked} distinct principals is asked for, and it is by {who} only"


def _trust(request: Request, item: Signed) -> TrustRoot:
    """The trust root, knowing whom the signature names."""
    return request.trust.introducing(item.certified)
