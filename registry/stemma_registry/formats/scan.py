"""The look at files and trees: what each is, and what was found in it.

One file costs a bounded time and memory (`findings.BOUNDS`); what is not looked at whole
is undecided, which is no pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from stemma_attestations.errors import StemmaError
from stemma_attestations.manifest import Manifest
from stemma_registry import directory
from stemma_registry.blobs.contract import Store
from stemma_registry.errors import NotFound, Unavailable
from stemma_registry.formats import (
    codelike,
    detecting,
    gguf,
    keras,
    numpy_arrays,
    pickles,
    protobufs,
    safetensors,
    tars,
    zips,
)
from stemma_registry.formats.expanding import Expanded
from stemma_registry.formats.findings import BOUNDS, Bounds, Budget, Finding, Look, Setting, Stop
from stemma_registry.formats.report import Report, Scanned
from stemma_registry.formats.sources import Opened, Source, Stored, Window

# Suffixes of what is loaded as a pickle; and of what may be.
PICKLES = (".pkl", ".pickle", ".joblib")
SUSPECTS = (*PICKLES, ".pt", ".pth", ".ckpt", ".bin", ".dat", ".model")

Look_ = Callable[[Look, Source], str]


@dataclass(frozen=True)
class Item:
    """One file to look at: its path, and how it is opened."""

    path: str
    open: Callable[[], AbstractContextManager[Source]]


def scan_tree(
    items: Iterable[Item], oddities: Iterable[tuple[str, str]] = (), bounds: Bounds = BOUNDS
) -> Report:
    """Look at every file. `oddities` are paths that are no files, with what they are."""
    files = [scan_file(item, bounds) for item in items]
    files += [
        Scanned(path, 0, "none", (), (Finding("", "not-a-file", what),)) for path, what in oddities
    ]
    return Report(tuple(sorted(files, key=lambda file: file.path)))


def scan_file(item: Item, bounds: Bounds = BOUNDS) -> Scanned:
    """Look at one file."""
    look = Look(item.path, "", 0, Budget(bounds), {}, set(), look_at)
    form, size = "none", 0
    try:
        with item.open() as source:
            size = source.size
            form = look_at(look, source)
    except (OSError, StemmaError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        look.add("unreadable", reason[:200])
    except Exception as error:  # noqa: BLE001 - what we did not think of is no pass either
        look.add("unreadable", f"unexpected {type(error).__name__}: {error}"[:200])
    inside = tuple(sorted(look.formats - {form}))
    return Scanned(item.path, size, form, inside, tuple(sorted(look.found)))


def of_directory(root: Path) -> Report:
    """Look at a directory's files; links and devices are findings.

    Raises NotFound, BadTree, Unavailable.
    """
    tree = directory.scan(root)

    def opener(path: str) -> Callable[[], AbstractContextManager[Source]]:
        @contextlib.contextmanager
        def open_() -> Iterator[Source]:
            with directory.open_beneath(root, path) as stream:
                yield Opened(stream)

        return open_

    items = [Item(file.path, opener(file.path)) for file in tree.files]
    return scan_tree(items, tree.oddities)


def of_file(path: Path) -> Report:
    """Look at one file. Raises NotFound, Unavailable."""

    @contextlib.contextmanager
    def open_() -> Iterator[Source]:
        with path.open("rb") as stream:
            yield Opened(stream)

    try:
        path.stat()
    except FileNotFoundError as error:
        raise NotFound(f"{path} is neither a reference nor a file") from error
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    return scan_tree([Item(path.name, open_)])


def of_artifact(store: Store, manifest: Manifest) -> Report:
    """Look at an artifact's blobs; what is missing or damaged is a finding."""

    def opener(source: Source) -> Callable[[], AbstractContextManager[Source]]:
        return lambda: contextlib.nullcontext(source)

    return scan_tree(
        Item(entry.path, opener(Stored(store, entry.sha256, entry.size)))
        for entry in manifest.entries
    )


def look_at(look: Look, source: Source) -> str:
    """Look at bytes, and at what is in them; the format. Findings go to `look`."""
    form = "data"
    try:
        codelike.by_name(look, look.name)
        form = _look(look, source)
    except Stop as stop:
        look.add(stop.rule, str(stop))
    look.formats.add(form)
    return form


def _look(look: Look, source: Source) -> str:
    if not source.size:
        return "empty"
    found = detecting.strong(source)
    if len(found) > 1:
        look.add("polyglot", " and ".join(found))
    forms = [_guarded(look, source, one) for one in found]
    if "pickle" not in found:
        forms += _hidden_pickle(look, source, found)
    form = forms[0] if forms else _weak(look, source)
    _claim(look, source, {form, *forms})
    look.formats |= {form, *forms}
    return form


def _guarded(look: Look, source: Source, form: str) -> str:
    """One format's look: the other formats of a polyglot are looked at even where it stops."""
    try:
        return _LOOKS[form](look, source) if form in _LOOKS else _compressed(look, source, form)
    except Stop as stop:
        look.add(stop.rule, f"{form}: {stop}")
        return form


def _hidden_pickle(look: Look, source: Source, found: list[str]) -> list[str]:
    """A pickle without a header, in what has another format or none."""
    lower = look.name.lower()
    sure = look.setting.sure or (not found and lower.endswith(PICKLES))
    text = bool(found) or detecting.is_text(source.read_at(0, detecting.TEXT_HEAD), source.size)
    careful = text and (bool(found) or not lower.endswith(SUSPECTS))
    before = len(look.found)
    done = pickles.look(look, source, replace(look.setting, sure=sure), text=careful)
    if not done.is_pickle:
        return []
    if found and len(look.found) > before:
        look.add("polyglot", f"{found[0]} and pickle")
    return [] if found and not done.whole else ["pickle"]


def _weak(look: Look, source: Source) -> str:
    form = detecting.weak(source, look.name)
    if form == "json":
        return codelike.look_json(look, source)
    if form == "text":
        return codelike.look_text(look, source, look.name)
    if form == "onnx":
        protobufs.look_onnx(look, source)
    elif form == "savedmodel":
        protobufs.look_savedmodel(look, source)
    elif form == "native":
        look.add("code-native", "native code by its bytes")
    elif form == "bytecode":
        look.add("code-python", "compiled Python by its bytes")
    elif form in ("lz4", "zfile"):
        look.add("unknown-compression", f"{form} is not read here")
    return form


def _claim(look: Look, source: Source, forms: set[str]) -> None:
    """Hold the name against the format."""
    suffix = "." + look.name.lower().rpartition("/")[2].rpartition(".")[2]
    claimed = detecting.CLAIMS.get(suffix)
    if claimed is None or claimed & forms:
        return
    if suffix == ".safetensors":
        safetensors.look(look, source)
    what = ", ".join(sorted(forms))
    look.add("not-what-it-is-called", f"{suffix} is its name, {what} its bytes")


def _compressed(look: Look, source: Source, form: str) -> str:
    name = look.name.rpartition(".")[0] or look.name
    look.inside(Expanded(source, form, look.budget), name.rpartition("/")[2])
    return form


def _numpy(look: Look, source: Source) -> str:
    header = numpy_arrays.look(look, source)
    if header is None or not header.has_objects:
        return "numpy"
    data = Window(source, header.data, source.size - header.data)
    pickles.look(look, data, Setting(sure=True))
    look.formats.add("pickle")
    return "numpy-object"


def _pickle(look: Look, source: Source) -> str:
    done = pickles.look(look, source, replace(look.setting, sure=True))
    return "torch-legacy" if done.is_torch else "pickle"


def _hdf5(look: Look, source: Source) -> str:
    return "keras-hdf5" if keras.look_hdf5(look, source) else "hdf5"


def _safetensors(look: Look, source: Source) -> str:
    safetensors.look(look, source)
    return "safetensors"


def _gguf(look: Look, source: Source) -> str:
    gguf.look(look, source)
    return "gguf"


_LOOKS: dict[str, Look_] = {
    "safetensors": _safetensors,
    "gguf": _gguf,
    "zip": zips.look,
    "numpy": _numpy,
    "hdf5": _hdf5,
    "tar": tars.look,
    "pickle": _pickle,
}
