"""Where policies come from: a file, best one that is committed, or one that is built in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from stemma_attestations import policies, policy_file, policy_rego
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadPolicy
from stemma_attestations.policy import BUILTIN, Policy, RegoRule
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files, settings
from stemma_registry.config import Home
from stemma_registry.gitrepo import capturing

SHIPPED = {"builtin": policies.BUILTIN, "starter": policies.STARTER}


def load(named: str | None, folder: Path | None = None) -> Policy:
    """The policy in a file, or one of SHIPPED; None is what is built in.

    A relative file is in `folder`: what the home's configuration names is in the home,
    wherever somebody stands.
    A file that is named and not there is no policy, and allows nothing: raises
    NotFound, BadPolicy, Unavailable.
    """
    if named is None or named == "builtin":
        return BUILTIN
    if named in SHIPPED:
        return policy_file.parse(SHIPPED[named], f"{named}:v0.1")
    path = _path(named, folder)
    raw = files.read(path, "policy", MAX_BYTES)
    try:
        found = policy_file.parse(raw, path.name, capturing.cited(path, raw))
        return with_modules(found, path.parent)
    except BadPolicy as error:
        raise BadPolicy(f"{path}: {error}") from error


def _path(named: str, folder: Path | None) -> Path:
    path = Path(named).expanduser()
    return folder / path if folder is not None else path


def with_modules(policy: Policy, folder: Path) -> Policy:
    """The policy with what its Rego files say, each of the digest that the policy pins.

    Raises NotFound, BadPolicy, Unavailable.
    """

    def read(rego: RegoRule) -> bytes:
        path = folder / str(rego.file)
        return files.read(path, "Rego module", policy_rego.MAX_MODULE_BYTES)

    return modules_from(policy, read)


def modules_from(policy: Policy, read: Callable[[RegoRule], bytes]) -> Policy:
    """The same from wherever `read` has the bytes of a file. Raises BadPolicy, what `read` does."""
    if not any(rule.rego is not None and rule.rego.file for rule in policy.rules):
        return policy
    rules = (replace(rule, rego=_with_module(rule.rego, read)) for rule in policy.rules)
    return replace(policy, rules=tuple(rules))


def _with_module(rego: RegoRule | None, read: Callable[[RegoRule], bytes]) -> RegoRule | None:
    if rego is None or rego.file is None:
        return rego
    raw = read(rego)
    if Digest.of(raw) != rego.digest:
        found = Digest.of(raw).value
        raise BadPolicy(f"`{rego.label}`: the sha256 of {rego.file} is {found}")
    try:
        return replace(rego, module=raw.decode())
    except UnicodeDecodeError as error:
        raise BadPolicy(f"`{rego.label}`: {rego.file} is not UTF-8") from error


def chosen(option: str | None, home: Home) -> Policy:
    """What an option names, else the home's configuration, else what is built in.

    Raises as `load`, and BadSettings.
    """
    if option is not None:
        return load(option)
    return load(settings.load(home).policy, home.path)


def chosen_bytes(option: str | None, home: Home) -> bytes:
    """What `chosen` reads, as it is written. Raises NotFound, Malformed, Unavailable."""
    named, folder = (
        (option, None) if option is not None else (settings.load(home).policy, home.path)
    )
    if named is None or named in SHIPPED:
        return SHIPPED[named or "builtin"]
    return files.read(_path(named, folder), "policy", MAX_BYTES)
