"""Doctor: what is missing is said, with how to mend it; what is well is not complained about."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stemma_registry import signing
from stemma_registry.care import doctor, doctor_s3
from stemma_registry.care.doctor import Check, Outcome, examine
from stemma_registry.config import Home
from stemma_registry.ledger.log import entry_key
from stemma_registry.registry import initialise, open_registry
from stemma_registry.trust import file as trust_file
from tests import seaweed


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """As `stemma init` leaves it."""
    home = Home(tmp_path / "home")
    pem, public = signing.new_key("ecdsa-p256", None)
    signing.write_key(home.key, pem, public)
    trust_file.add(home.trust, "owner", public)
    initialise(str(home.registry), home).close()
    return home


def checks(
    home: Home, location: str | None = None, now: datetime | None = None
) -> dict[str, Check]:
    asked = examine(location or str(home.registry), home, now or datetime.now(UTC))
    return {check.name: check for check in asked}


def outcomes(found: dict[str, Check]) -> dict[str, str]:
    return {name: str(check.outcome) for name, check in found.items()}


def test_all_is_well(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    found = checks(home)
    bad = {n: c for n, c in found.items() if c.outcome is not Outcome.OK and "space" not in n}
    assert bad == {}
    assert {"clock", "home", "signing key", "trust root", "registry", "ledger", "catalogue"} <= set(
        found
    )


def change_key_mode(home: Home) -> None:
    home.key.chmod(0o644)


def drop_trust(home: Home) -> None:
    home.trust.unlink()


def spoil_trust(home: Home) -> None:
    home.trust.write_text("signers: [")


def empty_trust(home: Home) -> None:
    home.trust.write_text("format: urn:stemma:trust-root:v0.1\nsigners: []\n")


def other_key(home: Home) -> None:
    _, public = signing.new_key("ecdsa-p256", None)
    home.trust.unlink()
    trust_file.add(home.trust, "other", public)


def late_key(home: Home) -> None:
    text = home.trust.read_text()
    home.trust.write_text(
        text.replace("    may:", "    valid_until: 2020-01-01T00:00:00Z\n    may:")
    )


def drop_key(home: Home) -> None:
    home.key.unlink()


def spoil_settings(home: Home) -> None:
    home.configuration.write_text("no_such_key: 1\n")


def open_home(home: Home) -> None:
    home.path.chmod(0o777)


def open_store(home: Home) -> None:
    home.registry.chmod(0o777)


def drop_store(home: Home) -> None:
    shutil.rmtree(home.registry)


def drop_entry(home: Home) -> None:
    (home.registry / entry_key(0)).unlink()


def spoil_entry(home: Home) -> None:
    path = home.registry / entry_key(0)
    path.unlink()
    path.write_bytes(b"garbage")


def spoil_catalogue(home: Home) -> None:
    (path,) = (home.path / "catalogues").glob("*.sqlite3")
    for beside in path.parent.iterdir():
        beside.unlink()
    path.write_bytes(b"this is no database, and long enough to be none" * 100)


def spoil_seen(home: Home) -> None:
    home.heads.mkdir(exist_ok=True)
    open_registry(str(home.registry), home).catalogue.close()
    from stemma_registry.blobs.local import LocalStore
    from stemma_registry.ledger.heads import _seen_path

    _seen_path(home.heads, LocalStore(home.registry)).write_text("{}")


@pytest.mark.parametrize(
    ("harm", "name", "outcome"),
    [
        (change_key_mode, "signing key", "failed"),
        (drop_key, "signing key", "warning"),
        (drop_trust, "trust root", "failed"),
        (spoil_trust, "trust root", "failed"),
        (empty_trust, "trust root", "failed"),
        (other_key, "own key in the trust root", "warning"),
        (late_key, "own key in the trust root", "failed"),
        (spoil_settings, "configuration", "failed"),
        (open_home, "home", "warning"),
        (open_store, "registry", "warning"),
        (drop_store, "registry", "failed"),
        (drop_entry, "ledger", "failed"),
        (spoil_entry, "ledger", "failed"),
        (spoil_catalogue, "catalogue", "failed"),
        (spoil_seen, "ledger", "failed"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_is_wrong_is_named(
    home: Home, harm: Callable[[Home], None], name: str, outcome: str
) -> None:
    before = outcomes(checks(home))
    harm(home)
    after = checks(home)
    assert str(after[name].outcome) == outcome
    assert after[name].mend
    assert {n for n, found in outcomes(after).items() if before[n] != found} == {name}


def test_no_home_at_all(tmp_path: Path) -> None:
    found = outcomes(checks(Home(tmp_path / "nowhere"), str(tmp_path / "none")))
    assert found["home"] == found["trust root"] == found["registry"] == "failed"


def test_a_clock_that_stands_in_the_past(home: Home) -> None:
    found = checks(home, now=datetime(1970, 1, 1, tzinfo=UTC))
    assert found["clock"].outcome is Outcome.FAILED


def test_a_full_disk_is_a_warning(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 10**10, 0)
    )
    assert checks(home)["space in the registry"].outcome is Outcome.WARNING


def test_nothing_is_changed(home: Home) -> None:
    def everything() -> dict[str, tuple[int, int]]:
        found = (path for path in home.path.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}

    before = everything()
    checks(home)
    assert everything() == before


# On S3.


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh prefix in the bucket of a real server."""
    for name, value in seaweed.shared().environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{seaweed.shared_bucket()}/doctor-{secrets.token_hex(4)}"


def test_a_bucket_that_does_what_stemma_needs(home: Home, bucket: str) -> None:
    initialise(bucket, home).close()
    found = checks(home, bucket)
    failures = {name: check for name, check in found.items() if check.outcome is Outcome.FAILED}
    assert failures == {}
    for name in (
        *("credentials", "bucket", "region", "clock of the server", "list", "write", "read"),
        *("conditional write (If-None-Match)", "checksums", "uploads in parts", "delete", "ledger"),
    ):
        assert found[name].outcome is Outcome.OK, found[name]
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    client = seaweed.shared().client()
    keys = [o["Key"] for o in client.list_objects_v2(Bucket=name, Prefix=prefix)["Contents"]]
    assert [key for key in keys if "doctor-" in key.rpartition("/")[2]] == []
    assert "Uploads" not in client.list_multipart_uploads(Bucket=name, Prefix=prefix)


def test_a_bucket_without_a_registry(home: Home, bucket: str) -> None:
    assert checks(home, bucket)["ledger"].outcome is Outcome.FAILED


def test_a_bucket_that_is_not_there(home: Home, bucket: str) -> None:
    found = checks(home, "s3://no-such-bucket/x")
    assert found["bucket"].outcome is Outcome.FAILED
    assert "ledger" not in found


def test_no_credentials(home: Home, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = checks(home, bucket)
    assert found["credentials"].outcome is Outcome.FAILED
    assert "AWS_PROFILE" in found["credentials"].mend


def test_wrong_credentials(home: Home, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert checks(home, bucket)["bucket"].outcome is Outcome.FAILED


def test_a_clock_a_day_off(home: Home, bucket: str) -> None:
    found = checks(home, bucket, now=datetime.now(UTC) + timedelta(days=1))
    assert found["clock of the server"].outcome is Outcome.FAILED


class Careless:
    """A client whose server forgets conditions and checksums."""

    def __init__(self, client: object) -> None:
        self._client = client

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def put_object(self, **values: object) -> object:
        for ignored in ("IfNoneMatch", "ChecksumSHA256"):
            values.pop(ignored, None)
        return self._client.put_object(**values)  # type: ignore[attr-defined]


def test_a_server_that_ignores_conditions_and_checksums(
    home: Home, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialise(bucket, home).close()
    normal = doctor_s3.S3Store.at

    def at(location: str, wanted: object) -> object:
        store = normal(location, wanted)  # type: ignore[arg-type]
        store.bucket.client = Careless(store.bucket.client)
        return store

    monkeypatch.setattr(doctor_s3.S3Store, "at", at)
    found = {
        check.name: check for check in doctor_s3.examine_bucket(bucket, home, datetime.now(UTC))
    }
    assert found["conditional write (If-None-Match)"].outcome is Outcome.FAILED
    assert found["checksums"].outcome is Outcome.WARNING


@pytest.mark.parametrize(
    ("judge", "answer", "outcome"),
    [
        (doctor_s3._versioning, {"Status": "Enabled"}, "ok"),
        (doctor_s3._versioning, {}, "warning"),
        (doctor_s3._rules, {}, "warning"),
        (
            doctor_s3._rules,
            {
                "Rules": [
                    {
                        "Status": "Enabled",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    }
                ]
            },
            "ok",
        ),
        (
            doctor_s3._rules,
            {
                "Rules": [
                    {
                        "Status": "Disabled",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    }
                ]
            },
            "warning",
        ),
        (doctor_s3._public, {}, "warning"),
        (doctor_s3._encryption, {}, "warning"),
        (doctor_s3._lock, {}, "failed"),
        (doctor_s3._lock, {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}, "ok"),
    ],
)
def test_how_a_bucket_is_set_up(
    judge: Callable[[str, dict[str, object]], Check], answer: dict[str, object], outcome: str
) -> None:
    check = judge("x", answer)
    assert str(check.outcome) == outcome
    assert bool(check.mend) == (outcome != "ok")
