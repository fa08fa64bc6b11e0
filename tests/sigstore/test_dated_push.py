"""Keys that sign with evidence of the time, from the command line, at the loopback Sigstore."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.times import format_time
from stemma_cli.main import main
from stemma_registry.signing import posting
from tests.calling import caller
from tests.sigstore import rekor as rekor_module
from tests.sigstore import tsa as tsa_module
from tests.sigstore.dated import T
from tests.sigstore.server import Call, in_json
from tests.sigstore.stack import LOG, STAMP, LocalSigstore
from tests.world import commit_all

NAME = "models/m:1"
SECOND = timedelta(seconds=1)
LATER = "2099-01-01T00:00:00Z"


class Desk:
    """A home with a registry and a key, a checkout with a model, and services that date."""

    def __init__(self, folder: Path, stack: LocalSigstore, run: Callable[..., Any]) -> None:
        self.folder, self.stack, self.run = folder, stack, run
        self.trust = folder / "home" / "trust.yaml"
        self.root = folder / "root.json"
        self.root.write_bytes(stack.trusted_root())
        work = folder / "work"
        (work / "model").mkdir(parents=True)
        (work / "model" / "w.bin").write_bytes(b"weights")
        commit_all(work)
        assert run("init")[0] == 0

    @property
    def stamped(self) -> tuple[str, ...]:
        return ("--timestamp", f"{self.stack.url}/api/v1/timestamp")

    def logged(self, version: int) -> tuple[str, ...]:
        return ("--log", f"{self.stack.url}/api/v{version}")

    def push(self, *options: str, name: str = NAME) -> tuple[int, Any]:
        return self.run("push", "model", name, "--kind", "model", *options)

    def pushed(self, *options: str, name: str = NAME) -> None:
        code, said = self.push(*options, name=name)
        assert code == 0, said

    def verify(self, name: str = NAME) -> int:
        return self.run("verify", name)[0]

    def assurances(self) -> set[str]:
        return {one["assurance"] for one in self.run("attestations", NAME)[1]}

    def believe(self) -> None:
        assert self.run("trust", "time", "add", str(self.root))[0] == 0

    def revoke(self, at: str, who: str = "owner") -> None:
        assert self.run("trust", "revoke", who, "--at", at)[0] == 0

    def window(self, **fields: Any) -> None:
        """Give the one signer these fields, instead of those that it had."""
        kept = [
            line
            for line in self.trust.read_text().splitlines(keepends=True)
            if not line.strip().startswith(("valid_", "revoked"))
        ]
        at = next(n for n, line in enumerate(kept) if "- principal" in line) + 1
        kept[at:at] = [f'    {name}: "{format_time(value)}"\n' for name, value in fields.items()]
        self.trust.write_text("".join(kept))

    def bundles(self) -> list[Path]:
        """The bundles of statements in the store, the checkpoint left out."""
        blobs = (self.folder / "home" / "registry" / "blobs").rglob("*")
        return [p for p in blobs if p.is_file() and b"dsseEnvelope" in p.read_bytes()]

    def entries(self) -> int:
        return sum(1 for _ in (self.folder / "home" / "registry" / "ledger").rglob("*.json"))


@pytest.fixture
def desk(
    tmp_path: Path,
    sigstore: LocalSigstore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*arguments: str) -> tuple[int, Any]:
        code, out, _ = caller(capsys)(*arguments, "--json")
        return code, json.loads(out) if out.startswith(("{", "[")) else out

    return Desk(tmp_path, sigstore, run)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clocks of authority and log stand at T."""
    entry = rekor_module.RekorV1.entry
    monkeypatch.setattr(tsa_module, "seconds_now", lambda: T)
    monkeypatch.setattr(
        rekor_module.RekorV1,
        "entry",
        lambda self, body, kind: entry(self, body, kind, int(T.timestamp())),
    )


WAYS: dict[str, Callable[[Desk], tuple[str, ...]]] = {
    "timestamp": lambda desk: desk.stamped,
    "Rekor v1": lambda desk: desk.logged(1),
    "Rekor v1 and timestamp": lambda desk: (*desk.logged(1), *desk.stamped),
    "Rekor v2 and timestamp": lambda desk: (*desk.logged(2), *desk.stamped),
}


# --- signing, and what it proves --------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_what_was_signed_before_the_revocation_stays(
    desk: Desk, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.stack.requests() as asked:
        desk.pushed(*WAYS[way](desk))
    statements = len(desk.bundles())
    assert asked.count(STAMP) == (statements if "timestamp" in way else 0), "no checkpoint"
    assert asked.count(LOG[1]) == (statements if "v1" in way else 0)
    assert asked.count(LOG[2]) == (statements if "v2" in way else 0)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is off")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert desk.verify() == 0
    desk.revoke(LATER)
    assert desk.verify() == 13, "nobody is believed about time yet"
    desk.believe()
    assert (desk.verify(), desk.assurances()) == (0, {"attested"})
    desk.revoke("2020-01-01T00:00:00Z")
    assert (desk.verify(), desk.assurances()) == (13, {"signed"})


def test_without_a_time_everything_goes(desk: Desk) -> None:
    desk.pushed()
    desk.believe()
    assert desk.verify() == 0
    desk.revoke(LATER)
    code, said = desk.run("verify", NAME)
    assert code == 13
    assert "was revoked, and nothing proves that it had signed before" in json.dumps(said)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("way", ["timestamp", "Rekor v1"])
def test_windows_and_revocations_to_the_second(desk: Desk, way: str) -> None:
    """Of signing, wherever that is proven: the key's window may be over today."""
    desk.pushed(*WAYS[way](desk))
    desk.believe()
    cases = [
        ({"valid_from": T}, 0),
        ({"valid_from": T + SECOND}, 13),
        ({"valid_from": T - SECOND}, 0),
        ({"valid_until": T}, 13),
        ({"valid_until": T + SECOND}, 0),
        ({"valid_until": T - SECOND}, 13),
        ({"revoked": T}, 13),
        ({"revoked": T + SECOND}, 0),
        ({"revoked": T - SECOND}, 13),
        ({"valid_from": T, "valid_until": T + SECOND, "revoked": T + SECOND}, 0),
    ]
    for fields, code in cases:
        desk.window(**fields)
        assert desk.verify() == code, fields


@pytest.mark.usefixtures("still")
def test_the_key_is_rotated(desk: Desk) -> None:
    """What the old key said in its time stays, and what it says today does not count."""
    desk.pushed(*desk.stamped)
    desk.believe()
    desk.window(valid_until=T + SECOND)
    assert desk.verify() == 0
    desk.pushed(name="models/late:1")
    assert desk.verify("models/late:1") == 13


def test_only_a_root_that_is_listed_counts(desk: Desk) -> None:
    desk.pushed(*desk.stamped)
    desk.revoke(LATER)
    assert desk.run("trust", "root", "add", str(desk.root))[0] == 0
    public = desk.run("trust", "root", "list")[1]["roots"]
    other = next(d for d in public if d.startswith("sha256:6494e21e"))
    assert desk.run("trust", "time", "add", other)[0] == 0
    assert (desk.verify(), desk.assurances()) == (13, {"signed"}), "the public one does not know"
    desk.believe()
    assert (desk.verify(), desk.assurances()) == (0, {"attested"})


def test_two_roots_that_prove_it_and_either_is_enough(desk: Desk) -> None:
    """Yesterday's trusted root of an instance and today's, say."""
    older = desk.stack.trusted_root_json()
    older["certificateAuthorities"] = []
    files = [desk.root, desk.folder / "older.json"]
    files[1].write_text(json.dumps(older))
    desk.pushed(*desk.stamped)
    desk.revoke(LATER)
    plain = desk.trust.read_text()
    for file in files:
        assert desk.run("trust", "root", "add", str(file))[0] == 0
    for file in files:
        desk.trust.write_text(plain)
        assert desk.run("trust", "time", "add", str(file))[0] == 0
        assert (desk.verify(), desk.assurances()) == (0, {"attested"})


def test_a_root_that_comes_later_proves_what_was_there_before(desk: Desk) -> None:
    desk.pushed(*desk.stamped)
    desk.revoke(LATER)
    desk.believe()
    assert desk.assurances() == {"attested"}
    (kept,) = (desk.folder / "home" / "roots").iterdir()
    data = kept.read_bytes()
    kept.unlink()
    assert (desk.verify(), desk.assurances()) == (13, {"signed"})
    assert desk.run("rebuild")[0] == 0
    assert desk.assurances() == {"signed"}
    kept.write_bytes(data)
    assert (desk.verify(), desk.assurances()) == (0, {"attested"})
    assert desk.run("rebuild")[0] == 0
    assert desk.assurances() == {"attested"}


def test_a_quarantine_and_a_release_outlive_their_key(desk: Desk) -> None:
    desk.pushed()
    assert desk.run("key", "new", "--out", "bob.pem")[0] == 0
    status = "urn:stemma:status:v0.1"
    add = ("trust", "add", "bob.pub", "--principal", "bob", "--predicates", status)
    assert desk.run(*add)[0] == 0
    desk.believe()
    bob = ("--reason", "poison", "--sign", "key:bob.pem")
    assert desk.run("quarantine", NAME, *bob)[0] == 0
    assert desk.verify() == 11
    desk.revoke(LATER, "bob")
    assert desk.verify() == 0, "nothing proves when he said so"
    assert desk.run("quarantine", NAME, *bob, *desk.stamped)[0] == 0
    assert desk.verify() == 11
    code, said = desk.run("audit")
    assert code == 0, said


# --- what is refused --------------------------------------------------------------------------


def test_evidence_that_was_tampered_with_is_no_time(desk: Desk) -> None:
    """The same signatures in other wrappers: the words of the key, and no proof of their time."""
    desk.pushed(*desk.stamped, *desk.logged(1))
    desk.believe()
    desk.revoke(LATER)
    one, other = desk.bundles()[:2]
    mine, theirs = (json.loads(path.read_bytes()) for path in (one, other))
    swapped = {**mine, "verificationMaterial": theirs["verificationMaterial"]}
    bare = json.loads(json.dumps(mine))
    for field in ("tlogEntries", "timestampVerificationData"):
        del bare["verificationMaterial"][field]
    file = desk.folder / "bundle.json"
    for document, code in ((mine, 0), (swapped, 13), (bare, 13)):
        file.write_text(json.dumps(document))
        found, said = desk.run("trust", "test", str(file))
        assert (found, bool(said["signed"])) == (code, code == 0)


def silence(_: Call) -> Any:
    time.sleep(1.5)
    return in_json({})


@pytest.fixture
def bent(desk: Desk) -> Iterator[Callable[[str, Any], None]]:
    routes = dict(desk.stack.front.routes)

    def bend(route: str, answer: Any) -> None:
        desk.stack.front.routes[route] = answer

    yield bend
    desk.stack.front.routes.clear()
    desk.stack.front.routes.update(routes)


@pytest.mark.parametrize("service", ["timestamp", "log 1", "log 2"])
def test_a_service_that_fails_publishes_nothing(
    desk: Desk, bent: Callable[[str, Any], None], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = 1 if service == "log 1" else 2
    route = STAMP if service == "timestamp" else LOG[version]
    options = (*desk.stamped, *desk.logged(version))
    own, before = desk.stack.front.routes[route], desk.entries()
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 1.0)
    first: list[Any] = []

    def stale(call: Call) -> Any:
        """The answer to somebody else's question."""
        first[:] = first or [own(call)]
        return first[0]

    answers: dict[str, Any] = {
        "an error": lambda _: in_json({"message": "\x1b[31mno\n"}, 500),
        "a refusal": lambda _: in_json({"message": "no"}, 403),
        "a redirect": lambda _: (302, "", b"http://127.0.0.1:1/elsewhere"),
        "nothing": lambda _: (201, "", b""),
        "nonsense": lambda _: (201, "", b"{" * 100),
        "no entry": lambda _: in_json({"a": 1}, 201),
        "too much": lambda _: (201, "", b" " * (posting.MAX_BYTES + 1)),
        "silence": silence,
    }
    for what, answer in answers.items():
        bent(route, answer)
        code, said = desk.push(*options)
        assert code == 14, (what, said)
        assert "\x1b" not in json.dumps(said)
        assert desk.entries() == before, what
    bent(route, stale)
    assert desk.push(*options)[0] == 14, "only the first answer is to its question"
    assert desk.entries() == before


def test_a_service_that_is_not_there(desk: Desk) -> None:
    before = desk.entries()
    assert desk.push("--timestamp", "http://127.0.0.1:9/x")[0] == 14
    assert desk.push("--log", "http://127.0.0.1:9/api/v1")[0] == 14
    assert desk.entries() == before


def test_a_time_that_the_trust_root_would_not_believe_is_not_published(desk: Desk) -> None:
    root = desk.stack.trusted_root_json(tsa=False)
    root["tlogs"] = []
    desk.root.write_text(json.dumps(root))
    desk.believe()
    before = desk.entries()
    code, said = desk.push(*desk.stamped)
    assert code == 14
    assert "proven under none of the trusted roots" in json.dumps(said)
    assert desk.entries() == before


def test_usage(desk: Desk) -> None:
    wrong = [
        ("--sign", "sigstore:", *desk.stamped),
        ("--sign", "sigstore:", *desk.logged(1)),
        desk.logged(2),
        ("--log", desk.stack.url),
        ("--log", f"{desk.stack.url}/api/v3"),
        ("--timestamp", "ftp://example.com/x"),
        ("--timestamp", "file:///etc/passwd"),
        ("--timestamp", "http://user@example.com/x"),
        ("--timestamp", "http://[/"),
    ]
    for options in wrong:
        assert desk.push(*options)[0] == 2, options
    assert desk.run("key", "new", "--out", "ed.pem", "--type", "ed25519")[0] == 0
    assert desk.push("--sign", "key:ed.pem", *desk.logged(1))[0] == 2
    assert desk.run("trust", "time", "add", "nowhere.json")[0] == 2
    assert desk.run("trust", "time", "add", f"sha256:{'0' * 64}")[0] == 3


# --- asking -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("still")
def test_trust_test_says_who_proves_which_time(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.pushed(*desk.stamped, *desk.logged(1))
    file, at = str(desk.bundles()[0]), format_time(T)
    assert Bundle.parse(Path(file).read_bytes()).hint
    assert desk.run("trust", "root", "add", str(desk.root))[0] == 0
    said = desk.run("trust", "test", file)[1]
    assert said["signed"] is None
    assert [one["counts"] for one in said["times"]] == [False, False]
    desk.believe()
    said = desk.run("trust", "test", file)[1]
    assert (said["signed"], said["untimed"]) == (at, [])
    by = sorted(one["by"] for one in said["times"])
    assert by == [f"log {desk.stack.url}", "timestamp authority CN=tsa,O=sigstore.test"]
    assert {(one["time"], one["counts"]) for one in said["times"]} == {(at, True)}
    with pytest.raises(SystemExit):
        main(["trust", "test", file])
    out = capsys.readouterr().out
    assert f"at        {at}\n  {at} says the log {desk.stack.url}\n" in out
    (kept,) = (desk.folder / "home" / "roots").iterdir()
    kept.unlink()
    said = desk.run("trust", "test", file)[1]
    assert "not on this machine" in said["untimed"][0]


def test_trust_time_add_and_show(desk: Desk) -> None:
    before = desk.trust.read_text()
    desk.believe()
    text = desk.trust.read_text()
    assert text.replace(text[text.index("time:") : text.index("signers:")], "") == before
    shown = desk.run("trust", "show")[1]
    (digest,) = shown["time"]
    code, said = desk.run("trust", "time", "add", digest)
    assert (code, said["root"]) == (0, digest)
    assert desk.trust.read_text() == text, "it is listed already"
    public = desk.run("trust", "root", "list")[1]["roots"]
    assert desk.run("trust", "time", "add", next(d for d in public if d != digest))[0] == 0
    assert set(desk.run("trust", "show")[1]["time"]) == set(public)
    other = str(desk.folder / "new.yaml")
    assert desk.run("trust", "time", "add", digest, "--trust", other)[0] == 0
    assert desk.run("trust", "show", "--trust", other)[1] | {"digest": ""} == {
        "digest": "",
        "time": [digest],
        "thresholds": [],
        "signers": [],
    }
    assert desk.run("key", "new", "--out", "bob.pem")[0] == 0
    add = ("trust", "add", "bob.pub", "--principal", "bob", "--trust", other)
    assert desk.run(*add)[0] == 0
    assert desk.run("trust", "show", "--trust", other)[1]["time"] == [digest]
