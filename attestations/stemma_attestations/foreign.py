"""What other tools sign, read as it came. See docs/formats/attachment.md.

    Sigstore bundles     v0.1, v0.2, v0.3: a DSSE envelope or a message signature
    DSSE envelopes       a bare key's, Tekton's, slsa-github-generator's (a certificate inside)
    in-toto              links, classic or in an envelope; Statements v1 and v0.1, unsigned too
    npm, GitHub          lists of bundles, as their registries and interfaces answer
    PyPI                 PEP 740 attestations, alone or as the index answers
    cosign               its own bundles, from before it wrote Sigstore's

Nothing is believed here: a piece says what its bytes say, and which signatures over
which bytes would have to verify.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.bundle import MAX_BYTES, MEDIA_TYPE
from stemma_attestations.certificates import is_chained
from stemma_attestations.digest import Digest, digests_match, parse_digest_set
from stemma_attestations.envelope import Envelope, unbase64
from stemma_attestations.errors import (
    BadBundle,
    BadDigest,
    BadEnvelope,
    BadJSON,
    BadStatement,
)
from stemma_attestations.statement import (
    MAX_SUBJECTS,
    PAYLOAD_TYPE,
    TYPE,
    ResourceDescriptor,
    Statement,
)

OLD_TYPE = "https://in-toto.io/Statement/v0.1"
LINK_TYPE = "https://in-toto.io/attestation/link/v0.3"
MAX_PIECES = 1_000  # of one file

SIGSTORE, DSSE, LINK, UNSIGNED = "sigstore-bundle", "dsse", "in-toto-link", "statement"
NPM, PEP740, COSIGN = "npm", "pep740", "cosign"

_BUNDLE_TYPES = {
    MEDIA_TYPE: "0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
}
# What says something by itself, and is signed by nobody: field -> its predicate type.
_BARE = {"bomFormat": "https://cyclonedx.org/bom", "@graph": "https://spdx.dev/Document/v3"}
_HINT = "; nobody signed it: `stemma attest REF --predicate FILE --type {}` does"
# What a link holds. The library that verifies one drops anything else, so a signature would not
# be over it.
_LINK_FIELDS = frozenset(
    {"_type", "name", "materials", "products", "byproducts", "command", "environment"}
)


@dataclass(frozen=True)
class Link:
    """What an in-toto link says: paths with the digests that were recorded for them."""

    name: str
    materials: Mapping[str, tuple[Digest, ...]]
    products: Mapping[str, tuple[Digest, ...]]
    metadata: Mapping[str, Any]  # the metablock or envelope, for the library


@dataclass(frozen=True)
class Piece:
    """One signed thing. `statement` is there for a Statement v1 only.

    `raw` are the bytes of the document it stands in, `bundle` the same signed bytes
    as a Sigstore bundle v0.3 where `raw` is none, `key` a public key (PEM) that came
    along. `keyless`: an authority of Sigstore's certified whoever signed it; `chained`:
    it was signed with the key of an X.509 certificate that lives longer.
    """

    form: str
    raw: bytes
    says: str
    subjects: tuple[ResourceDescriptor, ...]
    envelope: Envelope | None = None
    statement: Statement | None = None
    link: Link | None = None
    keyless: bool = False
    chained: bool = False
    bundle: bytes | None = None
    key: bytes | None = None
    note: str = ""

    def names(self, things: Iterable[Thing]) -> str | None:
        """The first of the things that a subject names, or None."""
        by_digest: dict[Digest, list[ResourceDescriptor]] = {}
        for subject in self.subjects:
            for digest in subject.digests:
                by_digest.setdefault(digest, []).append(subject)
        for thing in things:
            near = (subject for d in thing.digests for subject in by_digest.get(d, ()))
            if any(digests_match(subject.digests, thing.digests) for subject in near):
                return thing.label
        return None


@dataclass(frozen=True)
class Thing:
    """Bytes that a subject may name, by every digest of them that is known."""

    label: str
    digests: tuple[Digest, ...]


@dataclass(frozen=True)
class Line:
    """A line of a collection: what is in it, or why it cannot be read."""

    number: int
    pieces: tuple[Piece, ...] = field(default=())
    problem: str | None = None


def read(raw: bytes) -> tuple[Piece, ...]:
    """Everything signed in one JSON document. Raises BadBundle."""
    try:
        document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
        pieces = tuple(_document(document, raw))
    except (BadJSON, BadEnvelope, BadStatement, BadDigest) as error:
        raise BadBundle(str(error)) from error
    if not pieces or len(pieces) > MAX_PIECES:
        raise BadBundle(f"{len(pieces)} signed things in one document, 1 to {MAX_PIECES} are read")
    return pieces


def read_lines(raw: bytes) -> list[Line]:
    """The lines of a collection (.jsonl), each by itself; empty ones are passed over.

    Raises BadBundle for a collection that is too large or has nothing in it.
    """
    if len(raw) > MAX_BYTES:
        raise BadBundle(f"{len(raw)} bytes, at most {MAX_BYTES} are read")
    lines: list[Line] = []
    for number, text in enumerate(raw.split(b"\n"), 1):
        if not text.strip():
            continue
        if len(lines) == MAX_PIECES:
            raise BadBundle(f"more than {MAX_PIECES} lines")
        try:
            lines.append(Line(number, read(text.removesuffix(b"\r"))))
        except BadBundle as error:
            lines.append(Line(number, problem=str(error)))
    if not lines:
        raise BadBundle("there is nothing in it")
    return lines


def _document(document: Mapping[str, Any], raw: bytes) -> Iterator[Piece]:
    """What a document is, told from its fields and never from a file's name."""
    if "mediaType" in document:
        yield _sigstore(document, raw)
    elif "payloadType" in document:
        yield _envelope(document, raw)
    elif "signed" in document:
        yield _metablock(document, raw)
    elif "attestations" in document:
        yield from _listed(document, raw)
    elif "attestation_bundles" in document:
        yield from _index_answer(document, raw)
    elif "verification_material" in document:
        yield _pep740(document, raw)
    elif "base64Signature" in document:
        yield _cosign(document, raw)
    elif document.get("_type") in (TYPE, OLD_TYPE):
        yield replace(_statement(raw, UNSIGNED, raw), statement=None, note="unsigned")
    else:
        raise BadBundle(
            "neither a bundle, an envelope, a link nor a collection that is read"
            + next((_HINT.format(kind) for sign, kind in _BARE.items() if sign in document), "")
        )


# --- payloads -------------------------------------------------------------------------------


def _statement(payload: bytes, form: str, raw: bytes) -> Piece:
    """What a payload of in-toto's type says, by its `_type`."""
    document = json_strict.load_object(payload, max_bytes=MAX_BYTES)
    kind = document.get("_type")
    if kind == TYPE:
        statement = Statement.parse(payload)
        return Piece(form, raw, statement.predicate_type, statement.subjects, statement=statement)
    if kind == OLD_TYPE:
        says = document.get("predicateType")
        if not isinstance(says, str) or not says:
            raise BadStatement("a statement has a predicateType")
        note = "a Statement v0.1: shown, never counted"
        return Piece(form, raw, says, _subjects(document.get("subject")), note=note)
    if kind == "layout":
        raise BadBundle("a layout is no evidence: `stemma verify --layout` takes it")
    raise BadBundle(f"a payload whose _type is {kind!r:.60}")


def _subjects(value: object) -> tuple[ResourceDescriptor, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SUBJECTS:
        raise BadStatement(f"a statement has 1 to {MAX_SUBJECTS} subjects")
    return tuple(ResourceDescriptor.parse(item) for item in value)


def _envelope(document: Mapping[str, Any], raw: bytes, form: str = DSSE) -> Piece:
    envelope = Envelope.parse(document)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise BadBundle(f"a payload of type {envelope.payload_type!r:.80}")
    if _type_of(envelope.payload) == "link":
        said = json_strict.load_object(envelope.payload)
        return _link(said, raw, document, envelope)
    piece = replace(_statement(envelope.payload, form, raw), envelope=envelope)
    # slsa-github-generator puts the certificate beside each signature.
    signatures = document["signatures"]
    return replace(piece, keyless=any("cert" in item for item in signatures))


def _type_of(payload: bytes) -> object:
    return json_strict.load_object(payload, max_bytes=MAX_BYTES).get("_type")


# --- in-toto links --------------------------------------------------------------------------


def _metablock(document: Mapping[str, Any], raw: bytes) -> Piece:
    signed = document["signed"]
    if not isinstance(signed, dict) or set(document) != {"signed", "signatures"}:
        raise BadBundle("a metablock has `signed` and `signatures`")
    if signed.get("_type") == "layout":
        raise BadBundle("a layout is no evidence: `stemma verify --layout` takes it")
    return _link(signed, raw, document, None)


def _link(
    said: Mapping[str, Any], raw: bytes, metadata: Mapping[str, Any], envelope: Envelope | None
) -> Piece:
    name = said.get("name")
    if said.get("_type") != "link" or not isinstance(name, str) or not name:
        raise BadBundle("neither a link nor a layout")
    if unknown := set(said) - _LINK_FIELDS:
        raise BadBundle(f"a link with a field {min(unknown)!r:.40}, which no signature would cover")
    materials, products = _recorded(said, "materials"), _recorded(said, "products")
    subjects = tuple(
        ResourceDescriptor(name=path, digests=found)
        for path, found in [*products.items(), *materials.items()]
    )
    link = Link(name, materials, products, metadata)
    return Piece(LINK, raw, f"link of {name}", subjects, envelope=envelope, link=link)


def _recorded(said: Mapping[str, Any], field_name: str) -> dict[str, tuple[Digest, ...]]:
    value = said.get(field_name, {})
    if not isinstance(value, dict) or len(value) > MAX_SUBJECTS:
        raise BadBundle(f"a link's {field_name} are an object of at most {MAX_SUBJECTS} paths")
    return {path: parse_digest_set(digests) for path, digests in value.items()}


# --- Sigstore bundles, and what is converted to them ----------------------------------------


def _sigstore(document: Mapping[str, Any], raw: bytes, form: str = SIGSTORE) -> Piece:
    version = _BUNDLE_TYPES.get(_text(document, "mediaType"))
    if version is None:
        raise BadBundle(f"a bundle of type {document['mediaType']!r:.80} is not read")
    material = document.get("verificationMaterial")
    if not isinstance(material, dict):
        raise BadBundle("a bundle has verificationMaterial")
    certified = "certificate" in material or "x509CertificateChain" in material
    if certified == ("publicKey" in material):
        raise BadBundle("a bundle names a certificate or a public key, and not both")
    chained = is_chained(document)
    keyless = certified and not chained
    if ("dsseEnvelope" in document) == ("messageSignature" in document):
        raise BadBundle("a bundle holds an envelope or a message signature, and not both")
    if "messageSignature" in document:
        return replace(_message(document["messageSignature"], raw, form), keyless=keyless)
    piece = _envelope(document["dsseEnvelope"], raw, form)
    if piece.envelope is not None and len(piece.envelope.signatures) != 1:
        raise BadBundle("a bundle's envelope has exactly one signature")
    if piece.link is not None:
        return replace(piece, keyless=keyless)
    return replace(piece, form=form, keyless=keyless, chained=chained)


def _message(value: object, raw: bytes, form: str) -> Piece:
    if not isinstance(value, dict) or not isinstance(value.get("messageDigest"), dict):
        raise BadBundle("a message signature says the digest of the message")
    said = value["messageDigest"]
    if said.get("algorithm") != "SHA2_256":
        raise BadBundle(f"a message digest by {said.get('algorithm')!r:.40}")
    unbase64(value.get("signature"), "signature")
    digest = Digest("sha256", unbase64(said.get("digest"), "digest").hex())
    note = "a signature over bytes, not a statement: shown, never counted"
    return Piece(form, raw, "message signature", (_named(digest),), note=note)


def _named(digest: Digest) -> ResourceDescriptor:
    return ResourceDescriptor(digests=(digest,))


def _listed(document: Mapping[str, Any], raw: bytes) -> Iterator[Piece]:
    """The answers of npm and GitHub: `{"attestations": [{..., "bundle": {...}}]}`."""
    for item in _objects(document, "attestations"):
        inner = item.get("bundle")
        if not isinstance(inner, dict):
            raise BadBundle("an attestation of a list has a bundle")
        piece = _sigstore(inner, raw, NPM)
        # A key's bundle from before 0.3 is wrapped anew by whoever has the key.
        is_read = piece.keyless or _BUNDLE_TYPES[inner["mediaType"]] == "0.3"
        yield replace(piece, bundle=canonical.dumps(inner)) if is_read else piece


def _index_answer(document: Mapping[str, Any], raw: bytes) -> Iterator[Piece]:
    """PyPI's answer: `{"version": 1, "attestation_bundles": [{"attestations": [...]}]}`."""
    for group in _objects(document, "attestation_bundles"):
        for item in _objects(group, "attestations"):
            yield _pep740(item, raw)


def _pep740(document: Mapping[str, Any], raw: bytes) -> Piece:
    """PEP 740. What it signs is DSSE's encoding of the statement, so a bundle holds the same."""
    material, envelope = document.get("verification_material"), document.get("envelope")
    if document.get("version") != 1 or not isinstance(envelope, dict):
        raise BadBundle("a PEP 740 attestation has version 1 and an envelope")
    if not isinstance(material, dict):
        raise BadBundle("a PEP 740 attestation has verification_material")
    entries = _objects(material, "transparency_entries")
    unbase64(material.get("certificate"), "certificate")
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "certificate": {"rawBytes": material["certificate"]},
            "tlogEntries": list(entries),
        },
        "dsseEnvelope": {
            "payload": envelope.get("statement"),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": envelope.get("signature")}],
        },
    }
    return replace(_sigstore(bundle, raw, PEP740), bundle=canonical.dumps(bundle))


def _cosign(document: Mapping[str, Any], raw: bytes) -> Piece:
    """A bundle of cosign's own: a signature, or an envelope in its place, and the log's word."""
    signature = unbase64(document.get("base64Signature"), "base64Signature")
    pem = unbase64(document["cert"], "cert") if document.get("cert") else b""
    keyless = b"BEGIN CERTIFICATE" in pem
    key = pem if b"BEGIN PUBLIC KEY" in pem else None
    if signature.startswith(b"{"):
        inner = json_strict.load_object(signature, max_bytes=MAX_BYTES)
        piece = _envelope(inner, raw, COSIGN)
    else:
        note = "a signature over bytes, not a statement: shown, never counted"
        subject = _named(_logged(document))
        piece = Piece(COSIGN, raw, "message signature", (subject,), note=note)
    return replace(piece, keyless=keyless, key=key)


def _logged(document: Mapping[str, Any]) -> Digest:
    """The digest of the message, which only the log entry in a cosign bundle says."""
    try:
        body = document["rekorBundle"]["Payload"]["body"]
        entry = json_strict.load_object(unbase64(body, "body"))
        said = entry["spec"]["data"]["hash"]
        return Digest(said["algorithm"], said["value"])
    except (KeyError, TypeError) as error:
        raise BadBundle("a cosign bundle does not say what its signature is over") from error


def _objects(document: Mapping[str, Any], field_name: str) -> Sequence[Mapping[str, Any]]:
    value = document.get(field_name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadBundle(f"`{field_name}` is a list of objects")
    return value


def _text(document: Mapping[str, Any], field_name: str) -> str:
    value = document.get(field_name)
    if not isinstance(value, str):
        raise BadBundle(f"`{field_name}` is text")
    return value
