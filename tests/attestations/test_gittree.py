"""The Git tree of a manifest, held against the real `git` and `git lfs`, SHA-1 and SHA-256."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import gitattributes, gittree
from stemma_attestations.errors import BadDocument, BadManifest, BadPath
from stemma_attestations.gitobject import ObjectFormat
from stemma_attestations.manifest import Entry, Manifest
from tests.building import entries_of, examples, manifest_of

QUIET = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(where: Path, *words: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["git", *words], cwd=where, input=stdin, capture_output=True, env=QUIET, check=True
    )
    return done.stdout.decode().strip()


@pytest.fixture(scope="session", params=gittree.FORMATS)
def repository(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ObjectFormat, Path]:
    form: ObjectFormat = request.param
    where = tmp_path_factory.mktemp(form)
    git(where, "init", "-q", "--bare", f"--object-format={form}")
    return form, where


def committed(where: Path, files: Mapping[str, bytes]) -> str:
    """The tree that Git itself makes of these files: its own index, its own order."""
    index = where / "stemma-test-index"
    index.unlink(missing_ok=True)
    lines = []
    for path, data in files.items():
        blob = git(where, "hash-object", "-w", "--stdin", "--no-filters", stdin=data)
        lines.append(b"100644 " + blob.encode() + b"\t" + path.encode() + b"\0")
    env = {**QUIET, "GIT_INDEX_FILE": str(index)}
    filled = ["git", "update-index", "-z", "--index-info"]
    subprocess.run(filled, cwd=where, input=b"".join(lines), env=env, check=True)
    done = subprocess.run(
        ["git", "write-tree"], cwd=where, env=env, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def raw_tree(form: ObjectFormat, files: Mapping[str, bytes]) -> str:
    blobs = {path: gittree.blob_id(form, data) for path, data in files.items()}
    return gittree.tree_id(form, blobs).value


names = st.sampled_from(["a", "a.b", "a-b", "a0", "ab", "A", "é", "日本", "z", "a b", "-", "~"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(paths, st.binary(max_size=20), min_size=1, max_size=8)


@given(files=trees)
@examples(12)
def test_git_makes_the_same_tree_of_the_same_files(
    repository: tuple[ObjectFormat, Path], files: dict[str, bytes]
) -> None:
    form, where = repository
    try:
        manifest_of(files)
    except (BadManifest, BadPath):
        return  # a file and a folder of one name
    assert raw_tree(form, files) == committed(where, files)


def test_a_folder_is_sorted_as_if_its_name_ended_with_a_slash(
    repository: tuple[ObjectFormat, Path],
) -> None:
    form, where = repository
    files = {"a/x": b"1", "a.b": b"2", "a-b": b"3", "a0": b"4", "é/ü": b"5", "日本": b"6"}
    assert raw_tree(form, files) == committed(where, files)


def test_a_deep_tree(repository: tuple[ObjectFormat, Path]) -> None:
    form, where = repository
    files = {"/".join("d" * 1_500): b"deep", "d2": b""}
    assert raw_tree(form, files) == committed(where, files)


def test_the_pointers_of_a_manifest_are_those_of_git_lfs(
    repository: tuple[ObjectFormat, Path], tmp_path: Path
) -> None:
    """Without the bytes: `git lfs pointer` says what is committed in the place of a file."""
    form, where = repository
    files = {"model.bin": bytes(range(256)) * 9, "data/train.jsonl": b"{}\n", "empty": b""}
    said: dict[str, bytes] = {}
    for path, data in files.items():
        (tmp_path / "one").write_bytes(data)
        done = subprocess.run(
            ["git", "lfs", "clean", path], cwd=where, input=data, env=QUIET, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        said[path] = done.stdout
    assert {e.path: gittree.pointer(e) for e in entries_of(files)} == said
    manifest = manifest_of(files)
    assert gittree.all_pointers(form, manifest.entries).value == committed(where, said)


def test_the_object_format_is_told_by_the_length(repository: tuple[ObjectFormat, Path]) -> None:
    form, _ = repository
    tree = gittree.all_pointers(form, manifest_of().entries)
    assert tree.algorithm == "gitTree"
    assert gittree.format_of(tree) == form
    assert len(tree.value) == {"sha1": 40, "sha256": 64}[form]


# --- .gitattributes -------------------------------------------------------------------------

ATTRIBUTES = b"""\
# as `git lfs track` and the Hub write them
*.bin filter=lfs diff=lfs merge=lfs -text
*.safetensors filter=lfs diff=lfs merge=lfs -text
saved_model/**/* filter=lfs diff=lfs merge=lfs -text
*tfevents* filter=lfs diff=lfs merge=lfs -text
/top.dat filter=lfs
sub/exact.dat filter=lfs
**/any.dat filter=lfs
deep/** filter=lfs
deep/plain.txt -filter
q?.dat filter=lfs
[ab].dat filter=lfs
[!ab]x.dat filter=lfs
folder/ filter=lfs
*.txt diff=plain
"""
NESTED = b"*.bin !filter\nown.txt filter=lfs\n"
PATHS = [
    *("model.bin", "x/model.bin", "nested/model.bin", "nested/own.txt", "own.txt"),
    *("nested/deeper/model.bin", "nested/deeper/own.txt", "a.safetensors", "saved_model/a"),
    *("saved_model/x/y/a", "other/saved_model/a", "run.tfevents.1", "top.dat", "x/top.dat"),
    *("sub/exact.dat", "x/sub/exact.dat", "any.dat", "x/y/any.dat", "deep/a", "deep/b/c"),
    *("deep/plain.txt", "q1.dat", "q12.dat", "a.dat", "c.dat", "cx.dat", "ax.dat", "folder/x"),
    *("note.txt", "x/a.dat", "deep", "saved_model", ".gitattributes", "nested/.gitattributes"),
]


def test_the_rules_are_read_as_git_reads_them(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "nested").mkdir()
    (tmp_path / ".gitattributes").write_bytes(ATTRIBUTES)
    (tmp_path / "nested/.gitattributes").write_bytes(NESTED)
    lines = git(tmp_path, "check-attr", "filter", *PATHS).splitlines()
    theirs = {line.rsplit(": ", 2)[0]: line.endswith(": lfs") for line in lines}
    rules = gitattributes.rules({".gitattributes": ATTRIBUTES, "nested/.gitattributes": NESTED})
    assert {path: gitattributes.is_pointer(rules, path) for path in PATHS} == theirs
    assert 0 < sum(theirs.values()) < len(theirs)


patterns = st.lists(
    st.sampled_from(["a", "b", "*", "?", "**", "a*", "*b", "[ab]", "[!a]"]), min_size=1, max_size=4
).map("/".join)
short = st.lists(st.sampled_from(["a", "b", "ab", "ba", "c"]), min_size=1, max_size=4).map("/".join)


@given(lines=st.lists(patterns, min_size=1, max_size=3), rooted=st.booleans(), asked=st.sets(short))
@examples(25)
def test_any_pattern_is_read_as_git_reads_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], rooted: bool, asked: set[str]
) -> None:
    if not asked:
        return
    where = tmp_path_factory.mktemp("attributes")
    git(where, "init", "-q")
    slash = "/" if rooted else ""
    raw = "".join(f"{slash}{line} filter=lfs\n" for line in lines).encode()
    (where / ".gitattributes").write_bytes(raw)
    said = git(where, "check-attr", "filter", *sorted(asked)).splitlines()
    theirs = {line.rsplit(": ", 2)[0]: line.endswith(": lfs") for line in said}
    rules = gitattributes.rules({".gitattributes": raw})
    assert {path: gitattributes.is_pointer(rules, path) for path in asked} == theirs


@pytest.mark.parametrize(
    "line",
    [
        b'"a b" filter=lfs',
        b"a\\*b filter=lfs",
        b"[[:alpha:]] filter=lfs",
        b"*.bin filter=crypt",
        b"[attr]big filter=lfs",
        b"a**b filter=lfs",
        b"a//b filter=lfs",
        b"\xff filter=lfs",
        b"*.txt text",
        b"*.txt text=auto eol=crlf",
    ],
)
def test_what_would_have_to_be_guessed_is_refused(line: bytes) -> None:
    with pytest.raises(BadDocument, match="line 1"):
        gitattributes.rules({".gitattributes": line + b"\n"})


def test_a_hostile_pattern_costs_little() -> None:
    line = b"a*" * 500 + b"b" + b"/**/a*" * 50 + b" filter=lfs\n"
    rules = gitattributes.rules({".gitattributes": line})
    assert not gitattributes.is_pointer(rules, "/".join(["a" * 200] * 200))


def test_an_entry_of_another_size_is_another_pointer() -> None:
    (entry,) = entries_of({"a": b"abc"})
    assert gittree.pointer(entry) != gittree.pointer(Entry("a", 4, entry.sha256))
    assert Manifest.of([entry]).digest != gittree.all_pointers("sha256", [entry])
