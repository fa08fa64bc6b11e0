"""Sign, change one byte, verify: for every byte of a keyless bundle.

What still verifies says the same. The places where a byte may differ, because nobody
signed it, are those of docs/formats/bundle.md ("What nobody signed"); a place that is
not in that list fails here.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

import pytest

from stemma_attestations import keyless
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.keyless import Verified
from tests.sigstore.forge import raw
from tests.sigstore.scene import both, good
from tests.sigstore.stack import LocalSigstore

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
STEP = 5  # every so many bytes in the slice that always runs


def free(data: bytes, rekor: int) -> Iterator[tuple[int, int]]:
    """The ranges of bytes that nobody signed."""
    for blank in re.finditer(rb"(?<=[,:]) ", data):  # between the tokens of the JSON
        yield blank.span()
    (name,) = re.finditer(rb"(?<=\\n\\n\\u2014 )[^ ]+", data)  # in a checkpoint's signature line
    yield name.span()
    (stamp,) = re.finditer(rb'(?<="signedTimestamp": ")[^"]+', data)
    yield stamp.span()
    if rekor == 2:
        number = re.search(rb'(?<="tlogEntries": \[\{"logIndex": ")[0-9]+', data)
        assert number is not None
        yield number.span()


def changed(data: bytes, step: int, values: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Copies with one byte changed, `values` of each place; a bit, and by chance."""
    chance = random.Random(seed)
    for at in range(seed % step, len(data), step):
        others = [data[at] ^ (1 << chance.randrange(7)), ord(" "), ord("0"), ord("A")]
        others = [*others[: values - 1], *(chance.randrange(256) for _ in range(values))]
        for value in [value for value in others if value != data[at]][:values]:
            yield at, data[:at] + bytes([value]) + data[at + 1 :]


def same(found: Verified, truth: Verified) -> None:
    """Nothing that is reported differs. A timestamp that no longer verifies is as if it were
    not there: with v1 the log's own promise remains, with v2 nothing does."""
    assert found.statement.raw == truth.statement.raw
    assert found.identity == truth.identity
    assert found.log == truth.log
    assert found.log_time == truth.log_time
    assert set(found.timestamps) <= set(truth.timestamps)


def campaign(stack: LocalSigstore, rekor: int, step: int, values: int, seed: int) -> int:
    """Change bytes, and look each time; how many changes still verified."""
    data, root = raw(good(stack, rekor)), stack.trusted_root()
    truth = keyless.verify(data, root)
    assert truth.timestamps
    assert (truth.log_time is None) == (rekor == 2)
    allowed = {at for start, end in free(data, rekor) for at in range(start, end)}
    passed = 0
    for at, copy in changed(data, step, values, seed):
        try:
            found = keyless.verify(copy, root)
        except SignatureRefused:
            continue
        passed += 1
        assert at in allowed, f"{data[max(0, at - 60) : at]!r} >>{copy[at : at + 1]!r}<<"
        same(found, truth)
        if rekor == 2:
            assert found == truth
    return passed


@both
def test_a_changed_byte(sigstore: LocalSigstore, rekor: int) -> None:
    campaign(sigstore, rekor, STEP, 1, seed=random.Random(rekor).randrange(STEP))


@pytest.mark.slow
@both
def test_every_byte_with_several_values(sigstore: LocalSigstore, rekor: int) -> None:
    passed = campaign(sigstore, rekor, 1, 3, seed=rekor)
    assert passed > 10, "nothing passed: the list of what nobody signed is not tested"


@both
def test_what_nobody_signed_is_there_and_says_nothing(sigstore: LocalSigstore, rekor: int) -> None:
    """Each place of the list by itself, so that the list is exact."""
    document = good(sigstore, rekor)
    root = sigstore.trusted_root()
    data = raw(document)
    truth = keyless.verify(data, root)
    again = json.dumps(document, indent=3).encode()
    assert keyless.verify(again, root) == truth
    name = re.sub(rb"(?<=\\n\\n\\u2014 )[^ ]+", b"somebody.example", data)
    assert name != data
    assert keyless.verify(name, root) == truth
    material = document["verificationMaterial"]
    material["tlogEntries"][0]["logIndex"] = "123456789"
    if rekor == 2:
        assert keyless.verify(raw(document), root) == truth
    else:  # the log's promise is over it
        with pytest.raises(SignatureRefused):
            keyless.verify(raw(document), root)
