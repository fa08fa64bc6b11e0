"""What the policy asks of evidence, approvals and the files themselves (step 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stemma_attestations.accepted import Signed, people, principals
from stemma_attestations.errors import Undecided
from stemma_attestations.grants import distinct
from stemma_attestations.policy import ApprovalRule, Check, EvidenceRule, FilesRule
from stemma_attestations.predicates import approval, lineage, provenance, test_result
from stemma_attestations.predicates import vulnerabilities as vulns
from stemma_attestations.request import FileLook, Request
from stemma_attestations.requirements import Judged, Wanted, concluded, meet
from stemma_attestations.times import format_duration, format_time
from stemma_attestations.verdict import Step

_ABSENT = object()
# What made the artifact: nobody who said this about it approves it.
MAKING = frozenset({provenance.TYPE, lineage.TYPE})


def step(request: Request, accepted: Sequence[Signed], signed: Sequence[Signed]) -> Step:
    """Step 7. Of `signed`, believed or not, it is asked only who made the artifact."""
    title = "required evidence, files and approvals are there and pass"
    rules = request.rules
    found = [
        _evidence(request, accepted, signed, one)
        for one in dict.fromkeys(one for rule in rules for one in rule.evidence)
    ]
    made = makers(request, signed)
    voted = dict.fromkeys(rule.approvals for rule in rules if rule.approvals is not None)
    found += [_approvals(request, accepted, made, one) for one in voted]
    asked = dict.fromkeys(rule.files for rule in rules if rule.files is not None)
    if request.files is not None:
        found += [_files(request.files, one) for one in asked]
    step = concluded(7, title, found)
    if asked and request.files is None and step.failure is None:
        return Step.failed(7, title, Undecided, "nobody looked at the files' formats")
    return step


def makers(request: Request, signed: Sequence[Signed]) -> frozenset[str]:
    """The principals who say that they made these bytes, under whatever name.

    Also by a key that is revoked or over, or that may not say so: who made it, made it.
    """
    return frozenset(
        principal
        for item in signed
        if item.statement.predicate_type in MAKING
        for principal in people(request, item)
    )


def _evidence(
    request: Request, accepted: Sequence[Signed], signed: Sequence[Signed], rule: EvidenceRule
) -> Judged:
    what = f"evidence {rule.predicate_type}"

    def judge(item: Signed) -> Judged:
        wrong = [*_age(request, dated(request, signed, item), rule), *_result(item, rule)]
        wrong += [line for check in rule.checks if (line := _fails(check, item))]
        return Judged(what, tuple(f"{what}: {line}" for line in wrong))

    return meet(request, accepted, Wanted(what, rule.predicate_type, rule.by, judge))


def _is_same(one: Signed, other: Signed) -> bool:
    return one.statement.raw == other.statement.raw and one.signer == other.signer


def dated(request: Request, signed: Sequence[Signed], item: Signed) -> datetime | None:
    """Since when a statement is signed, by the first of its bundles in the ledger's order.

    A date says that the signature is no younger: anybody can have an old one dated anew, so
    what comes later makes it neither younger nor, where the first had none, dated.
    """
    first = next((one for one in signed if _is_same(one, item)), item)
    return request.trust.introducing(first.certified).since(first.signer, first.signed)


def _age(request: Request, since: datetime | None, rule: EvidenceRule) -> list[str]:
    if rule.max_age is None:
        return []
    if since is None:
        return ["no trusted time says how old it is (sign it with --timestamp)"]
    if since > request.now:
        return [f"signed at {format_time(since)}, which is still to come"]
    if request.now - since > rule.max_age:
        return [f"signed at {format_time(since)}, more than {format_duration(rule.max_age)} ago"]
    return []


def _result(item: Signed, rule: EvidenceRule) -> list[str]:
    """What the format itself says about passing. Raises BadStatement."""
    if rule.predicate_type == test_result.TYPE:
        view = test_result.parse(item.statement.predicate)
        if view.result == test_result.FAILED:
            return [f"failed: {', '.join(view.failed[:5]) or 'no test is named'}"]
    elif rule.predicate_type == vulns.TYPE and rule.max_severity is not None:
        worse = vulns.parse(item.statement.predicate).above(rule.max_severity)
        return [f"{one.id} has severity {one.score:g}" for one in worse[:5]]
    return []


def _fails(check: Check, item: Signed) -> str | None:
    """Why a field is not what is asked for; one that is not there never is."""
    value = _at(item.statement.predicate, check.pointer)
    if value is _ABSENT:
        return f"{check.pointer} is not there"
    shown = f"{check.pointer} is {value!r:.40}"
    if check.equals is not None:
        # Our YAML leaves numbers as text; a bool is one in both.
        said = str(value) if type(value) is int else value
        same = type(said) is type(check.equals) and said == check.equals
        return None if same else f"{shown}, not {check.equals!r:.40}"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return f"{shown}, not a number"
    if check.at_least is not None and not value >= check.at_least:
        return f"{shown}, less than {check.at_least:g}"
    if check.at_most is not None and not value <= check.at_most:
        return f"{shown}, more than {check.at_most:g}"
    return None


def _at(document: Mapping[str, Any], pointer: str) -> Any:
    """The value that a JSON pointer names (RFC 6901)."""
    value: Any = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and str(int(name)) == name:
            value = value[int(name)] if int(name) < len(value) else _ABSENT
        else:
            return _ABSENT
    return value


def _approvals(
    request: Request, accepted: Sequence[Signed], made: frozenset[str], rule: ApprovalRule
) -> Judged:
    """Distinct principals who approved these bytes for the stage, and did not make them."""
    wrong: list[str] = []
    voices: list[frozenset[str]] = []
    approvers: set[str] = set()
    for item in accepted:
        if item.statement.predicate_type != approval.TYPE:
            continue
        who = principals(request, item)
        reason = _no_approval(request, item, who, made, rule)
        if reason is None:
            voices.append(people(request, item))
            approvers |= who
        else:
            wrong.append(f"approval by {', '.join(sorted(who))}: {reason}")
    count = distinct(voices)
    name = request.name.name if request.name else None
    asked = max(rule.count, request.trust.needed(approval.TYPE, name))
    if count >= asked:
        return Judged(f"approved by {', '.join(sorted(approvers))}")
    are = "approval is" if asked == 1 else "approvals are"
    return Judged(wrong=(f"{asked} {are} asked for, {count} count", *wrong))


def _no_approval(
    request: Request,
    item: Signed,
    who: frozenset[str],
    made: frozenset[str],
    rule: ApprovalRule,
) -> str | None:
    view = approval.parse_or_none(item.statement.predicate)
    if view is None:
        return "not an approval that can be read"
    if request.stage is None or view.stage != request.stage:
        return f"for the stage {view.stage}, not {request.stage or 'none'}"
    if view.until is not None and view.until <= request.now:
        return f"it ended at {format_time(view.until)}"
    if people(request, item) & made:
        return "nobody approves what he made"
    if rule.by and who.isdisjoint(rule.by):
        return f"the policy asks for {', '.join(rule.by)}"
    return None


def _files(looks: Sequence[FileLook], rule: FilesRule) -> Judged:
    wrong = []
    refused = {"dangerous", "malformed", "undecided"} | (set() if rule.code else {"code"})
    for look in looks:
        named = [one for one in look.formats if rule.formats and one not in rule.formats]
        named += [one for one in look.formats if one in rule.without]
        if named or (rule.formats and not look.formats):
            what = ", ".join(dict.fromkeys(named)) or "unknown"
            wrong.append(f"{look.path}: the format {what} is not allowed")
        wrong += [f"{look.path}: {text}" for kind, text in look.findings if kind in refused]
    kinds = sorted({one for look in looks for one in look.formats})
    return Judged(f"formats {', '.join(kinds) or 'none'}", tuple(wrong))
