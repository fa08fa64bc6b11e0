"""Read a policy. Every mistake is told with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from stemma_attestations import file_formats, policy_rego, policy_source_rule, yaml_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName, BadPolicy
from stemma_attestations.names import check_pattern, is_stage
from stemma_attestations.placed import Placed
from stemma_attestations.policy import (
    FORMAT,
    AncestorRule,
    ApprovalRule,
    BomRule,
    Check,
    EvidenceRule,
    FilesRule,
    Policy,
    ProvenanceRule,
    Recheck,
    Rule,
    Suspects,
    TensorsRule,
)
from stemma_attestations.predicates import test_result, vulnerabilities

T = TypeVar("T")
MAX_RULES = 1000
MAX_DEPTH = 10_000
MAX_APPROVALS = 100
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])+)+\Z")
TOP = (
    "format",
    "stages",
    "max_age",
    "stale_ok",
    "on_suspect",
    "waivers",
    "recheck",
    "rules",
)
RULE = (
    "names",
    "stages",
    "provenance",
    "bom",
    "ancestors",
    "evidence",
    "files",
    "approvals",
    "tensors",
    "rego",
    "max_age",
)


def parse(raw: bytes, name: str, source: Mapping[str, str] | None = None) -> Policy:
    """Read a policy's bytes. Raises BadPolicy with line and field."""
    document = yaml_strict.load_placed(raw, BadPolicy)
    fields = document.fields(TOP, ("format", "rules"))
    if fields["format"].value != FORMAT:
        fields["format"].fail(f"{FORMAT} is expected")
    stages = _stages(fields["stages"]) if "stages" in fields else Policy.stages
    items = fields["rules"].items()
    if len(items) > MAX_RULES:
        fields["rules"].fail(f"more than {MAX_RULES} rules")
    return Policy(
        name=name,
        digest=Digest.of(raw),
        rules=tuple(_rule(item, stages) for item in items),
        stages=stages,
        max_age=_maybe(fields, "max_age", Placed.length),
        stale_ok=_maybe(fields, "stale_ok", Placed.flag) or False,
        on_suspect=Suspects(
            _maybe(fields, "on_suspect", lambda at: at.choice(*Suspects)) or Suspects.WARN
        ),
        waivers=_flag(fields, "waivers", True),
        recheck=Recheck(_maybe(fields, "recheck", lambda at: at.choice(*Recheck)) or Recheck.HASH),
        source=dict(source or {}),
    )


def _maybe(fields: Mapping[str, Placed], name: str, read: Callable[[Placed], T]) -> T | None:
    return read(fields[name]) if name in fields else None


def _flag(fields: Mapping[str, Placed], name: str, default: bool) -> bool:
    return fields[name].flag() if name in fields else default


def _texts(fields: Mapping[str, Placed], name: str) -> tuple[str, ...]:
    return fields[name].texts() if name in fields else ()


def _stages(at: Placed) -> tuple[str, ...]:
    found = at.texts()
    for item in at.items():
        try:
            check_stage(item.text())
        except BadPolicy as error:
            item.fail(str(error))
    return found


def check_stage(name: str) -> str:
    """`name`, if it can be that of a stage. Raises BadPolicy."""
    if not is_stage(name):
        raise BadPolicy(f"{name!r:.40} is no stage, a word of a-z, 0-9 and -")
    return name


def _rule(at: Placed, stages: tuple[str, ...]) -> Rule:
    fields = at.fields(RULE, ("names",))
    for item in fields["stages"].items() if "stages" in fields else []:
        if item.text() not in stages:
            item.fail(f"no such stage (there are {', '.join(stages)})")
    provenance = _unless_none(fields, "provenance", _provenance, ProvenanceRule())
    ancestors = _unless_none(fields, "ancestors", _ancestors, None)
    if ancestors is not None and provenance is not None:
        ancestors = replace(ancestors, source=provenance.source)
    return Rule(
        names=_patterns(fields["names"]),
        stages=_texts(fields, "stages"),
        provenance=provenance,
        bom=_unless_none(fields, "bom", _bom, BomRule()),
        ancestors=ancestors,
        evidence=tuple(_evidence(item) for item in fields["evidence"].items())
        if "evidence" in fields
        else (),
        files=_unless_none(fields, "files", _files, None),
        approvals=_unless_none(fields, "approvals", _approvals, None),
        tensors=_unless_none(fields, "tensors", _tensors, None),
        rego=_unless_none(fields, "rego", policy_rego.parse, None),
        max_age=_maybe(fields, "max_age", Placed.length),
        label=f"{at.path}, line {at.line}",
    )


def _unless_none(
    fields: Mapping[str, Placed], name: str, read: Callable[[Placed], T], default: T | None
) -> T | None:
    """What a field asks for; `none`, written out, asks for nothing."""
    if name not in fields:
        return default
    return None if fields[name].value == "none" else read(fields[name])


def _patterns(at: Placed) -> tuple[str, ...]:
    for item in at.items():
        try:
            check_pattern(item.text())
        except BadName as error:
            item.fail(str(error))
    return at.texts()


def _provenance(at: Placed) -> ProvenanceRule:
    fields = at.fields(("by", "builds", "commit", "admitted", "source"))
    commit = _maybe(fields, "commit", lambda item: item.choice("clean", "any"))
    admitted = _maybe(fields, "admitted", lambda item: item.choice("allow", "deny"))
    source = _maybe(fields, "source", policy_source_rule.parse)
    if source is not None and commit == "any":
        fields["commit"].fail("`source` asks about commits, so they have to be clean")
    return ProvenanceRule(
        _texts(fields, "by"), _texts(fields, "builds"), commit != "any", admitted == "allow", source
    )


def _bom(at: Placed) -> BomRule:
    fields = at.fields(("by", "licences"))
    return BomRule(_texts(fields, "by"), _texts(fields, "licences"))


def _ancestors(at: Placed) -> AncestorRule:
    fields = at.fields(("assurance", "depth", "external"))
    default = AncestorRule()

    def depth(item: Placed) -> int | None:
        return None if item.value == "all" else item.integer(1, MAX_DEPTH)

    return AncestorRule(
        _maybe(fields, "assurance", lambda item: item.choice("attested", "signed", "claimed"))
        or default.assurance,
        _maybe(fields, "depth", depth),
        _maybe(fields, "external", lambda item: item.choice("admitted", "deny")) != "deny",
    )


def _evidence(at: Placed) -> EvidenceRule:
    fields = at.fields(("type", "by", "where", "max_age", "max_severity"), ("type",))
    kind = fields["type"].text()
    checks = tuple(_check(item) for item in fields["where"].items()) if "where" in fields else ()
    severity = _maybe(fields, "max_severity", Placed.decimal)
    if severity is not None and kind != vulnerabilities.TYPE:
        fields["max_severity"].fail(f"is asked of {vulnerabilities.TYPE} only")
    if kind == vulnerabilities.TYPE and severity is None:
        at.fail("`max_severity` is missing: which score may a vulnerability have? (0 to 10)")
    if not checks and kind not in (test_result.TYPE, vulnerabilities.TYPE):
        at.fail("`where` is missing: what must the predicate say to pass?")
    return EvidenceRule(
        predicate_type=kind,
        by=_texts(fields, "by"),
        checks=checks,
        max_age=_maybe(fields, "max_age", Placed.length),
        max_severity=severity,
    )


def _check(at: Placed) -> Check:
    fields = at.fields(("field", "is", "at_least", "at_most"), ("field",))
    pointer = fields["field"].text()
    if not _POINTER.match(pointer):
        fields["field"].fail("a JSON pointer is expected (/metrics/accuracy)")
    if len(fields) != 2:
        at.fail("one of `is`, `at_least` and `at_most` is expected")
    said = fields.get("is")
    if said is not None and not isinstance(said.value, bool):
        said.text()
    return Check(
        pointer,
        said.value if said else None,
        _maybe(fields, "at_least", Placed.decimal),
        _maybe(fields, "at_most", Placed.decimal),
    )


def _files(at: Placed) -> FilesRule:
    fields = at.fields(("formats", "without", "code"))
    code = _maybe(fields, "code", lambda item: item.choice("allow", "deny"))
    for name in ("formats", "without"):
        for item in fields[name].items() if name in fields else []:
            if item.value not in file_formats.NAMES:
                item.fail("no such format (docs/formats/format-scan.md)")
    return FilesRule(_texts(fields, "formats"), _texts(fields, "without"), code != "deny")


def _tensors(at: Placed) -> TensorsRule:
    fields = at.fields(("undeclared_quarantined", "share"), ("undeclared_quarantined",))
    fields["undeclared_quarantined"].choice("deny")
    share = _maybe(fields, "share", Placed.decimal) or 0.0
    if not 0 <= share <= 1:
        fields["share"].fail("a share is a number from 0 to 1")
    return TensorsRule(share)


def _approvals(at: Placed) -> ApprovalRule:
    fields = at.fields(("count", "by"))
    count = _maybe(fields, "count", lambda item: item.integer(1, MAX_APPROVALS))
    return ApprovalRule(count or 1, _texts(fields, "by"))
