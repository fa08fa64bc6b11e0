"""The commands, on a repository here and on one that a host has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemma_registry.errors import Refused
from stemma_registry.gitrepo.named import split
from tests.calling import Call, caller
from tests.git.hosts import host
from tests.git.repositories import Checkout
from tests.pointers.conftest import MODEL, WEIGHTS


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STEMMA_REGISTRY", raising=False)
    return caller(capsys)


@pytest.mark.parametrize("object_format", ["sha256"])
def test_from_a_work_tree_to_a_verdict_elsewhere(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, object_format: str
) -> None:
    assert call("init")[0] == 0
    work = Checkout.make(tmp_path / "work", object_format)
    work.commit("one", readme="read me\n")
    monkeypatch.chdir(work.root)
    (work.root / "m").mkdir()
    for name, data in MODEL.items():
        (work.root / "m" / name).write_bytes(data)
    code, out, _ = call("add", "m", "--as", "models/m:1", "--kind", "model", "--param", "k=v")
    assert (code, "2 pointers written" in out) == (0, True)
    commit = work.commit("two")
    work.git("tag", "v1")
    work.commit("three", other="x")
    with host(tmp_path) as url:
        repository = f"{url}/work/.git"
        for revision in ("v1", commit):
            code, out, _ = call("verify", "--git", f"{repository}@{revision}", "m")
            assert (code, out.splitlines()[0].split()[0]) == (0, "VERIFIED")
        code, out, _ = call("--json", "verify", "--git", repository, "--as", "models/m:1", "m")
        said = json.loads(out)
        assert (said["verified"], said["repository"], said["pointers"]) == (True, repository, 2)
        assert said["git_commit"] == work.git("rev-parse", "HEAD")
        assert call("verify", "--git", f"{repository}@nothing", "m")[0] == 3
        asked = ("import", "git", f"{repository}@v1", "m", "--as", "hub/m:1", "--kind", "model")
        code, out, _ = call("--json", *asked)
        assert (code, json.loads(out)["remote"], json.loads(out)["git_commit"]) == (
            0,
            repository,
            commit,
        )
    code, out, _ = call("--json", "trace", f"git:{commit}")
    assert (code, "hub/m:1" in out) == (0, True)
    assert call("quarantine", "models/m:1", "--reason", "bad")[0] == 0
    code, out, _ = call("verify", "--git", ".", "m")
    assert (code, out.splitlines()[0].startswith("NOT VERIFIED (quarantined")) == (11, True)
    code, out, _ = call("checkout")
    assert (code, out.count("left: m/model-")) == (11, 2)
    code, out, _ = call("--json", "checkout", "--quarantined", "m")
    assert (code, len(json.loads(out)["written"])) == (0, 2)
    assert (work.root / "m/model-1.safetensors").read_bytes() == WEIGHTS


def test_differences(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("init")[0] == 0
    work = Checkout.make(tmp_path / "work")
    work.commit("one", readme="read me\n")
    monkeypatch.chdir(work.root)
    for number in (1, 2):
        (work.root / "a.bin").write_bytes(WEIGHTS * number)
        asked = ("add", "a.bin", "--as", f"models/a:{number}", "--kind", "model")
        assert call(*asked)[0] == 0
        work.commit(f"a:{number}")
    code, out, _ = call("diff", "HEAD~1", "HEAD")
    assert (code, out.split()[:2]) == (0, ["~", "a.bin"])
    assert "(models/a:1) -> " in out
    assert "(models/a:2)" in out
    assert call("diff", "HEAD~2", "HEAD")[1].startswith("+ a.bin")
    assert call("diff", "HEAD", "HEAD~2")[1].startswith("- a.bin")
    assert call("diff")[1] == "nothing differs\n"
    assert call("diff", "--against", "models/a:2", "--path", "a.bin")[1] == "nothing differs\n"
    code, out, _ = call("--json", "diff", "HEAD", "--against", "models/a:1", "--path", "a.bin")
    (change,) = json.loads(out)["changes"]
    assert (change["change"], change["new"]["artifacts"]) == ("changed", ["models/a:2"])
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "nobody"))
    assert call("diff", "HEAD~1", "HEAD")[0] == 0  # without a registry, no names


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "a", "--kind", "model"),
        ("add", "a", "--as", "models/a:1"),
        ("add", "a", "b", "--as", "models/a:1", "--kind", "model"),
        ("diff", "a", "b", "c"),
        ("diff", "a", "b", "--against", "models/a:1"),
        ("verify", "--git", ".", "a", "b"),
        ("verify", "--git", ".", "--record"),
        ("verify", "--git", ".", "--vsa", "out"),
        ("verify", "--git", ".", "--lock", "stemma.lock"),
        ("verify", "--git", "ext::sh -c x% /y"),
    ],
)
def test_what_does_not_fit_together_is_said(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert call("init")[0] == 0
    monkeypatch.chdir(tmp_path)
    code, _, err = call(*arguments)
    assert code in ((1,) if "ext::" in "".join(arguments) else (2,))
    assert "stemma: " in err


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (".", (".", None)),
        (".@v1", (".", "v1")),
        (".@feature/x", (".", "feature/x")),
        (".@models/qa@v1.0.0", (".", "models/qa@v1.0.0")),
        ("./@x", ("./", "x")),
        ("nowhere/@x/r@v1", ("nowhere/@x/r", "v1")),
        ("https://example.org/@me/r@models/qa@v1", ("https://example.org/@me/r", "models/qa@v1")),
        ("https://me@example.org/r@qa@v1", ("https://me@example.org/r", "qa@v1")),
        ("git@example.org:o/r.git@qa#prod@1", ("git@example.org:o/r.git", "qa#prod@1")),
        ("https://example.org/o/r@", ("https://example.org/o/r@", None)),
        ("https://example.org/o/r@v1", ("https://example.org/o/r", "v1")),
        ("https://me:pw@example.org/o/r", ("https://me:pw@example.org/o/r", None)),
        ("https://me@example.org/o/r@main", ("https://me@example.org/o/r", "main")),
        ("git@example.org:o/r.git", ("git@example.org:o/r.git", None)),
        ("git@example.org:o/r.git@v1", ("git@example.org:o/r.git", "v1")),
        ("ssh://git@example.org/o/r", ("ssh://git@example.org/o/r", None)),
    ],
)
def test_a_repository_and_a_revision(text: str, parts: tuple[str, str | None]) -> None:
    assert split(text) == parts


def test_a_revision_of_nothing() -> None:
    with pytest.raises(Refused):
        split("@v1")
