"""What a rule asks, in words, for people who did not write it."""

from __future__ import annotations

from stemma_attestations import policy_rego
from stemma_attestations.policy import Check, EvidenceRule, Rule, SourceRule
from stemma_attestations.times import format_duration


def words(rule: Rule) -> list[str]:
    """One line for each thing that the rule asks for, in the order of the recipe's steps."""
    lines = [*_statements(rule), *(_evidence(one) for one in rule.evidence)]
    if rule.files is not None:
        files = [f"only {', '.join(rule.files.formats)}"] if rule.files.formats else []
        files += [f"no {', '.join(rule.files.without)}"] if rule.files.without else []
        files += [] if rule.files.code else ["no code"]
        files.append("nothing dangerous, malformed or undecided")
        lines.append(f"files: {'; '.join(files)}")
    if rule.approvals is not None:
        who = f" of {', '.join(rule.approvals.by)}" if rule.approvals.by else ""
        lines.append(f"approvals: {rule.approvals.count}{who}, by nobody who made it")
    if rule.ancestors is not None:
        depth = rule.ancestors.depth
        far = "every ancestor" if depth is None else f"ancestors up to {depth} away"
        lines.append(f"{far}: provenance at least {rule.ancestors.assurance}")
        if rule.ancestors.admitted:
            lines[-1] += ", or admitted"
    if rule.tensors is not None:
        least = f", {rule.tensors.share:.2%} of its bytes or more" if rule.tensors.share else ""
        lines.append(f"tensors: none shared undeclared with what is quarantined{least}")
    if rule.rego is not None:
        lines.append(f"Rego: {policy_rego.named(rule.rego)}")
    if rule.max_age is not None:
        lines.append(f"status: at most {format_duration(rule.max_age)} old")
    return lines


def _statements(rule: Rule) -> list[str]:
    lines = []
    if rule.provenance is not None:
        asked = rule.provenance
        line = "provenance: signed, complete" + (", a clean commit" if asked.commit else "")
        line += _by(asked.by) + (f", {' or '.join(asked.builds)}" if asked.builds else "")
        line += _source(asked.source) if asked.source else ""
        lines.append(line + ("; or admitted" if asked.admitted else ""))
    if rule.bom is not None:
        licences = rule.bom.licences
        line = "ML-BOM: agrees with the files" + _by(rule.bom.by)
        lines.append(line + (f", licences only {', '.join(licences)}" if licences else ""))
    return lines


def _source(asked: SourceRule) -> str:
    line = f", commits signed{_by(asked.signed)}" if asked.signed else ""
    line += f", commits tagged{_by(asked.tagged)}" if asked.tagged else ""
    if asked.level:
        line += f", commits of source level {asked.level} or more{_by(asked.verified_by)}"
        line += f" in {asked.repository}" if asked.repository else ""
    return line


def _evidence(rule: EvidenceRule) -> str:
    line = f"evidence: {rule.predicate_type}{_by(rule.by)}"
    line += "".join(f", {_check(check)}" for check in rule.checks)
    if rule.max_severity is not None:
        line += f", no vulnerability above {rule.max_severity:g}"
    if rule.max_age is not None:
        line += f", signed at most {format_duration(rule.max_age)} ago"
    return line


def _check(check: Check) -> str:
    if check.equals is not None:
        return f"{check.pointer} is {check.equals}"
    if check.at_least is not None:
        return f"{check.pointer} at least {check.at_least:g}"
    return f"{check.pointer} at most {check.at_most:g}"


def _by(principals: tuple[str, ...]) -> str:
    named = [one for one in principals if one != "any"]
    return f", by {' or '.join(named)}" if named else ""
