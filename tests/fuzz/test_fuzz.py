"""A bounded slice of fuzzing, and that the fuzzers would notice."""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from stemma_attestations import json_strict
from tests.fuzz import mutate, seeds
from tests.fuzz.__main__ import ALL, Run
from tests.fuzz.properties import TARGETS

ROOT = Path(__file__).resolve().parents[2]


def fuzzed(target: str, *options: str, seconds: float) -> str:
    """Run in a process of its own: atheris does not give it back."""
    command = [sys.executable, "-m", "tests.fuzz", target, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{done.stderr[-4000:]}\n{done.stdout[-2000:]}"
    return done.stdout


def test_atheris_is_here_where_it_has_wheels() -> None:
    there = platform.system() == "Linux" and platform.machine() == "x86_64"
    assert not there or importlib.util.find_spec("atheris") is not None


def test_every_target_has_seeds_that_it_accepts() -> None:
    assert set(seeds.targets()) == set(TARGETS)
    run = Run(ALL)
    for pool in run.seeds():
        for data in pool:
            run.one(data)
    assert [name for name in TARGETS if not run.accepted[name]] == []


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_guided_by_coverage(seed: int) -> None:
    said = fuzzed(ALL, "--runs", "8000", f"--seed={seed}", seconds=240)
    assert "slowest input" in said


def test_mutations_of_every_target_alike() -> None:
    said = fuzzed(ALL, "--plain", "--runs", "6000", "--seed=3", seconds=240)
    lines = [line.split() for line in said.splitlines() if " accepted" in line]
    assert len(lines) == len(TARGETS)
    assert min(int(runs) for _, runs, *_ in lines) > 100, said


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_each_target_for_longer(target: str) -> None:
    assert "accepted" in fuzzed(target, "--seconds", "40", "--seed=5", seconds=400)


def test_a_mutation_can_be_made_again_and_goes_deep() -> None:
    (data, *_) = seeds.of("bundle")
    changed = [mutate.mutate(data, seed) for seed in range(300)]
    assert changed == [mutate.mutate(data, seed) for seed in range(300)]
    assert len(set(changed)) > 200
    payloads = set()
    for one in changed:
        try:
            payloads.add(json_strict.load_object(one)["dsseEnvelope"]["payload"])
        except (json_strict.BadJSON, KeyError, TypeError):
            continue
    assert len(payloads) > 10, "nothing is changed inside the base64"


@pytest.mark.parametrize(
    ("target", "broken"),
    [
        ("json", ("stemma_attestations.json_strict._DECODER", json.JSONDecoder())),
        ("envelope", ("stemma_attestations.envelope.unbase64", lambda value, field: b"x")),
        ("statement", ("stemma_attestations.statement.text", lambda obj, key: obj.get(key))),
        ("manifest", ("stemma_attestations.manifest.check_paths", list)),
        ("entry", ("stemma_registry.ledger.entry._blob_name", lambda text: text)),
        ("bundle", ("stemma_attestations.keys.PublicKey.verify", lambda *_: None)),
        ("trust", ("stemma_attestations.grants.check_pattern", lambda name: name + "/**")),
        ("keyless", ("stemma_attestations.keyless.Verified.__eq__", lambda *_: False)),
    ],
)
def test_a_defect_is_found(
    target: str, broken: tuple[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each property is one that can fail."""
    monkeypatch.setattr(*broken)
    run = Run(target)
    (pool,) = run.seeds()
    with pytest.raises((AssertionError, TypeError, AttributeError)):
        for seed in range(3000):
            run.one(run.mutated(pool[seed % len(pool)], 32 * 1024, seed))
