"""What the house is made of: its modules, what they import, and which names they mean.

Everything is read with `ast`, nothing is imported, so that imports inside
functions, under `TYPE_CHECKING` and by `importlib` are seen like all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# Source root -> the one package in it.
ROOTS = {
    "attestations": "stemma_attestations",
    "registry": "stemma_registry",
    "migrations": "stemma_migrations",
    "cli": "stemma_cli",
}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Import:
    """One import: the modules it may mean, the longest first, and when it happens."""

    names: tuple[str, ...]
    line: int
    lazy: bool
    typing_only: bool


@dataclass(frozen=True)
class Module:
    """One parsed file of the house."""

    name: str
    path: Path
    is_package: bool
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def package(self) -> str:
        """The top-level package, such as `stemma_registry`."""
        return self.name.partition(".")[0]

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self, self.tree.body, lazy=False, typing_only=False))

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Local name -> what it was imported as, wherever in the file that was."""
        return dict(_aliases(self))

    def meaning(self, node: ast.expr) -> str | None:
        """What a name or a chain of attributes means: `clock.time` may be `time.time`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self.aliases.get(node.id, node.id), *reversed(parts)])

    def at(self, line: int, complaint: str) -> str:
        return f"{self.path}:{line}: {complaint}"


def read(root: Path) -> list[Module]:
    """Every module of the four packages below `root`; absent packages have none."""
    return [
        _module(root / folder, package, path)
        for folder, package in ROOTS.items()
        for path in sorted((root / folder / package).rglob("*.py"))
    ]


def _module(source_root: Path, package: str, path: Path) -> Module:
    inside = path.relative_to(source_root).with_suffix("").parts
    is_package = inside[-1] == "__init__"
    name = ".".join(inside[:-1] if is_package else inside)
    shown = Path(source_root.name) / path.relative_to(source_root)
    return Module(name, shown, is_package, path.read_text(encoding="utf-8"))


def _imports(
    module: Module, nodes: list[ast.stmt], *, lazy: bool, typing_only: bool
) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.If) and _asks_for_typing(module, node.test):
            yield from _imports(module, node.body, lazy=lazy, typing_only=True)
            yield from _imports(module, node.orelse, lazy=lazy, typing_only=typing_only)
            continue
        for names in _named(module, node):
            yield Import(names, node.lineno, lazy, typing_only)
        yield from _dynamic(module, node, lazy=lazy)
        inner = lazy or isinstance(node, FUNCTIONS)
        for block in _blocks(node):
            yield from _imports(module, block, lazy=inner, typing_only=typing_only)


def _asks_for_typing(module: Module, test: ast.expr) -> bool:
    return module.meaning(test) == "typing.TYPE_CHECKING"


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The lists of statements directly inside a statement."""
    for field in ("body", "orelse", "finalbody"):
        yield getattr(node, field, [])
    for clause in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
        yield clause.body


def _named(module: Module, node: ast.stmt) -> Iterator[tuple[str, ...]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.name,)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(module, node)
        for alias in node.names:
            yield (f"{base}.{alias.name}", base)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    up = node.level - 1 if module.is_package else node.level
    kept = parts[: len(parts) - up]
    return ".".join([*kept, node.module] if node.module else kept)


def _dynamic(module: Module, node: ast.stmt, *, lazy: bool) -> Iterator[Import]:
    """`import_module(...)` and `__import__(...)`, by as much of the name as is written there."""
    for found in _expressions(node):
        if not isinstance(found, ast.Call) or not found.args:
            continue
        called = module.meaning(found.func)
        if called not in ("importlib.import_module", "__import__", "builtins.__import__"):
            continue
        name = _written(found.args[0])
        yield Import((name,), found.lineno, lazy, typing_only=False)


def _expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Everything in a statement but the statements inside it."""
    waiting: list[ast.AST] = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += [
            child
            for child in ast.iter_child_nodes(current)
            if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case))
        ]


def _written(argument: ast.expr) -> str:
    if isinstance(argument, ast.JoinedStr) and argument.values:
        argument = argument.values[0]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value.rstrip(".")
    return "?"


def _aliases(module: Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
                else:
                    first = alias.name.partition(".")[0]
                    yield first, first
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                yield alias.asname or alias.name, f"{base}.{alias.name}"
