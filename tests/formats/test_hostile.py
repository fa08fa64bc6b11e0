"""Any bytes at all: no crash, no endless work, nothing found that would not be found again."""

from __future__ import annotations

import pickletools
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemma_registry.formats.findings import BOUNDS, RULES
from tests.formats import making
from tests.formats.looking import rules, scan

SEEDS = list(
    (
        making.malicious_pickles()
        | making.malicious_files()
        | {name: data for name, data in making.benign_files().items() if len(data) < 5_000}
    ).values()
)
SUFFIXES = ["", ".pkl", ".pt", ".npy", ".safetensors", ".gguf", ".json", ".yaml", ".h5", ".keras"]
SMALL = replace(
    BOUNDS, opcodes=20_000, expanded=4_000_000, searched=4_000_000, ratio_floor=1_000_000
)
CAREFUL = settings(deadline=2_000, max_examples=150, suppress_health_check=list(HealthCheck))


def look(name: str, data: bytes) -> None:
    first = scan(name, data, SMALL)
    assert rules(first) <= set(RULES)
    assert not any("unexpected" in finding.text for finding in first.findings)
    assert scan(name, data, SMALL) == first


@CAREFUL
@given(data=st.binary(max_size=3_000), suffix=st.sampled_from(SUFFIXES))
def test_arbitrary_bytes(data: bytes, suffix: str) -> None:
    look(f"x{suffix}", data)


@CAREFUL
@given(
    magic=st.sampled_from(
        [
            b"GGUF\x03\0\0\0",
            b"PK\x03\x04",
            b"\x93NUMPY\x01\0",
            b"\x80\x04",
            b"\x1f\x8b\x08\0",
            b"BZh9",
            b"\xfd7zXZ\0",
            b"\x28\xb5\x2f\xfd",
            b"\x89HDF\r\n\x1a\n",
            b"\x08\x08",
            b'\x0a\0\0\0\0\0\0\0{"',
            b"\x78\x9c",
            b'{"',
            b"\x5d\0\0",
        ]
    ),
    data=st.binary(max_size=1_000),
)
def test_arbitrary_bytes_behind_a_magic_number(magic: bytes, data: bytes) -> None:
    look("x", magic + data)


@CAREFUL
@given(
    seed=st.sampled_from(SEEDS),
    chance=st.randoms(use_true_random=False),
    suffix=st.sampled_from(SUFFIXES),
)
def test_mutated_files(seed: bytes, chance: random.Random, suffix: str) -> None:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 20)]
            case 2:
                data[at:at] = data[: chance.randint(1, 50)]
            case _:
                data[at : at + 8] = b"\xff" * 8
    look(f"x{suffix}", bytes(data))


OPCODES = [code.code.encode("latin-1") for code in pickletools.opcodes]


@CAREFUL
@given(
    st.lists(
        st.sampled_from([*OPCODES, b"os\n", b"system\n", b"\x01", b"\x02a\n", b"1\n"]), max_size=60
    )
)
def test_arbitrary_opcodes(parts: list[bytes]) -> None:
    look("x.pkl", b"".join(parts))
    look("x", b"\x80\x04" + b"".join(parts) + b".")


@CAREFUL
@given(
    before=st.lists(
        st.sampled_from(
            [
                b"N",
                b"0",
                b"]",
                b"(",
                b"t",
                b"1",
                b"K\x01",
                b"\x94",
                b"2",
                b"\x85",
                b"\x88",
                b"V x\n",
                b"I1\n",
                b"F1.5\n",
                b"}",
                b"\x8f",
                b"p1\n",
                b"q\x02",
                b"S'a'\n",
                b"L1L\n",
                b"G12345678",
            ]
        ),
        max_size=20,
    ),
    payload=st.sampled_from([making.SYSTEM, making.EVAL4[2:], b"(S'id'\nios\nsystem\n."]),
)
def test_harmless_opcodes_before_hide_nothing(before: list[bytes], payload: bytes) -> None:
    """Where the real unpickler gets through what is before, so does the scanner."""
    import pickle

    class Reached(Exception):
        pass

    class Careful(pickle._Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> object:
            raise Reached

    import io

    data = b"".join(before) + payload
    try:
        Careful(io.BytesIO(data)).load()
    except Reached:
        assert {"pickle-global"} <= rules(scan("x.bin", data))
        assert {"pickle-global"} <= rules(scan("x.txt", data))
    except Exception:  # noqa: BLE001 - it did not get that far
        pass


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_every_cut_is_survived(seed: bytes) -> None:
    for end in range(0, min(len(seed), 200), 7):
        look("x.pkl", seed[:end])
