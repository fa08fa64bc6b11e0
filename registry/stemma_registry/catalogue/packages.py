"""The packages that BOMs list: rows, and questions about them.

A job's packages change seldom, so a list of them is kept once for all BOMs that hold the same
one. Facts only: whether anybody believes a BOM is asked later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.packages import BadPackage, Package, key_of, parse
from stemma_registry.catalogue import bulk, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.rows import Fact

_PACKAGED = "INSERT INTO packaged (statement_id, environment_id) VALUES (:row, :environment)"
_KNOWN = 1_000  # lists that are remembered
_SAME = (
    "SELECT id FROM environment "  # noqa: S608 - a number
    f"WHERE substr(digest, 1, {t.HEAD}) = :head AND digest = :digest"
)
_VERSIONS = (
    "SELECT id, name, version FROM package "  # noqa: S608 - a number
    f"WHERE substr(digest, 1, {t.HEAD}) = :head AND digest = :digest"
)


@dataclass(frozen=True)
class Listed:
    """That a BOM lists a package of an artifact."""

    node_id: int
    package: Package
    fact: Fact


def project(
    connection: Connection, row: int, bom: Mapping[str, Any], known: dict[str, int]
) -> bool:
    """Write down which packages a BOM lists, if any; `row` is its statement's.

    `known` are lists that have their row, which no other transaction takes away.
    """
    purls = _purls(bom)
    if not purls:
        return False
    digest = _listed(orjson.dumps(purls))
    if digest in known:
        _hold(connection, row, known[digest])
        return True
    if len(known) >= _KNOWN:
        known.clear()
    known[digest] = hold(connection, row, digest, lambda: _readable(purls))
    return True


def hold(connection: Connection, row: int, digest: str, listed: Callable[[], set[Package]]) -> int:
    """Write down what a statement lists of its subjects; `digest` (hex) is that of the list.

    Returns the row of the list.
    """
    environment = _environment(connection, digest, listed)
    _hold(connection, row, environment)
    return environment


def _hold(connection: Connection, row: int, environment: int) -> None:
    bulk.run(connection, _PACKAGED, row=row, environment=environment)


def _readable(purls: Iterable[str]) -> set[Package]:
    found = set()
    for text in purls:
        try:
            found.add(parse(text))
        except BadPackage:
            continue  # nobody can ask for it either
    return found


def _purls(bom: Mapping[str, Any]) -> list[str]:
    """The package URLs of all components, nested ones too, as they are written."""
    metadata = bom.get("metadata")
    main = metadata.get("component") if isinstance(metadata, Mapping) else None
    stack: list[list[Any]] = [[main, bom.get("components")]]
    found: list[str] = []
    while stack:
        for value in stack.pop():
            if isinstance(value, list):
                stack.append(value)
            elif isinstance(value, dict):
                purl = value.get("purl")
                if isinstance(purl, str):
                    found.append(purl)
                if "components" in value:
                    stack.append([value["components"]])
    return found


def _environment(connection: Connection, digest: str, listed: Callable[[], set[Package]]) -> int:
    value = bytes.fromhex(digest)
    found = bulk.ask(connection, _SAME, head=value[: t.HEAD], digest=value)
    if found:
        return int(found[0][0])
    made = connection.execute(insert(t.environment).values(digest=digest)).inserted_primary_key
    number = int(made[0]) if made else 0
    links = [(number, one) for one in sorted(_packages(connection, listed()))]
    bulk.write(connection, t.environment_package, ("environment_id", "package_id"), links)
    return number


@lru_cache(maxsize=16)
def _listed(purls: bytes) -> str:
    """The digest of a list of packages, hex: one BOM after another has the same."""
    return Digest.of(canonical.dumps(sorted(set(orjson.loads(purls))))).value


def _packages(connection: Connection, packages: Iterable[Package]) -> set[int]:
    """The rows of packages, made where they are new."""
    ordered, found = sorted(packages), set[int]()
    for start in range(0, len(ordered), query.BATCH):
        part = ordered[start : start + query.BATCH]
        known = _known(connection, part)
        new = {
            same: (one.key, one.name, one.version)
            for one in part
            if (same := (one.key, one.version)) not in known
        }
        if new:
            rows = list(new.values())
            bulk.write(connection, t.package, ("digest", "name", "version"), rows)
            known = _known(connection, part)
        found.update(known[one.key, one.version] for one in part)
    return found


def _known(connection: Connection, packages: Iterable[Package]) -> dict[tuple[str, str], int]:
    keys = {one.key for one in packages}
    query = _rows().where(t.is_one_of(t.package.c.digest, keys))
    return {(row.digest, row.version): row.id for row in connection.execute(query)}


def _rows() -> Any:
    return select(t.package.c.id, t.package.c.digest, t.package.c.name, t.package.c.version)


def versions(connection: Connection, name: str) -> dict[int, Package]:
    """Every version of a package that some BOM lists."""
    key = bytes.fromhex(key_of(name))
    rows = bulk.ask(connection, _VERSIONS, head=key[: t.HEAD], digest=key)
    return {number: Package(called, version) for number, called, version in rows}


def environments(connection: Connection, packages: Iterable[int]) -> list[int]:
    """The sets of packages that have one of these."""
    asked = (
        "SELECT DISTINCT environment_id FROM environment_package "  # noqa: S608 - ours
        f"WHERE package_id {bulk.AMONG[connection.dialect.name]}"
    )
    listed = bulk.listed(connection, sorted(packages))
    return sorted(one for (one,) in bulk.ask(connection, asked, listed=listed))


def listing(
    connection: Connection, packages: Mapping[int, Package], nodes: Iterable[int] | None = None
) -> list[Listed]:
    """What (of these nodes) has any of these, by the word of which BOMs, in ledger order."""
    parts = [None] if nodes is None else query.batches(nodes)
    found = [one for part in parts for one in _listing(connection, packages, part)]
    return sorted(found, key=lambda one: one.fact.n)


def _listing(
    connection: Connection, packages: Mapping[int, Package], nodes: Sequence[int] | None
) -> list[Listed]:
    held = t.environment_package.join(
        t.packaged, t.packaged.c.environment_id == t.environment_package.c.environment_id
    )
    found: list[Listed] = []
    for part in query.batches(sorted(packages)):
        wanted = (
            query.facts_select(t.subject.c.node_id, t.environment_package.c.package_id)
            .select_from(
                held.join(t.statement, t.statement.c.id == t.packaged.c.statement_id).join(
                    t.subject, t.subject.c.statement_id == t.statement.c.id
                )
            )
            .where(t.environment_package.c.package_id.in_(part))
            .order_by(t.statement.c.id, t.subject.c.position, t.environment_package.c.package_id)
        )
        if nodes is not None:
            wanted = wanted.where(t.subject.c.node_id.in_(nodes))
        found += [
            Listed(row.node_id, packages[row.package_id], query.fact_of(row))
            for row in connection.execute(wanted)
        ]
    return found
