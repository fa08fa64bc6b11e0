"""What the policy asks of provenance (step 5) and of the ML-BOM (step 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stemma_attestations import sources
from stemma_attestations.accepted import Signed, against, principals, too_few
from stemma_attestations.errors import BadStatement, NotVerified, Undecided
from stemma_attestations.guarding import guarded
from stemma_attestations.policy import WITHOUT_COMMIT, BomRule, ProvenanceRule
from stemma_attestations.predicates import admission, mlbom, provenance
from stemma_attestations.reasons import Reason
from stemma_attestations.request import Request
from stemma_attestations.times import format_time
from stemma_attestations.verdict import Step


@dataclass(frozen=True)
class Judged:
    """One statement held against a rule: what it proves, or what is wrong with it."""

    proved: str = ""
    wrong: tuple[str | Reason, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Statements of one type, by one of these principals (none: by anybody believed).

    The codes of reasons against them begin with `topic`.
    """

    what: str
    predicate_type: str
    by: tuple[str, ...]
    judge: Callable[[Signed], Judged]
    topic: str = "statement"


def meet(request: Request, accepted: Sequence[Signed], wanted: Wanted) -> Judged:
    """Whether enough principals made a statement that is good by itself."""
    wrong: list[str | Reason] = []
    good: list[Signed] = []
    proved = ""
    for item in accepted:
        if item.statement.predicate_type != wanted.predicate_type:
            continue
        who = principals(request, item)
        if wanted.by and who.isdisjoint(wanted.by):
            line = (
                f"{wanted.what} by {', '.join(sorted(who))}, and the policy asks for "
                f"{', '.join(wanted.by)}"
            )
            wrong.append(against(request, item, f"{wanted.topic}-by-others", line))
            continue
        try:
            judged = guarded(partial(wanted.judge, item), BadStatement)
        except BadStatement as error:
            line = f"{item.bundle.short}: {error}"
            wrong.append(against(request, item, f"{wanted.topic}-malformed", line))
            continue
        if judged.wrong:
            wrong += [
                against(request, item, f"{wanted.topic}-refused", one)
                if isinstance(one, str)
                else one
                for one in judged.wrong
            ]
            continue
        good.append(item)
        proved = proved or judged.proved
    if not good:
        none = Reason(f"no {wanted.what} by an authorised signer", f"{wanted.topic}-missing")
        return Judged(wrong=tuple(wrong) or (none,))
    few = too_few(request, good)
    return Judged(wrong=(Reason(few, f"{wanted.topic}-too-few"),)) if few else Judged(proved)


def concluded(number: int, title: str, found: Sequence[Judged]) -> Step:
    """The step that needs all of them."""
    wrong = dict.fromkeys(line for one in found for line in one.wrong)
    if wrong:
        return Step.failed(number, title, NotVerified, *wrong)
    proved = dict.fromkeys(one.proved for one in found if one.proved)
    return Step.passed(number, title, *(proved or ["not asked for by the policy"]))


def provenance_step(request: Request, accepted: Sequence[Signed]) -> Step:
    """Step 5."""
    title = "provenance is present and its materials are complete"
    rules = dict.fromkeys(rule.provenance for rule in request.rules)
    found = [_provenance(request, accepted, rule) for rule in rules if rule is not None]
    step = concluded(5, title, found)
    asked = any(rule is not None and rule.source is not None for rule in rules)
    if asked and request.sources is None and step.failure is None:
        nobody = Reason("nobody looked for what is signed about commits", "sources-unread")
        return Step.failed(5, title, Undecided, nobody)
    return step


def _provenance(request: Request, accepted: Sequence[Signed], rule: ProvenanceRule) -> Judged:
    built = partial(_built, request, rule)
    wanted = Wanted("provenance", provenance.TYPE, rule.by, built, "provenance")
    found = meet(request, accepted, wanted)
    if not found.wrong or not rule.admitted:
        return found
    admitted = partial(_admitted, request)
    other = Wanted("admission", admission.TYPE, (), admitted, "admission")
    instead = meet(request, accepted, other)
    return Judged(wrong=(*found.wrong, *instead.wrong)) if instead.wrong else instead


def _admitted(request: Request, item: Signed) -> Judged:
    view = admission.parse(item.statement.predicate)
    if view.until is not None and view.ended(request.now):
        return Judged(wrong=(f"its admission ended at {format_time(view.until)}",))
    return Judged(f"admitted: {view.reason}")


def _built(request: Request, rule: ProvenanceRule, item: Signed) -> Judged:
    view = provenance.parse(item.statement.predicate)
    wrong = gaps(view, rule.commit)
    if rule.source is not None:
        if view.source is None and not wrong:
            wrong.append("no Git commit is recorded, and the policy asks what stands behind it")
        wrong += [line for one in view.commits for line in sources.wrong(request, rule.source, one)]
    if rule.builds and view.build not in rule.builds:
        wrong.append(f"built by {view.build or view.build_type}, not {', '.join(rule.builds)}")
    count = len(view.inputs)
    materials = f"{count} material{'' if count == 1 else 's'}"
    return Judged(f"{view.build or view.build_type}, {materials}", tuple(wrong))


def gaps(view: provenance.Provenance, commit: bool) -> list[str]:
    """What provenance leaves open; with `commit` it needs a clean checkout, too."""
    found = [
        f"material {material.name or material.uri or '(no name)'} has no digest"
        for material in view.materials
        if not material.digest("sha256") and not material.digest("gitCommit")
    ]
    if commit and view.build not in WITHOUT_COMMIT:
        if view.source is None:
            found.append("no Git commit is recorded (run the job inside a Git checkout)")
        elif view.source.dirty:
            commit_id = view.source.commit[:12]
            found.append(f"the checkout of commit {commit_id} had uncommitted changes")
    return found


def bom_step(request: Request, accepted: Sequence[Signed]) -> Step:
    """Step 6."""
    title = "ML-BOM is present and its hashes agree with the manifest"
    rules = dict.fromkeys(rule.bom for rule in request.rules)
    wanted = [
        Wanted("ML-BOM", mlbom.TYPE, rule.by, partial(_listed, request, rule), "bom")
        for rule in rules
        if rule is not None
    ]
    return concluded(6, title, [meet(request, accepted, one) for one in wanted])


def _listed(request: Request, rule: BomRule, item: Signed) -> Judged:
    document: Mapping[str, Any] = item.statement.predicate
    mlbom.check(document)
    wrong = list(mlbom.hashes_agree(document, request.expected))
    if rule.licences:
        found = mlbom.licences(document)
        refused = [one for one in found if one not in rule.licences]
        if refused or not found:
            what = ", ".join(refused) or "none"
            wrong.append(f"licence {what}; the policy allows {', '.join(rule.licences)}")
    return Judged(f"CycloneDX {document.get('specVersion')}", tuple(wrong))
