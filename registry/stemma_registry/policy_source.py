"""Where policies come from: a file, a commit that was synced, or what is built in."""

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
from stemma_registry.errors import NotFound
from stemma_registry.gitrepo import capturing
from stemma_registry.policysync import adopted

SYNCED = "synced"
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
    """What an option names, else the configuration, else what was synced, else what is built in.

    Raises as `load`, and BadSettings, Damaged.
    """
    named, folder = _chosen(option, home)
    return _synced(home) if named == SYNCED else load(named, folder)


def chosen_bytes(option: str | None, home: Home) -> bytes:
    """What `chosen` reads, as it is written. Raises NotFound, Malformed, Unavailable, Damaged."""
    named, folder = _chosen(option, home)
    if named == SYNCED:
        return _synced_bytes(home)[1]
    if named is None or named in SHIPPED:
        return SHIPPED[named or "builtin"]
    return files.read(_path(named, folder), "policy", MAX_BYTES)


def is_chosen(home: Home) -> bool:
    """Whether this home has a policy of its own. Raises BadSettings, Damaged."""
    return _chosen(None, home)[0] is not None


def _chosen(option: str | None, home: Home) -> tuple[str | None, Path | None]:
    if option is not None:
        return option, None
    named = settings.load(home).policy
    if named is None:
        synced = adopted.read(home)
        named = SYNCED if synced is not None and synced.policy is not None else None
    return named, home.path


def _synced_bytes(home: Home) -> tuple[adopted.Adopted, bytes]:
    found = adopted.read(home)
    if found is None or found.policy is None:
        raise NotFound("no policy was synced here; run `stemma policy sync REPO@REF`")
    return found, adopted.blob(home, found.policy)


def _synced(home: Home) -> Policy:
    """The policy of the commit that was synced last, which it cites."""
    found, raw = _synced_bytes(home)
    policy = policy_file.parse(raw, "policy.yaml", found.source)
    return modules_from(policy, lambda rego: adopted.blob(home, _pinned(rego)))


def _pinned(rego: RegoRule) -> Digest:
    if rego.digest is None:
        raise BadPolicy(f"`{rego.label}` pins no file")
    return rego.digest
