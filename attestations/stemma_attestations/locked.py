"""Holding what is judged to a member of a lock: the bytes (step 2) and who vouches (step 4)."""

from __future__ import annotations

from collections.abc import Sequence

from stemma_attestations.accepted import Signed, principals
from stemma_attestations.errors import BytesDiffer, NotVerified, SignatureRefused
from stemma_attestations.listed import Signer
from stemma_attestations.lock import Said, Signatory, ordered
from stemma_attestations.predicates import admission, provenance
from stemma_attestations.request import Request
from stemma_attestations.verdict import Step

_SAYS = {provenance.TYPE: Said.PROVENANCE, admission.TYPE: Said.ADMISSION}


def bytes_steps(request: Request) -> tuple[Step, ...]:
    """Whether what is judged is the locked artifact; nothing where no lock is asked."""
    member, title = request.locked, "what it is held to is the artifact of the lock"
    if member is None:
        return ()
    found = request.expected
    if found.digest != member.artifact:
        line = f"{member.artifact.short} is locked as {member.word}, and this is "
        return (Step.failed(2, title, BytesDiffer, f"{line}{found.digest.short}"),)
    if request.name != member.name:
        other = f"judged as {request.name or 'what has no name'}, and locked as {member.name}"
        return (Step.failed(2, title, NotVerified, other),)
    if found.size != member.size:
        line = f"the lock says {member.size} bytes, and its artifact has {found.size}"
        return (Step.failed(2, title, NotVerified, line),)
    return (Step.passed(2, title, f"{member.word}: {member.artifact}"),)


def signer_steps(request: Request, good: Sequence[Signed]) -> tuple[Step, ...]:
    """Whether everybody whom the lock expects vouches for it still."""
    member, title = request.locked, "the signers of the lock vouch for it"
    if member is None:
        return ()
    now = set(signers(request, good))
    missing = [signer for signer in member.signers if signer not in now]
    if missing:
        have = ", ".join(map(str, ordered(now))) or "nobody"
        lines = [f"no {one.said} by {one} is accepted any more: it has {have}" for one in missing]
        return (Step.failed(4, title, SignatureRefused, *lines),)
    return (Step.passed(4, title, ", ".join(map(str, member.signers))),)


def signers(request: Request, good: Sequence[Signed]) -> tuple[Signatory, ...]:
    """Who signed, of what is believed, how it was made, or that it is let in without that."""
    return ordered(
        _signatory(entry, item, said)
        for item in good
        if (said := _SAYS.get(item.statement.predicate_type)) is not None
        for entry in request.trust.introducing(item.certified).entries(item.signer)
        if entry.principal in principals(request, item)
    )


def expected(found: Sequence[Signatory]) -> tuple[Signatory, ...]:
    """Those of them that a new lock names: of provenance, else of an admission."""
    made = [signer for signer in found if signer.said is Said.PROVENANCE]
    return ordered(made or found)


def _signatory(entry: Signer, item: Signed, said: Said) -> Signatory:
    if item.certified is None:
        return Signatory(entry.principal, said, key=item.signer)
    who = item.certified.identity
    return Signatory(
        entry.principal, said, subject=who.subject, issuer=who.issuer, root=str(entry.root)
    )
