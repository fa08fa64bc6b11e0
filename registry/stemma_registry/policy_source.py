"""Where policies come from: a file, best one that is committed, or one that is built in."""

from __future__ import annotations

from pathlib import Path

from stemma_attestations import policies, policy_file
from stemma_attestations.errors import BadPolicy
from stemma_attestations.policy import BUILTIN, Policy
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files, gitrepo, settings
from stemma_registry.config import Home

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
        return policy_file.parse(raw, path.name, gitrepo.cited(path, raw))
    except BadPolicy as error:
        raise BadPolicy(f"{path}: {error}") from error


def _path(named: str, folder: Path | None) -> Path:
    path = Path(named).expanduser()
    return folder / path if folder is not None else path


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
