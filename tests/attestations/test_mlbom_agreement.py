"""ML-BOMs against manifests: any artifact agrees with its own, and every tampering is found."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadManifest, BadPath, BadStatement
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import mlbom
from stemma_attestations.relations import BUILDS, KINDS, RELATIONS
from stemma_attestations.statement import Statement
from tests.attestations.test_mlbom import ARGUMENTS, COMMIT, DATA, FILES, ROOT, built
from tests.building import examples, json_values, manifest_of, sha, sha256_digests, statement_about

# --- any arguments --------------------------------------------------------------------------

segments = st.text("abcXYZ019_-éß漢 .", min_size=1, max_size=6)
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(st.lists(paths, min_size=1, max_size=5, unique=True))
    entries = [Entry(n, draw(st.integers(0, 2**40)), draw(sha256_digests)) for n in names]
    try:
        return Manifest.of(entries)
    except (BadPath, BadManifest):
        assume(False)
        raise


words = st.text(max_size=12)
names = st.none() | st.sampled_from(["data/a:1", "data/a:2", "model/b:1", "not a name", ""])
materials = st.builds(
    mlbom.Material,
    st.sampled_from(sorted(RELATIONS)),
    names,
    st.lists(
        sha256_digests | st.just(COMMIT) | st.just(Digest("sha512", "ab" * 64)) | st.just(DATA),
        min_size=1,
        max_size=3,
        unique_by=lambda d: d.algorithm,
    ).map(tuple),
    st.none() | st.sampled_from([*KINDS, "no such kind"]),
)
packages = st.lists(
    st.tuples(
        st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
        st.from_regex(r"[0-9]\.[0-9]{1,2}", fullmatch=True),
    ),
    max_size=4,
    unique_by=lambda item: item[0],
).map(lambda found: [mlbom.Package(n, v, f"pkg:pypi/{n}@{v}") for n, v in found])


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    metrics = st.sampled_from(["accuracy", "test_f1", "task", "approach", "architecture"])
    return {
        "name": NameVersion("a/b", draw(st.sampled_from(["1", "v2.0+x"]))),
        "kind": draw(st.sampled_from(KINDS)),
        "manifest": draw(manifests()),
        "inputs": draw(st.lists(materials, max_size=5)),
        "parameters": draw(st.dictionaries(words | metrics, words | json_values, max_size=5)),
        "packages": draw(packages),
        "created": "2026-01-31T12:00:00Z",
        "build": draw(st.none() | st.sampled_from(BUILDS)),
        "licence": draw(st.none() | words),
        "description": draw(st.none() | words),
        "tool_version": "0.1.0",
    }


def references(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every reference in a BOM of ours, found by the names of the fields."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "ref":
            yield value, key
        elif key in ("dependsOn", "assemblies"):
            yield from ((item, index) for index in range(len(item)))
        elif isinstance(item, dict | list):
            yield from references(item)


def bom_refs(value: Any) -> Iterator[str]:
    """Every bom-ref, at any depth."""
    if isinstance(value, dict) and isinstance(value.get("bom-ref"), str):
        yield value["bom-ref"]
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from bom_refs(item)


@examples(150)
@given(arguments())
def test_any_artifact_has_a_valid_bom_that_agrees(given: dict[str, Any]) -> None:
    document = mlbom.build(**given)
    mlbom.check(document)
    assert mlbom.hashes_agree(document, given["manifest"]) == ()
    declared = list(bom_refs(document))
    assert len(set(declared)) == len(declared)
    assert {holder[key] for holder, key in references(document)} <= set(declared)
    about = statement_about(given["manifest"].digest, mlbom.TYPE, document)
    assert Statement.parse(about.raw).predicate == document


@examples(60)
@given(arguments(), st.randoms(use_true_random=False))
def test_the_order_of_arguments_changes_nothing(
    given: dict[str, Any], chance: random.Random
) -> None:
    shuffled = dict(given)
    for field in ("inputs", "packages"):
        shuffled[field] = chance.sample(given[field], len(given[field]))
    parameters = list(given["parameters"].items())
    shuffled["parameters"] = dict(chance.sample(parameters, len(parameters)))
    assert canonical.dumps(mlbom.build(**shuffled)) == canonical.dumps(mlbom.build(**given))


def test_every_difference_changes_the_serial_number() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"name": NameVersion("vision/digits", "1.1")},
        {"kind": "adapter"},
        {"manifest": manifest_of({"a": b"a"})},
        {"inputs": []},
        {"parameters": {}},
        {"packages": []},
        {"created": "2026-11-21T12:00:01Z"},
        {"build": "train"},
        {"licence": None},
        {"description": None},
        {"tool_version": "0.1.1"},
    ]
    assert len({built(**change)["serialNumber"] for change in changes}) == len(changes)


def test_the_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "import sys; from stemma_attestations import canonical;"
        "from tests.attestations.test_mlbom import built;"
        "sys.stdout.buffer.write(canonical.dumps(built()))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True
        )
        assert done.stdout == canonical.dumps(built()), done.stderr.decode()


# --- tampering ------------------------------------------------------------------------------


def _other(digest: str, chance: random.Random) -> str:
    index = chance.randrange(len(digest))
    return digest[:index] + ("1" if digest[index] == "0" else "0") + digest[index + 1 :]


def _change_a_hash(document: dict[str, Any], chance: random.Random) -> None:
    main = document["metadata"]["component"]
    listed = chance.choice([main, *main["components"]])["hashes"][0]
    listed["content"] = _other(listed["content"], chance)


def _rename_a_file(document: dict[str, Any], chance: random.Random) -> None:
    chance.choice(document["metadata"]["component"]["components"])["name"] += "x"


def _drop_a_file(document: dict[str, Any], chance: random.Random) -> None:
    files = document["metadata"]["component"]["components"]
    files.remove(chance.choice(files))


def _drop_a_hash(document: dict[str, Any], chance: random.Random) -> None:
    main = document["metadata"]["component"]
    del chance.choice([main, *main["components"]])["hashes"]


def _weaken_a_hash(document: dict[str, Any], chance: random.Random) -> None:
    main = document["metadata"]["component"]
    chance.choice([main, *main["components"]])["hashes"][0]["alg"] = "SHA3-256"


def _add_a_hash(document: dict[str, Any], chance: random.Random) -> None:
    hashes = chance.choice(document["metadata"]["component"]["components"])["hashes"]
    hashes.append({"alg": "SHA-256", "content": _other(hashes[0]["content"], chance)})


def _add_a_file(document: dict[str, Any], chance: random.Random) -> None:
    extra = {"type": "file", "name": "extra", "hashes": [{"alg": "SHA-256", "content": "0" * 64}]}
    main = document["metadata"]["component"]
    holder = chance.choice([main, document, *main["components"], *document["components"]])
    holder.setdefault("components", []).append(extra)


def _repeat_a_file(document: dict[str, Any], chance: random.Random) -> None:
    files = document["metadata"]["component"]["components"]
    files.append({**chance.choice(files), "description": "again"})


@pytest.mark.parametrize(
    "tamper",
    [
        _change_a_hash,
        _rename_a_file,
        _drop_a_file,
        _drop_a_hash,
        _weaken_a_hash,
        _add_a_hash,
        _add_a_file,
        _repeat_a_file,
    ],
)
@examples(25)
@given(given=arguments(), chance=st.randoms(use_true_random=False))
def test_a_bom_that_differs_from_the_manifest_disagrees(
    tamper: Callable[[dict[str, Any], random.Random], None],
    given: dict[str, Any],
    chance: random.Random,
) -> None:
    document = mlbom.build(**given)
    tamper(document, chance)
    assert mlbom.hashes_agree(document, given["manifest"])


@examples(100)
@given(arguments(), st.data())
def test_a_reference_that_leads_nowhere_is_refused(
    given: dict[str, Any], data: st.DataObject
) -> None:
    document = mlbom.build(**given)
    holder, key = data.draw(st.sampled_from(list(references(document))))
    holder[key] += data.draw(st.sampled_from(["x", " ", "#"]))
    with pytest.raises(BadStatement, match="not in the document"):
        mlbom.check(document)


def test_disagreements_are_said_in_words() -> None:
    document = built()
    files = document["metadata"]["component"]["components"]
    files[0]["hashes"][0]["content"] = "0" * 64
    files[1]["name"] = "other.json"
    del files[2]["hashes"]
    files.append(files[3])
    expected = sha(FILES["README.md"]).short
    assert mlbom.hashes_agree(document, ARGUMENTS["manifest"]) == (
        f"README.md: sha256:{'0' * 12} in the BOM, {expected} in the manifest",
        "'other.json': in the BOM, not in the manifest",
        "model.safetensors: no SHA-256 in the BOM",
        "tokenizer.json: twice in the BOM",
        "config.json: not in the BOM",
    )


@examples(200)
@given(st.dictionaries(st.sampled_from(["metadata", "components", "x"]), json_values))
def test_what_is_no_bom_never_agrees_and_never_crashes(document: dict[str, Any]) -> None:
    assert mlbom.hashes_agree(document, ARGUMENTS["manifest"])
    assert mlbom.licences(document) == ()
    with pytest.raises(BadStatement):
        mlbom.check(document)


@examples(200)
@given(st.data())
def test_damage_anywhere_is_an_answer_and_not_a_crash(data: st.DataObject) -> None:
    document = built()
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    try:
        mlbom.check(document)
    except BadStatement as error:
        assert len(str(error)) < 1000
    assert isinstance(mlbom.hashes_agree(document, ARGUMENTS["manifest"]), tuple)
    assert all(isinstance(item, str) for item in mlbom.licences(document))
