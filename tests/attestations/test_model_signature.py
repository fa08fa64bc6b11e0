"""OpenSSF model signatures: what is built, what is read, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, SignatureRefused
from stemma_attestations.predicates import signature
from stemma_attestations.predicates.signature import ModelSignature
from stemma_attestations.statement import Statement
from tests.building import examples, json_values, key, manifest_of

FILES = {"a-b": b"1", "a/x": b"2", "w.bin": b"3"}
ORDER = ("a/x", "a-b", "w.bin")  # what model_signing 1.1.1 writes for these three


def digest(data: bytes) -> Digest:
    return Digest.of(data)


def document() -> dict[str, Any]:
    """The statement of FILES as JSON."""
    built = signature.build(manifest_of(FILES), "m", ["model.sig"])
    return dict(json.loads(built.raw))


def read(doc: Any) -> ModelSignature:
    return signature.parse(Statement.parse(json.dumps(doc).encode()))


def test_what_is_built_is_read_and_is_in_the_order_of_model_signing() -> None:
    doc = document()
    assert [resource["name"] for resource in doc["predicate"]["resources"]] == list(ORDER)
    raw = b"".join(hashlib.sha256(FILES[name]).digest() for name in ORDER)
    root = Digest.of(raw)
    assert doc["subject"] == [{"name": "m", "digest": {"sha256": root.value}}]
    assert manifest_of(FILES).oms_root == root
    signed = read(doc)
    assert signed.root == root
    assert signed.files == {name: digest(data) for name, data in FILES.items()}
    assert signed.ignored == ("model.sig",)


def test_the_order_of_the_list_is_what_the_root_is_over() -> None:
    doc = document()
    doc["predicate"]["resources"].reverse()
    with pytest.raises(BadStatement, match="not the root"):
        read(doc)
    raw = b"".join(hashlib.sha256(FILES[name]).digest() for name in reversed(ORDER))
    doc["subject"][0]["digest"]["sha256"] = hashlib.sha256(raw).hexdigest()
    assert read(doc).files == read(document()).files


def test_fields_that_are_not_known_are_no_error() -> None:
    """`Any other field should be ignored by verifiers adhering to v1.0`."""
    doc = document()
    doc["predicate"]["card"] = {"x": 1}
    doc["predicate"]["resources"][0]["size"] = 1
    assert read(doc) == read(document())


def bent(change: Callable[[Any], object]) -> Any:
    doc = copy.deepcopy(document())
    change(doc)
    return doc


def at(doc: Any, *path: str | int) -> Any:
    for step in path:
        doc = doc[step]
    return doc


def putting(value: object, *path: str | int) -> Callable[[Any], object]:
    def change(doc: Any) -> None:
        at(doc, *path[:-1])[path[-1]] = value

    return change


def without(*path: str | int) -> Callable[[Any], object]:
    def change(doc: Any) -> None:
        del at(doc, *path[:-1])[path[-1]]

    return change


RESOURCES = ("predicate", "resources")
SERIALIZATION = ("predicate", "serialization")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (putting("urn:stemma:dataset:v0.1", "predicateType"), "not a model signature"),
        (lambda d: d["subject"].append(d["subject"][0]), "one subject"),
        (putting({"sha256": "0" * 64}, "subject", 0, "digest"), "not the root"),
        (putting({"sha512": "0" * 128}, "subject", 0, "digest"), "not the root"),
        (without(*SERIALIZATION), "has a serialization"),
        (putting("files", *SERIALIZATION), "has a serialization"),
        (putting("shards", *SERIALIZATION, "method"), "only whole files"),
        (without(*SERIALIZATION, "method"), "only whole files"),
        (putting("blake3", *SERIALIZATION, "hash_type"), "only whole files"),
        (putting("no", *SERIALIZATION, "allow_symlinks"), "allow_symlinks"),
        (without(*SERIALIZATION, "allow_symlinks"), "allow_symlinks"),
        (putting("model.sig", *SERIALIZATION, "ignore_paths"), "ignore_paths"),
        (putting([1], *SERIALIZATION, "ignore_paths"), "ignore_paths"),
        (without(*RESOURCES), "resources are a list"),
        (putting({}, *RESOURCES), "resources are a list"),
        (putting(["a"], *RESOURCES), "is an object"),
        (without(*RESOURCES, 0, "name"), "a name and a digest"),
        (without(*RESOURCES, 0, "digest"), "a name and a digest"),
        (without(*RESOURCES, 0, "algorithm"), "not sha256"),
        (putting("blake2", *RESOURCES, 0, "algorithm"), "not sha256"),
        (putting("00", *RESOURCES, 0, "digest"), "64 lower-case hex"),
        (lambda d: d["predicate"]["resources"][0].update(digest="A" * 64), "lower-case"),
    ],
)
def test_refused(change: Callable[[Any], object], words: str) -> None:
    with pytest.raises(BadStatement, match=words):
        read(bent(change))


def with_names(*names: str) -> Any:
    """A signature, right in all else, of files of these names."""
    doc = document()
    one = digest(b"x")
    doc["predicate"]["resources"] = [
        {"name": name, "algorithm": "sha256", "digest": one.value} for name in names
    ]
    raw = bytes.fromhex(one.value) * len(names)
    doc["subject"][0]["digest"]["sha256"] = hashlib.sha256(raw).hexdigest()
    return doc


@pytest.mark.parametrize(
    "names",
    [(), ("../a",), ("/a",), (".",), ("a", "a"), ("a", "A"), ("a", "a/b"), (".git/config",), ("",)],
)
def test_paths_that_mean_something_else_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BadStatement):
        read(with_names(*names))
    assert read(with_names("a", "b")).files


@examples(150)
@given(st.sampled_from(["predicate", "subject"]), json_values)
def test_nothing_raises_anything_but_bad_statement(field: str, value: Any) -> None:
    doc = {**document(), field: value}
    try:
        read(doc)
    except BadStatement:
        return
    assert doc == document()


# --- Digests/v0.1 ---------------------------------------------------------------------------


def old(*subjects: tuple[str | None, str]) -> Any:
    """As model_signing wrote it before 1.0: each subject is a file."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"digest": {"sha256": value}} | ({"name": name} if name else {})
            for name, value in subjects
        ],
        "predicateType": signature.TYPE_V0,
        "predicate": {"unused": "Unused, just passed due to API requirements"},
    }


def test_the_old_type_is_read_and_its_root_is_computed() -> None:
    signed = read(old(*((name, digest(data).value) for name, data in FILES.items())))
    assert signed == ModelSignature(read(document()).files, read(document()).root)


@pytest.mark.parametrize(
    "doc",
    [
        old(("a", "0" * 64), ("a", "1" * 64)),
        old((None, "0" * 64)),
        old(("../a", "0" * 64)),
        {**old(("a", "0" * 64)), "subject": [{"name": "a", "digest": {"sha1": "0" * 40}}]},
        {**old(("a", "0" * 64)), "subject": []},
    ],
)
def test_the_old_type_refused(doc: Any) -> None:
    with pytest.raises(BadStatement):
        read(doc)


# --- every file counts ----------------------------------------------------------------------

SIGNED = ModelSignature(
    {"a": digest(b"1"), ".github/signed": digest(b"2")}, digest(b"root"), (".github", "./x/", ".")
)
WHOLE = dict(SIGNED.files)


@pytest.mark.parametrize(
    ("found", "odd", "said", "lines"),
    [
        (WHOLE, {}, (), []),
        ({**WHOLE, "b": digest(b"")}, {}, (), ["b: not signed"]),
        ({**WHOLE, ".githubx": digest(b"")}, {}, (".github",), [".githubx: not signed"]),
        ({**WHOLE, "x/y": digest(b"")}, {}, ("x",), []),
        ({**WHOLE, "b": digest(b"")}, {}, ("b",), ["b: not signed, and not ignored by the sig"]),
        ({**WHOLE, "b": digest(b"")}, {}, (".",), ["b: not signed"]),
        (
            {**WHOLE, ".github/evil.py": digest(b"")},
            {},
            (),
            [".github/evil.py: not signed (the signature ignores .github; --ignore .github "],
        ),
        ({**WHOLE, ".github/evil.py": digest(b"")}, {}, (".github",), []),
        ({**WHOLE, ".github/a": digest(b"")}, {}, (".github/b",), [".github/a: not signed (the"]),
        ({**WHOLE, ".github/a": digest(b"")}, {}, (".github/a",), []),
        ({"a": digest(b"1")}, {}, (".github",), [".github/signed: missing"]),
        ({**WHOLE, ".github/signed": digest(b"3")}, {}, (".github",), [".github/signed: changed"]),
        ({".github/signed": digest(b"2")}, {"a": "a pipe"}, ("a",), ["a: a pipe"]),
        (WHOLE, {".github/link": "a symbolic link"}, (".github",), []),
        (WHOLE, {".github/link": "a symbolic link"}, (), [".github/link: a symbolic link"]),
    ],
)
def test_differences(
    found: dict[str, Digest], odd: dict[str, str], said: tuple[str, ...], lines: list[str]
) -> None:
    told = signature.differences(SIGNED, found, odd, said)
    assert len(told) == len(lines)
    assert all(line.startswith(start) for line, start in zip(told, lines, strict=True))


def test_the_bundle_names_the_key_as_model_signing_does() -> None:
    signer = key("a")
    statement = signature.build(manifest_of(FILES), "m")
    raw = signature.bundle(signer.sign(statement), signer.public)
    document = json.loads(raw)
    assert document["verificationMaterial"] == {
        "publicKey": {"hint": hashlib.sha256(signer.public.pem.encode()).hexdigest()},
        "tlogEntries": [],
    }
    assert Bundle.parse(raw).verify(signer.public).raw == statement.raw
    with pytest.raises(SignatureRefused):
        Bundle.parse(raw).verify(key("b").public)
