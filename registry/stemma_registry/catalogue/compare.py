"""Two catalogues held against each other, row by row, in the order of their digests.

Row ids differ between catalogues, so rows are compared by the digests they stand for.
Both sides are read in the same order, so that one row of each is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, func, literal, select, type_coerce

from stemma_attestations.certified import Certified
from stemma_attestations.errors import BadStatement
from stemma_registry.catalogue import columns
from stemma_registry.catalogue import tables as t

AT_ONCE = 1_000  # rows that a query holds
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """Rows of one kind. The first `key` columns say which row it is, the first of all whose."""

    name: str
    key: int
    columns: tuple[str, ...]
    query: Select[Any]


@dataclass(frozen=True)
class Difference:
    """A row that is in one of the catalogues only, or is another one in the other.

    `blob` is the digest (hex) of the bundle or manifest that says it. `ours` is the
    row in the catalogue that is examined, `fresh` in the one it is held against.
    """

    kind: str
    columns: tuple[str, ...]
    blob: str
    ours: Row | None
    fresh: Row | None

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Column -> what it says, and what it should say; empty where a row is missing."""
        if self.ours is None or self.fresh is None:
            return {}
        pairs = zip(self.columns, self.ours, self.fresh, strict=True)
        return {name: (a, b) for name, a, b in pairs if a != b}

    def __str__(self) -> str:
        if self.ours is None:
            return f"the catalogue lacks {self.kind} {_row(self.fresh)}"
        if self.fresh is None:
            return f"the catalogue has {self.kind} {_row(self.ours)} that nothing says"
        texts = [f"{n} {_text(a)}, not {_text(b)}" for n, (a, b) in self.changed.items()]
        return f"the catalogue says of {self.kind}: {'; '.join(texts)}"


def differences(ours: Connection, fresh: Connection) -> Iterator[Difference]:
    """All of them, by kind. Raises TypeError, ValueError where a value is of another type."""
    for kind in _kinds():
        yield from _merged(kind, ours, fresh)
    yield from _identities(ours)


def _merged(kind: Kind, ours: Connection, fresh: Connection) -> Iterator[Difference]:
    left, right = _rows(kind, ours), _rows(kind, fresh)
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        order = _order(kind, a, b)
        if order == 0 and a != b:
            yield Difference(kind.name, kind.columns, str((a or b or ("",))[0]), a, b)
        elif order < 0 and a is not None:
            yield Difference(kind.name, kind.columns, str(a[0]), a, None)
        elif order > 0 and b is not None:
            yield Difference(kind.name, kind.columns, str(b[0]), None, b)
        a = next(left, None) if order <= 0 else a
        b = next(right, None) if order >= 0 else b


def _order(kind: Kind, a: Row | None, b: Row | None) -> int:
    """Whether `a` comes before `b` (negative), behind it, or is the row of the same key."""
    if a is None or b is None:
        return 1 if a is None else -1
    x, y = (_sortable(row[: kind.key]) for row in (a, b))
    return (x > y) - (x < y)


def _sortable(values: Sequence[Any]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is not None, value) for value in values)


def _rows(kind: Kind, connection: Connection) -> Iterator[Row]:
    found = connection.execution_options(yield_per=AT_ONCE).execute(kind.query)
    for row in found:
        yield tuple(row)


def _identities(ours: Connection) -> Iterator[Difference]:
    """Identities that are not what their id is the digest of."""
    query = select(t.identity.c.id, t.identity.c.document).order_by(t.identity.c.id)
    for row in ours.execution_options(yield_per=AT_ONCE).execute(query):
        try:
            real = Certified.parse(row.document.encode()).id
        except BadStatement:
            real = "nothing that can be read"
        if real != row.id:
            columns = ("id", "document")
            yield Difference("identity", columns, row.id, (real, ""), (row.id, ""))


def _kinds() -> tuple[Kind, ...]:
    return (
        *(_statements(), _dated(), _subjects(), _edges(), _named(), _versions()),
        *(_deployments(), _stages(), _halts()),
        *_packages(),
        *_status(),
        *_acts(),
        *_files(),
        *_tensors(),
    )


def _kind(name: str, key: int, tables: Any, /, **columns: ColumnElement[Any]) -> Kind:
    query = select(*columns.values()).select_from(tables).order_by(*columns.values())
    return Kind(name, key, tuple(columns), query)


def _word(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A coded text as it is kept: databases sort by that, and any letter can be read."""
    return type_coerce(column, Text)


def _statements() -> Kind:
    c = t.statement.c
    return _kind(
        "statement",
        1,
        t.statement,
        bundle=c.bundle,
        predicate_type=_word(c.predicate_type),
        signer=c.signer,
        root=c.root,
        signed=c.signed,
        n=c.n,
        time=c.time,
        heard=c.heard,
    )


def _dated() -> Kind:
    c = t.dated.c
    tables = t.dated.join(t.statement, t.statement.c.id == c.statement_id)
    return _kind("time", 2, tables, bundle=t.statement.c.bundle, root=c.root, signed=c.signed)


def _subjects() -> Kind:
    c, node = t.subject.c, t.node
    tables = t.subject.join(t.statement, t.statement.c.id == c.statement_id).join(
        node, node.c.id == c.node_id
    )
    return _kind(
        "subject",
        2,
        tables,
        bundle=t.statement.c.bundle,
        position=c.position,
        scheme=_word(node.c.scheme),
        digest=node.c.value,
        name=c.name,
        version=c.version,
        path=c.path,
    )


def _edges() -> Kind:
    c, source, target = t.edge.c, t.node.alias("source"), t.node.alias("target")
    tables = (
        t.edge.join(t.statement, t.statement.c.id == c.statement_id)
        .join(source, source.c.id == c.input_id)
        .join(target, target.c.id == c.output_id)
    )
    return _kind(
        "edge",
        6,
        tables,
        bundle=t.statement.c.bundle,
        output_scheme=_word(target.c.scheme),
        output=target.c.value,
        input_scheme=_word(source.c.scheme),
        input=source.c.value,
        relation=_word(c.relation),
        input_name=c.input_name,
        mark=_word(c.mark),
    )


def _named() -> Kind:
    c = t.named.c
    tables = t.named.join(t.node, t.node.c.id == c.node_id)
    return _kind(
        "thing", 2, tables, digest=t.node.c.value, scheme=_word(t.node.c.scheme), text=c.text
    )


def _versions() -> Kind:
    c = t.version.c
    tables = t.version.join(t.statement, t.statement.c.id == c.statement_id).join(
        t.node, t.node.c.id == c.artifact_id
    )
    return _kind(
        "name",
        4,
        tables,
        bundle=t.statement.c.bundle,
        name=c.name,
        version=c.version,
        artifact=t.node.c.value,
        kind=c.kind,
        definition=c.definition,
    )


def _deployments() -> Kind:
    c = t.deployment.c
    tables = t.deployment.join(t.statement, t.statement.c.id == c.statement_id)
    return _kind(
        "deployment",
        1,
        tables,
        bundle=t.statement.c.bundle,
        host=c.host,
        service=c.service,
        stage=c.stage,
        state=c.state,
        instance=c.instance,
        since=c.since,
        issued=c.issued,
        until=c.until,
    )


def _stages() -> Kind:
    c = t.stage.c
    tables = t.stage.join(t.statement, t.statement.c.id == c.statement_id).join(
        t.node, t.node.c.id == c.artifact_id
    )
    return _kind(
        "stage",
        1,
        tables,
        bundle=t.statement.c.bundle,
        payload=c.payload,
        name=c.name,
        version=c.version,
        stage=c.stage,
        action=c.action,
        artifact=t.node.c.value,
        previous=c.previous,
        verdict=c.verdict,
        reason=c.reason,
        issued=c.issued,
    )


def _packages() -> tuple[Kind, Kind]:
    bundle, environment = t.statement.c.bundle, t.environment.c.digest
    lists = t.packaged.join(t.statement, t.statement.c.id == t.packaged.c.statement_id).join(
        t.environment, t.environment.c.id == t.packaged.c.environment_id
    )
    link, c = t.environment_package, t.package.c
    listed = link.join(t.environment, t.environment.c.id == link.c.environment_id).join(
        t.package, c.id == link.c.package_id
    )
    return (
        _kind("list of packages", 1, lists, bundle=bundle, environment=environment),
        _kind(
            "package",
            3,
            listed,
            environment=environment,
            key=c.digest,
            version=c.version,
            name=c.name,
        ),
    )


def _status() -> tuple[Kind, Kind]:
    c, lifted = t.status.c, t.lifted.c
    acts = t.status.join(t.statement, t.statement.c.id == c.statement_id)
    lifts = t.lifted.join(t.statement, t.statement.c.id == lifted.statement_id)
    bundle = t.statement.c.bundle
    return (
        _kind(
            "status",
            1,
            acts,
            bundle=bundle,
            action=c.action,
            payload=c.payload,
            reason=c.reason,
            issued=c.issued,
        ),
        _kind("release", 2, lifts, bundle=bundle, lifts=lifted.payload),
    )


def _acts() -> tuple[Kind, Kind]:
    c, waiver, bundle = t.criterion.c, t.waiver.c, t.statement.c.bundle
    rules = t.criterion.join(t.statement, t.statement.c.id == c.statement_id)
    waivers = t.waiver.join(t.statement, t.statement.c.id == waiver.statement_id)
    return (
        _kind("criterion", 1, rules, bundle=bundle, document=c.document),
        _kind(
            "waiver",
            1,
            waivers,
            bundle=bundle,
            quarantine=waiver.quarantine,
            until=waiver.until,
            reason=waiver.reason,
        ),
    )


def _halts() -> Kind:
    c, node = t.halt.c, t.node
    tables = t.halt.join(node, node.c.id == c.node_id, isouter=True)
    value = func.coalesce(node.c.value, literal("", columns.HexBytes))  # node 0 is none
    scheme = func.coalesce(_word(node.c.scheme), "")
    return _kind("halt", 3, tables, node=value, scheme=scheme, inside=c.inside)


def _files() -> tuple[Kind, Kind, Kind]:
    c, blob, owner = t.manifest_entry.c, t.node.alias("blob"), t.node.alias("owner")
    files, made = (
        table.join(owner, owner.c.id == table.c.artifact_id).join(
            blob, blob.c.id == table.c.blob_id
        )
        for table in (t.manifest_entry, t.made)
    )
    a, artifacts = t.artifact.c, t.artifact.join(t.node, t.node.c.id == t.artifact.c.id)
    value = t.node.c.value
    return (
        _kind("artifact", 1, artifacts, artifact=value, size=a.size, files=a.files, n=a.n),
        _kind("made", 2, made, artifact=owner.c.value, file=blob.c.value),
        _kind(
            "file", 2, files, artifact=owner.c.value, path=c.path, blob=blob.c.value, size=c.size
        ),
    )


def _tensors() -> tuple[Kind, Kind]:
    table, row, said = t.tensor_table, t.tensor_row, t.tensor_said
    tables = (
        said.join(t.statement, t.statement.c.id == said.c.statement_id)
        .join(table, table.c.id == said.c.table_id)
        .join(t.node, t.node.c.id == table.c.artifact_id)
    )
    rows = row.join(table, table.c.id == row.c.table_id).join(
        t.tensor, t.tensor.c.id == row.c.tensor_id
    )
    return (
        _kind(
            "tensors",
            1,
            tables,
            bundle=t.statement.c.bundle,
            table=table.c.digest,
            artifact=t.node.c.value,
            size=table.c.size,
        ),
        _kind(
            "tensor",
            3,
            rows,
            table=table.c.digest,
            digest=t.tensor.c.digest,
            size=t.tensor.c.size,
        ),
    )


def _row(row: Row | None) -> str:
    return ", ".join(_text(value) for value in (row or ())[1:] if value is not None)


def _text(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 64 else f"{text[:60]}..."
