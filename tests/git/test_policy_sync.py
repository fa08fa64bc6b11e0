"""Policy, trust root and requests, taken from commits that the real git and ssh-keygen signed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations import gitsigned, policies
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BytesDiffer, Malformed, Quarantined, SignatureRefused
from stemma_attestations.predicates import policy_sync as predicate
from stemma_attestations.predicates.policy_sync import POLICY
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot
from stemma_cli import exits, verdicts
from stemma_registry import gate, policy_source
from stemma_registry.config import Home
from stemma_registry.errors import Damaged, NotFound, Overtaken, Refused, Unavailable
from stemma_registry.gate import Terms
from stemma_registry.policysync import adopted, place, recorded, syncing
from stemma_registry.policysync.syncing import Desk, Synced
from stemma_registry.signing import KeySigner
from stemma_registry.trust import file as trust_file
from tests.git.hosts import host
from tests.git.ledgers import exported, git
from tests.git.repositories import FORMATS, Checkout
from tests.programs import require_program
from tests.registry.stores import Disk

NAME = "git.example.org/acme/policy"
REQUEST = """\
format: urn:stemma:quarantine-request:v0.1
target: {target}
reason: poisoned rows
requested_by: bob
"""
ALLOW = policies.STARTER
OPEN = b"format: urn:stemma:policy:v0.1\nstages: [prod]\nrules:\n  - names: ['**']\n"


@dataclass
class Bench:
    """A registry, a policy repository, and people who sign with SSH keys."""

    world: Disk
    checkout: Checkout
    folder: Path

    def person(self, name: str, names: tuple[str, ...] = (NAME,), listed: bool = True) -> None:
        """A key; the trust root lets it say what the policy is."""
        require_program("ssh-keygen")
        path = self.folder / name
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(make, check=True)
        if listed:
            (key,) = gitsigned.keys_of(Path(f"{path}.pub").read_bytes())
            self.world.trust = trust_file.add(self.world.trust_path, name, key, (POLICY,), names)

    def by(self, name: str) -> list[str]:
        return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.folder / name}.pub"]

    def commit(self, who: str | None, files: Mapping[str, bytes | str | None]) -> str:
        """Write (or take away) files, and commit them, signed."""
        for path, data in files.items():
            whole = self.checkout.root / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                whole.unlink()
            else:
                whole.write_bytes(data.encode() if isinstance(data, str) else data)
        self.checkout.git("add", "-A")
        signed = [*self.by(who), "commit", "-S"] if who else ["commit"]
        self.checkout.git(*signed, "-q", "--allow-empty", "-m", "a change")
        return self.checkout.git("rev-parse", "HEAD")

    def tag(self, who: str, name: str) -> None:
        self.checkout.git(*self.by(who), "tag", "-s", "-m", "reviewed", name)

    @property
    def desk(self) -> Desk:
        world = self.world
        return Desk(world.registry, world.trust, lambda: world.signer("owner"), datetime.now(UTC))

    def sync(
        self, ref: str = "main", path: str = "", dry_run: bool = False, name: str | None = NAME
    ) -> Synced:
        with place.at(f"{self.checkout.root}@{ref}", name) as at:
            return syncing.sync(self.desk, at, path, dry_run)

    def follow(self) -> None:
        """Believe the trust root that the home has now."""
        self.world.trust = TrustRoot.parse(self.world.home.trust.read_bytes())
        self.world.trust_path.write_bytes(self.world.home.trust.read_bytes())

    @property
    def trust(self) -> bytes:
        return self.world.trust_path.read_bytes()

    def head(self) -> int:
        with self.world.view() as view:
            return view.n


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(Disk(tmp_path / "world"), Checkout.make(tmp_path / "policy"), tmp_path)
    made.person("ada")
    yield made
    made.world.registry.close()


@contextmanager
def refused(bench: Bench, kind: type[Exception], match: str) -> Iterator[None]:
    """It is refused, and nothing at all has changed."""
    before, here = bench.head(), adopted.read(bench.world.home)
    with pytest.raises(kind, match=match):
        yield
    assert bench.head() == before
    assert adopted.read(bench.world.home) == here


@pytest.mark.parametrize("form", FORMATS)
def test_a_signed_commit_is_taken_and_cited(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(Disk(tmp_path / "world"), Checkout.make(tmp_path / "policy", form), tmp_path)
    bench.person("ada")
    world = bench.world
    world.push("data/raw:1")
    world.push("models/m:1", {"m": b"m"}, "trained-on=data/raw:1", kind="model")
    request = REQUEST.format(target="data/raw:1")
    commit = bench.commit(
        "ada", {"policy.yaml": OPEN, "trust.yaml": bench.trust, "quarantine/raw.yaml": request}
    )
    dry = bench.sync(dry_run=True)
    assert (dry.entry, [one.blocked for one in dry.new]) == (None, [2])
    assert world.code("models/m:1") == 0
    assert adopted.read(world.home) is None

    done = bench.sync()
    assert done.entry == bench.head()
    assert [one.principals for one in done.heard] == [{"ada"}]
    with pytest.raises(Quarantined, match=f"requested by bob: {NAME}, commit {commit}"):
        world.verify("models/m:1")
    policy = policy_source.chosen(None, world.home)
    assert policy.digest == Digest.of(OPEN)
    assert policy.source == {"gitCommit": commit, "path": "policy.yaml", "repository": NAME}
    with world.view() as view:
        last = recorded.last(world.registry, view, NAME, "")
        assert last is not None
        assert (last.says.commit, last.says.policy) == (commit, Digest.of(OPEN))
        assert last.says.tree == bench.checkout.git("rev-parse", "HEAD^{tree}")
        world.push("models/n:1", {"n": b"n"}, kind="model")
    with world.view() as view:
        verdict = gate.verify_reference(world.registry, view, "models/n:1", terms=Terms(policy))
    verdicts.report(verdict, 0)
    assert f"policy policy.yaml of {NAME}, commit {commit[:12]}" in capsys.readouterr().out
    cited = gate.predicate(verdict)["policy"]["annotations"]
    assert (cited["gitCommit"], cited["repository"]) == (commit, NAME)

    again = bench.sync()
    assert (again.entry, again.adopted, again.new) == (None, False, [])
    assert [one.path for one in again.old] == ["quarantine/raw.yaml"]
    world.rebuild()
    assert bench.sync().entry is None
    exported(world, tmp_path / "export")
    grep = ("--format=%s", "--grep", f"^Git-Commit: {commit}$")
    assert git(tmp_path / "export", "log", *grep) == "quarantine data/raw:1 (and 2 more events)"
    assert world.audit().findings == []
    world.registry.close()


def test_a_request_is_one_quarantine(bench: Bench) -> None:
    """Later commits do not make it again, also after a release; another text does."""
    world = bench.world
    world.push("data/raw:1")
    ask = {"quarantine/raw.yaml": REQUEST.format(target="data/raw:1")}
    bench.commit("ada", ask)
    (made,) = bench.sync().quarantines
    assert world.code("data/raw:1") == exits.QUARANTINED
    world.release(str(made.quarantine))
    assert world.code("data/raw:1") == 0
    bench.commit("ada", {"README.md": "nothing new"})
    assert bench.sync().quarantines == []
    assert world.code("data/raw:1") == 0
    bench.commit("ada", {"quarantine/raw.yaml": ask["quarantine/raw.yaml"] + "# worse\n"})
    assert len(bench.sync().quarantines) == 1
    assert world.code("data/raw:1") == exits.QUARANTINED
    # That a request is gone releases nothing.
    bench.commit("ada", {"quarantine/raw.yaml": None, "policy.yaml": OPEN})
    assert bench.sync().quarantines == []
    assert world.code("data/raw:1") == exits.QUARANTINED


def test_who_may_sign(bench: Bench) -> None:
    bench.person("eve", listed=False)
    bench.person("bob", names=("git.example.org/other",))
    commit = bench.commit(None, {"policy.yaml": OPEN})
    with refused(bench, SignatureRefused, "not signed"):
        bench.sync()
    bench.commit("eve", {})
    with refused(bench, SignatureRefused, "not listed"):
        bench.sync()
    bench.commit("bob", {})
    with refused(bench, SignatureRefused, "may not say"):
        bench.sync()
    # A path of this machine has no name of its own: only who may say it about everything counts.
    bench.commit("ada", {})
    with refused(bench, SignatureRefused, "without a name"):
        bench.sync(name=None)
    # The tip counts, and nothing below it.
    bench.commit(None, {})
    with refused(bench, SignatureRefused, "not signed"):
        bench.sync()
    # A signed tag on an unsigned merge of a forge counts as the commit's own would.
    bench.tag("ada", "v1")
    assert [one.voice.kind for one in bench.sync().heard] == ["tag"]
    assert commit


def test_another_machine_needs_no_key(bench: Bench) -> None:
    """It judges the commit by itself, finds the record, and adopts; its pin stays its own."""
    bench.commit("ada", {"policy.yaml": OPEN, "trust.yaml": bench.trust + b"# new\n"})
    first = bench.sync()
    assert first.trust_changed
    home = Home(bench.folder / "other-home")
    home.path.mkdir()
    home.configuration.write_text("trust: trust-here.yaml\n")

    def no_key() -> KeySigner:
        raise AssertionError("nothing is to be signed")

    registry = replace(bench.world.registry, home=home)
    desk = replace(bench.desk, registry=registry, signer=no_key)
    with place.at(f"{bench.checkout.root}@main", NAME) as at:
        done = syncing.sync(desk, at, "")
    assert (done.entry, done.adopted, done.pinned) == (None, True, True)
    assert policy_source.chosen(None, home).digest == Digest.of(OPEN)
    assert not home.trust.exists()
    home.configuration.write_text("policy: builtin\n")
    assert policy_source.chosen(None, home).source == {}
    home.configuration.write_text("policy: synced\n")
    assert policy_source.chosen_bytes(None, home) == OPEN


def test_from_a_host(bench: Bench) -> None:
    """Fetched with its history and its tags."""
    first = bench.commit("ada", {"policy.yaml": OPEN})
    bench.sync(first)
    bench.commit(None, {"policy.yaml": ALLOW})
    bench.tag("ada", "v2")
    with host(bench.folder) as base, place.at(f"{base}/policy/.git@main", NAME) as at:
        assert at.url == f"{base}/policy/.git"
        done = syncing.sync(bench.desk, at, "")
    assert [one.voice.kind for one in done.heard] == ["tag"]


def test_two_of_them(bench: Bench) -> None:
    bench.person("bob")
    asks = f"thresholds:\n  - predicates: [{POLICY}]\n    names: ['**']\n    principals: 2\n"
    text = bench.trust.decode().replace("signers:\n", f"{asks}signers:\n", 1)
    bench.world.trust_path.write_text(text)
    bench.world.trust = TrustRoot.parse(text.encode())
    bench.commit("ada", {"policy.yaml": OPEN})
    with refused(bench, SignatureRefused, "1 of 2 principals"):
        bench.sync()
    bench.tag("ada", "once-more")
    with refused(bench, SignatureRefused, "1 of 2 principals"):
        bench.sync()
    bench.tag("bob", "reviewed")
    # A tag that was made for another name says nothing under this one.
    name = bench.checkout.git("rev-parse", "refs/tags/reviewed")
    bench.checkout.git("update-ref", "refs/tags/other", name)
    bench.checkout.git("update-ref", "-d", "refs/tags/reviewed")
    with refused(bench, SignatureRefused, "1 of 2 principals"):
        bench.sync()
    bench.checkout.git("update-ref", "refs/tags/reviewed", name)
    assert {frozenset(one.principals) for one in bench.sync().heard} == {
        frozenset({"ada"}),
        frozenset({"bob"}),
    }


def test_no_way_back(bench: Bench) -> None:
    first = bench.commit("ada", {"policy.yaml": OPEN})
    second = bench.commit("ada", {"policy.yaml": ALLOW})
    assert bench.sync().offered.commit == second
    with refused(bench, SignatureRefused, "does not contain"):
        bench.sync(first)
    bench.checkout.git("checkout", "-q", "-b", "aside", first)
    aside = bench.commit("ada", {"note": "x"})
    with refused(bench, SignatureRefused, "does not contain"):
        bench.sync(aside)
    # Another machine, which has seen nothing, knows it from the ledger.
    world = bench.world
    (world.home.synced / "current.json").unlink()
    with refused(bench, SignatureRefused, "the ledger took before"):
        bench.sync(aside)
    # And this home knows it where a ledger does not.
    bench.checkout.git("checkout", "-q", "main")
    bench.sync(second)
    other = Disk(bench.folder / "other")
    other.home, other.trust = world.home, world.trust
    desk = replace(bench.desk, registry=replace(other.registry, home=world.home))
    with (
        place.at(f"{bench.checkout.root}@{aside}", NAME) as at,
        pytest.raises(SignatureRefused, match="this home took before"),
    ):
        syncing.sync(desk, at, "")
    other.registry.close()
    bench.commit("ada", {"policy.yaml": None, "trust.yaml": bench.trust})
    with refused(bench, Refused, "no policy.yaml any more"):
        bench.sync()


def test_a_trust_root_that_locks_out_who_signed_it(bench: Bench) -> None:
    bench.person("bob")
    lines = bench.trust.decode().split("  - principal: ")
    without = "  - principal: ".join(p for p in lines if not p.startswith('"ada"'))
    bench.commit("ada", {"trust.yaml": without, "policy.yaml": OPEN})
    done = bench.sync()
    assert done.trust_changed
    assert bench.world.home.trust.read_text() == without
    bench.follow()
    assert bench.sync().entry is None  # it holds already: nobody is asked again
    bench.commit("ada", {"policy.yaml": ALLOW})
    with refused(bench, SignatureRefused, "not listed"):
        bench.sync()
    bench.commit("bob", {})
    assert bench.sync().entry is not None


@pytest.mark.parametrize(
    ("trust", "kind", "match"),
    [
        ("format: urn:stemma:trust-root:v0.1\nsigners: []\n", Refused, "nobody could sign"),
        ("format: urn:stemma:trust-root:v0.1\n", Malformed, "trust.yaml of commit"),
        ("&a [*a, *a]", Malformed, "trust.yaml of commit"),
        ("x" * 3_000_000, Refused, "more than"),
    ],
)
def test_a_trust_root_that_is_not_taken(
    bench: Bench, trust: str, kind: type[Exception], match: str
) -> None:
    bench.commit("ada", {"trust.yaml": trust, "policy.yaml": OPEN})
    with refused(bench, kind, match):
        bench.sync()


def test_the_key_that_syncs_may_do_so(bench: Bench) -> None:
    world = bench.world
    world.push("data/raw:1")
    world.trust_also("notary", names=(NAME,), predicates=(predicate.TYPE,))
    desk = replace(bench.desk, signer=lambda: world.signer("notary"))
    bench.commit("ada", {"policy.yaml": OPEN})
    with place.at(f"{bench.checkout.root}@main", NAME) as at:
        assert syncing.sync(desk, at, "").entry is not None
    bench.commit("ada", {"quarantine/raw.yaml": REQUEST.format(target="data/raw:1")})
    with (
        refused(bench, SignatureRefused, "urn:stemma:status:v0.1 about data/raw"),
        place.at(f"{bench.checkout.root}@main", NAME) as at,
    ):
        syncing.sync(desk, at, "")
    # Nor where the trust root that comes would not let it.
    text = bench.trust.decode().replace('"*"', f'"{POLICY}"')
    bench.commit("ada", {"trust.yaml": text})
    with refused(bench, SignatureRefused, "the new trust.yaml does not let"):
        bench.sync()


def test_what_a_stranger_records_is_not_read(bench: Bench) -> None:
    """P7: a record by somebody who may not make one neither rewinds nor blocks."""
    from stemma_registry.care.uploads import Uploads
    from stemma_registry.ledger.entry import PUSH, Event
    from stemma_registry.registry import record

    world, commit = bench.world, bench.commit("ada", {"policy.yaml": OPEN})
    stranger = world.signer("stranger")
    forged = predicate.PolicySync(
        NAME,
        None,
        "f" * 40,
        "e" * 40,
        "",
        world.now,
        None,
        None,
        (predicate.Voice("commit", Digest.of(b""), "x"),),
        (),
    )
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    bundle = uploads.put(stranger.sign(predicate.build(forged)).raw)
    keys = tuple(uploads.put(key) for key in stranger.keys)
    event = Event(PUSH, bundles=(bundle,), keys=keys)
    record(world.registry, world.trust, stranger, world.now, lambda: [event], uploads)
    assert bench.sync().offered.commit == commit


HOSTILE = ("a\nb.yaml", "-x.yaml", "x.yml", "é.yaml", "x/y.yaml")


@pytest.mark.parametrize("name", HOSTILE)
def test_odd_names_among_requests(bench: Bench, name: str) -> None:
    bench.commit("ada", {f"quarantine/{name}": REQUEST.format(target="a:1")})
    with refused(bench, Refused, "is no request"):
        bench.sync()


def test_links_are_not_followed(bench: Bench) -> None:
    root = bench.checkout.root
    (root / "quarantine").mkdir()
    os.symlink("../elsewhere.yaml", root / "quarantine" / "a.yaml")
    bench.commit("ada", {"policy.yaml": OPEN})
    with refused(bench, Refused, "is no request"):
        bench.sync()
    (root / "quarantine" / "a.yaml").unlink()
    (root / "policy.yaml").unlink()
    os.symlink("/etc/passwd", root / "policy.yaml")
    bench.commit("ada", {})
    with refused(bench, Refused, "not a regular file"):
        bench.sync()
    (root / "policy.yaml").unlink()
    (root / "quarantine").rmdir()
    (root / "real").mkdir()
    os.symlink("real", root / "quarantine")
    bench.commit("ada", {"policy.yaml": OPEN})
    with refused(bench, Refused, "is not a folder"):
        bench.sync()


@pytest.mark.parametrize(
    "text",
    [
        "format: urn:stemma:quarantine-request:v0.2\ntarget: a:1\nreason: r\nrequested_by: b\n",
        "format: urn:stemma:quarantine-request:v0.1\ntarget: a:1\nreason: ' '\nrequested_by: b\n",
        "format: urn:stemma:quarantine-request:v0.1\ntarget: a:1\nreason: r\n",
        REQUEST.format(target="a:1") + "release: x\n",
        REQUEST.format(target="[a]"),
        "&a [*a]",
        "x" * 70_000,
    ],
)
def test_requests_that_are_none(bench: Bench, text: str) -> None:
    """One mistake, and nothing of the commit counts."""
    bench.commit("ada", {"policy.yaml": OPEN, "quarantine/a.yaml": text})
    with refused(bench, (Malformed, Refused), "a.yaml|more than"):  # type: ignore[arg-type]
        bench.sync()


def test_nothing_of_the_repository_runs(bench: Bench) -> None:
    marker = bench.folder / "ran"
    script = f"#!/bin/sh\ntouch {marker}\n"
    bench.commit("ada", {"policy.yaml": OPEN, ".gitattributes": "* filter=evil\n"})
    git = bench.checkout.root / ".git"
    for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"):
        (git / "hooks").mkdir(exist_ok=True)
        (git / "hooks" / hook).write_text(script)
        (git / "hooks" / hook).chmod(0o755)
    evil = bench.folder / "evil"
    evil.write_text(script)
    evil.chmod(0o755)
    with (git / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {evil}\n\tpager = {evil}\n[gpg]\n\tprogram = {evil}\n"
            f'[gpg "ssh"]\n\tprogram = {evil}\n'
            f'[filter "evil"]\n\tsmudge = {evil}\n\tclean = {evil}\n'
        )
    bench.sync()
    assert not marker.exists()


def test_a_home_that_was_changed(bench: Bench) -> None:
    bench.commit("ada", {"policy.yaml": OPEN})
    with pytest.raises(NotFound, match="no policy was synced"):
        policy_source.chosen("synced", bench.world.home)
    bench.sync()
    home = bench.world.home
    (home.synced / f"sha256-{Digest.of(OPEN).value}").write_bytes(ALLOW)
    with pytest.raises(Damaged, match="was changed"):
        policy_source.chosen(None, home)
    (home.synced / "current.json").write_text("{}")
    with pytest.raises(Damaged):
        policy_source.chosen(None, home)
    assert exits.code_of(Damaged("")) == exits.code_of(BytesDiffer(""))


def test_rego_comes_with_its_policy(bench: Bench) -> None:
    module = b"package stemma\nimport rego.v1\ndefault allow := false\nallow if true\n"
    pinned = OPEN.decode() + "    rego:\n      file: rules/a.rego\n      sha256: {}\n"
    text = pinned.format(Digest.of(module).value)
    bench.commit("ada", {"policy.yaml": text, "rules/a.rego": b"package other\n"})
    with refused(bench, Malformed, "policy.yaml of commit"):
        bench.sync()
    bench.commit("ada", {"rules/a.rego": module})
    bench.sync()
    (rule,) = policy_source.chosen(None, bench.world.home).rules
    assert rule.rego is not None
    assert rule.rego.module == module.decode()


def test_another_repository_is_another_matter(bench: Bench) -> None:
    bench.person("bob", names=("**",))
    bench.commit("bob", {"policy.yaml": OPEN, "team/policy.yaml": ALLOW})
    bench.sync()
    with refused(bench, Refused, "this home follows"):
        bench.sync(path="team")
    with refused(bench, Refused, "this home follows"):
        bench.sync(name=None)


def test_two_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second finds out at the ledger, and makes no second quarantine."""
    world = bench.world
    world.push("data/raw:1")
    bench.commit("ada", {"quarantine/raw.yaml": REQUEST.format(target="data/raw:1")})
    said, done = syncing._said, []

    def slow(desk: Desk, at: place.Place, synced: Synced) -> predicate.PolicySync:
        if not done:
            done.append(1)
            bench.sync()
        return said(desk, at, synced)

    monkeypatch.setattr(syncing, "_said", slow)
    assert bench.sync().entry is None
    assert done == [1]
    assert bench.sync().entry is None


def test_whoever_always_comes_second_is_told_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for ever; and never by a trust root that was replaced meanwhile."""
    calls = []

    def loses(desk: Desk, *_: object) -> Synced:
        calls.append(1)
        raise Overtaken("by others")

    def replaced(desk: Desk, *_: object) -> Synced:
        bench.sync()
        return loses(desk)

    real = syncing._once
    bench.commit("ada", {"policy.yaml": OPEN, "trust.yaml": bench.trust})
    monkeypatch.setattr(syncing, "_once", loses)
    with pytest.raises(Unavailable, match="sync again"):
        bench.sync()
    assert len(calls) == syncing.ATTEMPTS
    turns = [real, replaced]

    def by_turns(*asked: Any) -> Synced:
        return turns.pop()(*asked)

    monkeypatch.setattr(syncing, "_once", by_turns)
    with pytest.raises(Unavailable, match="sync again"):
        bench.sync()
    assert len(calls) == syncing.ATTEMPTS + 1


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:secret@Git.Example.org/Acme/policy.git", "git.example.org/acme/policy"),
        ("git@git.example.org:acme/policy.git", "git.example.org/acme/policy"),
        ("ssh://git@git.example.org/acme/policy/", "git.example.org/acme/policy"),
        ("https://git.example.org:8443/acme/policy", None),
        ("https://git.example.org/~ada/policy", None),
        ("https://git.example.org/", None),
        ("ext::sh -c x", None),
    ],
)
def test_names_of_repositories(url: str, name: str | None) -> None:
    assert place.name_of(url) == name


def test_the_statement_is_read_as_written(bench: Bench) -> None:
    said = predicate.PolicySync(
        NAME,
        "https://git.example.org/acme/policy",
        "a" * 40,
        "b" * 40,
        "team",
        bench.world.now.replace(microsecond=0),
        Digest.of(b"p"),
        None,
        (predicate.Voice("tag", Digest.of(b"t"), "k"),),
        (predicate.Requested("quarantine/a.yaml", Digest.of(b"r"), Digest.of(b"q")),),
    )
    statement = predicate.build(said)
    assert predicate.parse(statement) == said
    assert format_time(said.issued) in json.dumps(statement.predicate)
