"""Zip archives: PyTorch's, NumPy's, Keras's and all others, by their central directory.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT . Only the directory is read with the
standard library; members are read here, each where the directory says. Names that are
there twice, headers that disagree and bytes before the archive are findings, because
readers choose differently between them.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections import Counter
from dataclasses import dataclass

from stemma_registry.formats import keras
from stemma_registry.formats.expanding import Expanded
from stemma_registry.formats.findings import Look, Setting, Stop
from stemma_registry.formats.sources import AsFile, Source, Window

START, END = b"PK\x03\x04", b"PK\x05\x06"
_LOCAL = struct.Struct("<4s5H3I2H")
_TAIL = 65_557  # an end record and the longest comment
_METHODS = {8: "deflate", 12: "bzip2"}
_RAW = re.compile(r"(?:data|constants|tensors)/[0-9]+\Z")
_ENCRYPTED = 0x1
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True)
class Directory:
    """The central directory: members by name, and how many bytes lie before the archive."""

    members: tuple[zipfile.ZipInfo, ...]
    before: int

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [member.filename for member in self.members]

    @property
    def root(self) -> str | None:
        """The folder of a PyTorch archive (`archive/`, maybe empty), or None."""
        for name in self.names:
            if name.rpartition("/")[2] == "data.pkl" and name.count("/") <= 1:
                return name[: -len("data.pkl")]
        return None

    @property
    def form(self) -> str:
        """Which format of archives it is."""
        names, root = self.names, self.root
        if root is not None:
            script = any(n.startswith(f"{root}code/") for n in names)
            return "torchscript" if script else "torch"
        if "config.json" in names and "metadata.json" in names:
            return "keras"
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
        return "zip"


def is_one(source: Source) -> bool:
    """Whether a reader would find an archive: from the beginning, or from the end."""
    if source.read_at(0, 4) in (START, END):
        return True
    if source.size < 22:
        return False
    start = max(0, source.size - _TAIL)
    tail = source.read_at(start, _TAIL)
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < 22:
        return False
    # A directory where the record says it is, counted back from the record.
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    if size == _ZIP64:
        return tail[max(0, at - 20) : at].startswith(b"PK\x06\x07")
    directory = start + at - size
    return size > 0 and directory >= 0 and source.read_at(directory, 4) == b"PK\x01\x02"


def read(source: Source, limit: int) -> Directory:
    """The directory. Raises Stop."""
    try:
        with zipfile.ZipFile(AsFile(source, limit)) as archive:
            members = tuple(archive.infolist())
    except Stop:
        raise
    except Exception as error:  # the seam: a hostile archive fails in many ways
        raise Stop("archive-malformed", f"zip: {error or type(error).__name__}"[:200]) from error
    first = min((member.header_offset for member in members), default=0)
    return Directory(members, first)


def look(look: Look, source: Source) -> str:
    """Look at every member that a loader may read; the form of the archive."""
    directory = read(source, look.budget.bounds.directory)
    look.budget.spend("members", len(directory.members))
    if directory.before > 0:
        look.add("archive-prefix", f"{directory.before} bytes before the archive")
    for name, count in Counter(directory.names).items():
        if count > 1:
            look.add("archive-malformed", f"{name!r:.80} is there {count} times")
    form, root = directory.form, directory.root
    if form == "torchscript":
        look.add("torchscript-code", "functions in code/")
    if form in ("torch", "torchscript") and root is not None:
        look.formats.add("pickle")
    for member in directory.members:
        inside = member.filename.removeprefix(root) if root is not None else ""
        if member.is_dir() or (_RAW.match(inside) and not member.flag_bits & _ENCRYPTED):
            continue  # storages are raw bytes, whatever they look like
        is_object = root is not None and inside in ("data.pkl", "constants.pkl")
        setting = Setting(torch=is_object, script=form == "torchscript", sure=is_object)
        _member(look, source, member, setting)
        if form == "keras" and member.filename == "config.json":
            keras.look_config(look, _open(look, source, member))
    return form


def _member(look: Look, source: Source, member: zipfile.ZipInfo, setting: Setting) -> None:
    try:
        look.inside(_open(look, source, member), member.filename, setting)
    except Stop as stop:
        look.add(stop.rule, f"{member.filename!r:.120}: {stop}")


def _open(look: Look, source: Source, member: zipfile.ZipInfo) -> Source:
    """A member's bytes. Raises Stop."""
    if member.header_offset < 0:
        raise Stop("archive-malformed", "it begins before the file")
    raw = source.read_at(member.header_offset, _LOCAL.size)
    if len(raw) < _LOCAL.size or raw[:4] != START:
        raise Stop("archive-malformed", "no header where the directory says")
    _, _, flags, method, *_, name_length, extra = _LOCAL.unpack(raw)
    at = member.header_offset + _LOCAL.size
    name = source.read_at(at, name_length)
    encoding = "utf-8" if flags & 0x800 else "cp437"
    if name.decode(encoding, "replace") != member.orig_filename or method != member.compress_type:
        raise Stop("archive-malformed", "its header and the directory disagree")
    if (flags | member.flag_bits) & _ENCRYPTED:
        raise Stop("unknown-compression", "encrypted")
    packed = Window(source, at + name_length + extra, member.compress_size)
    if at + name_length + extra + member.compress_size > source.size:
        raise Stop("archive-malformed", "it ends behind the end of the file")
    if method == zipfile.ZIP_STORED:
        if member.file_size != member.compress_size:
            raise Stop("archive-malformed", "its two sizes disagree")
        return packed
    if method not in _METHODS:
        raise Stop("unknown-compression", f"compression method {method}")
    opened = Expanded(packed, _METHODS[method], look.budget)
    if opened.size != member.file_size:
        raise Stop("archive-malformed", f"{opened.size} bytes, {member.file_size} are described")
    return opened
