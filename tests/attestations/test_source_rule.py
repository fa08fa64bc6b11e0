"""What a policy asks about commits: how it is written, told, and held against cases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stemma_attestations import policy_cases, policy_file, policy_words
from stemma_attestations.errors import BadPolicy, BadStatement
from stemma_attestations.policy import AncestorRule, SourceRule
from stemma_attestations.predicates import git_signature

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def written(source: str, more: str = "") -> bytes:
    return (
        "format: urn:stemma:policy:v0.1\nrules:\n  - names: ['**']\n    bom: none\n"
        f"    provenance: {{source: {source}{more}}}\n    ancestors: {{assurance: attested}}\n"
    ).encode()


def test_it_is_read_and_told() -> None:
    raw = written(
        "{signed_by: [ada, bob], tagged_by: any, level: SLSA_SOURCE_LEVEL_2, "
        "verified_by: [forge], repository: 'git+https://x'}"
    )
    (rule,) = policy_file.parse(raw, "p").rules
    asked = SourceRule(("ada", "bob"), ("any",), 2, ("forge",), "git+https://x")
    assert rule.source == asked
    assert rule.ancestors == AncestorRule(source=asked)
    assert rule.principals == {"ada", "bob", "forge"}
    assert policy_words.words(rule)[0] == (
        "provenance: signed, complete, a clean commit, commits signed, by ada or bob, "
        "commits tagged, commits of source level 2 or more, by forge in git+https://x"
    )


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("{}", "asks for nothing"),
        ("{level: SLSA_SOURCE_LEVEL_0}", "one of SLSA_SOURCE_LEVEL_1"),
        ("{level: SLSA_BUILD_LEVEL_3}", "one of SLSA_SOURCE_LEVEL_1"),
        ("{level: 3}", "one of SLSA_SOURCE_LEVEL_1"),
        ("{signed_by: []}", "one at least"),
        ("{signed_by: [any, ada]}", "stands alone"),
        ("{signed_by: anybody}", "a list"),
        ("{signed_by: any, verified_by: [forge]}", "of a `level` only"),
        ("{signed_by: any, repository: x}", "of a `level` only"),
        ("{signed: any}", "unknown field"),
        ("{signed_by: any}, commit: any", "have to be clean"),
        ("none", "mapping"),
    ],
)
def test_mistakes_are_told(source: str, match: str) -> None:
    with pytest.raises(BadPolicy, match=match):
        policy_file.parse(written(source), "p")


def decided(policy: str, source: str, commit: str = "clean") -> tuple[str, str]:
    cases = (
        "format: urn:stemma:policy-cases:v0.1\ncases:\n  - case: one\n    name: m:1\n"
        "    verdict: allow\n    says:\n"
        f"      - {{by: ci, type: provenance, commit: {commit}}}\n    source: {source}\n"
    )
    (result,) = policy_cases.run(policy_file.parse(written(policy), "p"), cases.encode(), NOW)
    return result.verdict, " ".join(result.reasons)


LEVEL = "{level: SLSA_SOURCE_LEVEL_3, verified_by: [forge], repository: here}"


@pytest.mark.parametrize(
    ("policy", "source", "match"),
    [
        ("{signed_by: any}", "[{by: ada, signed: commit}]", None),
        ("{signed_by: [ada]}", "[{by: bob, signed: commit}, {by: ada, signed: commit}]", None),
        ("{signed_by: [ada]}", "[{by: bob, signed: commit}]", "by bob, and the policy asks"),
        ("{signed_by: any}", "[{by: ada, signed: tag}]", "no signature"),
        ("{tagged_by: [ada]}", "[{by: ada, signed: tag}]", None),
        ("{signed_by: any}", "[]", "commit cccccccccccc: no signature"),
        (LEVEL, "[{by: forge, level: SLSA_SOURCE_LEVEL_4, repository: here}]", None),
        (LEVEL, "[{by: forge, level: SLSA_SOURCE_LEVEL_2, repository: here}]", "level 2, and"),
        (LEVEL, "[{by: forge, level: SLSA_SOURCE_LEVEL_4, repository: there}]", "is of 'there'"),
        (LEVEL, "[{by: eve, level: SLSA_SOURCE_LEVEL_4, repository: here}]", "by eve, and"),
        (LEVEL, "[{by: forge, signed: commit}]", "no source summary"),
    ],
)
def test_cases(policy: str, source: str, match: str | None) -> None:
    verdict, reasons = decided(policy, source)
    assert verdict == ("deny" if match else "allow"), reasons
    assert (match or "") in reasons


def test_without_a_clean_commit_nothing_stands_behind_it() -> None:
    everything = "[{by: ada, signed: commit}]"
    assert decided("{signed_by: any}", everything, "none")[0] == "deny"
    assert decided("{signed_by: any}", everything, "dirty")[0] == "deny"


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"objects": []},
        {"objects": [1]},
        {"objects": [{"kind": "tree", "commit": "a" * 40, "digest": {"sha256": "b" * 64}}]},
        {"objects": [{"kind": "tag", "commit": "a" * 39, "digest": {"sha256": "b" * 64}}]},
        {"objects": [{"kind": "tag", "commit": "a" * 40, "digest": {"sha1": "b" * 40}}]},
        {"objects": [{"kind": "tag", "digest": {"sha256": "b" * 64}}]},
        {"objects": [{"kind": "tag", "commit": "a" * 40, "digest": []}]},
    ],
)
def test_a_listing_that_breaks_its_format_is_refused(predicate: dict[str, object]) -> None:
    with pytest.raises(BadStatement):
        git_signature.parse(predicate)
