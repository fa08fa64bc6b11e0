"""A Sigstore instance that is made for one run of the generator, and bundles of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from tests.conformance.making.case import ARTIFACT, BUNDLE, SHARED, TRUST, Case
from tests.conformance.making.scene import ASKED, GOOD, MODEL, by_identity, packed, trust
from tests.sigstore.encoding import rfc3339, seconds_now
from tests.sigstore.forge import Parts, assemble
from tests.sigstore.fulcio import Leaf
from tests.sigstore.rekor import RekorV1, RekorV2
from tests.sigstore.stack import LocalSigstore

HOST = "sigstore.example"
ROOT = "sigstore.example.json"
GITHUB = "https://token.actions.githubusercontent.com"
REPOSITORY = "https://github.com/acme/train"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml@refs/heads/main"
IDENTITY = {"issuer": GITHUB, "subject": WORKFLOW}
# Last arc of the extension -> value, as GitHub's tokens make Fulcio write them.
CLAIMS = {9: WORKFLOW, 12: REPOSITORY, 14: "refs/heads/main", 18: WORKFLOW}
REQUIRED = {
    "build_config_uri": WORKFLOW,
    "source_repository_ref": "refs/heads/main",
    "source_repository_uri": REPOSITORY,
}


def uri(text: str) -> x509.GeneralName:
    """A URI as it stands, also one that no URI is."""
    return x509.UniformResourceIdentifier._init_without_validation(text)


def email(text: str) -> x509.GeneralName:
    """An e-mail address as it stands."""
    return x509.RFC822Name._init_without_validation(text)


class Instance:
    """The instance that is trusted, and one as real whom nobody trusts."""

    def __init__(self) -> None:
        self.stack, self.stranger = LocalSigstore(), LocalSigstore()
        for stack, host in ((self.stack, HOST), (self.stranger, f"other.{HOST}")):
            stack.close()  # nothing is asked over the network
            stack.url = f"https://{host}"
            stack.since = "2020-01-01T00:00:00Z"  # sigstore compares it with the clock of the day
            stack.rekor1, stack.rekor2 = RekorV1(host), RekorV2(host)
        self.now: datetime = seconds_now()
        self.root = canonical.dumps(self.stack.trusted_root_json())
        self.digest = str(Digest.of(self.root))

    def leaf(self, **changes: Any) -> Leaf:
        """The certificate of the release workflow, with changes."""
        fields: dict[str, Any] = {
            "names": (uri(WORKFLOW),),
            "issuer": GITHUB,
            "claims": CLAIMS,
            "start": self.now - timedelta(minutes=1),
        }
        return Leaf(**{**fields, **changes})

    def document(self, rekor: int = 2, **changes: Any) -> dict[str, Any]:
        """A bundle, good unless something is changed: a part, or the certificate's `leaf`."""
        fields: dict[str, Any] = {
            "stack": self.stack,
            "payload": GOOD,
            "rekor": rekor,
            "leaf": self.leaf(),
            "stamp_time": self.now,
            "log_time": int(self.now.timestamp()),
        }
        return assemble(Parts(**{**fields, **changes}))

    def mixed(self, **parts: Any) -> LocalSigstore:
        """The instance with some services of another."""
        stack = copy.copy(self.stack)
        for name, service in parts.items():
            setattr(stack, name, service)
        return stack

    def trust(
        self, identity: Mapping[str, str] = IDENTITY, claims: Mapping[str, str] | None = None
    ) -> bytes:
        """A trust root that lists one identity of this instance."""
        return trust(by_identity(identity, self.digest, claims))

    def good(self, name: str, story: str, trusted: bytes, document: dict[str, Any]) -> Case:
        """A case that must pass."""
        asked = {**ASKED, "at": rfc3339(self.now + timedelta(hours=1))}
        return Case(
            name=name,
            story=story,
            files={BUNDLE: packed(document), ARTIFACT: MODEL, TRUST: trusted},
            asked={**asked, "trusted_root": SHARED + ROOT},
        )
