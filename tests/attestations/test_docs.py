"""The specifications in docs/formats: what they print is read by the code, and is the fixtures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma_attestations import bundle as bundles
from stemma_attestations import (
    canonical,
    digest,
    edges,
    json_strict,
    lock,
    manifest,
    named,
    names,
    paths,
    policy,
    policy_cases,
    policy_file,
    policy_input,
    policy_rego,
    policy_source_rule,
    quarantine_request,
    statement,
    yaml_strict,
)
from stemma_attestations.bundle import Bundle
from stemma_attestations.documents import card
from stemma_attestations.errors import BadPath
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Manifest
from stemma_attestations.marks import Mark
from stemma_attestations.paths import check_path
from stemma_attestations.predicates import (
    admission,
    approval,
    attachment,
    checkpoint,
    dataset,
    deployment,
    dossier,
    git_signature,
    imported,
    lineage,
    policy_sync,
    provenance,
    record_index,
    signature,
    stage,
    status,
    tags,
    waiver,
)
from stemma_attestations.relations import (
    BUILDS,
    KINDS,
    RELATIONS,
    SAME_AS,
    Flow,
    flow,
    propagates,
)
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry.config import LIMITS
from stemma_registry.dossier import container, feeds, proofs
from stemma_registry.foreign import letting
from stemma_registry.ledger import entry, heads
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import entry_key
from stemma_registry.rego import engine
from stemma_registry.status.documents import FeedHead
from tests.building import FIXTURES, NOW

FORMATS = Path(__file__).parents[2] / "docs" / "formats"
BLOCK = re.compile(r"^```(json|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (FORMATS / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[bytes]:
    """The example blocks of a page; JSON in its canonical form, YAML as it stands."""
    found = []
    for language, text in BLOCK.findall(page(name)):
        raw = text.encode()
        found.append(canonical.dumps(json_strict.loads(raw)) if language == "json" else raw)
    return found


def check_statement(parse: Callable[[Statement], object], kind: str) -> Callable[[bytes], None]:
    def check(raw: bytes) -> None:
        read = Statement.parse(raw)
        assert read.predicate_type == kind
        assert parse(read)

    return check


def check_bundle(raw: bytes) -> None:
    key = PublicKey.parse((FIXTURES / "keys/ecdsa-p256.pub").read_bytes())
    assert Bundle.parse(raw).verify(key)


def check_seen(raw: bytes) -> None:
    document = json_strict.load_object(raw)
    assert document["format"] == heads.SEEN_FORMAT
    assert document["entry"] == str(LedgerEntry.parse(frozen("ledger/000004.json"), 4).digest)


def check_cases(raw: bytes) -> None:
    held = policy_file.parse(frozen("policy.yaml"), "page")
    assert all(case.passed for case in policy_cases.run(held, raw, NOW))


def check_input(raw: bytes) -> None:
    module = (FORMATS.parents[1] / "examples/policies/prod.rego").read_text(encoding="utf-8")
    assert f"```rego\n{module}```" in page("policy-input.md")
    said = json_strict.load_object(engine.answer(module, raw.decode()).encode())
    assert said == {"package": "data.stemma.prod", "allow": True, "deny": []}


def frozen(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def of_predicate(parse: Callable[..., object]) -> Callable[[Statement], object]:
    return lambda read: parse(read.predicate)


# Page -> the fixture that each of its examples is, and the code that reads it.
EXAMPLES: dict[str, list[tuple[str, Callable[[bytes], object]]]] = {
    "manifest.md": [("manifest-model.json", Manifest.parse)],
    "bundle.md": [("bundles/checkpoint.ecdsa-p256.json", check_bundle)],
    "provenance.md": [
        (
            "statements/provenance.json",
            check_statement(of_predicate(provenance.parse), provenance.TYPE),
        )
    ],
    "lineage.md": [("statements/lineage.json", check_statement(lineage.parse, lineage.TYPE))],
    "status.md": [
        ("statements/quarantine.json", check_statement(of_predicate(status.parse), status.TYPE)),
        ("statements/release.json", check_statement(of_predicate(status.parse), status.TYPE)),
        ("statements/erase.json", check_statement(of_predicate(status.parse), status.TYPE)),
        ("statements/distrust.json", check_statement(of_predicate(status.parse), status.TYPE)),
        ("statements/retire.json", check_statement(of_predicate(status.parse), status.TYPE)),
    ],
    "dataset.md": [
        ("statements/dataset.json", check_statement(of_predicate(dataset.parse), dataset.TYPE))
    ],
    "oms.md": [
        ("statements/model-signature.json", check_statement(signature.parse, signature.TYPE))
    ],
    "checkpoint.md": [
        ("statements/checkpoint.json", check_statement(checkpoint.parse, checkpoint.TYPE))
    ],
    "attachment.md": [
        (
            "statements/attachment.json",
            check_statement(of_predicate(attachment.parse), attachment.TYPE),
        )
    ],
    "approval.md": [
        ("statements/approval.json", check_statement(of_predicate(approval.parse), approval.TYPE))
    ],
    "waiver.md": [
        ("statements/waiver.json", check_statement(of_predicate(waiver.parse), waiver.TYPE))
    ],
    "policy-sync.md": [
        ("statements/policy-sync.json", check_statement(policy_sync.parse, policy_sync.TYPE))
    ],
    "admission.md": [
        (
            "statements/admission.json",
            check_statement(of_predicate(admission.parse), admission.TYPE),
        )
    ],
    "deployment.md": [
        ("statements/deployment.json", check_statement(deployment.check, deployment.TYPE))
    ],
    "stage.md": [("statements/stage.json", check_statement(stage.parse, stage.TYPE))],
    "dossier.md": [
        ("statements/dossier.json", check_statement(of_predicate(dossier.parse), dossier.TYPE))
    ],
    "import.md": [
        ("statements/import.json", check_statement(of_predicate(imported.parse), imported.TYPE))
    ],
    "tags.md": [("statements/tags.json", check_statement(tags.parse, tags.TYPE))],
    "policy.md": [
        ("policy.yaml", lambda raw: policy_file.parse(raw, "page")),
        ("policy-cases.yaml", check_cases),
    ],
    "policy-input.md": [("policy-input.json", check_input)],
    "lock.md": [("lock.yaml", lock.parse)],
    "trust-root.md": [("trust-root.yaml", TrustRoot.parse)],
    "ledger.md": [
        ("ledger/000003.json", lambda raw: LedgerEntry.parse(raw, 3)),
        ("ledger/000006.json", lambda raw: LedgerEntry.parse(raw, 6)),
        ("ledger/000008.json", lambda raw: LedgerEntry.parse(raw, 8)),
        ("seen-head.json", check_seen),
    ],
    "feed.md": [("feed/head.json", FeedHead.parse)],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_the_fixtures_and_are_read(name: str) -> None:
    examples = EXAMPLES[name]
    assert blocks(name) == [frozen(fixture) for fixture, _ in examples]
    for raw, (fixture, check) in zip(blocks(name), examples, strict=True):
        check(raw)
        assert f"tests/fixtures/v0.1/{fixture}" in page(name)


def test_every_page_with_an_example_of_ours_is_checked() -> None:
    # The pages of the ML-BOM, the verdict and the format scan have tests of their own.
    with_examples = {path.name for path in FORMATS.glob("*.md") if blocks_of(path)}
    assert with_examples - {"ml-bom.md", "verdict.md", "format-scan.md"} == set(EXAMPLES)


def blocks_of(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


# --- what the pages say ---------------------------------------------------------------------

NAMES = {
    "manifest.md": [manifest.FORMAT],
    "bundle.md": [bundles.MEDIA_TYPE, statement.PAYLOAD_TYPE],
    "provenance.md": [provenance.TYPE, *KINDS, *BUILDS],
    "lineage.md": [lineage.TYPE, *RELATIONS],
    "status.md": [status.TYPE, status.QUARANTINE, status.RELEASE, status.ERASE, status.MATCHING],
    "dataset.md": [dataset.TYPE],
    "oms.md": [signature.TYPE, signature.TYPE_V0],
    "checkpoint.md": [checkpoint.TYPE, heads.CHECKPOINT],
    "attachment.md": [attachment.TYPE, statement.PAYLOAD_TYPE],
    "approval.md": [approval.TYPE],
    "git-signature.md": [git_signature.TYPE, *git_signature.KINDS],
    "record-index.md": [record_index.TYPE],
    "admission.md": [admission.TYPE],
    "policy-sync.md": [policy_sync.TYPE, policy_sync.POLICY, quarantine_request.FORMAT],
    "waiver.md": [waiver.TYPE],
    "deployment.md": [deployment.TYPE, *deployment.STATES],
    "stage.md": [stage.TYPE, stage.PROMOTE, stage.ROLLBACK],
    "dossier.md": [
        dossier.TYPE,
        *dossier.Role,
        container.HEADER.decode().strip(),
        proofs.FORMAT,
        feeds.FORMAT,
    ],
    "import.md": [imported.TYPE, *imported.SOURCES, *imported.MARKS, *card._RELATIONS],
    "policy.md": [
        policy.FORMAT,
        policy_cases.FORMAT,
        *policy_file.TOP,
        *policy_file.RULE,
        *policy_rego.FIELDS,
        *policy_source_rule.FIELDS,
    ],
    "policy-input.md": [policy_input.FORMAT],
    "trust-root.md": ["urn:stemma:trust-root:v0.1", "attested", "signed", "claimed"],
    "ledger.md": [entry.FORMAT, heads.SEEN_FORMAT, *sorted(entry.KNOWN), entry_key(123)],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_the_words_of_the_code(name: str) -> None:
    text = page(name)
    assert [word for word in NAMES[name] if f"`{word}`" not in text] == []


@pytest.mark.parametrize(
    ("name", "said", "limit"),
    [
        ("manifest.md", "1 to {:,}", manifest.MAX_ENTRIES),
        ("manifest.md", "a manifest over {:,} MiB", manifest.MAX_BYTES >> 20),
        ("manifest.md", "a path over {} bytes", paths.MAX_PATH_BYTES),
        ("manifest.md", "a component over {} bytes", paths.MAX_COMPONENT_BYTES),
        ("oms.md", "more than {:,}, a path", manifest.MAX_ENTRIES),
        ("bundle.md", "more than {:,} MiB", bundles.MAX_BYTES >> 20),
        ("ledger.md", "1 to {:,}", entry.MAX_EVENTS),
        ("ledger.md", "a lease of {:.0f} s", LIMITS.collect_lease_seconds),
        ("attachment.md", "1 to {:,} documents", attachment.MAX_ITEMS),
        ("lock.md", "at most {:,} KiB", lock.MAX_BYTES >> 10),
        ("lock.md", "1 to {} members", lock.MAX_MEMBERS),
        ("lock.md", "at most {} characters", lock.MAX_WORD),
        ("trust-root.md", "at most {:,} MiB", yaml_strict.MAX_BYTES >> 20),
        ("trust-root.md", "nested at most {:,} deep", yaml_strict.MAX_DEPTH),
        ("policy.md", "at most {:,} rules", policy_file.MAX_RULES),
        ("policy.md", "at most {} KiB", policy_rego.MAX_MODULE_BYTES >> 10),
        ("policy.md", "within {:g} s and", LIMITS.rego_seconds),
        ("policy.md", "within {:g} s of", LIMITS.opa_seconds),
        ("policy.md", "and {:,} MiB of memory", LIMITS.rego_bytes >> 20),
        ("admission.md", "at most {:,} as", letting.MAX_ADMITTED),
        ("deployment.md", "1 to {} characters", deployment.MAX_WORD),
        ("import.md", "at most {:,}", imported.MAX_EDGES),
        ("import.md", "1 to {:,} characters", named.MAX_TEXT),
        ("import.md", "a document over {} MiB", LIMITS.import_bytes >> 20),
        ("import.md", "a `dvc.lock` over {} MiB", yaml_strict.MAX_BYTES >> 20),
        ("deployment.md", "at most {} days", deployment.MAX_LIFE.days),
        ("README.md", "more than {:,} MiB", json_strict.MAX_BYTES >> 20),
        ("README.md", "a statement: {:,} MiB", statement.MAX_BYTES >> 20),
        ("README.md", "a manifest: {:,} MiB", manifest.MAX_BYTES >> 20),
        ("README.md", "a bundle: {:,} MiB", bundles.MAX_BYTES >> 20),
        ("README.md", "deeper than {}", json_strict.MAX_DEPTH),
        ("README.md", "more than {:,}, or with", statement.MAX_SUBJECTS),
        ("README.md", "at most {} characters. A segment", names.MAX_NAME),
        ("README.md", "at most {} characters. `NAME:VERSION`", names.MAX_VERSION),
    ],
)
def test_a_page_says_the_limits_of_the_code(name: str, said: str, limit: float) -> None:
    assert said.format(limit) in " ".join(page(name).split())


def rows(name: str, header: str) -> list[list[str]]:
    """The cells of the table whose header row begins with `header`."""
    lines = page(name).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {header}"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def code_spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_relations_is_that_of_the_code() -> None:
    said = {
        relation: (what, flows == "yes")
        for cell, what, flows in rows("lineage.md", "relation |")
        for relation in code_spans(cell)
    }
    assert said == {one: (str(what), propagates(one)) for one, what in RELATIONS.items()}
    assert rows("lineage.md", "relation |")[-1] == ["any other", "everything", "yes"]
    assert flow("any other") is flow(SAME_AS) is Flow.EVERYTHING


def test_the_tables_of_marks_and_predicates_are_those_of_the_code() -> None:
    assert [code_spans(cell) for cell, _ in rows("lineage.md", "mark |")] == [[m] for m in Mark]
    said = {one for cell, *_ in rows("lineage.md", "predicate |") for one in code_spans(cell)}
    assert said == set(edges._READERS) - {lineage.TYPE}
    assert f"{edges.MAX_EDGES:,} edges" in page("lineage.md")


def test_the_table_of_digests_is_that_of_the_code() -> None:
    said = {}
    for cell, digits, counts in rows("README.md", "algorithm |"):
        for algorithm in code_spans(cell):
            said[algorithm] = (tuple(map(int, digits.split(" or "))), counts == "yes")
    assert said == {
        algorithm: (lengths, algorithm not in digest.WEAK)
        for algorithm, lengths in digest.LENGTHS.items()
    }


def test_the_table_of_paths_is_that_of_the_code() -> None:
    for _, refused, fine in rows("manifest.md", "refused |"):
        for text in code_spans(refused):
            path = re.sub(r"<U\+([0-9A-F]{4})>", lambda m: chr(int(m[1], 16)), text)
            with pytest.raises(BadPath):
                check_path(path)
        for path in code_spans(fine):
            assert check_path(path) == path
        for code in re.findall(r"(?<!<)U\+([0-9A-F]{4})", refused):
            with pytest.raises(BadPath):
                check_path(f"a{chr(int(code, 16))}b")


def test_every_page_is_in_the_index_and_every_link_leads_somewhere() -> None:
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", page("README.md")))
    assert listed == {path.name for path in FORMATS.glob("*.md")} - {"README.md"}
    for path in FORMATS.glob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
