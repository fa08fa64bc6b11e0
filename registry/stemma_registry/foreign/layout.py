"""A supply-chain layout as a condition: in-toto's verification over the attached links.

https://github.com/in-toto/docs/blob/master/in-toto-spec.md
The library decides. What it leaves to whoever calls it is decided here: that links are
told apart by more than a file name, that one key under two ids is one functionary, and
that the steps end in this very artifact. Any error is a no.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified, SignatureRefused, StemmaError
from stemma_attestations.foreign import Piece
from stemma_attestations.manifest import Manifest
from stemma_attestations.verdict import Step
from stemma_registry.config import LIMITS
from stemma_registry.directory import materialise
from stemma_registry.foreign import attached
from stemma_registry.foreign.links import metadata_of, reason
from stemma_registry.reference import Resolved
from stemma_registry.registry import Registry, Snapshot

NUMBER = 7
TITLE = "the links satisfy the layout"
# A step's name becomes part of a file's name.
_STEP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}\Z")
_PREFIX = 8  # digits of a key's id in the name of a link's file


@dataclass(frozen=True)
class Condition:
    """A layout (bytes), the public keys (PEM) that must all have signed it.

    Its inspections are commands; without `run_inspections` a layout that has some is
    not satisfied.
    """

    layout: bytes
    keys: tuple[bytes, ...]
    run_inspections: bool = False


@dataclass
class _Links:
    """The links that functionaries signed, by step and key id, and what was set aside."""

    good: dict[tuple[str, str], list[Piece]] = field(default_factory=dict)
    bad: dict[str, list[str]] = field(default_factory=dict)


def check(
    registry: Registry, view: Snapshot, found: Resolved, manifest: Manifest, condition: Condition
) -> Step:
    """Whether the links attached to an artifact satisfy the layout, as a step of the recipe."""
    try:
        with _silence():
            details = _check(registry, view, (found, manifest), condition)
    except NotVerified as error:
        return Step.failed(NUMBER, TITLE, type(error), str(error))
    except Exception as error:  # noqa: BLE001 - a library that crashes proves nothing
        return Step.failed(NUMBER, TITLE, NotVerified, reason(error))
    return Step.passed(NUMBER, TITLE, *details)


def _check(
    registry: Registry,
    view: Snapshot,
    subject: tuple[Resolved, Manifest],
    condition: Condition,
) -> list[str]:
    """What was proved. Raises NotVerified, and whatever the library raises."""
    found, manifest = subject
    document = json_strict.load_object(condition.layout)
    keys = _verified_keys(document, condition.keys)
    layout = metadata_of(document).get_payload()
    if layout.type_ != "layout":
        raise NotVerified("the file of --layout is not a layout")
    _refuse(layout, condition)
    pieces = [piece for _, _, piece in attached.pieces(registry, view, found.node) if piece.link]
    links = _sort(layout, pieces)
    _thresholds(layout, links)
    with contextlib.ExitStack() as stack:
        if layout.inspect:
            inside = stack.enter_context(_private())
            materialise(registry.store, manifest, inside / "artifact")
            stack.enter_context(contextlib.chdir(inside / "artifact"))
        chosen = _decide(document, keys, links)
    _reach(layout, chosen, manifest)
    steps = [_step_line(step, chosen) for step in layout.steps]
    signed = ", ".join(f"key {keyid[:12]}" for keyid in keys)
    inspections = [f"{len(layout.inspect)} inspections ran"] if layout.inspect else []
    return [f"layout {Digest.of(condition.layout).short} signed by {signed}", *steps, *inspections]


# --- the layout -----------------------------------------------------------------------------


def _verified_keys(document: Mapping[str, Any], pems: Sequence[bytes]) -> dict[str, Any]:
    """Each key of the owner in the library's form, by the id under which it signed the layout."""
    from in_toto.verifylib import verify_metadata_signatures  # type: ignore[import-untyped]

    if not pems:
        raise SignatureRefused("a layout is believed by a key: say whose with --layout-key")
    keys: dict[str, Any] = {}
    for pem in pems:
        own = _key(pem)
        for keyid in dict.fromkeys([own["keyid"], *_key_ids(document)]):
            key = {**own, "keyid": keyid}
            try:
                verify_metadata_signatures(metadata_of(document), {keyid: key})
            except Exception:  # noqa: BLE001, S112 - not under this id
                continue
            keys[keyid] = key
            break
        else:
            raise SignatureRefused(f"the layout is not signed by key {own['keyid'][:12]}")
    if len(keys) < len({_key(pem)["keyval"]["public"] for pem in pems}):
        raise SignatureRefused("two keys are said to have signed the layout under one id")
    return keys


def _key(pem: bytes) -> dict[str, Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    try:
        key = SSlibKey.from_crypto(load_pem_public_key(pem))
    except Exception as error:
        raise NotVerified(f"--layout-key: not a public key in PEM ({reason(error)})") from error
    return {**key.to_dict(), "keyid": key.keyid}


def _key_ids(document: Mapping[str, Any]) -> Iterator[str]:
    """The ids that the layout's signatures give; they are hints."""
    signatures = document.get("signatures")
    for item in signatures if isinstance(signatures, list) else []:
        if isinstance(item, dict) and isinstance(item.get("keyid"), str):
            yield item["keyid"]


def _refuse(layout: Any, condition: Condition) -> None:
    """Raise NotVerified for a layout that is over, runs commands, or could be met by a trick."""
    from in_toto.verifylib import verify_layout_expiration

    try:
        verify_layout_expiration(layout)
    except Exception as error:
        raise NotVerified(f"the layout expired at {layout.expires}") from error
    if layout.inspect and not condition.run_inspections:
        raise NotVerified(
            "the layout has inspections, which are commands: they run with --run-inspections, "
            "where all else is proved"
        )
    if not layout.steps:
        raise NotVerified("the layout has no steps")
    for step in layout.steps:
        if not _STEP.match(step.name):
            raise NotVerified(f"the layout has a step with the name {step.name!r:.60}")
        prefixes = [keyid[:_PREFIX] for keyid in step.pubkeys]
        publics = [_public(layout.keys.get(keyid)) for keyid in step.pubkeys]
        if len(set(prefixes)) < len(prefixes) or len(set(publics)) < len(publics):
            raise NotVerified(f"step {step.name!r} lists one functionary twice")


def _public(key: Any) -> str:
    """A key by its public half, however it is spelt and whatever id it is given."""
    from cryptography.hazmat.primitives import serialization as form

    value = str(dict(key or {}).get("keyval", {}).get("public", "")).strip()
    if not value.startswith("-----BEGIN"):
        return value.lower()
    public = form.load_pem_public_key(value.encode())
    return public.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo).hex()


# --- the links ------------------------------------------------------------------------------


def _sort(layout: Any, pieces: Sequence[Piece]) -> _Links:
    """Which links are signed by a functionary of their step, and why the others are not."""
    links = _Links()
    for step in layout.steps:
        for piece in pieces:
            if piece.link is None or piece.link.name != step.name:
                continue
            signed = [keyid for keyid in step.pubkeys if _signed(piece, layout.keys.get(keyid))]
            for keyid in signed:
                links.good.setdefault((step.name, keyid), []).append(piece)
            if not signed:
                links.bad.setdefault(step.name, []).append(Digest.of(piece.raw).short)
    return links


def _signed(piece: Piece, key: Any) -> bool:
    if piece.link is None or key is None:
        return False
    try:
        metadata_of(piece.link.metadata).verify_signature(key)
    except Exception:  # noqa: BLE001 - whatever the reason, it is not signed
        return False
    return True


def _thresholds(layout: Any, links: _Links) -> None:
    """Raise NotVerified for links that are missing, SignatureRefused for those of others."""
    for step in layout.steps:
        count = sum((step.name, keyid) in links.good for keyid in step.pubkeys)
        if count >= step.threshold:
            continue
        needs = f"step {step.name!r} needs {step.threshold}"
        if bad := links.bad.get(step.name):
            raise SignatureRefused(
                f"{needs} link{'s' if step.threshold > 1 else ''} by its functionaries and has "
                f"{count}; not signed by one: {', '.join(bad[:3])}"
            )
        raise NotVerified(f"{needs} attached link{'s' if step.threshold > 1 else ''}, has {count}")


def _decide(document: Mapping[str, Any], keys: Mapping[str, Any], links: _Links) -> _Chosen:
    """A choice of links, one for each step and functionary, that the library verifies.

    Who did a step twice has two links of it: the newest are tried first, so that nothing
    that is attached later, or by somebody who is not believed, takes a good one's place.
    Raises what the library raised for the first choice.
    """
    places = sorted(links.good)
    choices = itertools.product(*(links.good[place] for place in places))
    first: Exception | None = None
    for choice in itertools.islice(choices, LIMITS.layout_choices):
        chosen = dict(zip(places, choice, strict=True))
        try:
            _run(document, keys, chosen)
        except Exception as error:  # noqa: BLE001 - the library's errors have no common root
            first = first or error
        else:
            return chosen
    raise _refusal(first or NotVerified("no links"))


_Chosen = dict[tuple[str, str], Piece]


def _run(document: Mapping[str, Any], keys: Mapping[str, Any], chosen: _Chosen) -> None:
    from in_toto.models.link import FILENAME_FORMAT  # type: ignore[import-untyped]
    from in_toto.verifylib import in_toto_verify

    with _private() as folder:
        for (step, keyid), piece in chosen.items():
            name = FILENAME_FORMAT.format(step_name=step, keyid=keyid)
            (folder / name).write_bytes(_alone(piece))
        in_toto_verify(
            metadata_of(document),
            dict(keys),
            link_dir_path=str(folder),
            persist_inspection_links=False,
            inspect_timeout=LIMITS.inspection_seconds,
        )


def _alone(piece: Piece) -> bytes:
    """The bytes of a link's own document: in a bundle, those of its envelope."""
    return canonical.dumps(dict(piece.link.metadata)) if piece.link else piece.raw


def _refusal(error: Exception) -> NotVerified:
    if isinstance(error, NotVerified):
        return error
    text = str(error) if isinstance(error, StemmaError) else reason(error)
    if type(error).__name__ in ("SignatureVerificationError", "ThresholdVerificationError"):
        return SignatureRefused(text)
    return NotVerified(text)


def _reach(layout: Any, chosen: _Chosen, manifest: Manifest) -> None:
    """Raise NotVerified unless the chain ends in this artifact.

    Links verify without the bytes they speak of. So every file must be one that the last
    step made, or used as its rules allowed: of an earlier step's functionary, who may have
    nothing to say about what is served, no word is taken. A recorded path may have folders
    before the file's own.
    """
    last = layout.steps[-1].name
    recorded = {
        (path, digest)
        for (step, _), piece in chosen.items()
        if step == last and piece.link is not None
        for paths in (piece.link.products, piece.link.materials)
        for path, digests in paths.items()
        for digest in digests
    }
    names: dict[Digest, list[str]] = {}
    for path, digest in recorded:
        names.setdefault(digest, []).append(path)
    for entry in manifest.entries:
        if not any(f"/{path}".endswith(f"/{entry.path}") for path in names.get(entry.sha256, [])):
            raise NotVerified(
                f"{entry.path} is not what the last step of the layout, {last!r}, made or used"
            )


def _step_line(step: Any, chosen: _Chosen) -> str:
    """A step for people. That its command is another one proves nothing, and is worth a look."""
    who = sorted(keyid[:12] for name, keyid in chosen if name == step.name)
    line = f"{step.name} by key {', key '.join(who)}"
    commands = [
        metadata_of(piece.link.metadata).get_payload().command
        for (name, _), piece in chosen.items()
        if name == step.name and piece.link is not None
    ]
    if step.expected_command and any(command != step.expected_command for command in commands):
        line += "; its command is not the one that the layout expects"
    return line


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without the library's own log: it quotes what a link says, to the terminal, as it is."""
    from in_toto.log import LOGGER  # type: ignore[import-untyped]

    before = LOGGER.level
    LOGGER.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        LOGGER.setLevel(before)


@contextlib.contextmanager
def _private() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stemma-layout-") as folder:  # mode 0700
        yield Path(folder)
