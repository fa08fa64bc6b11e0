"""What every command starts from: options, environment, clock. The only place that reads them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stemma_attestations.policy import Policy
    from stemma_attestations.trust import TrustRoot
    from stemma_cli.signers import Choice
    from stemma_registry.blobs.contract import Store
    from stemma_registry.blobs.streams import Progress
    from stemma_registry.config import Home
    from stemma_registry.registry import Registry, Snapshot
    from stemma_registry.settings import Settings
    from stemma_registry.signing import KeyHolder, Signer


@dataclass
class Session:
    """The global options. `json` may also be given after the command."""

    registry_option: str | None = None
    json: bool = False

    @property
    def home(self) -> Home:
        """`$STEMMA_HOME`, else `~/.stemma`."""
        from stemma_registry.config import Home

        return Home.of(os.environ)

    @property
    def location(self) -> str:
        """`--registry`, else `$STEMMA_REGISTRY`, else the registry in the home."""
        named = self.registry_option or os.environ.get("STEMMA_REGISTRY")
        return os.path.expanduser(named) if named else str(self.home.registry)

    @property
    def settings(self) -> Settings:
        """The configuration in the home. Raises Malformed."""
        from stemma_registry import settings

        return settings.load(self.home)

    @property
    def now(self) -> datetime:
        """The time of the question."""
        return datetime.now(UTC)

    def trust(self, option: str | None = None, location: str | None = None) -> TrustRoot:
        """The trust root: of the option, else of the home (nobody is believed without one).

        One that is pinned by digest alone comes from the registry, or the one at `location`.
        """
        from stemma_registry.trust import source as trust_source

        def store() -> Store:
            return self.store(location)

        if option is not None:
            return trust_source.Source.parse(option).load(store)
        return trust_source.of_home(self.home, store)

    def store(self, location: str | None = None) -> Store:
        """The store of the registry, or of the one at `location`, without its catalogue."""
        from stemma_registry.registry import open_store

        return open_store(location or self.location, self.home)

    def policy(self, option: str | None = None) -> Policy:
        """What the option names, else what the configuration does, else what is built in."""
        from stemma_registry import policy_source

        return policy_source.chosen(option, self.home)

    def signer(self, sign: Choice) -> Signer:
        """The signer that `--sign` names, else the key in the home, as it is to be dated."""
        uri, dated = sign.uri, bool(sign.timestamp or sign.log)
        if uri is not None and uri.startswith("sigstore:"):
            from stemma_registry import keyless

            if dated:
                raise click.UsageError(
                    "--timestamp and --log are for keys: sigstore: has an authority and a log"
                )
            token = os.environ.get(keyless.TOKEN_VARIABLE)
            return keyless.load_signer(uri, token, browser=sys.stderr.isatty())
        key = self.key_signer(uri)
        return self._dated(key, sign) if dated else key

    def _dated(self, key: KeyHolder, sign: Choice) -> KeyHolder:
        from stemma_registry import signing
        from stemma_registry.trust.roots import TrustedRoots

        authority = signing.TimestampAuthority.at(sign.timestamp) if sign.timestamp else None
        log = signing.Log.at(sign.log) if sign.log else None
        roots = TrustedRoots(self.home.roots).present(self.trust().time)
        return signing.DatedSigner(key, authority, log, roots)

    def key_signer(self, uri: str | None = None) -> KeyHolder:
        """The same, for what only a key signs."""
        from stemma_registry import signing

        return signing.load_signer(uri or f"{signing.SCHEME}{self.home.key}", passphrase, pin)

    def open(self) -> Registry:
        """The registry; it is closed when the command ends."""
        from stemma_registry.registry import open_registry

        registry = open_registry(self.location, self.home)
        click.get_current_context().call_on_close(registry.close)
        return registry

    @contextlib.contextmanager
    def view(self, trust: str | None = None) -> Iterator[tuple[Registry, Snapshot]]:
        """The registry and a snapshot of it at its head."""
        from stemma_registry.registry import snapshot

        registry = self.open()
        with snapshot(registry, self.trust(trust), self.now) as view:
            yield registry, view


def read_file(path: Path, limit: int) -> bytes:
    """A file's bytes, as it was named on the command line."""
    from stemma_registry import files

    return files.read(path, "file", limit)


def passphrase() -> str | None:
    """`$STEMMA_KEY_PASSPHRASE`, else asked for on a terminal, else None."""
    return _secret("STEMMA_KEY_PASSPHRASE", "Passphrase of the signing key")


def pin() -> str | None:
    """`$STEMMA_HSM_PIN`, else asked for on a terminal, else None."""
    return _secret("STEMMA_HSM_PIN", "PIN of the token")


def _secret(variable: str, question: str) -> str | None:
    secret = os.environ.get(variable)
    if secret is None and sys.stdin.isatty():
        secret = click.prompt(question, hide_input=True, err=True)
    return secret


@contextlib.contextmanager
def progress(doing: str, things: str = "") -> Iterator[Progress | None]:
    """Bytes (or things), rate and time left on stderr.

    On a terminal only, for anything over a second.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from stemma_cli.meter import Meter

    meter = Meter(doing, things=things)
    try:
        yield meter
    finally:
        meter.clear()


pass_session = click.make_pass_decorator(Session)
