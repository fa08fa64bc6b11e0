"""`open_verified`: what is handed out is what was judged, whatever becomes of the source."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.errors import BytesDiffer, NotVerified, Quarantined, StemmaError
from stemma_cli import exits
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Unavailable
from stemma_registry.serving import Place, Tensor, VerifiedModel, open_verified, sealed, verified
from tests.faults.scene import Scene

FILES = {"w.bin": b"weights", "config.json": b"{}"}


def opened(scene: Scene, subject: str | Path = "models/m:1", **options: Any) -> VerifiedModel:
    return open_verified(subject, registry=str(scene.registry), home=scene.seat.home, **options)


def contents(model: VerifiedModel) -> dict[str, bytes]:
    """Every file, by `open`."""
    found = {}
    for path in model.files:
        with model.open(path) as file:
            found[path] = file.read()
    return found


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def blobs(scene: Scene) -> list[Path]:
    return [p for p in (scene.registry / "blobs").rglob("*") if p.is_file()]


def overwrite(path: Path) -> None:
    """Write other bytes into a file, in place."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(b"X" * os.stat(path).st_size)


@pytest.mark.parametrize("subject", ["models/m:1", "directory"])
def test_what_happens_to_the_source_changes_nothing(scene: Scene, subject: str) -> None:
    root = scene.work / "model"
    options = {} if subject != "directory" else {"expected": "models/m:1"}
    with opened(scene, subject if not options else root, **options) as model:
        assert model.verdict.passed
        before = model.open("w.bin")
        for path in (*blobs(scene), *root.iterdir()):
            overwrite(path)
        assert contents(model) == tree(model.path) == FILES
        shutil.rmtree(scene.registry)
        shutil.rmtree(root)
        assert contents(model) == tree(model.path) == FILES
    assert not model.path.exists()
    assert before.read() == b"weights", "what is open stays"
    before.close()


def test_nobody_writes_to_what_is_handed_out(scene: Scene) -> None:
    with opened(scene) as model, model.open("w.bin") as file:
        for attempt in (
            lambda: os.pwrite(file.fileno(), b"X", 0),
            lambda: os.ftruncate(file.fileno(), 0),
            lambda: os.ftruncate(file.fileno(), 100),
            lambda: os.write(os.open(f"/proc/self/fd/{file.fileno()}", os.O_WRONLY), b"X"),
        ):
            with pytest.raises(OSError):
                attempt()
        assert file.read() == b"weights"


@pytest.mark.parametrize("large", [False, True])
def test_a_private_copy_that_was_changed_is_refused(
    scene: Scene, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(sealed, "available", lambda: False)
    with opened(scene) as model:
        overwrite(model.path / "w.bin")
        with pytest.raises(BytesDiffer):
            model.open("w.bin")
        with pytest.raises(BytesDiffer):
            model.load_safetensors("w.bin")
        with model.open("config.json") as file:
            assert file.read() == b"{}"


def test_a_large_file_is_the_private_copy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "LIMITS", replace(LIMITS, sealed_bytes=3))
    with opened(scene) as model:
        assert contents(model) == FILES
        with model.open("w.bin") as file:
            assert os.readlink(f"/proc/self/fd/{file.fileno()}") == str(model.path / "w.bin")
        with model.open("config.json") as file:
            assert "memfd" in os.readlink(f"/proc/self/fd/{file.fileno()}")


def test_without_a_yes_nothing_is_opened(scene: Scene) -> None:
    with pytest.raises(NotFound):
        opened(scene, "models/no:1")
    with pytest.raises(NotVerified):
        opened(scene, policy="starter", stage="no such stage")
    with pytest.raises(NotFound), opened(scene) as model:
        model.open("../lock")
    with opened(scene) as model:
        scene.run("quarantine", "data/raw:1", "--reason", "bad").expect(0)
        with pytest.raises(Quarantined):
            model.check_standing(Place.of({}, str(scene.registry), scene.seat.home))
    with pytest.raises(Quarantined):
        opened(scene)
    for path in blobs(scene):
        overwrite(path)
    with pytest.raises(StemmaError) as caught:
        opened(scene)
    assert exits.code_of(caught.value) == scene.verify("models/m:1")
    assert os.listdir(scene.seat.home / "serving") == []


# safetensors


def safetensors(header: Mapping[str, Any] | bytes, data: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


TENSORS = {
    "f": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
    "z": {"dtype": "I64", "shape": [0], "data_offsets": [22, 22]},
    "s": {"dtype": "U8", "shape": [], "data_offsets": [22, 23]},
}
DATA = struct.pack("<4f", 1.0, 2.0, 3.0, 4.0) + b"abcdef" + b"\x07"
HOSTILE = {
    "overlap.safetensors": safetensors(
        {**TENSORS, "b": {"dtype": "BF16", "shape": [3], "data_offsets": [15, 21]}}, DATA
    ),
    "trailing.safetensors": safetensors(TENSORS, DATA + b"more"),
    "twice.safetensors": safetensors(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"x",
    ),
    "overflow.safetensors": safetensors(
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}, b""
    ),
    "long.safetensors": struct.pack("<Q", 2**63) + b"{}",
    "short.safetensors": b"\x01",
    "empty.safetensors": b"",
}


@pytest.fixture(scope="module")
def tensors(template: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = template.copy(tmp_path_factory.mktemp("tensors") / "scene")
    good = {"good.safetensors": safetensors({"__metadata__": {"a": "b"}, **TENSORS}, DATA)}
    scene.write("work/st", {**good, **HOSTILE})
    scene.run("push", "st", "models/st:1", "--kind", "model").expect(0)
    return scene


def test_tensors_are_what_was_hashed(tensors: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy

    with opened(tensors, "models/st:1") as model:
        found = model.load_safetensors("good.safetensors")
        assert list(found) == ["f", "b", "z", "s"]
        assert numpy.array_equal(found["f"], numpy.array([[1, 2], [3, 4]], "float32"))
        assert (found["z"].shape, found["s"].shape, int(found["s"])) == ((0,), (), 7)
        bfloat = found["b"]
        assert isinstance(bfloat, Tensor)
        assert (bfloat.dtype, bfloat.shape, bytes(bfloat.data)) == ("BF16", (3,), b"abcdef")
        with pytest.raises(ValueError):
            found["f"][0, 0] = 9
        with pytest.raises(TypeError):
            bfloat.data[0] = 9
        from safetensors.numpy import load

        without = safetensors({name: TENSORS[name] for name in "f"}, DATA[:16])
        assert numpy.array_equal(load(without)["f"], found["f"]), "as the reference reads it"

        monkeypatch.setitem(sys.modules, "numpy", None)  # as where it is not installed
        plain = model.load_safetensors("good.safetensors")["f"]
        assert isinstance(plain, Tensor)
        assert (plain.dtype, plain.shape, bytes(plain.data)) == ("F32", (2, 2), DATA[:16])


@pytest.mark.parametrize("path", HOSTILE)
def test_a_header_that_lies_is_refused(tensors: Scene, path: str) -> None:
    with opened(tensors, "models/st:1") as model, pytest.raises(NotVerified):
        model.load_safetensors(path)


def test_no_room_for_the_copy(scene: Scene, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("no directory")
    with pytest.raises(Unavailable):
        opened(scene, folder=place)


def test_a_fork_does_not_take_the_copy_away(scene: Scene) -> None:
    with opened(scene) as model:
        pid = os.fork()
        if pid == 0:
            model.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert tree(model.path) == FILES
