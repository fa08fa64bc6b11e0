"""A running OPA, asked over its REST API.

https://www.openpolicyagent.org/docs/rest-api#get-a-document-with-input
Who answers there decides with rules that no digest pins: the verdict says so, and cites
what OPA tells about itself and its bundles.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON
from stemma_attestations.policy import RegoRule
from stemma_attestations.policy_input import FORMAT
from stemma_attestations.policy_rego import named
from stemma_attestations.rego import Decision
from stemma_attestations.verdict import Outcome
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable
from stemma_registry.plain import plain
from stemma_registry.rego import reading

if TYPE_CHECKING:
    from requests import Response

# An error in a built-in function ends the question, and is not taken for undefined.
PARAMETERS = "?provenance=true&strict-builtin-errors=true"
_EMPTY = json.dumps({"format": FORMAT}).encode()


def decide(rule: RegoRule, document: bytes) -> Decision:
    """What OPA says of the document."""
    try:
        answer = _ask(str(rule.opa), document)
    except Unavailable as error:
        return Decision(Outcome.UNDECIDED, (f"{named(rule)}: {error}",))
    return _decision(rule, answer)


def prove(rule: RegoRule) -> str | None:
    """Why OPA is not to be asked: it allows a document that says nothing, or gives no answer."""
    try:
        answer = _ask(str(rule.opa), _EMPTY)
    except Unavailable as error:
        return str(error)
    if _decision(rule, answer).outcome is Outcome.PASSED:
        return "it fails its self-test: it allows a document that says nothing"
    return None


def _decision(rule: RegoRule, answer: dict[str, Any]) -> Decision:
    """What an answer amounts to: `result` is what the URL names, a rule or a package."""
    said: dict[str, Any] = {}
    result = answer.get("result")
    if isinstance(result, dict):
        said = {name: result[name] for name in ("allow", "deny") if name in result}
    elif "result" in answer:
        said = {"allow": result}
    where = f"OPA at {rule.opa}"
    return reading.decision(where, "its answer", said, f", by rules not pinned{_revision(answer)}")


def _revision(answer: dict[str, Any]) -> str:
    """What OPA tells of itself: its version, and the revision of each bundle."""
    told = answer.get("provenance")
    if not isinstance(told, dict):
        return ""
    words = [f"OPA {told['version']:.40}"] if isinstance(told.get("version"), str) else []
    if isinstance(told.get("revision"), str):  # of the one bundle, as older configurations say it
        words.append(f"bundle at {told['revision']:.80}")
    bundles = told.get("bundles")
    for name, bundle in sorted(bundles.items())[:5] if isinstance(bundles, dict) else ():
        if isinstance(bundle, dict) and isinstance(bundle.get("revision"), str):
            words.append(f"bundle {name:.80} at {bundle['revision']:.80}")
    text = "".join(f", {word}" for word in words)
    return plain(text, len(text))


def _ask(url: str, document: bytes) -> dict[str, Any]:
    """OPA's answer, an object. Raises Unavailable."""
    answer: list[bytes] = []
    failure: list[Exception] = []

    def ask() -> None:
        try:
            answer.append(_post(url, b'{"input":' + document + b"}"))
        except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failure.append(error)

    # A server that sends a byte now and then never meets a time limit of the library.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LIMITS.opa_seconds)
    if failure:
        reason = " ".join(str(failure[0]).split()) or type(failure[0]).__name__
        raise Unavailable(f"{reason:.300}") from failure[0]
    if not answer:
        raise Unavailable(f"no whole answer within {LIMITS.opa_seconds:g} s")
    try:
        return json_strict.load_object(answer[0], max_bytes=LIMITS.opa_bytes)
    except BadJSON as error:
        raise Unavailable(f"its answer cannot be read: {error}") from error


def _post(url: str, body: bytes) -> bytes:
    import requests

    # Compressed answers could be larger than they look.
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    end = time.monotonic() + LIMITS.opa_seconds
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no password of a .netrc
        with session.post(
            url + PARAMETERS,
            data=body,
            headers=headers,
            timeout=LIMITS.opa_seconds,
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.status_code != 200:
                raise Unavailable(f"it answered {response.status_code}")
            return _read(response, end)


def _read(response: Response, end: float) -> bytes:
    data = bytearray()
    while piece := response.raw.read1(65536, decode_content=False):
        data += piece
        if len(data) > LIMITS.opa_bytes:
            raise Unavailable(f"it answered with more than {LIMITS.opa_bytes} bytes")
        if time.monotonic() > end:
            raise Unavailable(f"no whole answer within {LIMITS.opa_seconds:g} s")
    return bytes(data)
