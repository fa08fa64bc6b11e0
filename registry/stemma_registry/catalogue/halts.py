"""Where a walk upward may meet a quarantine: a small table, so that most walks end at once.

A node is in it that some statement quarantines, whoever signed it and whatever was
released since, and an artifact that has such a node as a file. Nobody is believed
here: a verdict asks whether *any* edge leads up to one of these, and only where one
does it asks whose words those are (see `lineage.status`). What criteria stop is in no
table: what may be, by those in force, is looked for in the same walk (`lineage.sought`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from stemma_attestations.predicates import status
from stemma_registry.catalogue import bulk, made, query
from stemma_registry.catalogue.facts import by_signers
from stemma_registry.catalogue.prepared import AT_ONCE

EVERYWHERE = 0  # no node's id: a status that may reach anything, by what this version knows
INERT = frozenset({status.RELEASE, status.ERASE})  # they stop nothing

_TARGETS = """
INSERT INTO halt (node_id, inside)
SELECT node_id, 0 FROM subject WHERE statement_id = :row
ON CONFLICT DO NOTHING
"""
_HOLDERS = """
INSERT INTO halt (node_id, inside)
SELECT e.artifact_id, 1 FROM manifest_entry e JOIN subject s ON s.node_id = e.blob_id
WHERE s.statement_id = :row
ON CONFLICT DO NOTHING
"""
_HOLDER = """
INSERT INTO halt (node_id, inside)
SELECT DISTINCT e.artifact_id, 1 FROM manifest_entry e
JOIN halt h ON h.node_id = e.blob_id AND h.inside = 0
WHERE e.artifact_id = :artifact
ON CONFLICT DO NOTHING
"""
_OF_PLACES = """
SELECT node_id FROM halt WHERE inside = 0 AND node_id {among}
UNION SELECT h.node_id FROM halt a JOIN manifest_entry e ON e.artifact_id = a.node_id
JOIN halt h ON h.node_id = e.blob_id AND h.inside = 0 WHERE a.inside = 1 AND a.node_id {among}
"""
_EVERYWHERE = "INSERT INTO halt (node_id, inside) VALUES (0, 0) ON CONFLICT DO NOTHING"

# `at` counts what was met, so that a walk that is too long ends. Both databases stop at the
# first row: a join with `halt`, an aggregate or an order would make the whole closure first.
_END = """
SELECT 1 FROM (SELECT id, row_number() OVER () AS at FROM above) AS met
WHERE met.at > :budget"""
_AMONG = {
    "sqlite": "SELECT met.id FROM (SELECT value AS id FROM json_each(:nodes)) AS met WHERE ",
    "postgresql": "SELECT met.id FROM unnest((SELECT CAST(:nodes AS bigint[]))) AS met(id) WHERE ",
}
_HALTED = "EXISTS (SELECT 1 FROM halt WHERE halt.node_id = met.id)"
# No index on `environment_id`, which would find all that has a package, for each node.
_HAS = """
EXISTS (SELECT 1 FROM subject b JOIN packaged p ON p.statement_id = b.statement_id
WHERE b.node_id = met.id AND +p.environment_id {among})
"""
_HAS_IN_FILE = """
EXISTS (SELECT 1 FROM made f JOIN subject b ON b.node_id = f.blob_id
JOIN packaged p ON p.statement_id = b.statement_id
WHERE f.artifact_id = met.id AND +p.environment_id {among})
"""
_LATER = """
EXISTS (SELECT 1 FROM artifact a JOIN version v ON v.artifact_id = a.id
WHERE a.id = met.id AND a.n > :since AND v.kind = 'dataset')
"""
_SIGNED = """
EXISTS (SELECT 1 FROM version v JOIN statement s ON s.id = v.statement_id
WHERE v.artifact_id = met.id AND ({signed}))
"""
_SQLITE = """
WITH RECURSIVE above(id) AS (
 VALUES (:first), (:node)
 UNION SELECT edge.input_id FROM above CROSS JOIN edge ON edge.output_id = above.id
 UNION SELECT e.artifact_id FROM above CROSS JOIN manifest_entry e ON e.blob_id = above.id
 {made}
 {most}) """
_MADE = f"UNION SELECT edge.input_id FROM above CROSS JOIN {made.UP[0]}".format(near="above.id")  # noqa: S608
# One recursive part, and no more.
_POSTGRESQL = f"""
WITH RECURSIVE above(id) AS (
 SELECT * FROM (VALUES (CAST(:first AS bigint)), (CAST(:node AS bigint))) AS first
 UNION SELECT up.id FROM above CROSS JOIN LATERAL (
  SELECT edge.input_id AS id FROM edge WHERE edge.output_id = above.id
  UNION ALL SELECT e.artifact_id FROM manifest_entry e WHERE e.blob_id = above.id
  UNION ALL SELECT edge.input_id FROM {made.BOTH} WHERE {made.UP[1]} = above.id) AS up
) """  # noqa: S608 - ours
# By whether there are files that came from something (see `made`).
_QUERIES = {
    ("sqlite", False): _SQLITE.format(made="", most=""),
    ("sqlite", True): _SQLITE.format(made=_MADE, most=""),
    ("postgresql", True): _POSTGRESQL,
}
_COUNTED = "SELECT count(*), total({met}) FROM above AS met"
# Where few are looked at, SQLite counts them afterwards: to number rows as they come takes as
# long as the walk.
_FEW = {
    is_made: _SQLITE.format(made=_MADE if is_made else "", most="LIMIT :budget + 1") + _COUNTED
    for is_made in (False, True)
}
_FEW_HALTED = {is_made: few.format(met=_HALTED) for is_made, few in _FEW.items()}


@dataclass(frozen=True)
class Sought:
    """What a walk may meet beside the places of the table, because of criteria.

    Artifacts to which one of these signers (ids), or any identity, gave a name, and what a BOM
    of one of these `environment`s is about, or about a file of; datasets that came after entry
    `since`.
    """

    signers: tuple[str, ...] = ()
    identities: bool = False
    environments: tuple[int, ...] = ()
    since: int | None = None


def any_above(connection: Connection, node: int, budget: int, sought: Sought | None = None) -> bool:
    """Whether some edge, whatever it is worth, leads from `node` up to a place of the table.

    With what is `sought`, up to that too, and not where only some criterion may reach all there
    is. Also where more than `budget` nodes are above it: then that is for a slower walk to say.
    """
    first = EVERYWHERE if sought is None else node
    asked, values = question(connection, sought or Sought())
    return bool(bulk.ask(connection, asked, first=first, node=node, budget=budget, **values))


def any_near(connection: Connection, node: int, budget: int, sought: Sought | None = None) -> bool:
    """The same, quicker for a small `budget`: on SQLite it is not left at the first that is met."""
    if connection.dialect.name != "sqlite":
        return any_above(connection, node, budget, sought)
    is_made, values = made.are_there(connection), {"first": EVERYWHERE}
    asked = _FEW_HALTED[is_made]
    if sought is not None:
        conditions, values = _conditions(connection, sought)
        asked, values["first"] = _FEW[is_made].format(met=" OR ".join(conditions)), node
    ((count, halted),) = bulk.ask(connection, asked, node=node, budget=budget, **values)
    return bool(halted) or count > budget


def among(connection: Connection, nodes: set[int], sought: Sought | None = None) -> set[int]:
    """Those of the nodes that are places of the table, or what is `sought`."""
    conditions, values = _conditions(connection, sought or Sought())
    found, most = set[int](), len(nodes)
    places = bulk.ask(connection, "SELECT node_id FROM halt LIMIT :most", most=most)
    if len(places) < most:  # mostly there are few
        found = nodes.intersection(place for (place,) in places)
        del conditions[0]
    if not conditions:
        return found
    asked = _AMONG[connection.dialect.name] + " OR ".join(conditions)
    for part in query.batches(nodes, AT_ONCE):
        rows = bulk.ask(connection, asked, nodes=bulk.listed(connection, part), **values)
        found.update(node for (node,) in rows)
    return found


def targets(connection: Connection, places: Collection[int]) -> set[int]:
    """What is quarantined of these places of the table: themselves, or files of theirs."""
    asked, found = _OF_PLACES.format(among=bulk.AMONG[connection.dialect.name]), set[int]()
    for part in query.batches(places, AT_ONCE):
        rows = bulk.ask(connection, asked, listed=bulk.listed(connection, part))
        found.update(node for (node,) in rows)
    return found


def question(connection: Connection, sought: Sought) -> tuple[str, dict[str, Any]]:
    """What `any_above` asks, and its values but for `first`, `node` and `budget`."""
    conditions, values = _conditions(connection, sought)
    met = " OR ".join(conditions)
    return f"{_above(connection)} {_END} OR {met} LIMIT 1", values


def _above(connection: Connection) -> str:
    """What begins a query with `above`: all that is above `:first` and `:node`, and these."""
    return _QUERIES[connection.dialect.name, made.are_there(connection)]


def upstream(connection: Connection, start: int, limit: int) -> set[int]:
    """Everything above a node along any edge, also one into a file of an artifact.

    And the artifacts that inputs are files of. More than any walk can reach, by one query that
    stops behind `limit` nodes.
    """
    asked = f"{_above(connection)} SELECT id FROM above LIMIT :limit"  # noqa: S608
    return {node for (node,) in bulk.ask(connection, asked, first=start, node=start, limit=limit)}


def _conditions(connection: Connection, sought: Sought) -> tuple[list[str], dict[str, Any]]:
    """When a node was `met`: because of the table, and because of what is sought."""
    found, values = [_HALTED], dict[str, Any]()
    if sought.environments:
        has = (_HAS, _HAS_IN_FILE) if made.are_there(connection) else (_HAS,)
        found += [one.format(among=bulk.AMONG[connection.dialect.name]) for one in has]
        values["listed"] = bulk.listed(connection, list(sought.environments))
    if sought.since is not None:
        found.append(_LATER)
        values["since"] = sought.since
    signed, keys = by_signers(sought.signers, identities=sought.identities)
    if signed:
        found.append(_SIGNED.format(signed=signed))
        values |= keys
    return found, values


def is_anywhere(connection: Connection) -> bool:
    """Whether there is a status that may reach anything."""
    asked = "SELECT 1 FROM halt WHERE node_id = :node"
    return bool(bulk.ask(connection, asked, node=EVERYWHERE))


def of_status(connection: Connection, row: int, action: str) -> None:
    """Note what a status statement may stop; its subjects are there."""
    if action == status.QUARANTINE:
        of_targets(connection, row)
    elif action not in INERT:
        bulk.run(connection, _EVERYWHERE)


def of_targets(connection: Connection, row: int) -> None:
    """Note what a status names; its subjects are there."""
    bulk.run(connection, _TARGETS, row=row)
    bulk.run(connection, _HOLDERS, row=row)


def of_artifact(connection: Connection, artifact: int) -> None:
    """Note an artifact that came after one of its files was quarantined; its files are there."""
    if bulk.ask(connection, "SELECT 1 FROM halt LIMIT 1"):
        bulk.run(connection, _HOLDER, artifact=artifact)
