"""The trust root: who may say what about which names, and when."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stemma_attestations.errors import BadTrustRoot
from stemma_attestations.trust import Assurance, TrustRoot
from tests.building import NOW, bounded, compact, key, signer, trust_bytes, trust_root

A, B = key("a").public, key("b").public
PROVENANCE, STATUS = "https://slsa.dev/provenance/v1", "urn:stemma:status:v0.1"
NAMES = [None, "acme/m", "acme/team/m", "prod/m", "acme-evil/m", "acme"]


# --- the file -------------------------------------------------------------------------------


def test_as_people_write_it() -> None:
    raw = f"""\
# Whom we believe.
format: urn:stemma:trust-root:v0.1
signers:
  - principal: training-ci
    key: |
{"".join(f"      {line}{chr(10)}" for line in A.pem.splitlines())}\
    valid_from: 2026-01-01T00:00:00Z
    valid_until: 2027-01-01T00:00:00+01:00
    may:
      - predicates: [{PROVENANCE}, urn:stemma:lineage:v0.1]
        names: [acme/*, "**/shared"]
      - predicates: ["*"]
        names: [sandbox/**]
""".encode()
    read = TrustRoot.parse(raw)
    assert read.digest.value == hashlib.sha256(raw).hexdigest()
    (listed,) = read.signers
    assert (listed.principal, listed.key) == ("training-ci", A)
    assert listed.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert listed.valid_until == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert read.authorises(A.id, PROVENANCE, "acme/m", NOW)
    assert read.authorises(A.id, PROVENANCE, "any/team/shared", NOW)
    assert read.authorises(A.id, STATUS, "sandbox/x/y", NOW)
    assert not read.authorises(A.id, STATUS, "acme/m", NOW)


GOOD = signer(key("a"))
GRANT = {"predicates": ["*"], "names": ["**"]}


def bent(**fields: Any) -> bytes:
    """A trust root with one signer, fields replaced, or dropped where the value is `...`."""
    item = {name: value for name, value in {**GOOD, **fields}.items() if value is not ...}
    return trust_bytes(item)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="an empty file"),
        pytest.param(b"# only a comment\n", id="a comment"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"signers: []\n", id="no format"),
        pytest.param(b"format: urn:stemma:trust-root:v0.2\nsigners: []\n", id="another format"),
        pytest.param(b"format: urn:stemma:trust-root:v0.1\n", id="no signers"),
        pytest.param(b"format: urn:stemma:trust-root:v0.1\nsigners:\n", id="signers null"),
        pytest.param(b"format: urn:stemma:trust-root:v0.1\nsigners: {}\n", id="signers a mapping"),
        pytest.param(trust_bytes(GOOD, threshold=2), id="an unknown field"),
        pytest.param(trust_bytes(GOOD, Signers=[]), id="a field in another case"),
        pytest.param(trust_bytes(GOOD, "x"), id="a signer that is text"),  # type: ignore[arg-type]
        pytest.param(bent(principal=...), id="no principal"),
        pytest.param(bent(principal=""), id="an empty principal"),
        pytest.param(bent(principal="ci\nroot"), id="a line feed in the principal"),
        pytest.param(bent(principal="ci\u202e"), id="a bidi character in the principal"),
        pytest.param(bent(key=...), id="no key"),
        pytest.param(bent(key=7), id="a number as key"),
        pytest.param(bent(key=""), id="an empty key"),
        pytest.param(bent(key=A.id), id="a key's id as key"),
        pytest.param(bent(key=A.pem[:-40]), id="half a key"),
        pytest.param(
            trust_bytes({**GOOD, "key": "KEY"}).replace(b"KEY", b"\\ud800"),
            id="a lone surrogate as key",
        ),
        pytest.param(bent(may=...), id="no grants"),
        pytest.param(bent(may={}), id="grants that are a mapping"),
        pytest.param(bent(may=["*"]), id="a grant that is text"),
        pytest.param(bent(may=[{**GRANT, "until": "x"}]), id="an unknown field in a grant"),
        pytest.param(bent(may=[{"names": ["**"]}]), id="a grant without predicates"),
        pytest.param(bent(may=[{"predicates": ["*"]}]), id="a grant without names"),
        pytest.param(bent(may=[{**GRANT, "names": "**"}]), id="names that are text"),
        pytest.param(bent(may=[{**GRANT, "names": ["prod*"]}]), id="part of a segment"),
        pytest.param(bent(may=[{**GRANT, "names": [""]}]), id="an empty pattern"),
        pytest.param(bent(may=[{**GRANT, "names": ["acme/m:1"]}]), id="a version in a pattern"),
        pytest.param(bent(may=[{**GRANT, "predicates": ["*", ""]}]), id="an empty predicate"),
        pytest.param(bent(may=[{**GRANT, "predicates": [None]}]), id="a null predicate"),
        pytest.param(bent(valid_from="2026-01-31"), id="a date without time"),
        pytest.param(bent(valid_from="tomorrow"), id="a word as time"),
        pytest.param(bent(valid_until="2026-02-30T00:00:00Z"), id="a day that does not exist"),
        pytest.param(bent(valid_until=1763726400), id="a number as time"),
        pytest.param(bent(valid_until=True), id="true as time"),
        pytest.param(bent(valid_form="2026-01-31T00:00:00Z"), id="a misspelt time"),
        pytest.param(bent() + b"\nformat: again\n", id="something behind it"),
    ],
)
def test_refused(raw: bytes) -> None:
    with pytest.raises(BadTrustRoot):
        TrustRoot.parse(raw)


def test_a_lone_mistake_among_many_signers_refuses_the_whole_file() -> None:
    raw = trust_bytes(GOOD, {**GOOD, "valid_until": "soon"}, GOOD)
    with pytest.raises(BadTrustRoot, match="signer 2"):
        TrustRoot.parse(raw)


def test_a_date_that_yaml_would_convert() -> None:
    text = bent(valid_from="X").replace(b'"X"', b"2026-01-31T12:00:00Z")
    assert TrustRoot.parse(text).signers[0].valid_from == datetime(2026, 1, 31, 12, tzinfo=UTC)
    with pytest.raises(BadTrustRoot):
        TrustRoot.parse(bent(valid_from="X").replace(b'"X"', b"2026-01-31"))


def test_many_signers_in_bounded_time() -> None:
    raw = trust_bytes(*[GOOD] * 200)
    with bounded(seconds=10, megabytes=100):
        assert len(TrustRoot.parse(raw).signers) == 200


# --- nobody ---------------------------------------------------------------------------------


def test_the_empty_trust_root_trusts_nobody() -> None:
    empty = trust_root()
    assert empty.signers == ()
    assert empty.key(A.id) is None
    assert empty.principal(A.id) is None
    for kind, name in itertools.product([PROVENANCE, STATUS, "*", ""], NAMES):
        assert not empty.authorises(A.id, kind, name, NOW)
        assert not empty.has_authorised(A.id, kind, name)
        assert empty.assurance(A.id, kind, name, name) is Assurance.SIGNED
        assert empty.assurance(None, kind, name, name) is Assurance.CLAIMED


@pytest.mark.parametrize(
    "may",
    [
        [],
        [{"predicates": [], "names": ["**"]}],
        [{"predicates": ["*"], "names": []}],
    ],
)
def test_a_signer_without_a_whole_grant_may_say_nothing(may: list[Any]) -> None:
    root = trust_root({**GOOD, "may": may})
    for kind, name in itertools.product([PROVENANCE, STATUS], NAMES):
        assert not root.authorises(A.id, kind, name, NOW)


def test_a_key_that_is_not_listed_may_say_nothing() -> None:
    root = trust_root(GOOD)
    assert root.authorises(A.id, PROVENANCE, "acme/m", NOW)
    for stranger in (B.id, "", A.id.upper(), A.id[:12], A.id + "0", "ci", "*", "**"):
        assert not root.authorises(stranger, PROVENANCE, "acme/m", NOW)
        assert root.principal(stranger) is None


# --- grants ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicates", "names", "kind", "name", "allowed"),
    [
        (["*"], ["**"], PROVENANCE, "acme/m", True),
        (["*"], ["**"], PROVENANCE, None, True),
        (["*"], ["*"], PROVENANCE, None, False),
        (["*"], ["acme/**"], PROVENANCE, None, False),
        ([PROVENANCE], ["acme/*"], PROVENANCE, "acme/m", True),
        ([PROVENANCE], ["acme/*"], PROVENANCE, "acme/team/m", False),
        ([PROVENANCE], ["acme/*"], PROVENANCE, "acme-evil/m", False),
        ([PROVENANCE], ["acme/*"], PROVENANCE, "acme", False),
        ([PROVENANCE], ["acme/*"], STATUS, "acme/m", False),
        ([PROVENANCE], ["acme/*"], "https://slsa.dev/provenance/v1.1", "acme/m", False),
        ([PROVENANCE], ["acme/*"], "https://slsa.dev/provenance/", "acme/m", False),
        ([PROVENANCE], ["acme/*"], "*", "acme/m", False),
        (["https://slsa.dev/*"], ["**"], PROVENANCE, "acme/m", False),
        ([STATUS, PROVENANCE], ["prod/*", "acme/*"], PROVENANCE, "acme/m", True),
    ],
)
def test_grant(
    predicates: list[str], names: list[str], kind: str, name: str | None, allowed: bool
) -> None:
    root = trust_root(signer(key("a"), predicates=predicates, names=names))
    assert root.authorises(A.id, kind, name, NOW) is allowed
    assert root.has_authorised(A.id, kind, name) is allowed


def test_grants_do_not_mix() -> None:
    may = [
        {"predicates": [PROVENANCE], "names": ["acme/*"]},
        {"predicates": [STATUS], "names": ["prod/*"]},
    ]
    root = trust_root({**GOOD, "may": may})
    allowed = {(PROVENANCE, "acme/m"), (STATUS, "prod/m")}
    for kind, name in itertools.product([PROVENANCE, STATUS], ["acme/m", "prod/m"]):
        assert root.authorises(A.id, kind, name, NOW) is ((kind, name) in allowed)


def test_one_key_listed_twice_has_both_grants_each_in_its_own_time() -> None:
    past = signer(key("a"), "old-ci", names=["acme/*"], valid_until="2026-01-01T00:00:00Z")
    present = signer(key("a"), "new-ci", names=["prod/*"], valid_from="2026-01-01T00:00:00Z")
    root = trust_root(past, present)
    assert root.authorises(A.id, PROVENANCE, "prod/m", NOW)
    assert not root.authorises(A.id, PROVENANCE, "acme/m", NOW)
    assert root.authorises(A.id, PROVENANCE, "acme/m", datetime(2025, 6, 1, tzinfo=UTC))
    assert root.principal(A.id) == "old-ci"


def test_keys_are_found_under_every_hint() -> None:
    root = trust_root(GOOD)
    assert all(root.key(hint) == A for hint in A.hints)
    assert root.key(B.id) is None
    assert root.key("") is None


# --- time -----------------------------------------------------------------------------------

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("at", "valid"),
    [
        (START - SECOND, False),
        (START - timedelta(microseconds=1), False),
        (START, True),
        (START + SECOND, True),
        (END - SECOND, True),
        (END - timedelta(microseconds=1), True),
        (END, False),
        (END + SECOND, False),
    ],
)
def test_validity_begins_with_its_first_second_and_ends_before_its_last(
    at: datetime, valid: bool
) -> None:
    window = {"valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z"}
    root = trust_root(signer(key("a"), **window))
    assert root.authorises(A.id, PROVENANCE, "acme/m", at) is valid
    # What stops artifacts does not lapse with the key.
    assert root.has_authorised(A.id, PROVENANCE, "acme/m")
    from_only = trust_root(signer(key("a"), valid_from=window["valid_from"]))
    assert from_only.authorises(A.id, PROVENANCE, "acme/m", at) is (at >= START)
    until_only = trust_root(signer(key("a"), valid_until=window["valid_until"]))
    assert until_only.authorises(A.id, PROVENANCE, "acme/m", at) is (at < END)


def test_a_window_that_is_empty_never_authorises() -> None:
    moment = "2026-06-01T00:00:00Z"
    root = trust_root(signer(key("a"), valid_from=moment, valid_until=moment))
    for days in range(-400, 400, 50):
        assert not root.authorises(A.id, PROVENANCE, "acme/m", NOW + timedelta(days=days))


# --- assurance ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signed_by", "said_about", "asked_about", "assurance"),
    [
        (None, "acme/m", "acme/m", Assurance.CLAIMED),
        (None, None, None, Assurance.CLAIMED),
        ("b", "acme/m", "acme/m", Assurance.SIGNED),
        ("a", "acme/m", "acme/m", Assurance.ATTESTED),
        ("a", "acme/m", "acme/n", Assurance.ATTESTED),
        ("a", "acme/m", None, Assurance.ATTESTED),
        ("a", "acme/m", "prod/m", Assurance.SIGNED),
        ("a", "prod/m", "acme/m", Assurance.SIGNED),
        ("a", "prod/m", None, Assurance.SIGNED),
        ("a", "prod/m", "prod/m", Assurance.SIGNED),
        ("a", None, "acme/m", Assurance.SIGNED),
        ("a", None, None, Assurance.SIGNED),
    ],
)
def test_assurance(
    signed_by: str | None,
    said_about: str | None,
    asked_about: str | None,
    assurance: Assurance,
) -> None:
    root = trust_root(signer(key("a"), predicates=[PROVENANCE], names=["acme/*"]))
    key_id = {"a": A.id, "b": B.id}.get(signed_by or "")
    assert root.assurance(key_id, PROVENANCE, said_about, asked_about) is assurance
    assert root.assurance(key_id, STATUS, said_about, asked_about) is not Assurance.ATTESTED


def test_what_is_said_is_worth_that_anywhere_or_hangs_on_the_name() -> None:
    root = trust_root(
        signer(key("a"), predicates=[PROVENANCE]),
        signer(key("b"), "dev", predicates=[PROVENANCE], names=["acme/*"]),
    )
    for who, kind in itertools.product([None, A.id, B.id, "0" * 64], [PROVENANCE, STATUS]):
        worth = {root.assurance(who, kind, name, None) for name in NAMES}
        anywhere = root.anywhere(who, kind)
        assert worth == {anywhere} if anywhere else len(worth) > 1
    assert root.anywhere(A.id, PROVENANCE) is Assurance.ATTESTED
    assert root.anywhere(B.id, PROVENANCE) is None


def test_assurance_outlives_the_key() -> None:
    root = trust_root(signer(key("a"), valid_until="2020-01-01T00:00:00Z"))
    assert not root.authorises(A.id, STATUS, "acme/m", NOW)
    assert root.assurance(A.id, STATUS, "acme/m", "acme/m") is Assurance.ATTESTED


def test_the_same_question_has_the_same_answer() -> None:
    raw = trust_bytes(signer(key("a"), names=["acme/*"]), signer(key("b"), "dev", names=["x/*"]))
    one, two = TrustRoot.parse(raw), TrustRoot.parse(raw)
    assert one.digest == two.digest
    questions = itertools.product([None, A.id, B.id], NAMES, NAMES)
    for who, said, asked in questions:
        assert one.assurance(who, STATUS, said, asked) is two.assurance(who, STATUS, said, asked)
    assert TrustRoot.parse(raw + b"\n").digest != one.digest


def test_adding_a_signer_never_takes_from_another() -> None:
    alone = trust_root(signer(key("a"), names=["acme/*"]))
    both = trust_root(signer(key("b"), "dev"), signer(key("a"), names=["acme/*"]))
    for kind, name in itertools.product([PROVENANCE, STATUS], NAMES):
        expected = alone.authorises(A.id, kind, name, NOW)
        assert both.authorises(A.id, kind, name, NOW) is expected


def test_json_is_a_trust_root_too() -> None:
    item = signer(key("a"))
    document = {"format": "urn:stemma:trust-root:v0.1", "signers": [item]}
    assert TrustRoot.parse(compact(document)).signers == trust_root(item).signers
