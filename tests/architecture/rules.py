"""The rules of the house. Each takes modules and gives complaints, one a line; none is good."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator

from tests.architecture.house import FUNCTIONS, Import, Module

Rule = Callable[[Iterable[Module]], list[str]]

ATTESTATIONS, REGISTRY = "stemma_attestations", "stemma_registry"
MIGRATIONS, CLI = "stemma_migrations", "stemma_cli"
TABLES, SCHEMA = "stemma_registry.catalogue.tables", "stemma_registry.catalogue.schema"

# Package -> what it may import of the house besides itself: packages, or one module.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    ATTESTATIONS: (),
    REGISTRY: (ATTESTATIONS,),
    MIGRATIONS: (TABLES,),
    CLI: (REGISTRY, ATTESTATIONS),
}
# Never importable: source roots are folders, and the rest is not in the wheel.
NOT_PACKAGES = frozenset({"attestations", "registry", "migrations", "cli"}) | {
    "tests",
    "benchmarks",
    "examples",
}

FORBIDDEN_WORD = re.compile(r"(util|helper|common|core|manager|service)s?")
FORBIDDEN_SUFFIX = re.compile(r"(Manager|Service)s?$")

FILE_LINES = 400
FUNCTION_LINES = 70
USUAL_LINES = 30
UNUSUAL_SHARE = 0.1

# What the pure package may not import: disks, networks, clocks, chance, the
# environment, other processes, and the libraries that bring those.
IMPURE = frozenset(
    """
    os posix nt posixpath pathlib tempfile shutil glob fileinput mmap fcntl dbm shelve sqlite3
    zipfile tarfile gzip bz2 lzma linecache tokenize pkgutil importlib importlib.resources
    importlib.metadata importlib.machinery importlib.util runpy
    socket ssl select selectors asyncio socketserver http ftplib smtplib poplib imaplib xmlrpc
    urllib.request urllib.response webbrowser
    time sched signal random secrets subprocess multiprocessing pty platform getpass pwd grp
    locale ctypes sysconfig site
    sqlalchemy alembic boto3 botocore s3transfer requests urllib3 httpx httpcore aiohttp
    pygit2 click rich sigstore tuf in_toto securesystemslib
    """.split()  # noqa: SIM905 - sixty quoted words are harder to read
)
# What it may not name, called or handed on (a `default_factory=datetime.now` is a clock).
IMPURE_NAMES = frozenset(
    """
    open print input breakpoint exec eval __import__
    io.open io.open_code io.FileIO
    datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today
    time.time uuid.uuid1 uuid.uuid4 sys.stdin sys.stdout sys.stderr sys.argv
    """.split()  # noqa: SIM905 - sixty quoted words are harder to read
)
# The one disk read of the pure package: the official CycloneDX schemas are package
# data of the library that brings them, as its code is.
PACKAGE_DATA = {"stemma_attestations.predicates.mlbom_schema": "importlib.resources"}
# The one library of the networked kind that verifies, handed bytes and asked offline: there
# only inside functions, and `tests/sigstore/test_offline.py` holds it to that.
VERIFIES_WITH = {"stemma_attestations.keyless": "sigstore"}

# What may not happen while a module is imported, in any package.
ENVIRONMENT = re.compile(r"os\.environb?(\.|$)")
AT_IMPORT = re.compile(
    r"os\.(getenv|getenvb|getcwd|path\.expanduser|path\.expandvars)"
    r"|pathlib\.Path\.(home|cwd|expanduser)"
    r"|time\.\w+|datetime\.(datetime\.(now|utcnow|today)|date\.today)"
    r"|uuid\.uuid[14]|random\.\w+|secrets\.\w+"
    r"|sqlalchemy\.(\w+\.)*(create_engine|engine_from_config|create_async_engine)"
    r"|boto3\.(\w+\.)*(client|resource|Session)"
    r"|socket\.\w+|subprocess\.\w+|logging\.basicConfig|open"
)


def direction(modules: Iterable[Module]) -> list[str]:
    """cli -> registry -> attestations; migrations -> the tables; one lazy door to migrations."""
    return [
        module.at(found.line, complaint)
        for module in modules
        for found in module.imports
        for complaint in _misdirected(module, found)
    ]


def _misdirected(module: Module, found: Import) -> Iterator[str]:
    target = found.names[0]
    top = target.partition(".")[0]
    if top in NOT_PACKAGES:
        yield f"imports {target}, which is a folder and not a package"
    elif top not in MAY_IMPORT or top == module.package:
        return
    elif top == MIGRATIONS and module.name == SCHEMA:
        if not found.lazy:
            yield f"imports {target} when it is loaded: only inside a function"
    elif not any(_within(name, MAY_IMPORT[module.package]) for name in found.names):
        yield f"{module.package} may not import {target}"


def _within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def cycles(modules: Iterable[Module]) -> list[str]:
    """Circles of imports that happen when modules are loaded; each is shown as its path."""
    known = {module.name: module for module in modules}
    edges = {name: sorted(_loads(module, known)) for name, module in known.items()}
    done: set[str] = set()
    found: list[str] = []
    for start in sorted(edges):
        _walk(start, edges, [], done, found)
    return found


def _loads(module: Module, known: dict[str, Module]) -> set[str]:
    """The modules that loading `module` loads, packages entered on the way included."""
    targets: set[str] = set()
    for found in module.imports:
        target = next((name for name in found.names if name in known), None)
        if target is None or found.lazy or found.typing_only:
            continue
        parts = target.split(".")
        entered = {".".join(parts[:length]) for length in range(1, len(parts))}
        # The packages that `module` is in are being loaded anyway, unless it asks for one by name.
        targets |= {target} | {name for name in entered if not _within(module.name, (name,))}
    return targets & known.keys() - {module.name}


def _walk(
    name: str, edges: dict[str, list[str]], path: list[str], done: set[str], found: list[str]
) -> None:
    if name in path:
        found.append("circle of imports: " + " -> ".join([*path[path.index(name) :], name]))
    elif name not in done:
        for target in edges[name]:
            _walk(target, edges, [*path, name], done, found)
        done.add(name)


def names(modules: Iterable[Module]) -> list[str]:
    """Module, package and class names that say nothing."""
    found = []
    for module in modules:
        words = [word for part in module.name.split(".") for word in part.split("_")]
        found += [
            module.at(1, f"no module is named {word!r}")
            for word in words
            if FORBIDDEN_WORD.fullmatch(word)
        ]
        found += [
            module.at(node.lineno, f"no class is named {node.name}")
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef) and FORBIDDEN_SUFFIX.search(node.name)
        ]
    return found


def sizes(modules: Iterable[Module]) -> list[str]:
    """Files and functions that are too long, and too many functions that nearly are."""
    found, functions, unusual = [], 0, []
    for module in modules:
        length = len(module.text.splitlines())
        if length > FILE_LINES:
            found.append(module.at(length, f"{length} lines, at most {FILE_LINES}"))
        for node in ast.walk(module.tree):
            if not isinstance(node, FUNCTIONS):
                continue
            functions += 1
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                complaint = f"{node.name} has {length} lines, at most {FUNCTION_LINES}"
                found.append(module.at(node.lineno, complaint))
            if length >= USUAL_LINES:
                unusual.append(module.at(node.lineno, f"{node.name} ({length})"))
    if len(unusual) > functions * UNUSUAL_SHARE:
        found.append(
            f"{len(unusual)} of {functions} functions have {USUAL_LINES} lines or more, "
            f"nine in ten must have fewer: {', '.join(unusual)}"
        )
    return found


def purity(modules: Iterable[Module]) -> list[str]:
    """Disk, network, clock, chance and environment in the package that has none of them."""
    found = []
    for module in modules:
        if module.package != ATTESTATIONS:
            continue
        found += [
            module.at(one.line, f"{ATTESTATIONS} is pure and may not import {one.names[0]}")
            for one in module.imports
            if _impure(module, one)
        ]
        found += [
            module.at(node.lineno, f"{ATTESTATIONS} is pure and may not use {meaning}")
            for node, meaning in _used(module, ast.walk(module.tree))
            if meaning in IMPURE_NAMES
        ]
    return found


def _impure(module: Module, found: Import) -> bool:
    allowed = PACKAGE_DATA.get(module.name)
    if allowed is not None and allowed in found.names:
        return False
    library = VERIFIES_WITH.get(module.name)
    if library is not None and (found.lazy or found.typing_only):
        return not any(_within(name, (library,)) for name in found.names) and _brings_in(found)
    return _brings_in(found)


def _brings_in(found: Import) -> bool:
    return any(_within(name, tuple(IMPURE)) for name in found.names) or "?" in found.names


def _used(module: Module, nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.expr, str]]:
    for node in nodes:
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            meaning = module.meaning(node)
            if meaning is not None:
                yield node, meaning


def at_import(modules: Iterable[Module]) -> list[str]:
    """Environment reads, clocks, engines and the like that run when a module is loaded."""
    found = []
    for module in modules:
        nodes = list(_loaded(module.tree))
        called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        found += [
            module.at(node.lineno, f"{meaning} at module level")
            for node, meaning in _used(module, nodes)
            if ENVIRONMENT.match(meaning) or (id(node) in called and AT_IMPORT.fullmatch(meaning))
        ]
    return found


def _loaded(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when a module is loaded: all but the bodies of functions and lambdas."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, FUNCTIONS):
            defaults = [one for one in node.args.kw_defaults if one is not None]
            waiting += [*node.decorator_list, *node.args.defaults, *defaults]
        elif isinstance(node, ast.Lambda):
            waiting += [one for one in node.args.kw_defaults if one is not None]
            waiting += node.args.defaults
        else:
            waiting += ast.iter_child_nodes(node)
