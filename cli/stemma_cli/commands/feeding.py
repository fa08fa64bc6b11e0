"""feed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import durations, output
from stemma_cli.session import Session, pass_session, read_file

if TYPE_CHECKING:
    from stemma_attestations.keys import PublicKey
    from stemma_attestations.trust import TrustRoot
    from stemma_registry.registry import Registry
    from stemma_registry.status.metadata import Keys, Lifetimes
    from stemma_registry.status.publish import Published

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)
_root_key = click.option(
    "--root-key", multiple=True, required=True, metavar="URI", help="A root key that signs now."
)
_online = click.option("--online-key", metavar="URI", help="Signs the status (else the home's).")
_timestamp = click.option(
    "--timestamp-key", metavar="URI", help="Signs the timestamp (else the online key)."
)
_lifetime = click.option(
    "--lifetime", metavar="TIME", help="Of a timestamp  [default: as before, at first 15m]"
)


@click.group()
def feed() -> None:
    """Publish and read the status feed: what is quarantined, as static files that prove it."""


@feed.command("init")
@_root_key
@click.option("--threshold", type=int, help="Root keys that must sign  [default: 2, of one 1]")
@_online
@_timestamp
@_lifetime
@click.option("--out", type=_PATH, metavar="FILE", help="Also write the root there, for gates.")
@pass_session
def feed_init(
    session: Session,
    root_key: tuple[str, ...],
    threshold: int | None,
    online_key: str | None,
    timestamp_key: str | None,
    lifetime: str | None,
    out: Path | None,
) -> None:
    """Make the feed of this registry, publish it, and trust it here.

    Without --online-key the home's feed key signs; it is made if it is not there.
    """
    from stemma_registry import files
    from stemma_registry.status import metadata, offline, pinning

    terms = _lifetimes(lifetime)
    registry, trust = session.open(), session.trust()
    roots = [session.key_signer(uri) for uri in root_key]
    offline.refuse_another(registry.store)
    if online_key is None and session.settings.feed.online_key is None:
        _make_key(session)
    keys = feed_keys(session, online_key, timestamp_key)
    online = (keys.online or keys.timestamp).public
    raw = offline.initialise(
        registry.store,
        roots,
        threshold or min(2, len(roots)),
        (online, keys.timestamp.public),
        session.now,
        terms or metadata.Lifetimes(),
    )
    if out is not None:
        files.write_new(out, "root", raw)
    location = registry.store.location
    pin = pinning.pin(session.home, location, _source(session, None), raw)
    done = _publish(registry, trust, keys, terms, always=True)
    if session.json:
        output.document({"root": str(pin.digest), **_published(done)})
        return
    output.line(f"made the status feed: root {pin.digest}")
    output.line("gates pin that root: stemma feed trust ROOT.json")
    _say(done)


@feed.command("publish")
@_online
@_timestamp
@_lifetime
@pass_session
def feed_publish(
    session: Session, online_key: str | None, timestamp_key: str | None, lifetime: str | None
) -> None:
    """Write the status anew, from the ledger as it is now."""
    _bring_up_to_date(session, online_key, timestamp_key, lifetime, always=True)


@feed.command("refresh")
@_online
@_timestamp
@_lifetime
@pass_session
def feed_refresh(
    session: Session, online_key: str | None, timestamp_key: str | None, lifetime: str | None
) -> None:
    """Sign the timestamp anew, and publish where the ledger has moved. For cron."""
    _bring_up_to_date(session, online_key, timestamp_key, lifetime, always=False)


@feed.command("rotate")
@_root_key
@click.option("--add-key", multiple=True, type=_FILE, help="A new root key's public half.")
@click.option("--remove-key", multiple=True, metavar="ID", help="A root key, as `show` names it.")
@click.option("--threshold", type=int, help="Root keys that must sign from now on.")
@click.option("--online-key", metavar="URI", help="Another key for the status.")
@click.option("--timestamp-key", metavar="URI", help="Another key for the timestamp.")
@pass_session
def feed_rotate(
    session: Session,
    root_key: tuple[str, ...],
    add_key: tuple[Path, ...],
    remove_key: tuple[str, ...],
    threshold: int | None,
    online_key: str | None,
    timestamp_key: str | None,
) -> None:
    """Change the keys of the feed, signed by enough old root keys and enough new ones."""
    from stemma_registry.status import metadata, offline

    registry, trust = session.open(), session.trust()
    signers = [session.key_signer(uri) for uri in root_key]
    online = session.key_signer(online_key) if online_key else None
    timestamp = session.key_signer(timestamp_key) if timestamp_key else None
    change = offline.Change(
        [_public(path) for path in add_key],
        remove_key,
        threshold,
        online.public if online else None,
        timestamp.public if timestamp else None,
    )
    offline.rotate(registry.store, signers, change, session.now, metadata.Lifetimes())
    done = None
    if online is not None or timestamp is not None:
        keys = feed_keys(session, online_key, timestamp_key)
        done = _publish(registry, trust, keys, None, always=True)
    root, _ = offline.newest(registry.store)
    if session.json:
        output.document({"version": root.signed.version, "published": done is not None})
        return
    output.line(f"the feed has root {root.signed.version}")
    if done is not None:
        _say(done)


@feed.command("trust")
@click.argument("root", type=_FILE, metavar="ROOT.json")
@click.option("--from", "where", metavar="SOURCE", help="A folder, s3:// or http(s) address.")
@pass_session
def feed_trust(session: Session, root: Path, where: str | None) -> None:
    """Believe the feed of ROOT.json for this registry, and read it from SOURCE."""
    from stemma_registry.config import LIMITS
    from stemma_registry.status import pinning

    raw = read_file(root, LIMITS.feed_root_bytes)
    pin = pinning.pin(session.home, _location(session), _source(session, where), raw)
    if session.json:
        output.document({"root": str(pin.digest), "registry": pin.location, "source": pin.source})
        return
    output.line(f"trusted: root {pin.digest}, read from {pin.source}")


@feed.command("fetch")
@click.option("--from", "where", metavar="SOURCE", help="A folder, s3:// or http(s) address.")
@click.option("--max-age", metavar="TIME", help="Refuse a status that is older, such as 15m.")
@click.option("--trust", "trust_source", metavar="SOURCE", help="Another trust root.")
@pass_session
def feed_fetch(
    session: Session, where: str | None, max_age: str | None, trust_source: str | None
) -> None:
    """Read the feed as a gate does: prove it, say how old it is and what it stops."""
    from stemma_attestations.times import format_duration, format_time
    from stemma_registry.status import pinning, reader, source
    from stemma_registry.trust.roots import TrustedRoots

    limit, trust = durations.given(max_age), session.trust(trust_source)
    pin = pinning.pinned(session.home, _location(session))
    place = source.open_source(where or pin.source, session.home)
    roots = TrustedRoots(session.home.roots).present(trust.all_roots)
    now = session.now
    status = reader.fetch(pin, place, trust, roots, now, limit)
    standing = [(said, target) for said in status.custody.believed for target in said.targets]
    believed = {said.statement for said, _ in standing}
    unbelieved = len({said.statement for said in status.custody.standing} - believed)
    if session.json:
        output.document(
            {
                "entry": status.head.n,
                "signed": format_time(status.time),
                "expires": format_time(status.expires),
                "age_seconds": int(status.age(now).total_seconds()),
                "checkpoint_by": status.checkpoint_by,
                "quarantines": [
                    {
                        "quarantine": str(said.statement),
                        "target": str(target.digest),
                        "label": target.label,
                        "by": status.custody.trust.label(said.signer),
                        "reason": said.reason,
                    }
                    for said, target in standing
                ],
                "unbelieved": unbelieved,
                "undecided": status.custody.undecided,
            }
        )
        return
    age = format_duration(status.age(now))
    output.line(f"ledger entry {status.head.n}, status {age} old")
    for said, target in standing:
        by = status.custody.trust.label(said.signer)
        output.line(f"  stopped: {target.label} by {by}: {said.reason}")
    if not standing:
        output.line("  nothing is quarantined")
    if unbelieved:
        output.note(f"warning: {unbelieved} more stand on a word that is not believed here")
    if status.custody.undecided:
        output.note(f"warning: {status.custody.undecided}")


@feed.command("show")
@pass_session
def feed_show(session: Session) -> None:
    """Show who may sign the feed of this registry, and what stands in it. Proves nothing."""
    from stemma_attestations.times import format_time
    from stemma_registry.registry import open_store
    from stemma_registry.status import publish

    found = publish.load(open_store(session.location, session.home))
    root = found.root.signed
    signed = {"timestamp": found.timestamp, "snapshot": found.snapshot, "targets": found.targets}
    document = {
        "root": {"version": root.version, "expires": format_time(root.expires)},
        "keys": {
            role: {"threshold": root.roles[role].threshold, "ids": list(root.roles[role].keyids)}
            for role in ("root", "targets", "snapshot", "timestamp")
        },
        "files": {
            role: {"version": each.signed.version, "expires": format_time(each.signed.expires)}
            for role, each in signed.items()
            if each is not None
        },
    }
    if session.json:
        output.document(document)
        return
    output.line(f"root {root.version}, until {format_time(root.expires)}")
    for role in ("root", "targets", "snapshot", "timestamp"):
        output.line(f"{role}: {root.roles[role].threshold} of")
        for keyid in root.roles[role].keyids:
            output.line(f"  {keyid}")
    for role, each in signed.items():
        if each is not None:
            said = f"{each.signed.version}, until {format_time(each.signed.expires)}"
            output.line(f"{role} {said}")


def announce(session: Session, registry: Registry, trust: TrustRoot) -> dict[str, Any] | None:
    """Publish a change of custody; what JSON says of it, None where there is no feed."""
    from stemma_registry.status import announce as room

    said = room.announce(registry, trust, lambda: feed_keys(session, None, None))
    if said is None:
        return None
    if said.reason is not None:
        output.note(f"NOT IN THE STATUS FEED: {said.reason}")
        output.note("gates that read only the feed do not know of it: run `stemma feed publish`")
    return {"published": said.reason is None, "version": said.version, "reason": said.reason}


def feed_keys(session: Session, online_key: str | None, timestamp_key: str | None) -> Keys:
    """The keys of the options, else of the configuration, else of the home. Raises NotFound."""
    from stemma_registry import signing
    from stemma_registry.errors import NotFound
    from stemma_registry.status.metadata import Keys

    said, path = session.settings.feed, session.home.feed_key
    online = online_key or said.online_key
    if online is None and path.exists():
        online = f"{signing.SCHEME}{path}"
    timestamp = timestamp_key or said.timestamp_key or online
    if timestamp is None:
        raise NotFound(f"the key that signs the feed is not at hand (--online-key, or {path})")
    holder = session.key_signer(online) if online else None
    if timestamp == online and holder is not None:
        return Keys(holder, holder)
    return Keys(holder, session.key_signer(timestamp))


def _make_key(session: Session) -> None:
    from stemma_registry import signing

    path = session.home.feed_key
    if not path.exists():
        pem, public = signing.new_key("ecdsa-p256", None)
        signing.write_key(path, pem, public)


def _bring_up_to_date(
    session: Session,
    online_key: str | None,
    timestamp_key: str | None,
    lifetime: str | None,
    always: bool,
) -> None:
    terms = _lifetimes(lifetime)
    keys = feed_keys(session, online_key, timestamp_key)
    done = _publish(session.open(), session.trust(), keys, terms, always)
    if session.json:
        output.document(_published(done))
        return
    _say(done)


def _publish(
    registry: Registry, trust: TrustRoot, keys: Keys, terms: Lifetimes | None, always: bool
) -> Published:
    import functools

    from stemma_registry.status import gather, publish

    contents = functools.partial(gather.contents, registry, trust)
    return publish.publish(registry.store, keys, contents, terms, always)


def _published(done: Published) -> dict[str, Any]:
    from stemma_attestations.times import format_time

    return {
        "timestamp": done.timestamp,
        "snapshot": done.snapshot,
        "targets": done.targets,
        "changed": done.changed,
        "expires": format_time(done.expires),
    }


def _say(done: Published) -> None:
    from stemma_attestations.times import format_time

    what = "published the status" if done.changed else "nothing changed: signed the timestamp"
    output.line(f"{what}, until {format_time(done.expires)}")


def _public(path: Path) -> PublicKey:
    from stemma_attestations.keys import PublicKey
    from stemma_registry.signing import MAX_KEY_BYTES

    return PublicKey.parse(read_file(path, MAX_KEY_BYTES))


def _location(session: Session) -> str:
    """How the registry is known in the home, whether it can be reached or not."""
    from stemma_registry.blobs.opening import store_at

    return store_at(session.location, session.home, cached=False).location


def _source(session: Session, where: str | None) -> str:
    """Where the feed is read from, whatever directory is the current one then."""
    named = where or session.location
    return named if "://" in named else str(Path(named).expanduser().absolute())


def _lifetimes(text: str | None) -> Lifetimes | None:
    from stemma_registry.status.metadata import Lifetimes

    length = durations.given(text)
    return Lifetimes(timestamp=length) if length is not None else None
