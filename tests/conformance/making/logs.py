"""Keyless bundles: the certificate and its time, the log's entry, and its checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.conformance.making.case import ARTIFACT, BUNDLE, Case
from tests.conformance.making.instance import IDENTITY, Instance
from tests.conformance.making.scene import (
    GOOD,
    OTHER_MODEL,
    packed,
    statement,
    subject,
)
from tests.conformance.making.subjects import MATCH, OTHER_BYTES, SHA1, WRONG
from tests.sigstore.encoding import b64, unb64
from tests.sigstore.forge import STATEMENT as IN_TOTO
from tests.sigstore.scene import entry, flipped, material, proof

PROVE = "attestations/stemma_attestations/keyless.py::_prove"
READ = "attestations/stemma_attestations/keyless.py::_statement"
NOTE = "attestations/stemma_attestations/log_entry.py::LogEntry.check_checkpoint"
ENTRY = "attestations/stemma_attestations/log_entry.py::LogEntry.parse"
LOGS = "attestations/stemma_attestations/trusted_root.py::"
Document = dict[str, Any]


class Version:
    """The cases of one version of the log; `twin` is what they are bent from."""

    def __init__(self, at: Instance, rekor: int) -> None:
        self.at, self.rekor = at, rekor
        self.document(payload=statement(predicate={"score": 0}))  # the tree has another leaf
        self.good = self.document()
        self.twin = at.good(
            f"keyless-v{rekor}-good",
            f"Signed by a workflow's identity and logged by Rekor v{rekor}, with a timestamp.",
            at.trust(),
            self.good,
        )

    def document(self, **changes: Any) -> Document:
        return self.at.document(self.rekor, **changes)

    def bad(self, name: str, story: str, check: str, reason: str, document: Document) -> Case:
        files = {BUNDLE: packed(document)}
        return self.twin.forged(f"keyless-v{self.rekor}-{name}", story, check, reason, files)

    def bent(
        self, name: str, story: str, check: str, reason: str, change: Callable[[Document], object]
    ) -> Case:
        """The very bundle of the twin, changed afterwards."""
        document = copy.deepcopy(self.good)
        change(document)
        return self.bad(name, story, check, reason, document)

    def cases(self) -> Iterator[Case]:
        yield self.twin
        yield from self.payloads()
        yield from self.entries()
        yield from self.checkpoints()
        yield from self.certificates()
        yield from self.timestamps()

    def payloads(self) -> Iterator[Case]:
        """What was signed and logged in due form, and says nothing or too much."""
        wrong = "the payload type is not application/vnd.in-toto+json"
        yield self.bad(
            "payload-type-other",
            "Signed and logged as plain JSON.",
            "attestations/stemma_attestations/keyless.py::_verify",
            wrong,
            self.document(payload_type="application/json"),
        )
        relabelled = self.document(payload_type="application/json")
        relabelled["dsseEnvelope"]["payloadType"] = IN_TOTO
        yield self.bad(
            "payload-type-changed",
            "Signed and logged as plain JSON, and relabelled as a statement afterwards.",
            PROVE,
            REASONS[self.rekor]["signature"],
            relabelled,
        )
        yield self.bad(
            "signature-over-raw-payload",
            "The identity signed the raw payload, without the PAE, and logged that.",
            PROVE,
            REASONS[self.rekor]["signature"],
            self.document(message=lambda _, payload: payload),
        )
        twice = GOOD.replace(b'"subject":', b'"subject":[],"subject":')
        payloads = {
            "duplicate-subject": (twice, "duplicate key 'subject'", "subjects listed twice"),
            "nan": (GOOD.replace(b":1}", b":NaN}"), "NaN is not JSON", "`NaN`"),
            "brace": (b"{", "not JSON", "the payload `{`"),
            "null": (b"null", "expected a JSON object", "the payload `null`"),
            "list": (b"[]", "expected a JSON object", "the payload `[]`"),
        }
        for name, (payload, reason, what) in payloads.items():
            yield self.bad(
                f"payload-{name}",
                f"Signed and logged in due form: {what}.",
                READ,
                f"signed, but not a statement: statement: {reason}",
                self.document(payload=payload),
            )
        subjects = {
            "sha1-only": ({"sha1": SHA1}, "named by its SHA-1 only"),
            "sha256-wrong-sha1-right": (
                {"sha1": SHA1, "sha256": WRONG},
                "named by a right SHA-1 and a SHA-256 of other bytes",
            ),
        }
        for name, (digests, how) in subjects.items():
            yield self.bad(
                f"subject-{name}",
                f"The subject is {how}.",
                MATCH,
                OTHER_BYTES,
                self.document(payload=statement([subject(**digests)])),
            )
        yield self.twin.forged(
            f"keyless-v{self.rekor}-artifact-b-beside-bundle-of-a",
            "The bundle of one artifact was put beside another one.",
            MATCH,
            OTHER_BYTES,
            {ARTIFACT: OTHER_MODEL},
        )

    def entries(self) -> Iterator[Case]:
        """Entries that are true, of something else; and entries that were changed."""
        other = self.document(payload=statement(predicate={"score": 0}))
        again = self.document()
        reasons = REASONS[self.rekor]
        for name, kind, source, what in (
            ("of-another-bundle", "entry", other, "a bundle of another statement by the identity"),
            ("of-the-same-signed-again", "entry-again", again, "another bundle of the statement"),
        ):
            yield self.bent(
                f"log-entry-{name}",
                f"The log entry, true and proved, is that of {what}.",
                PROVE,
                reasons[kind],
                lambda d, s=source: material(d).update(tlogEntries=material(s)["tlogEntries"]),
            )
        one = "a keyless bundle has exactly one log entry"
        yield self.bent(
            "log-entry-missing",
            "There is no log entry.",
            ENTRY,
            one,
            lambda d: material(d).update(tlogEntries=[]),
        )
        yield self.bent(
            "log-entry-twice",
            "A second, true log entry stands beside the bundle's own.",
            ENTRY,
            one,
            lambda d: material(d)["tlogEntries"].append(entry(other)),
        )
        yield self.bent(
            "log-entry-body-changed",
            "A byte of the logged body was changed.",
            PROVE,
            REASONS[self.rekor]["body"],
            lambda d: entry(d).update(canonicalizedBody=flipped(entry(d)["canonicalizedBody"], 40)),
        )
        yield self.bent(
            "inclusion-proof-changed",
            "A hash of the inclusion proof was changed.",
            PROVE,
            REASONS[self.rekor]["proof"],
            lambda d: proof(d)["hashes"].__setitem__(0, flipped(proof(d)["hashes"][0])),
        )
        own = self.at.mixed(**{f"rekor{self.rekor}": self.at.stranger.log(self.rekor)})
        yield self.bad(
            "log-of-a-stranger",
            "Logged, with a valid proof, in a log that the trusted root does not know.",
            f"{LOGS}TrustedRoot.log",
            "the trusted root does not know the log",
            self.document(stack=own),
        )

    def checkpoints(self) -> Iterator[Case]:
        log, theirs = self.at.stack.log(self.rekor), self.at.stranger.log(self.rekor)
        size, top = int(proof(self.good)["treeSize"]), unb64(proof(self.good)["rootHash"])
        note = proof(self.good)["checkpoint"]["envelope"]
        text = note.partition("\n\n")[0] + "\n"
        lent = b64(log.log_id[:4] + theirs.sign(text.encode()))
        notes = {
            "of-a-stranger": (
                theirs.note(size, top),
                "not signed once by the log",
                "signed by another log",
            ),
            "with-lent-key-id": (
                f"{text}\n\u2014 x {lent}\n",
                "the signature does not verify",
                "signed by another log under the key id of this one",
            ),
            "changed": (
                "x" + note,
                "the signature does not verify",
                "changed in its first byte",
            ),
            "of-another-tree": (
                log.note(size + 1, top),
                "the checkpoint is of another tree than the inclusion proof",
                "true, and of a larger tree",
            ),
            "unsigned": (f"{text}\n", "not a signed note", "without its signature"),
        }
        for name, (forged, reason, what) in notes.items():
            yield self.bent(
                f"checkpoint-{name}",
                f"The checkpoint is {what}.",
                NOTE,
                reason,
                lambda d, f=forged: proof(d).update(checkpoint={"envelope": f}),
            )

    def certificates(self) -> Iterator[Case]:
        at, second = self.at, timedelta(seconds=1)
        lifetime = timedelta(minutes=10)
        moments = {
            "expired": (at.now - lifetime - second, "had expired a second before"),
            "not-yet-valid": (at.now + second, "was not valid until a second after"),
        }
        for name, (start, what) in moments.items():
            yield self.bad(
                f"certificate-{name}",
                f"The certificate {what} the time at which log and timestamp saw the signature.",
                PROVE,
                REASONS[self.rekor][name],
                self.document(leaf=at.leaf(start=start)),
            )
        yield self.bad(
            "certificate-for-servers",
            "The certificate is one for servers, not for signing code.",
            PROVE,
            "code signing",
            self.document(leaf=at.leaf(purpose=ExtendedKeyUsageOID.SERVER_AUTH)),
        )
        fulcio = copy.copy(at.stranger.fulcio)
        fulcio.ct_key = at.stack.fulcio.ct_key  # its certificates are logged where ours are
        yield self.bad(
            "certificate-of-a-stranger",
            "An authority that nobody trusts issued the certificate. All else is as it should be.",
            PROVE,
            REASONS[self.rekor]["authority"],
            self.document(stack=at.mixed(fulcio=fulcio)),
        )
        unlogged = copy.copy(at.stack.fulcio)
        unlogged.ct_key = at.stranger.fulcio.ct_key
        yield self.bad(
            "certificate-logged-elsewhere",
            "The certificate's SCT is of a certificate log that the trusted root does not know.",
            f"{LOGS}TrustedRoot.check_certificate_log",
            "the trusted root does not know the certificate log",
            self.document(stack=at.mixed(fulcio=unlogged)),
        )
        other = self.document()
        yield self.bent(
            "certificate-of-another-bundle",
            "The certificate is another one of the same identity, for another key.",
            PROVE,
            REASONS[self.rekor]["certificate"],
            lambda d: material(d).update(certificate=material(other)["certificate"]),
        )

    def timestamps(self) -> Iterator[Case]:
        if self.rekor == 1:
            yield self.bent(
                "log-time-changed",
                "The time at which the log saw the entry was moved by a second.",
                PROVE,
                REASONS[1]["promise"],
                lambda d: entry(d).update(integratedTime=str(int(entry(d)["integratedTime"]) + 1)),
            )
            return
        missing, unverified = REASONS[2]["timeless"], REASONS[2]["timestamp"]
        yield self.bent(
            "timestamp-missing",
            "The timestamp was left out; Rekor v2 gives no time of its own.",
            PROVE,
            missing,
            lambda d: material(d).pop("timestampVerificationData"),
        )
        other = self.document()
        stamps = material(other)["timestampVerificationData"]
        yield self.bent(
            "timestamp-of-another-bundle",
            "The timestamp is that of another signature.",
            PROVE,
            unverified,
            lambda d: material(d).update(timestampVerificationData=stamps),
        )
        yield self.bad(
            "timestamp-of-a-stranger",
            "The timestamp is by an authority that the trusted root does not know.",
            PROVE,
            unverified,
            self.document(stack=self.at.mixed(tsa=self.at.stranger.tsa)),
        )


# What is wrong -> what sigstore's verifier says, of either version or of one.
BOTH = {
    "body": "inclusion proof contains invalid root hash",
    "proof": "inclusion proof contains invalid root hash",
    "expired": "cert is not valid at validation time",
    "not-yet-valid": "cert is not valid at validation time",
    "authority": "certificate chain: validation failed: candidates exhausted",
    "certificate": "DSSE: invalid signature",
    "signature": "DSSE: invalid signature",
}
REASONS = {
    1: {
        **BOTH,
        "entry": "log entry payload hash does not match bundle",
        "entry-again": "log entry signatures do not match bundle",
        "promise": "SET: invalid inclusion promise",
    },
    2: {
        **BOTH,
        "entry": "transparency log entry is inconsistent with other materials",
        "entry-again": "transparency log entry is inconsistent with other materials",
        "timeless": "bundle must contain an inclusion promise or signed timestamp(s)",
        "timestamp": "not enough sources of verified time",
    },
}


def cases(at: Instance) -> Iterator[Case]:
    """Those of both versions, and those that need no trust root of ours."""
    for rekor in (1, 2):
        yield from Version(at, rekor).cases()
    yield from _plain(at)


def _plain(at: Instance) -> Iterator[Case]:
    """Cases with an expected identity and no trust root, as in other corpora."""
    twin = at.good("keyless-plain", "", b"", at.document())
    files = {name: twin.files[name] for name in (BUNDLE, ARTIFACT)}
    plain = Case(
        name="keyless-plain",
        story="An identity and an issuer are expected, and no trust root is given.",
        files=files,
        asked={**twin.asked, "identity": IDENTITY["subject"], "issuer": IDENTITY["issuer"]},
    )
    yield plain
    check = "tests/conformance/door.py::by_identity"
    yield plain.forged(
        "keyless-plain-another-issuer",
        "Another issuer is expected.",
        check,
        f"signed by {IDENTITY['subject']} (by {IDENTITY['issuer']}), not by",
        issuer="https://gitlab.com",
    )
    yield plain.forged(
        "keyless-plain-another-identity",
        "Another workflow is expected.",
        check,
        f"signed by {IDENTITY['subject']} (by {IDENTITY['issuer']}), not by",
        identity=IDENTITY["subject"].replace("release.yml", "other.yml"),
    )
