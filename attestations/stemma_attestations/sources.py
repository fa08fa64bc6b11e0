"""What stands behind a commit: whether it was signed, tagged and reviewed, and by whom.

Nobody's word counts for whoever brought it: a signed commit or tag is verified over its own
bytes, and names the commit itself; a summary of the source track is a bundle like any other
(https://slsa.dev/spec/v1.2/source-requirements). Whether a signer may say so is asked of the
trust root, for the name that is judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from stemma_attestations import gitobject, gitsigner
from stemma_attestations.accepted import verified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import (
    BadBundle,
    BadKey,
    BadStatement,
    Malformed,
    SignatureRefused,
)
from stemma_attestations.gitobject import ObjectFormat, Signed
from stemma_attestations.grants import distinct
from stemma_attestations.guarding import guarded
from stemma_attestations.policy import SourceRule
from stemma_attestations.predicates import git_signature
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.request import Evidence, Request, SourceWord
from stemma_attestations.trust import TrustRoot

COMMIT, TAG, SUMMARY = "commit", "tag", "summary"
LEVEL = re.compile(r"SLSA_SOURCE_LEVEL_([1-9])\Z", re.ASCII)
_WORDS = {COMMIT: "signature", TAG: "signed tag", SUMMARY: "source summary"}


def of_object(
    commit: str, kind: str, raw: bytes, trust: TrustRoot, roots: Mapping[Digest, bytes]
) -> SourceWord:
    """What the raw bytes of a signed commit or tag say about `commit`.

    `roots` are the Sigstore trusted roots at hand. Raises Malformed for bytes that are about
    something else, SignatureRefused.
    """
    by = gitsigner.who(signed_part(commit, kind, raw), trust, roots)
    return SourceWord(kind, git_signature.TYPE, by.id, by.certified, by.signed)


def signed_part(commit: str, kind: str, raw: bytes) -> Signed:
    """The signed part of an object that is about a commit. Raises Malformed."""
    object_format: ObjectFormat = "sha1" if len(commit) == gitobject.DIGITS["sha1"] else "sha256"
    if kind == COMMIT:
        if gitobject.identify("commit", raw, object_format) != commit:
            raise Malformed("the bytes of another commit")
        signed = gitobject.commit(raw).signed
    else:
        tag = gitobject.tag(raw)
        if (tag.kind, tag.object) != (COMMIT, commit):
            raise Malformed("a tag of something else")
        if tag.name.endswith("!"):
            raise Malformed("a tag that takes something back")  # GTO's grammar
        signed = tag.signed
    if signed is None:
        raise Malformed("it is not signed")
    return signed


def of_bundle(
    commit: str, item: Evidence, trust: TrustRoot, roots: Mapping[Digest, bytes]
) -> SourceWord:
    """What a verification summary of the source track says about `commit`.

    Raises BadBundle for what is something else, BadStatement, BadKey, SignatureRefused.
    """
    said = verified(item, trust, roots)
    about = [subject.digest("gitCommit") for subject in said.statement.subjects]
    if said.statement.predicate_type != vsa.TYPE or Digest("gitCommit", commit) not in about:
        raise BadBundle("no verification summary of this commit")
    view = guarded(partial(vsa.parse, said.statement.predicate), BadStatement)
    found = [int(match[1]) for match in map(LEVEL.match, view.levels) if match]
    return SourceWord(
        SUMMARY,
        vsa.TYPE,
        said.signer,
        said.certified,
        said.signed,
        level=max(found, default=0) if view.passed else 0,
        resource=view.resource,
    )


REFUSALS = (Malformed, SignatureRefused, BadBundle, BadStatement, BadKey)


def wrong(request: Request, rule: SourceRule, commit: str) -> list[str]:
    """What is not there of what a rule asks about a commit; where nobody looked, nothing."""
    if request.sources is None:
        return []
    words = request.sources.get(commit, ())
    found = []
    if rule.signed:
        found.append(_lacks(request, [w for w in words if w.kind == COMMIT], COMMIT, rule.signed))
    if rule.tagged:
        found.append(_lacks(request, [w for w in words if w.kind == TAG], TAG, rule.tagged))
    if rule.level:
        said = [w for w in words if w.kind == SUMMARY]
        found.append(_unreviewed(request, rule, said))
    return [f"commit {commit[:12]}: {line}" for line in found if line]


def _unreviewed(request: Request, rule: SourceRule, words: list[SourceWord]) -> str | None:
    of_it = [w for w in words if rule.repository in (None, w.resource)]
    if words and not of_it:
        return f"its source summary is of {words[0].resource!a:.100}, not {rule.repository}"
    enough = [word for word in of_it if word.level >= rule.level]
    if of_it and not enough:
        best = max(word.level for word in of_it)
        level = f"of level {best}" if best else "no level of the source track"
        return f"its source summary says {level}, and the policy asks for {rule.level}"
    return _lacks(request, enough, SUMMARY, rule.verified_by or ANYBODY)


ANYBODY = ("any",)


def _lacks(request: Request, words: list[SourceWord], kind: str, by: tuple[str, ...]) -> str | None:
    """Why what was said does not do: nobody said it, or nobody who may, or too few."""
    what = _WORDS[kind]
    if not words:
        return (
            f"no {what} of it is here that a listed key or identity made (`stemma import commits`)"
        )
    voices: list[frozenset[str]] = []
    others: set[str] = set()
    for word in words:
        who = principals(request, word)
        if by != ANYBODY and who.isdisjoint(by):
            others |= who
        elif who:
            trust = request.trust.introducing(word.certified)
            voices.append(frozenset(entry.principal for entry in trust.entries(word.signer)))
    if not voices and others:
        return f"{what} by {', '.join(sorted(others))}, and the policy asks for {', '.join(by)}"
    if not voices:
        signers = {request.trust.introducing(w.certified).label(w.signer) for w in words}
        return f"{what} by {', '.join(sorted(signers)[:5])}, who may not say so here"
    asked = max(request.trust.needed(words[0].predicate_type, name) for name in _names(request))
    if distinct(voices) < asked:
        return f"{what} by {asked} distinct principals is asked for"
    return None


def principals(request: Request, word: SourceWord) -> frozenset[str]:
    """As whom its signer may say it about everything that is asked about."""
    trust = request.trust.introducing(word.certified)
    return frozenset.intersection(
        *(
            trust.principals(word.signer, word.predicate_type, name, request.now, word.signed)
            for name in _names(request)
        )
    )


def _names(request: Request) -> tuple[str | None, ...]:
    if request.name is not None:
        return (request.name.name,)
    return request.also_named or (None,)
