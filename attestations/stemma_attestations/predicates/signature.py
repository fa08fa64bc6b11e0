"""OpenSSF model signatures: which files a model has, signed beside it. See docs/formats/oms.md.

https://github.com/sigstore/model-transparency, `https://model_signing/signature/v1.0`.
`https://model_signing/Digests/v0.1`, of its releases before 1.0, is read and never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemma_attestations import canonical
from stemma_attestations.bundle import MEDIA_TYPE, Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadPath, BadStatement
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import MAX_ENTRIES, Manifest, oms_root
from stemma_attestations.paths import check_paths
from stemma_attestations.statement import ResourceDescriptor, Statement

TYPE = "https://model_signing/signature/v1.0"
TYPE_V0 = "https://model_signing/Digests/v0.1"


@dataclass(frozen=True)
class ModelSignature:
    """What was signed: `files` by path, and `root` over their digests.

    `ignored` are paths that the signer passed over, whatever lies there: they
    are named in the signature, and nothing vouches for them. None in v0.1.
    """

    files: Mapping[str, Digest]
    root: Digest
    ignored: tuple[str, ...] = ()


def build(manifest: Manifest, name: str, ignored: Sequence[str] = ()) -> Statement:
    """The statement about a model in a directory `name`. Raises BadStatement."""
    serialization: dict[str, Any] = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
    }
    if ignored:
        serialization["ignore_paths"] = sorted(ignored)
    files = {entry.path: entry.sha256 for entry in manifest.entries}
    predicate = {
        "serialization": serialization,
        "resources": [
            {"name": path, "algorithm": "sha256", "digest": files[path].value}
            for path in sorted(files, key=lambda path: path.split("/"))
        ],
    }
    subject = ResourceDescriptor(name=name, digests=(manifest.oms_root,))
    return Statement.build([subject], TYPE, predicate)


def bundle(signed: Bundle, key: PublicKey) -> bytes:
    """The bundle as model_signing reads it: the key is named by the digest of its PEM text."""
    return canonical.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key.pem_id}, "tlogEntries": []},
            "dsseEnvelope": signed.envelope.to_json(),
        }
    )


def parse(statement: Statement) -> ModelSignature:
    """Read a model signature's statement. Raises BadStatement."""
    try:
        if statement.predicate_type == TYPE:
            return _parse(statement)
        if statement.predicate_type == TYPE_V0:
            return _parse_v0(statement)
    except (BadDigest, BadPath) as error:
        raise BadStatement(f"model signature: {error}") from error
    raise BadStatement(f"not a model signature ({statement.predicate_type!r:.80})")


def _parse(statement: Statement) -> ModelSignature:
    if len(statement.subjects) != 1:
        raise BadStatement("a model signature has one subject, the root over all files")
    ignored = _serialization(statement.predicate.get("serialization"))
    resources = statement.predicate.get("resources")
    if not isinstance(resources, list):
        raise BadStatement("a model signature's resources are a list")
    files = [_resource(resource) for resource in resources]
    root = oms_root(digest for _, digest in files)
    if statement.subjects[0].digest("sha256") != root:
        raise BadStatement("a model signature's subject is not the root over its resources")
    return ModelSignature(_files(files), root, ignored)


def _parse_v0(statement: Statement) -> ModelSignature:
    files = []
    for subject in statement.subjects:
        digest = subject.digest("sha256")
        if subject.name is None or digest is None:
            raise BadStatement("a model signature's subjects have names and SHA-256 digests")
        files.append((subject.name, digest))
    named = _files(files)
    ordered = sorted(named, key=lambda path: path.split("/"))
    return ModelSignature(named, oms_root(named[path] for path in ordered))


def _serialization(obj: object) -> tuple[str, ...]:
    """The ignored paths of a serialisation that is understood."""
    if not isinstance(obj, dict):
        raise BadStatement("a model signature has a serialization")
    method, algorithm = obj.get("method"), obj.get("hash_type")
    if method != "files" or algorithm != "sha256":
        raise BadStatement(
            f"a model signature over {method!r:.20} by {algorithm!r:.20}: only whole files by "
            "SHA-256 are read"
        )
    if not isinstance(obj.get("allow_symlinks"), bool):
        raise BadStatement("a model signature says whether links are followed (allow_symlinks)")
    ignored = obj.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(path, str) for path in ignored):
        raise BadStatement("a model signature's ignore_paths are a list of texts")
    return tuple(ignored)


def _resource(obj: object) -> tuple[str, Digest]:
    if not isinstance(obj, dict):
        raise BadStatement("a model signature's resource is an object")
    name, algorithm, digest = obj.get("name"), obj.get("algorithm"), obj.get("digest")
    if not isinstance(name, str) or not isinstance(digest, str):
        raise BadStatement("a model signature's resource has a name and a digest")
    if algorithm != "sha256":
        raise BadStatement(f"a model signature's resource by {algorithm!r:.20}, not sha256")
    return name, sha256(digest)


def _files(files: Sequence[tuple[str, Digest]]) -> dict[str, Digest]:
    if not files:
        raise BadStatement("a model signature without files vouches for nothing")
    if len(files) > MAX_ENTRIES:
        raise BadStatement(f"{len(files)} files, at most {MAX_ENTRIES} are read")
    check_paths(path for path, _ in files)  # twice the same is refused too
    return dict(files)


def covers(ignored: Iterable[str], path: str) -> str | None:
    """The ignored path that `path` is, or lies below."""
    for one in ignored:
        plain = one.removeprefix("./").rstrip("/")
        if path == plain or path.startswith(f"{plain}/"):
            return one
    return None


def passed_over(signed: ModelSignature, said: Sequence[str], path: str) -> bool:
    """Whether a path need not be looked at.

    It takes both: the signature names it as ignored, and so does whoever asks.
    What was signed is always looked at.
    """
    if path in signed.files:
        return False
    return covers(signed.ignored, path) is not None and covers(said, path) is not None


def differences(
    signed: ModelSignature, found: Mapping[str, Digest], odd: Mapping[str, str], said: Sequence[str]
) -> tuple[str, ...]:
    """Every way in which the files that were found are not those that were signed, a line each.

    `odd` are paths that are no regular files, with what they are; `said` are the
    paths that whoever asks wants passed over.
    """
    lines = []
    for path in sorted({*signed.files, *found, *odd}):
        if passed_over(signed, said, path):
            continue
        if path in odd:
            lines.append(f"{path}: {odd[path]}")
        elif path not in found:
            lines.append(f"{path}: missing")
        elif path not in signed.files:
            lines.append(f"{path}: {_unsigned(signed, said, path)}")
        elif found[path] != signed.files[path]:
            lines.append(
                f"{path}: changed ({signed.files[path].short} signed, {found[path].short} found)"
            )
    return tuple(lines)


def _unsigned(signed: ModelSignature, said: Sequence[str], path: str) -> str:
    theirs = covers(signed.ignored, path)
    if theirs is not None:
        return f"not signed (the signature ignores {theirs}; --ignore {theirs} agrees to that)"
    if covers(said, path) is not None:
        return "not signed, and not ignored by the signature"
    return "not signed"
