"""Any bytes at all: no crash, no endless work, nothing found that would not be found again."""

from __future__ import annotations

import io
import pickle
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
CAREFUL = settings(deadline=2_000, max_examples=100, suppress_health_check=list(HealthCheck))


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


# What may stand before an import: every kind of opcode, well-formed and not quite.
BEFORE = [
    *(bytes([code]) for code in b"N012(t)]}ldaesu\x85\x86\x87\x88\x89\x8f\x90\x91\x94"),
    *(b"K\x05", b"M\1\0", b"J\1\0\0\0", b"I1\n", b"I 1\n", b"I0x1\n", b"I017\n", b"I1_0\n"),
    *(b"L1L\n", b"L0x1fL\n", b"F1.5\n", b"F1e5\n", b"Fnan\n", b"F 1\n", b"F1_0\n", b"G12345678"),
    *(b"S'abc'\n", b'S"abc"\n', b"S'a\\x41'\n", b"S'a' \n", b"S''\n", b"T\2\0\0\0ab", b"U\2ab"),
    *(b"Vabc\n", b"V\\u0041\n", b"V\n", b"V\xff\n", b"V" + b"x" * 70_000 + b"\n"),
    *(b"X\2\0\0\0ab", b"X\3\0\0\0\xed\xa0\x80", b"\x8c\2ab", b"\x8d\2" + bytes(7) + b"ab"),
    *(b"C\2ab", b"B\2\0\0\0ab", b"\x8e\2" + bytes(7) + b"ab", b"X\x2c\1\0\0" + b"y" * 300),
    *(b"p1\n", b"p 1\n", b"p1_0\n", b"p99\n", b"g1\n", b"q\0", b"q\1", b"h\0", b"h\1"),
    *(b"r\3\0\0\0", b"j\3\0\0\0", b"\x80\2", b"\x80\0", b"\x95\5" + bytes(7), b"\x8a\1\5"),
]
IMPORTS = [making.SYSTEM, making.EVAL4[2:], b"(S'id'\nios\nsystem\n.", b"(cos\nsystem\nS'x'\no."]


class Reached(Exception):
    """The unpickler would import."""


class InC(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise Reached


class InPython(pickle._Unpickler):  # type: ignore[name-defined,misc]
    def find_class(self, module: str, name: str) -> object:
        raise Reached


def imports(unpickler: type[pickle.Unpickler], data: bytes) -> bool:
    """Whether CPython's own unpickler would get to an import (which it may not do here)."""
    try:
        unpickler(io.BytesIO(data)).load()
    except Reached:
        return True
    except Exception:  # noqa: BLE001 - it did not get that far
        return False
    return False


def test_nothing_before_an_import_hides_it() -> None:
    """Where CPython gets through what is before, so does the scanner."""
    chance, reached = random.Random(7), 0
    for _ in range(1_500):
        before = chance.choices(BEFORE, k=chance.choice([1, 2, 3, 4, 6]))
        data = b"".join(before) + chance.choice(IMPORTS)
        if imports(InC, data) or imports(InPython, data):
            reached += 1
            assert rules(scan("x.bin", data)) >= {"pickle-global"}, data
            assert rules(scan("x.txt", data)) >= {"pickle-global"}, data
    assert reached > 300


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_every_cut_is_survived(seed: bytes) -> None:
    for end in range(0, min(len(seed), 200), 7):
        look("x.pkl", seed[:end])
