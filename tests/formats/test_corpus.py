"""The corpus: everything bad is found, everything good is clean, code is code and no more."""

from __future__ import annotations

import pytest

from stemma_registry.formats.findings import RULES
from tests.formats import making
from tests.formats.looking import bad, rules, scan

PICKLES = making.malicious_pickles()
MALICIOUS = PICKLES | making.malicious_files()
BENIGN = making.benign_files()
CODE = making.codelike_files()


def test_the_corpus_is_large_enough() -> None:
    assert len(MALICIOUS) >= 60
    assert len(BENIGN) >= 25
    assert len(set(MALICIOUS.values())) >= 60
    assert not set(MALICIOUS.values()) & set(BENIGN.values())


@pytest.mark.parametrize("name", MALICIOUS)
def test_what_is_malicious_is_found(name: str) -> None:
    assert bad(scan(name, MALICIOUS[name]))


@pytest.mark.parametrize("name", BENIGN)
def test_what_is_benign_is_clean(name: str) -> None:
    found = scan(name, BENIGN[name])
    assert found.findings == ()
    assert found.size == len(BENIGN[name])


@pytest.mark.parametrize("name", CODE)
def test_code_is_reported_as_code(name: str) -> None:
    data, rule = CODE[name]
    found = scan(name, data)
    assert rule in rules(found)
    assert bad(found) == []


# Without its suffix, a protocol that nobody knows makes data of a pickle: nothing loads it.
@pytest.mark.parametrize("name", sorted(PICKLES.keys() - {"protocol-9.pkl"}))
def test_another_suffix_hides_no_pickle(name: str) -> None:
    for disguise in ("weights.pt", "a.npy", "a.safetensors", "x.gguf", "x.onnx"):
        assert bad(scan(disguise, PICKLES[name])), disguise


@pytest.mark.parametrize(
    ("name", "form", "contains"),
    [
        ("torch.pt", "torch", {"pickle", "text"}),
        ("legacy.pt", "torch-legacy", set()),
        ("none.npy", "numpy-object", {"pickle"}),
        ("array.npy", "numpy", set()),
        ("arrays.npz", "npz", {"numpy"}),
        ("compressed.npz", "npz", {"numpy"}),
        ("arrays.joblib", "pickle", {"joblib"}),
        ("compressed.joblib", "zlib", {"pickle", "joblib"}),
        ("model.keras", "keras", {"json", "hdf5"}),
        ("model.h5", "keras-hdf5", set()),
        ("model.onnx", "onnx", set()),
        ("data.csv.gz", "gzip", {"text"}),
        ("config.json", "json", set()),
        ("noise.bin", "data", set()),
        ("empty", "empty", set()),
    ],
)
def test_formats(name: str, form: str, contains: set[str]) -> None:
    found = scan(name, BENIGN[name])
    assert found.format == form
    assert contains <= set(found.contains)


def test_findings_say_what_and_where() -> None:
    found = scan("m.pt", making.torch_zip(making.EVAL4))
    (finding,) = found.findings
    assert (finding.rule, finding.severity) == ("pickle-global", "dangerous")
    assert finding.text == "STACK_GLOBAL builtins.eval"
    at = making.EVAL4.index(bytes([0x93]))
    assert finding.where == f"archive/data.pkl byte {at}"


def test_every_rule_is_raised_by_something() -> None:
    """But for what only a directory, a store or a large file can raise."""
    seen = set[str]()
    for name, data in [*MALICIOUS.items(), *((k, v[0]) for k, v in CODE.items())]:
        seen |= rules(scan(name, data))
    elsewhere = {
        "not-a-file",
        "unreadable",
        "too-deep",
        "expands-too-far",
        "unknown-compression",
        "compressed-malformed",
        "numpy-malformed",
        "safetensors-malformed",
        "gguf-malformed",
        "protobuf-malformed",
    }
    assert set(RULES) - seen <= elsewhere
