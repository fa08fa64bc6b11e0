"""Two are asked for, and one says it twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.conformance.making.case import BUNDLE, TRUST, Case
from tests.conformance.making.instance import IDENTITY, Instance
from tests.conformance.making.scene import (
    CI,
    KEY_GOOD,
    MALLORY,
    PREDICATE,
    by_identity,
    by_key,
    named_key,
    packed,
    signed,
    statement,
    subject,
    trust,
)
from tests.conformance.making.subjects import WRONG

SECOND = "bundle-second.json"
COUNT = "attestations/stemma_attestations/grants.py::distinct"
ONE = "2 distinct principals are asked for: 1"
OTHER = named_key("second")


def asking(*signers: Sequence[str], principals: int = 2) -> bytes:
    """A trust root with these signers, of whom so many must say it."""
    text = (
        f'format: urn:stemma:trust-root:v0.1\nthresholds:\n  - predicates: ["{PREDICATE}"]\n'
        f'    names: ["acme/*"]\n    principals: {principals}\n'
    )
    return trust(*signers).replace(b"format: urn:stemma:trust-root:v0.1\n", text.encode())


def cases(at: Instance) -> Iterator[Case]:
    """All of them."""
    ada, bob = by_key(CI, "ada"), by_key(OTHER, "bob")
    second = packed(signed(key=OTHER))
    twin = replace(
        KEY_GOOD,
        name="threshold-two-principals",
        story="Two principals are asked for, and two signed the statement, each a bundle.",
        files={**KEY_GOOD.files, SECOND: second, TRUST: asking(ada, bob)},
    )
    yield twin

    def bad(name: str, story: str, files: Mapping[str, bytes], reason: str = ONE) -> Case:
        return twin.forged(f"threshold-{name}", story, COUNT, reason, files)

    yield bad("same-bundle-twice", "The second bundle is the first.", {SECOND: twin.files[BUNDLE]})
    yield bad(
        "signed-twice-by-one-key",
        "The second bundle is another statement about the artifact by the first key.",
        {SECOND: packed(signed(statement(predicate={"score": 2})))},
    )
    yield bad(
        "two-keys-of-one-principal",
        "The two keys are of one principal.",
        {TRUST: asking(ada, by_key(OTHER, "ada"))},
    )
    yield bad(
        "a-key-of-both-principals",
        "The second key is listed for both principals: it is nobody's second.",
        {TRUST: asking(ada, by_key(OTHER, "ada"), bob)},
    )
    yield bad(
        "second-is-a-stranger",
        "The second bundle is by a key that nobody lists.",
        {SECOND: packed(signed(key=MALLORY))},
    )
    yield bad(
        "second-borrows-a-hint",
        "The second bundle names the second key, and the first one signed it.",
        {SECOND: packed(signed(key=CI, hint=OTHER.public.id))},
    )
    yield bad(
        "second-is-of-other-bytes",
        "The second principal signed a statement about other bytes.",
        {SECOND: packed(signed(statement([subject(sha256=WRONG)]), OTHER))},
    )
    yield bad(
        "three-asked-for",
        "Three principals are asked for.",
        {TRUST: asking(ada, bob, principals=3)},
        "3 distinct principals are asked for: 2",
    )
    yield twin.forged(
        "threshold-principals-look-alike",
        "One person is listed twice, the second time in a full-width letter: not read at all.",
        "attestations/stemma_attestations/grants.py::check_principals",
        "look like one",
        {TRUST: asking(ada, by_key(OTHER, "\uff41da"))},
    )
    yield from _identities(at, twin)


def _identities(at: Instance, keyed: Case) -> Iterator[Case]:
    ada = by_key(CI, "ada")

    def listing(principal: str) -> bytes:
        return asking(ada, by_identity(IDENTITY, at.digest, principal=principal))

    document = at.document()
    good = at.good(
        "threshold-key-and-identity",
        "Two principals are asked for: one signed with a key, the other as an identity.",
        listing("bob"),
        document,
    )
    twin = replace(good, files={**good.files, SECOND: keyed.files[BUNDLE]})
    yield twin
    yield twin.forged(
        "threshold-key-and-identity-of-one",
        "The key and the identity are of one principal.",
        COUNT,
        ONE,
        {TRUST: listing("ada")},
    )
    yield twin.forged(
        "threshold-two-runs-of-one-identity",
        "Two runs of one workflow signed, each with a certificate of its own.",
        COUNT,
        ONE,
        {SECOND: packed(at.document())},
    )
