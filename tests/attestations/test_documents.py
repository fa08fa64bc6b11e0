"""Documents of other tools: what is claimed, and what hostile ones come to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.documents import card, dvc, mlflow, openlineage
from stemma_attestations.documents.reading import Reading
from stemma_attestations.errors import BadDocument
from stemma_attestations.predicates.imported import MAX_EDGES
from tests.building import examples, json_values, sha

OUTPUT = sha(b"the artifact")
LIMIT = 1_000_000
COMMIT = "3f" * 20


def brief(reading: Reading) -> list[tuple[str, str, str]]:
    return sorted((str(c.output), c.relation, str(c.input)) for c in reading.claims)


# --- cards ----------------------------------------------------------------------------------

CARD = b"""---
language:
- en
license: apache-2.0
library_name: transformers
base_model: meta-llama/Llama-2-7b-hf
base_model_relation: %s
datasets:
- squad
- HuggingFaceH4/ultrachat_200k
- https://example.org/my data
model-index:
- name: m
  results:
  - task:
      type: text-generation
    dataset:
      name: GLUE
      type: glue
    metrics:
    - type: acc
      value: 0.93
---
# A model

---
base_model: not/this
---
"""


@pytest.mark.parametrize(
    ("word", "relation"),
    [
        (b"finetune", "fine-tuned-from"),
        (b"adapter", "adapter-of"),
        (b"merge", "merged-from"),
        (b"quantized", "quantized-from"),
        (b"something-new", "derived-from"),
    ],
)
def test_a_card_says_base_models_and_datasets(word: bytes, relation: str) -> None:
    reading = card.read(CARD % word, OUTPUT)
    assert {(relation, thing) for _, relation, thing in brief(reading)} == {
        (relation, "hf:meta-llama/Llama-2-7b-hf"),
        ("trained-on", "hf:datasets/squad"),
        ("trained-on", "hf:datasets/HuggingFaceH4/ultrachat_200k"),
        ("evaluated-on", "hf:datasets/glue"),
    }
    assert len(reading.notes) == 1  # the address with a space in it
    again = card.read((CARD % word).replace(b"\n", b"\r\n"), OUTPUT)
    assert brief(again) == brief(reading)


@pytest.mark.parametrize(
    ("said", "relation"),
    [
        ("base_model: a/b", "fine-tuned-from"),
        ("base_model: [a/b]\nlibrary_name: peft", "adapter-of"),
        ("base_model: [a/b, c/d]", "merged-from"),
    ],
)
def test_a_relation_that_is_not_said_is_what_the_hub_would_tell(said: str, relation: str) -> None:
    reading = card.read(f"---\n{said}\n---\n".encode(), OUTPUT)
    assert {one for _, one, _ in brief(reading)} == {relation}


def test_a_dataset_card_says_its_sources() -> None:
    raw = b"---\nsource_datasets:\n- original\n- extended|wikipedia\n- acme/d\n---\n"
    assert [thing for _, _, thing in brief(card.read(raw, OUTPUT))] == [
        "hf:datasets/acme/d",
        "hf:datasets/wikipedia",
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"# no YAML",
        b"---\nbase_model: a/b\n",
        b"---\n- a\n---\n",
        b"---\na: &a [x]\nb: [*a, *a]\n---\n",
        b"---\nbase_model: a/b\nbase_model: c/d\n---\n",
        b"---\nbase_model: !!python/object:os.system x\n---\n",
        b"---\nbase_model: '\xff'\n---\n",
        b"---\n" + b"[" * 100_000 + b"\n---\n",
        b"---\nx: " + b"a" * 2_000_000 + b"\n---\n",
    ],
    ids=["none", "open", "list", "bomb", "twice", "tag", "bytes", "deep", "huge"],
)
def test_a_hostile_card_is_refused(raw: bytes) -> None:
    with pytest.raises(BadDocument):
        card.read(raw, OUTPUT)


# --- OpenLineage ----------------------------------------------------------------------------


def event(run: str, inputs: list[Any], outputs: list[Any], **job: Any) -> dict[str, Any]:
    """By https://openlineage.io/spec/2-0-2/OpenLineage.json."""
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-11-21T12:00:00Z",
        "producer": "https://github.com/OpenLineage/OpenLineage/tree/1.38.0/integration/spark",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run},
        "job": {"namespace": "etl", "name": "prepare", **job},
        "inputs": inputs,
        "outputs": outputs,
    }


def dataset(namespace: str, name: str) -> dict[str, str]:
    return {"namespace": namespace, "name": name}


GIT = {"type": "git", "url": "https://e.org/r", "version": COMMIT}
EVENTS = [
    event("1", [dataset("s3://lake", "raw/x.parquet")], []),
    event("2", [dataset("postgres://db:5432", "p.public.t")], [dataset("file", "/srv/o.csv")]),
    event("1", [], [dataset("s3://lake", "clean/x")], facets={"sourceCodeLocation": GIT}),
]
EDGES = [
    ("name:file/srv/o.csv", "derived-from", "name:postgres://db:5432/p.public.t"),
    ("s3://lake/clean/x", "built-from", f"gitCommit:{COMMIT}"),
    ("s3://lake/clean/x", "derived-from", "s3://lake/raw/x.parquet"),
]


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(EVENTS),
        json.dumps(EVENTS, indent=2),
        "\n".join(json.dumps(one) for one in EVENTS),
        "\n".join(json.dumps(one) for one in EVENTS) + "\n\n",
    ],
    ids=["list", "indented", "lines", "blank"],
)
def test_the_events_of_one_run_belong_together(raw: str) -> None:
    assert brief(openlineage.read(raw.encode(), LIMIT)) == EDGES


def test_one_event_by_itself_may_be_indented() -> None:
    raw = json.dumps(EVENTS[1], indent=1).encode()
    assert brief(openlineage.read(raw, LIMIT)) == EDGES[:1]


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"[1]", b"{}", b'{"eventTime":1}{"eventTime":2}', b'{"a":1,"a":2}', b"[" * 200],
)
def test_hostile_events_are_refused(raw: bytes) -> None:
    with pytest.raises(BadDocument):
        openlineage.read(raw, LIMIT)


def test_a_run_with_more_edges_than_the_limit_is_refused() -> None:
    many = [dataset("s3://b", str(n)) for n in range(400)]
    more = [dataset("s3://c", str(n)) for n in range(MAX_EDGES // 400 + 1)]
    with pytest.raises(BadDocument, match="more than 100000 edges"):
        openlineage.read(json.dumps(event("1", many, more)).encode(), LIMIT)


# --- MLflow ---------------------------------------------------------------------------------


def run(**fields: Any) -> dict[str, Any]:
    """By https://mlflow.org/docs/latest/rest-api.html#mlflowrun ."""
    used = [
        {
            "tags": [{"key": "mlflow.data.context", "value": context}],
            "dataset": {"name": name, "digest": "f3c1d2aa", "source_type": kind, "source": source},
        }
        for context, name, kind, source in fields.pop("datasets", [])
    ]
    return {
        "info": {"run_id": "0f" * 16, "experiment_id": "1", "status": "FINISHED"},
        "data": {
            "metrics": [{"key": "acc", "value": 0.9, "timestamp": 1763726400000, "step": 0}],
            "tags": [{"key": "mlflow.source.git.commit", "value": COMMIT}],
        },
        "inputs": {"dataset_inputs": used, "model_inputs": [{"model_id": "m-1"}]},
        **fields,
    }


def test_a_run_says_its_datasets_models_and_commit() -> None:
    hub = json.dumps({"path": "squad", "revision": None, "split": "train"})
    local = json.dumps({"uri": "/home/me/test.csv"})
    one = run(
        datasets=[
            ("training", "squad", "hugging_face", hub),
            ("training", "web", "s3", json.dumps({"uri": "s3://b/web.parquet"})),
            ("evaluation", "test", "local", local),
        ],
        outputs={"model_outputs": [{"model_id": "m-2", "step": "0"}]},
    )
    reading = mlflow.read(json.dumps({"runs": [one]}).encode(), LIMIT)
    model = "name:mlflow/models/m-2"
    assert brief(reading) == [
        (model, "built-from", f"gitCommit:{COMMIT}"),
        (model, "derived-from", "name:mlflow/models/m-1"),
        (model, "evaluated-on", "name:mlflow/datasets/test@f3c1d2aa"),
        (model, "trained-on", "hf:datasets/squad"),
        (model, "trained-on", "s3://b/web.parquet"),
    ]


def test_an_older_run_says_its_models_in_a_tag_or_is_the_output_itself() -> None:
    history = json.dumps([{"run_id": "0f" * 16, "artifact_path": "model", "flavors": {}}])
    one = run()
    one["data"]["tags"].append({"key": "mlflow.log-model.history", "value": history})
    for whole in ({"run": one}, [one], {"runs": [one]}):
        reading = mlflow.read(json.dumps(whole).encode(), LIMIT)
        assert {str(c.output) for c in reading.claims} == {f"name:mlflow/runs/{'0f' * 16}/model"}
    bare = mlflow.read(json.dumps([run()]).encode(), LIMIT)
    assert {str(c.output) for c in bare.claims} == {f"name:mlflow/runs/{'0f' * 16}"}


@pytest.mark.parametrize("raw", [b"", b"{}", b"[{}]", b'{"runs":{}}', b'{"runs":[],"runs":[]}'])
def test_hostile_runs_are_refused(raw: bytes) -> None:
    with pytest.raises(BadDocument):
        mlflow.read(raw, LIMIT)


# --- DVC ------------------------------------------------------------------------------------

LOCK = b"""schema: '2.0'
stages:
  prepare:
    cmd: python prepare.py
    deps:
    - path: data/raw.csv
      hash: md5
      md5: 22a1a2931c8370d3aeedd7183606fd7f
      size: 14445097
    - path: prepare.py
      hash: md5
      md5: 1e8863d2746b5a2b1f0e1b2c2b6f9e9d
      size: 1231
    - path: s3://lake/extra.csv
      etag: 0123
    params:
      params.yaml:
        split: 0.2
    outs:
    - path: data/prepared
      hash: md5
      md5: 153aad06d376b6595932470e459ef42a.dir
      size: 8437363
      nfiles: 2
"""


def test_a_lock_says_paths_and_what_lies_there_is_its_bytes() -> None:
    raw = "22a1a2931c8370d3aeedd7183606fd7f"
    lying = {
        "data/raw.csv": dvc.Found(sha(b"raw"), raw),
        "prepare.py": dvc.Found(sha(b"another"), "00" * 16),
    }
    reading = dvc.read(LOCK, "example.org/acme/p", lying.get)
    out = "path:example.org/acme/p/data/prepared@md5:153aad06d376b6595932470e459ef42a.dir"
    code = "path:example.org/acme/p/prepare.py@md5:1e8863d2746b5a2b1f0e1b2c2b6f9e9d"
    assert brief(reading) == [
        (out, "built-from", code),
        (out, "derived-from", "s3://lake/extra.csv"),
        (out, "derived-from", str(sha(b"raw"))),
    ]
    assert reading.notes == ["prepare.py: what lies there is not what the lock means"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"schema: '1.0'\nstages: {}\n",
        b"schema: '2.0'\n",
        b"schema: '2.0'\nstages: {a: 1}\n",
        b"schema: '2.0'\nstages: &a {b: *a}\n",
        b"schema: '2.0'\nstages: {}\nstages: {}\n",
    ],
)
def test_a_hostile_lock_is_refused(raw: bytes) -> None:
    with pytest.raises(BadDocument):
        dvc.read(raw, "p", lambda _: None)


def test_the_md5_of_a_directory_is_that_of_dvc() -> None:
    """Of `[{"md5": "d3b0...", "relpath": "a/foo"}, {"md5": "c157...", "relpath": "bar"}]`."""
    files = [
        ("bar", "c157a79031e1c40f85931829bc5fc552"),
        ("a/foo", "d3b07384d113edec49eaa6238ad5ff00"),
    ]
    assert dvc.directory_md5(files) == dvc.directory_md5(files[::-1])
    text = (
        '[{"md5": "d3b07384d113edec49eaa6238ad5ff00", "relpath": "a/foo"}, '
        '{"md5": "c157a79031e1c40f85931829bc5fc552", "relpath": "bar"}]'
    )
    import hashlib

    assert dvc.directory_md5(files) == f"{hashlib.md5(text.encode()).hexdigest()}.dir"


@examples(200)
@given(json_values, st.sampled_from(["runs", "run", "events"]))
def test_no_json_raises_anything_else(value: Any, key: str) -> None:
    bent = [
        value,
        {key: value},
        {"runs": [{**run(), "data": value, "inputs": value, "outputs": value}]},
        [{**EVENTS[0], "inputs": value, "run": value}],
        [{**EVENTS[0], "inputs": [value], "outputs": [dataset("a", "b")], "job": value}],
    ]
    for document in bent:
        raw = json.dumps(document).encode()
        for read in (mlflow.read, openlineage.read):
            try:
                assert isinstance(read(raw, LIMIT), Reading)
            except BadDocument:
                continue
