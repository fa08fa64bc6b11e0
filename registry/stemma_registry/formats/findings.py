"""Findings, the rules they are of, and what the look at one file may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stemma_registry.formats.sources import Source

MAX_FINDINGS = 100  # of one file; one more says that there are more


class Severity(StrEnum):
    """What a finding means for whoever would load the file."""

    DANGEROUS = "dangerous"  # loading it runs what it says
    MALFORMED = "malformed"  # readers may disagree about it, or break
    UNDECIDED = "undecided"  # it was not looked at whole
    CODE = "code"  # it is code, or is run as such, where its reader is asked to


# Rule -> how bad it is, and what it is about.
RULES: Mapping[str, tuple[Severity, str]] = {
    "pickle-global": (Severity.DANGEROUS, "a pickle imports a name that is not on the list"),
    "pickle-unresolved": (Severity.DANGEROUS, "a pickle imports what cannot be told"),
    "pickle-call": (Severity.DANGEROUS, "a pickle calls or changes what it should not"),
    "pickle-extension": (Severity.DANGEROUS, "a pickle uses an extension code"),
    "pickle-persistent": (Severity.DANGEROUS, "a pickle uses a persistent id that is no storage"),
    "pickle-malformed": (Severity.MALFORMED, "a pickle that an unpickler would not get through"),
    "pickle-trailing": (Severity.MALFORMED, "bytes behind a pickle that are none"),
    "torchscript-type": (Severity.CODE, "a pickle names types of a TorchScript archive"),
    "torchscript-code": (Severity.CODE, "a TorchScript archive holds code"),
    "polyglot": (Severity.MALFORMED, "a file that is two formats at once"),
    "not-what-it-is-called": (Severity.MALFORMED, "the name claims a format that it is not"),
    "not-a-file": (Severity.UNDECIDED, "a link, a device, or what else cannot be read as a file"),
    "unreadable": (Severity.UNDECIDED, "the bytes could not be read"),
    "too-deep": (Severity.UNDECIDED, "nested too deeply"),
    "too-much": (Severity.UNDECIDED, "more than is looked at in one file"),
    "expands-too-far": (Severity.UNDECIDED, "compressed data that expands too far"),
    "unknown-compression": (Severity.UNDECIDED, "compressed or encrypted in a way not read here"),
    "compressed-malformed": (Severity.MALFORMED, "compressed data that ends early or is damaged"),
    "archive-malformed": (Severity.MALFORMED, "an archive that readers would read differently"),
    "archive-prefix": (Severity.MALFORMED, "an archive with other bytes before it"),
    "numpy-malformed": (Severity.MALFORMED, "a NumPy header that is not one, or is of other data"),
    "safetensors-malformed": (Severity.MALFORMED, "a safetensors header that breaks its rules"),
    "gguf-malformed": (Severity.MALFORMED, "a GGUF header that breaks its rules"),
    "onnx-external-path": (Severity.DANGEROUS, "an ONNX model names files outside its directory"),
    "onnx-operator": (Severity.CODE, "an ONNX model needs operators of somebody's own"),
    "protobuf-malformed": (Severity.MALFORMED, "a protocol buffer that breaks its rules"),
    "savedmodel-operation": (Severity.DANGEROUS, "a graph may read or write files, or run Python"),
    "savedmodel-graph": (Severity.CODE, "a TensorFlow graph is a program"),
    "keras-lambda": (Severity.CODE, "a Keras model has Lambda layers: Python code"),
    "keras-module": (Severity.DANGEROUS, "a Keras model names modules that are not Keras's"),
    "yaml-python": (Severity.DANGEROUS, "YAML with tags that make Python objects"),
    "code-python": (Severity.CODE, "Python"),
    "code-native": (Severity.CODE, "native code"),
    "code-script": (Severity.CODE, "a script"),
    "code-notebook": (Severity.CODE, "a notebook"),
    "auto-map": (Severity.CODE, "a configuration names code to import (auto_map)"),
    "remote-code": (Severity.CODE, "a configuration asks for trust_remote_code"),
    "chat-template": (Severity.CODE, "a chat template: Jinja, run for each prompt"),
}


@dataclass(frozen=True, order=True)
class Finding:
    """One finding: the rule, where in the file (empty: all of it), and words for people."""

    where: str
    rule: str
    text: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return RULES[self.rule][0]


class Stop(Exception):
    """Ends the look at (a part of) a file, with a finding of that rule."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule


@dataclass(frozen=True)
class Bounds:
    """What the look at one file may cost. Past one, the file is undecided."""

    depth: int = 4  # containers in containers
    members: int = 50_000  # of all archives in it
    opcodes: int = 5_000_000  # of all pickles in it
    values: int = 1_000_000  # on a pickle's stack, or in its memo
    pickles: int = 10_000
    expanded: int = 4 * 1024**3  # bytes that come out of decompressors
    ratio: int = 1_100  # and that many for each byte that goes in (deflate has 1,032 at most),
    ratio_floor: int = 64 * 1024**2  # beyond so many bytes
    searched: int = 4 * 1024**3  # bytes that are searched for words
    directory: int = 8 * 1024**2  # bytes of an archive's directory


BOUNDS = Bounds()


@dataclass
class Budget:
    """What is spent of the bounds, by their names."""

    bounds: Bounds = BOUNDS
    spent: dict[str, int] = field(default_factory=dict)

    def spend(self, what: str, count: int = 1, rule: str = "too-much") -> None:
        """Count; raises Stop past the bound."""
        total = self.spent[what] = self.spent.get(what, 0) + count
        limit: int = getattr(self.bounds, what)
        if total > limit:
            raise Stop(rule, f"more than {limit} {what}")


@dataclass(frozen=True)
class Setting:
    """What is known of a file from what it is in.

    PyTorch's persistent ids, TorchScript's names, joblib's arrays; that it is a pickle.
    """

    torch: bool = False
    script: bool = False
    joblib: bool = True
    sure: bool = False


@dataclass
class Look:
    """The look at one file, or at a member of it: `where` is empty at the top."""

    name: str
    where: str
    depth: int
    budget: Budget
    found: dict[Finding, None]
    formats: set[str]
    look_inside: Callable[[Look, Source], object]
    setting: Setting = Setting()

    def add(self, rule: str, text: str, at: int | None = None) -> None:
        """A finding at a byte of what is looked at."""
        place = self.where if at is None else f"{self.where} byte {at}".strip()
        if len(self.found) < MAX_FINDINGS:
            self.found[Finding(place, rule, text)] = None
        else:
            more = f"more than {MAX_FINDINGS} findings: not all are listed"
            self.found[Finding("", "too-much", more)] = None

    def inside(self, source: Source, member: str, setting: Setting = Setting()) -> None:
        """Look at something in it, one level deeper."""
        where = f"{self.where}/{member}" if self.where else member
        below = Look(
            member,
            where,
            self.depth + 1,
            self.budget,
            self.found,
            self.formats,
            self.look_inside,
            setting,
        )
        if below.depth > self.budget.bounds.depth:
            below.add("too-deep", f"nested deeper than {self.budget.bounds.depth}")
            return
        self.look_inside(below, source)
