"""A module of the policy, evaluated on this machine: what the parent of the child does."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stemma_attestations.policy import RegoRule
from stemma_attestations.policy_rego import named
from stemma_attestations.rego import Decision
from stemma_attestations.verdict import Outcome
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable
from stemma_registry.rego import reading

LIBRARY = "regorus"
INSTALL = "Rego is evaluated by an extra: pip install 'stemma-registry[rego]'"
# Nothing of the environment or of a site's own files: the paths come as arguments.
_CHILD = (
    "import sys; sys.path += sys.argv[1:]; from stemma_registry.rego import engine; engine.main()"
)
_SIGNALS = {
    -6: "it was aborted, as when memory runs out",
    -11: "it crashed, as in endless recursion",
}


def decide(rule: RegoRule, document: bytes) -> Decision:
    """What the module says of the document."""
    where = named(rule)
    if rule.module is None:
        line = f"{where}: only its digest is here; a policy that travels has its modules inside"
        return Decision(Outcome.UNDECIDED, (line,))
    try:
        said = _ask(rule.module, document.decode())
    except Unavailable as error:
        return Decision(Outcome.UNDECIDED, (f"{where}: {error}",))
    if "wrong" in said:
        return Decision(Outcome.FAILED, (f"{where}: {said['wrong']}",))
    return reading.decision(f"{said['package']} of {where}", f"{said['package']}.allow", said)


def mistake(rule: RegoRule) -> str | None:
    """Why a module cannot be evaluated, with its line. Raises Unavailable."""
    if rule.module is None:
        return None
    wrong = _ask(rule.module, None).get("wrong")
    return None if wrong is None else str(wrong)


def _ask(module: str, document: str | None) -> dict[str, Any]:
    """The child's answer. Raises Unavailable where there is none."""
    try:
        spec = find_spec(LIBRARY)
    except ValueError:  # something put a module there that says nothing of itself
        spec = None
    if spec is None or spec.origin is None:
        raise Unavailable(INSTALL)
    if not sys.executable:
        raise Unavailable("no Python interpreter is known here that a process could run")
    paths = [str(Path(__file__).parents[2]), str(Path(spec.origin).parents[1])]
    question = {
        "module": module,
        "input": document,
        "bytes": LIMITS.rego_bytes,
        "seconds": int(LIMITS.rego_seconds) + 1,
    }
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter
            [sys.executable, "-I", "-S", "-B", "-c", _CHILD, *paths],
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMITS.rego_seconds,
            cwd="/",
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"no answer within {LIMITS.rego_seconds:g} s") from error
    except OSError as error:
        raise Unavailable(f"cannot start a process: {error.strerror}") from error
    if done.returncode != 0:
        how = _SIGNALS.get(done.returncode, f"its process ended with {done.returncode}")
        raise Unavailable(f"no answer: {how}")
    return _read(done.stdout)


def _read(raw: bytes) -> dict[str, Any]:
    try:
        said = json.loads(raw)
    except ValueError as error:
        raise Unavailable("no answer that can be read") from error
    if not isinstance(said, dict) or "unusable" in said:
        reason = said.get("unusable") if isinstance(said, dict) else None
        raise Unavailable(f"the Rego engine: {reason or 'no answer that can be read'}")
    return said
