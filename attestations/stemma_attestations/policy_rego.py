"""Which Rego a rule of a policy asks for: how it is written there, and what it is called."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadPath
from stemma_attestations.paths import check_path
from stemma_attestations.placed import Placed
from stemma_attestations.policy import RegoRule

FIELDS = ("module", "file", "sha256", "opa")
MAX_MODULE_BYTES = 256 * 1024
_HEX = re.compile(r"[0-9a-f]{64}\Z")
# A document of OPA's data API, by its path: https://www.openpolicyagent.org/docs/rest-api
_DOCUMENT = re.compile(r"/v1/data(?:/[A-Za-z_][A-Za-z0-9_]*)+\Z")


def parse(at: Placed) -> RegoRule:
    """Read the field `rego` of a rule. Raises BadPolicy with line and field."""
    fields = at.fields(FIELDS)
    if sum(name in fields for name in ("module", "file", "opa")) != 1:
        at.fail("one of `module`, `file` and `opa` is expected")
    if ("sha256" in fields) != ("file" in fields):
        at.fail("a `file` is pinned by `sha256`, the digest of its bytes")
    label = f"{at.path}, line {at.line}"
    if "module" in fields:
        text = _module(fields["module"])
        return RegoRule(text, digest=Digest.of(text.encode()), label=label)
    if "file" in fields:
        return RegoRule(file=_file(fields["file"]), digest=_digest(fields["sha256"]), label=label)
    return RegoRule(opa=_url(fields["opa"]), label=label)


def _module(at: Placed) -> str:
    if not isinstance(at.value, str) or not at.value.strip():
        at.fail("a Rego module is expected, as text (module: |)")
    if len(at.value.encode()) > MAX_MODULE_BYTES:
        at.fail(f"a module of more than {MAX_MODULE_BYTES} bytes")
    return str(at.value)


def _file(at: Placed) -> str:
    try:
        return check_path(at.text())
    except BadPath as error:
        at.fail(f"a file beside the policy is expected: {error}")


def _digest(at: Placed) -> Digest:
    if not _HEX.match(at.text()):
        at.fail("the SHA-256 of the file is expected, 64 digits of 0-9a-f")
    return Digest.parse(f"sha256:{at.text()}")


def _url(at: Placed) -> str:
    url = at.text()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        at.fail("not a URL")
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        at.fail("the https URL of a document of OPA is expected, without a name or password")
    if parts.query or parts.fragment or not _DOCUMENT.match(parts.path) or not url.isascii():
        at.fail("a document of OPA is expected: https://HOST/v1/data/PACKAGE")
    if parts.scheme == "http" and not _is_loopback(host):
        at.fail("http is for 127.0.0.1 and [::1] only: whoever is between can answer")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def named(rule: RegoRule) -> str:
    """The rule as a verdict cites it."""
    if rule.opa is not None:
        return f"OPA at {rule.opa}, whose rules the policy does not pin"
    where = f"the file {rule.file}" if rule.file else f"the module of {rule.label}"
    return f"{where} {rule.digest.short if rule.digest else ''}".rstrip()
