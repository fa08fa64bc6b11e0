"""`examples/kubernetes` and `examples/ci`: what they say, and what their scripts do after a no.

The scripts are taken out of the very files and run by the shells that would run them. A path
that a container mounts is a folder of the test's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.commands import SHIM
from tests.docs.console import _door
from tests.faults.scene import Scene
from tests.serving.conftest import ODD
from tests.serving.test_pull import MODEL, files, quarantined, tampered
from tests.zygote import ROOT

EXAMPLES = ROOT / "examples"
DEPLOYMENT = EXAMPLES / "kubernetes/deployment.yaml"
KSERVE = EXAMPLES / "kubernetes/cluster-storage-container.yaml"
INITIALIZER = EXAMPLES / "kubernetes/storage-initializer.sh"
GITHUB = EXAMPLES / "ci/github-deploy.yml"
GITLAB = EXAMPLES / "ci/gitlab-deploy.yml"
DIGEST = re.compile(r"registry\.example\.com/[a-z-]+@sha256:0{64}\Z")
POLICY = """format: urn:stemma:policy:v0.1
rules:
  - names: ["models/**"]
    ancestors: {}
"""
APPROVED = POLICY + "    approvals: {by: [ada]}\n"
CASES = """format: urn:stemma:policy-cases:v0.1
cases:
  - case: {case}
    name: models/m:1
    stage: prod
    verdict: {verdict}
    says:
      - {{by: owner, type: provenance}}
      - {{by: owner, type: bom}}
"""


class Strict(yaml.BaseLoader):
    """Everything is text (YAML 1.1 takes `on` for true), and no key is there twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), node.start_mark
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    (document,) = yaml.load_all(path.read_text(encoding="utf-8"), Strict)
    assert isinstance(document, dict)
    return document


@dataclass(frozen=True)
class Desk:
    """A registry with a feed, `etc` with what a gate is given, and a PATH with `stemma`."""

    scene: Scene
    path: str

    @property
    def etc(self) -> Path:
        return self.scene.folder / "etc"

    @property
    def digest(self) -> str:
        return hashlib.sha256((self.etc / "trust.yaml").read_bytes()).hexdigest()

    def run(
        self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """A process that knows where the registry is, and nothing of its maker's home."""
        base = {"PATH": self.path, "LANG": "C.UTF-8", "HOME": str(self.scene.folder / "nowhere")}
        full = {**base, **environment, "STEMMA_REGISTRY": str(self.scene.registry)}
        done = subprocess.run(argv, env=full, cwd=cwd, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stdout + done.stderr, done
        return done


@pytest.fixture(scope="session")
def published(template: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The template with a feed, and what gates pin in `etc`."""
    scene = template.copy(tmp_path_factory.mktemp("deploying") / "scene")
    etc = scene.folder / "etc"
    etc.mkdir()
    scene.run("key", "new", "--out", scene.folder / "root.pem").expect(0)
    root = ("--root-key", f"key:{scene.folder / 'root.pem'}", "--out", etc / "feed-root.json")
    scene.run("feed", "init", *root).expect(0)
    shutil.copy(scene.seat.home / "trust.yaml", etc)
    (etc / "policy.yaml").write_text(POLICY)
    (etc / "cases.yaml").write_text(CASES.format(case="owner's own", verdict="allow"))
    return scene


@pytest.fixture
def desk(published: Scene, tmp_path: Path) -> Desk:
    scene = published.copy(tmp_path / "scene")
    programs = tmp_path / "bin"
    programs.mkdir()
    texts = {
        "stemma": SHIM.format(python=sys.executable, door=str(_door())),
        "python": '#!/bin/sh\necho "$@" >>"$PYTHON_SAID"\n',
    }
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return Desk(scene, f"{programs}{os.pathsep}{os.environ['PATH']}")


def stranger(desk: Desk) -> None:
    """The trust root believes somebody else."""
    trust = desk.etc / "trust.yaml"
    trust.unlink()
    desk.scene.run("key", "new", "--out", desk.scene.folder / "other.pem").expect(0)
    public = desk.scene.folder / "other.pub"
    desk.scene.run("trust", "add", public, "--trust", trust, "--principal", "owner").expect(0)


def unapproved(desk: Desk) -> None:
    (desk.etc / "policy.yaml").write_text(APPROVED)
    (desk.etc / "cases.yaml").write_text(CASES.format(case="unapproved", verdict="deny"))


def another_feed(desk: Desk) -> None:
    """The root that is pinned is not that of the registry's feed."""
    other = Scene(desk.scene.folder / "other", desk.scene.zygote)
    other.work.mkdir(parents=True)
    other.run("init").expect(0)
    other.run("key", "new", "--out", "root.pem").expect(0)
    out = desk.etc / "feed-root.json"
    out.unlink()
    other.run("feed", "init", "--root-key", "key:root.pem", "--out", out).expect(0)


NOES: dict[str, tuple[Callable[[Desk], None], int]] = {
    "quarantined": (lambda desk: quarantined(desk.scene), 11),
    "other bytes": (lambda desk: tampered(desk.scene), 12),
    "an unknown signer": (stranger, 13),
    "no approval": (unapproved, 10),
    "another feed": (another_feed, 14),
    "the registry is gone": (lambda desk: shutil.rmtree(desk.scene.registry), 3),
}
noes = pytest.mark.parametrize("case", NOES)


# --- Kubernetes -----------------------------------------------------------------------------


def pod() -> dict[str, Any]:
    document = read(DEPLOYMENT)
    spec = document["spec"]
    assert (document["apiVersion"], document["kind"]) == ("apps/v1", "Deployment")
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    found: dict[str, Any] = spec["template"]["spec"]
    return found


def mounts(container: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {mount["mountPath"]: mount for mount in container["volumeMounts"]}


def is_tight(container: Mapping[str, Any]) -> bool:
    context = container["securityContext"]
    return bool(
        context["allowPrivilegeEscalation"] == "false"
        and context["readOnlyRootFilesystem"] == "true"
        and context["capabilities"] == {"drop": ["ALL"]}
        and DIGEST.match(container["image"])
    )


def test_the_server_sees_the_model_and_cannot_write_to_it() -> None:
    spec = pod()
    (gate,), (server,) = spec["initContainers"], spec["containers"]
    assert is_tight(gate)
    assert is_tight(server)
    assert spec["securityContext"]["runAsNonRoot"] == "true"
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {m["name"] for c in (gate, server) for m in c["volumeMounts"]} == set(volumes)
    assert mounts(server) == {"/model": {**mounts(gate)["/model"], "readOnly": "true"}}
    assert mounts(gate)["/etc/stemma"]["readOnly"] == "true"
    given = {
        item["path"]
        for source in volumes["stemma"]["projected"]["sources"]
        for item in source["configMap"]["items"]
    }
    said = re.findall(r"/etc/stemma/([a-z.-]+)", gate["args"][0])
    assert given == set(said) == {"trust.yaml", "feed-root.json", "policy.yaml"}
    assert server["args"][-1] == "/model/current"


def initialise(desk: Desk, **changes: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the init container; what it said, and what the volume of the server is."""
    (gate,) = pod()["initContainers"]
    places = {"/etc/stemma": desk.etc}
    for path in mounts(gate).keys() - places.keys():
        places[path] = desk.scene.folder / "volumes" / mounts(gate)[path]["name"]
        places[path].mkdir(parents=True, exist_ok=True)
        places[path].chmod(0o777)  # as they are mounted

    def placed(text: str) -> str:
        pattern = "|".join(map(re.escape, places))
        return re.sub(pattern, lambda found: str(places[found[0]]), text)

    environment = {one["name"]: placed(one["value"]) for one in gate["env"]} | changes
    environment["MODEL"] = changes.get("MODEL", "models/m:1")
    (script,) = gate["args"]
    argv = [*gate["command"], placed(script)]
    return desk.run(argv, environment, desk.scene.folder), places["/model"]


def test_the_init_container_gives_the_server_its_files(desk: Desk) -> None:
    for _ in range(2):  # a node that is restarted begins again, on the volumes of before
        done, volume = initialise(desk, TRUST_DIGEST=desk.digest)
        assert done.returncode == 0, done
        assert [path.name for path in volume.iterdir()] == ["current"]
        assert files(volume / "current") == MODEL


@noes
def test_after_a_no_the_server_would_find_nothing(desk: Desk, case: str) -> None:
    if case == "quarantined":
        initialise(desk, TRUST_DIGEST=desk.digest)  # yesterday it was right
    harm, code = NOES[case]
    harm(desk)
    done, volume = initialise(desk, TRUST_DIGEST=desk.digest)
    assert done.returncode == code, done
    assert list(volume.iterdir()) == []
    assert done.stderr.startswith("stemma: ")


def test_the_digest_has_to_be_filled_in(desk: Desk) -> None:
    done, volume = initialise(desk)
    assert (done.returncode, list(volume.iterdir())) == (12, []), done


# --- KServe ---------------------------------------------------------------------------------


def test_kserve_finds_the_container_by_its_name_and_the_prefix() -> None:
    document = read(KSERVE)
    container = document["spec"]["container"]
    assert document["apiVersion"] == "serving.kserve.io/v1alpha1"
    assert document["kind"] == "ClusterStorageContainer"
    assert container["name"] == "storage-initializer"
    assert [Path(part).name for part in container["command"]] == [INITIALIZER.name]
    assert "args" not in container  # KServe's own: the URI and the directory
    assert document["spec"]["supportedUriFormats"] == [{"prefix": "stemma://"}]
    assert is_tight(container)
    assert container["securityContext"]["runAsNonRoot"] == "true"


def fetch(desk: Desk, uri: str, target: Path) -> subprocess.CompletedProcess[str]:
    """What KServe runs."""
    container = read(KSERVE)["spec"]["container"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    environment["STEMMA_CONFIG"] = str(desk.etc)
    return desk.run([str(INITIALIZER), uri, str(target)], environment, desk.scene.folder)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """/mnt/models, where a container that was killed left something."""
    folder = tmp_path / "models"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "old").write_text("old")
    (folder / ".stemma.killed1").mkdir()
    return folder


@pytest.mark.parametrize(("name", "expected"), [("models/m:1", MODEL), ("models/odd:1", ODD)])
def test_the_storage_initializer_puts_the_files_where_kserve_wants_them(
    desk: Desk, target: Path, name: str, expected: dict[str, bytes]
) -> None:
    done = fetch(desk, f"stemma://{name}", target)
    assert done.returncode == 0, done
    assert files(target) == expected
    assert {path.name for path in target.iterdir()} == {path.split("/")[0] for path in expected}


@noes
def test_after_a_no_there_is_nothing_to_serve(desk: Desk, target: Path, case: str) -> None:
    harm, code = NOES[case]
    harm(desk)
    done = fetch(desk, "stemma://models/m:1", target)
    assert done.returncode == code, done
    assert list(target.iterdir()) == []


def test_several_at_once_are_refused(desk: Desk, target: Path) -> None:
    """KServe gives pairs where an InferenceService has `storageUris`."""
    pair = ["stemma://models/m:1", str(target)]
    assert desk.run([str(INITIALIZER), *pair, *pair], {}, desk.scene.folder).returncode == 2
    assert (target / "old").exists()


@pytest.mark.parametrize("uri", ["s3://models/m", "stemma://", "stemma://--quarantined", ""])
def test_what_is_no_uri_of_ours_is_refused(desk: Desk, target: Path, uri: str) -> None:
    done = fetch(desk, uri, target)
    assert done.returncode == 2, done
    assert (target / "old").exists()


# --- CI -------------------------------------------------------------------------------------


def checkout(desk: Desk) -> Path:
    """A deploy repository."""
    folder = desk.scene.folder / "checkout"
    shutil.copytree(desk.etc, folder / "stemma")
    (folder / "deploy.sh").write_text('echo "$1" >deployed\n')
    return folder


def substituted(text: str, known: Mapping[str, str]) -> str:
    """With every ${{ ... }} replaced; one that the test does not know is an error."""
    return re.sub(r"\$\{\{ *(.*?) *\}\}", lambda found: known[found[1]], text)


def github(desk: Desk) -> tuple[dict[str, int], Path]:
    """Run the jobs in order, as far as they are reached: job -> exit code."""
    workflow, folder = read(GITHUB), checkout(desk)
    known = {
        "inputs.model": "models/m:1",
        "vars.STEMMA_REGISTRY": str(desk.scene.registry),
        "github.workspace": str(folder),
    }
    ended: dict[str, int] = {}
    for name, job in workflow["jobs"].items():
        if "needs" in job and ended[job["needs"]] != 0:
            continue
        said = {**workflow["env"], **job.get("env", {}), "PYTHON_SAID": str(folder / "python")}
        environment = {key: substituted(value, known) for key, value in said.items()}
        ended[name] = 0
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "run" in step and ended[name] == 0:
                assert "${{" not in step["run"]  # an input is no part of a script
                done = desk.run(["bash", "-e", "-c", step["run"]], environment, folder)
                ended[name] = done.returncode
    return ended, folder


def test_github_deploys_after_a_yes(desk: Desk) -> None:
    ended, folder = github(desk)
    assert ended == {"gate": 0, "deploy": 0}
    assert (folder / "deployed").read_text() == "models/m:1\n"
    assert (folder / "python").read_text().startswith("-m pip install --require-hashes")
    assert "verdict" in (folder / "verdict.json").read_text()


@pytest.mark.parametrize("case", ["quarantined", "no approval", "another feed"])
def test_github_deploys_nothing_after_a_no(desk: Desk, case: str) -> None:
    harm, code = NOES[case]
    harm(desk)
    ended, folder = github(desk)
    assert ended == {"gate": code}
    assert not (folder / "deployed").exists()


def test_github_is_given_little_and_runs_what_is_pinned() -> None:
    workflow = read(GITHUB)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow["on"]) == {"workflow_dispatch"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.search(r"@[0-9a-f]{40}\Z", one) for one in used)
    (kept,) = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "always()"


def gitlab(desk: Desk) -> tuple[dict[str, int], Path]:
    """The same for GitLab, which gives a job's lines to one shell."""
    pipeline, folder = read(GITLAB), checkout(desk)
    ended: dict[str, int] = {}
    for name in pipeline["stages"]:
        job = pipeline[name]
        assert job["stage"] == name
        if any(ended.get(needed) != 0 for needed in job.get("needs", [])):
            continue
        values = {"CI_PROJECT_DIR": str(folder), "MODEL": "models/m:1"}
        for key, value in job.get("variables", {}).items():
            values[key] = value.replace("$CI_PROJECT_DIR", str(folder))
        done = desk.run(["sh", "-e", "-c", "\n".join(job["script"])], values, folder)
        ended[name] = done.returncode
    return ended, folder


def test_gitlab_deploys_after_a_yes(desk: Desk) -> None:
    ended, folder = gitlab(desk)
    assert ended == {"gate": 0, "deploy": 0}
    assert (folder / "deployed").read_text() == "models/m:1\n"


@pytest.mark.parametrize("case", ["quarantined", "no approval"])
def test_gitlab_deploys_nothing_after_a_no(desk: Desk, case: str) -> None:
    harm, code = NOES[case]
    harm(desk)
    ended, folder = gitlab(desk)
    assert ended == {"gate": code}
    assert not (folder / "deployed").exists()


def test_gitlab_asks_again_only_where_nothing_was_decided() -> None:
    pipeline = read(GITLAB)
    gate = pipeline["gate"]
    assert gate["retry"]["exit_codes"] == ["14"]
    assert "allow_failure" not in gate
    assert gate["artifacts"] == {"when": "always", "paths": ["verdict.json"]}
    assert all(pipeline[name]["extends"] == ".prod" for name in pipeline["stages"])
    assert DIGEST.match(pipeline["default"]["image"])
