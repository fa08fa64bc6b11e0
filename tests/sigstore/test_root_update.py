"""A newer trusted root through TUF: what is kept, and everything that is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot, SignatureRefused
from stemma_registry.config import LIMITS, Home, Limits
from stemma_registry.errors import Unavailable
from stemma_registry.trust import public_good, root_update
from stemma_registry.trust.root_update import Repository, changes, update
from stemma_registry.trust.roots import TrustedRoots
from tests.calling import caller
from tests.sigstore.stack import LocalSigstore
from tests.sigstore.tuf_repository import TufRepository

PUBLIC = [public_good.TRUSTED_ROOT]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def target(sigstore: LocalSigstore) -> bytes:
    return canonical.dumps(sigstore.trusted_root_json())


@pytest.fixture
def repository(target: bytes) -> TufRepository:
    return TufRepository(target)


@pytest.fixture
def url(repository: TufRepository) -> Iterator[str]:
    with repository.served() as url:
        yield url


def roots(home: Home) -> list[Digest]:
    return TrustedRoots(home.roots).digests()


def test_it_is_fetched_verified_and_kept(
    repository: TufRepository, url: str, home: Home, target: bytes
) -> None:
    digest = update(Repository(url, repository.anchor), home)
    assert digest == Digest.of(target)
    assert TrustedRoots(home.roots).read(digest) == target
    assert sorted([*PUBLIC, digest]) == roots(home)
    assert not home.trust.exists()
    assert update(Repository(f"{url}/", repository.anchor), home) == digest


def test_nothing_is_read_from_or_written_to_the_caches_of_others(
    repository: TufRepository, url: str, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = tmp_path / "user-home"
    for folder in (".cache", ".local/share"):
        cache = user / folder / "sigstore-python" / "tuf"
        cache.mkdir(parents=True)
        (cache / "root.json").write_text("{}")
    before = sorted(user.rglob("*"))
    monkeypatch.chdir(user)
    update(Repository(url, repository.anchor), home)
    assert sorted(user.rglob("*")) == before


def test_keys_that_were_rotated_are_followed(
    repository: TufRepository, url: str, home: Home, target: bytes
) -> None:
    for role in ("root", "timestamp", "targets"):
        repository.rotate(role)
    repository.publish(target)
    assert update(Repository(url, repository.anchor), home) == Digest.of(target)


Bend = Callable[[TufRepository, bytes], object]


def _tampered(repository: TufRepository, target: bytes) -> None:
    repository.files[repository.place_of(target)] = target.swapcase()


def _oversized(repository: TufRepository, target: bytes) -> None:
    repository.files[repository.place_of(target)] = target + b" " * 1_000_000


def _metadata(repository: TufRepository, target: bytes) -> None:
    raw = repository.files["1.targets.json"]
    repository.files["1.targets.json"] = raw.replace(b"sha256", b"sha512")


def _other_key(repository: TufRepository, target: bytes) -> None:
    other = TufRepository(target)
    repository.files["timestamp.json"] = other.files["timestamp.json"]


def _other_root(repository: TufRepository, target: bytes) -> None:
    other = TufRepository(target)
    other.rotate("root")
    repository.files["2.root.json"] = other.files["2.root.json"]


def _expired(repository: TufRepository, target: bytes) -> None:
    repository.lifetime = timedelta(seconds=-1)
    repository.publish(target)


def _expired_root(repository: TufRepository, target: bytes) -> None:
    repository.lifetime = timedelta(seconds=-1)
    repository.rotate("snapshot")


def _endless_timestamp(repository: TufRepository, target: bytes) -> None:
    repository.files["timestamp.json"] = b" " * 1_000_000


def _missing(repository: TufRepository, target: bytes) -> None:
    del repository.files[repository.place_of(target)]


def _nonsense(repository: TufRepository, target: bytes) -> None:
    repository.files["timestamp.json"] = b"\xff{"


def _another_target(repository: TufRepository, target: bytes) -> None:
    repository.publish(target, "something_else.json")


def _no_root(repository: TufRepository, target: bytes) -> None:
    repository.publish(b'{"mediaType": "nothing"}')


BENDS: dict[Bend, type[Exception]] = {
    _tampered: SignatureRefused,
    _oversized: Unavailable,
    _metadata: SignatureRefused,
    _other_key: SignatureRefused,
    _other_root: SignatureRefused,
    _expired: Unavailable,
    _expired_root: Unavailable,
    _endless_timestamp: Unavailable,
    _missing: Unavailable,
    _nonsense: SignatureRefused,
    _another_target: SignatureRefused,
    _no_root: BadTrustRoot,
}


@pytest.mark.parametrize("bend", BENDS)
def test_what_is_refused_leaves_nothing(
    repository: TufRepository, url: str, home: Home, target: bytes, bend: Bend
) -> None:
    bend(repository, target)
    with pytest.raises(BENDS[bend]) as caught:
        update(Repository(url, repository.anchor), home)
    assert "\n" not in str(caught.value)
    assert roots(home) == PUBLIC
    assert not home.tuf.exists()


def test_it_does_not_go_back(
    repository: TufRepository, url: str, home: Home, sigstore: LocalSigstore, target: bytes
) -> None:
    """Rollback: an old state that has not expired, from a server or a mirror that went back."""
    first = dict(repository.files)
    newer = canonical.dumps(sigstore.trusted_root_json(tsa=False))
    repository.publish(newer)
    assert update(Repository(url, repository.anchor), home) == Digest.of(newer)
    kept = {p: p.read_bytes() for p in home.tuf.rglob("*") if p.is_file()}
    repository.files = first
    with pytest.raises(SignatureRefused, match="not believed"):
        update(Repository(url, repository.anchor), home)
    assert {p: p.read_bytes() for p in home.tuf.rglob("*") if p.is_file()} == kept
    assert Digest.of(target) not in roots(home)


def test_a_key_that_was_replaced_does_not_come_back(
    repository: TufRepository, url: str, home: Home, sigstore: LocalSigstore, target: bytes
) -> None:
    """Whoever stole the old timestamp key cannot hide the root that took it away."""
    stolen = repository.keys["timestamp"]
    repository.rotate("timestamp")
    repository.publish(target)
    update(Repository(url, repository.anchor), home)
    del repository.files["2.root.json"]
    repository.keys["timestamp"] = stolen
    repository.publish(canonical.dumps(sigstore.trusted_root_json(tsa=False)))
    with pytest.raises(SignatureRefused):
        update(Repository(url, repository.anchor), home)
    assert roots(home) == sorted([*PUBLIC, Digest.of(target)])


def test_a_freeze_ends_with_the_timestamp(
    repository: TufRepository, url: str, home: Home, target: bytes
) -> None:
    repository.lifetime = timedelta(seconds=2)
    repository.publish(target)
    update(Repository(url, repository.anchor), home)
    time.sleep(3)
    with pytest.raises(Unavailable, match="expired"):
        update(Repository(url, repository.anchor), home)


def test_what_is_kept_is_verified_again(
    repository: TufRepository, url: str, home: Home, target: bytes
) -> None:
    """Whoever can write to the home gains nothing by forging what the repository said."""
    other = TufRepository(b"forged")
    at = Repository(url, repository.anchor)
    update(at, home)
    folder = at.kept(home)
    (folder / "timestamp.json").write_bytes(other.files["timestamp.json"])
    (folder / "root_history" / "1.root.json").write_bytes(other.anchor)
    (folder / "root_history" / "2.root.json").write_bytes(other.anchor)
    assert update(at, home) == Digest.of(target)


@pytest.mark.parametrize("what", ["timestamp.json", "target"])
def test_a_server_that_drips_is_left(
    repository: TufRepository,
    url: str,
    home: Home,
    target: bytes,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(root_update, "LIMITS", Limits(root_update_seconds=2.0))
    repository.slow.add(repository.place_of(target) if what == "target" else what)
    with pytest.raises(Unavailable, match="more than 2 s"):
        update(Repository(url, repository.anchor), home)
    assert roots(home) == PUBLIC


def test_all_of_it_is_bounded_in_bytes(
    repository: TufRepository, url: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_update, "LIMITS", Limits(root_update_bytes=3_000))
    with pytest.raises(Unavailable, match="3000 bytes in all"):
        update(Repository(url, repository.anchor), home)
    assert roots(home) == PUBLIC


def test_roots_without_end(repository: TufRepository, url: str, home: Home) -> None:
    for _ in range(LIMITS.root_rotations + 5):
        repository.rotate("root")
    update(Repository(url, repository.anchor), home)
    asked = [name for name in repository.requests if name.endswith(".root.json")]
    assert len(asked) == LIMITS.root_rotations


def test_nobody_there(home: Home, repository: TufRepository) -> None:
    with repository.served() as url:
        pass
    with pytest.raises(Unavailable, match="cannot fetch"):
        update(Repository(url, repository.anchor), home)
    with pytest.raises(SignatureRefused):
        update(Repository(url, b"{}"), home)


def test_what_is_new_is_said(sigstore: LocalSigstore) -> None:
    old = sigstore.trusted_root_json()
    new = sigstore.trusted_root_json(tsa=False)
    new["tlogs"][0]["publicKey"]["validFor"]["end"] = "2099-01-01T00:00:00Z"
    dropped = new["tlogs"].pop()
    lines = changes(json.dumps(old).encode(), json.dumps(new).encode())
    assert [line.split(" http")[0] for line in lines if " log " in line or "+ log" in line]
    marks = sorted(line[0] for line in lines)
    assert marks == ["-", "-", "~"]
    assert any("2099-01-01T00:00:00Z, was from" in line for line in lines)
    assert any(dropped["baseUrl"] in line for line in lines)
    assert changes(None, json.dumps(old).encode())[0].startswith("+ certificate authority")
    assert changes(json.dumps(old).encode(), json.dumps(old).encode()) == []


def test_the_command(
    repository: TufRepository,
    url: str,
    tmp_path: Path,
    target: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    anchor = tmp_path / "root.json"
    anchor.write_bytes(repository.anchor)

    def run(*arguments: str) -> tuple[int, str]:
        code, out, _ = caller(capsys)("trust", "root", "update", *arguments)
        return code, out

    code, out = run("--url", url, "--root", str(anchor), "--json")
    found: Any = json.loads(out)
    assert code == 0
    assert (found["old"], found["new"]) == (None, str(Digest.of(target)))
    assert all(line.startswith("+ ") for line in found["changes"])
    code, out = run("--url", url, "--root", str(anchor), "--old", found["new"])
    assert code == 0
    assert out.splitlines()[-1] == "nothing is new"
    code, out = run("--url", url, "--root", str(anchor), "--old", str(public_good.TRUSTED_ROOT))
    assert f'      root: "{found["new"]}"' in out.splitlines()
    assert "- log https://rekor.sigstore.dev" in out
    assert run("--url", url)[0] == 2
    _tampered(repository, target)
    assert run("--url", url, "--root", str(anchor))[0] == 13
    monkeypatch.setattr(public_good, "TUF_URL", "http://127.0.0.1:9")
    assert run()[0] == 14
