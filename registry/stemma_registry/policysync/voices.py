"""Who signed a commit: by its own signature, and by signed tags that point to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import gitsigner
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_attestations.grants import distinct
from stemma_attestations.predicates.policy_sync import COMMIT, MAX_VOICES, POLICY, TAG, Voice
from stemma_attestations.trust import TrustRoot
from stemma_registry.errors import Damaged
from stemma_registry.gitrepo.repository import Repository

_TAGS = "refs/tags/"


@dataclass(frozen=True)
class Heard:
    """A signature that counts: who made it, as whom, over which bytes of Git."""

    voice: Voice
    principals: frozenset[str]
    raw: bytes


def require(
    repo: Repository,
    commit: str,
    trust: TrustRoot,
    roots: Mapping[Digest, bytes],
    repository: str | None,
    now: datetime,
) -> list[Heard]:
    """The signatures that count, enough of them. Raises SignatureRefused, Damaged.

    The commit itself need not be signed: a signed tag on it says the same, and that is how a
    merge that a forge made is signed.
    """
    heard, refusals = list[Heard](), list[str]()
    for kind, label, raw, signed in _signed(repo, commit):
        if signed is None:
            refusals.append(f"{label} is not signed")
            continue
        try:
            by = gitsigner.who(signed, trust, roots)
        except SignatureRefused as error:
            refusals.append(f"{label}: {error}")
            continue
        known = trust.introducing(by.certified)
        who = known.principals(by.id, POLICY, repository, now, by.signed)
        if who:
            heard.append(Heard(Voice(kind, Digest.of(raw), by.id), who, raw))
        else:
            why = known.refusal(by.id, POLICY, _subject(repository), by.signed)
            refusals.append(f"{label}: {why}")
    needed = trust.needed(POLICY, repository)
    count = distinct(one.principals for one in heard)
    if count < needed:
        asks = "" if needed == 1 else f" ({count} of {needed} principals)"
        raise SignatureRefused(
            f"commit {commit[:12]} is not signed by somebody who may say {POLICY}{asks}: "
            f"{'; '.join(refusals[:5]) or 'nobody else signed'}; "
            "sign the commit, or a tag on it (`git tag -s`)"
        )
    return heard


def _subject(repository: str | None) -> str:
    return repository or "a repository without a name"


def _signed(repo: Repository, commit: str) -> Iterator[tuple[str, str, bytes, Signed | None]]:
    """What may be signed: kind, words for people, bytes, and the signature if there is one."""
    yield COMMIT, "the commit", repo.read(commit)[1], repo.commit(commit).signed
    refs = [ref for ref in repo.refs(_TAGS) if ref.peeled == commit and ref.id != commit]
    for ref in refs[: MAX_VOICES - 1]:
        try:
            tag = repo.tag(ref.id)
        except Damaged:
            continue
        # Of a tag that is called otherwise than its ref nobody knows what was meant by it.
        if tag.kind == "commit" and tag.object == commit and _TAGS + tag.name == ref.name:
            yield TAG, f"tag {tag.name!r:.80}", repo.read(ref.id)[1], tag.signed
