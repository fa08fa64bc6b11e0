"""Each rule of the house refuses small houses that break it, and lets a good one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import house, rules
from tests.architecture.test_house import RULES

LONG_FUNCTION = "def long():\n" + "    x = 1\n" * rules.FUNCTION_LINES
NEARLY_LONG = "def nearly():\n" + "    x = 1\n" * rules.USUAL_LINES


def built(root: Path, files: dict[str, str]) -> list[house.Module]:
    """A house of `files` (package-relative path -> text) with empty packages around them."""
    for folder, package in house.ROOTS.items():
        (root / folder / package).mkdir(parents=True)
        (root / folder / package / "__init__.py").touch()
    folders = {package: folder for folder, package in house.ROOTS.items()}
    for name, text in files.items():
        path = root / folders[name.partition("/")[0]] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(root).parents:
            if len(parent.parts) > 1:
                (root / parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return house.read(root)


A, R, M, C = "stemma_attestations", "stemma_registry", "stemma_migrations", "stemma_cli"

# (rule, files, words of the one complaint)
BAD: list[tuple[rules.Rule, dict[str, str], str]] = [
    (rules.direction, {f"{A}/a.py": "import stemma_registry"}, "a.py:1: stemma_attestations may"),
    (rules.direction, {f"{A}/a.py": "def f():\n    from stemma_cli import x"}, "a.py:2"),
    (
        rules.direction,
        {
            f"{A}/a.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from stemma_registry.blobs import local"
        },
        "stemma_attestations may not import stemma_registry.blobs.local",
    ),
    (
        rules.direction,
        {f"{A}/a.py": "import importlib as i\ni.import_module('stemma_registry.ledger')"},
        "may not import stemma_registry.ledger",
    ),
    (
        rules.direction,
        {f"{A}/a.py": "from importlib import import_module as get\nget(f'stemma_cli.{get}')"},
        "may not import stemma_cli",
    ),
    (rules.direction, {f"{R}/a.py": "from stemma_cli.main import main"}, "may not import stemma_c"),
    (rules.direction, {f"{R}/a.py": "def f():\n    import stemma_migrations"}, "may not import"),
    (
        rules.direction,
        {f"{R}/catalogue/schema.py": "from stemma_migrations import run"},
        "only inside a function",
    ),
    (rules.direction, {f"{M}/a.py": "from stemma_registry.catalogue import query"}, "catalogue.qu"),
    (rules.direction, {f"{M}/a.py": "import stemma_registry.catalogue"}, "may not import"),
    (rules.direction, {f"{M}/a.py": "import stemma_attestations.digest"}, "may not import"),
    (rules.direction, {f"{C}/a.py": "import stemma_migrations.run"}, "may not import"),
    (rules.direction, {f"{C}/a.py": "from registry import stemma_registry"}, "is a folder"),
    (rules.direction, {f"{C}/a.py": "try:\n    pass\nexcept E:\n    import tests"}, "is a folder"),
    (
        rules.cycles,
        {f"{A}/a.py": "import stemma_attestations.b", f"{A}/b.py": "from . import a"},
        "stemma_attestations.a -> stemma_attestations.b -> stemma_attestations.a",
    ),
    (
        rules.cycles,
        {
            f"{R}/a.py": "from stemma_registry.b import x",
            f"{R}/b.py": "if True:\n    from .c import x",
            f"{R}/c.py": "class C:\n    import stemma_registry.a",
        },
        "a -> stemma_registry.b -> stemma_registry.c -> stemma_registry.a",
    ),
    (
        rules.cycles,
        {f"{A}/__init__.py": "from .a import x", f"{A}/a.py": "from stemma_attestations import y"},
        "circle of imports: stemma_attestations -> stemma_attestations.a",
    ),
    (
        rules.cycles,  # b needs only a.y, but Python loads the package a, and that needs b
        {
            f"{R}/a/__init__.py": "import stemma_registry.b.x",
            f"{R}/a/y.py": "",
            f"{R}/b/x.py": "import stemma_registry.a.y",
        },
        "circle of imports",
    ),
    (rules.names, {f"{R}/utils.py": ""}, "no module is named 'utils'"),
    (rules.names, {f"{R}/core/a.py": ""}, "no module is named 'core'"),
    (rules.names, {f"{C}/_git_helpers.py": ""}, "no module is named 'helpers'"),
    (rules.names, {f"{A}/a.py": "def f():\n    class BlobManager: ..."}, "is named BlobManager"),
    (rules.names, {f"{A}/a.py": "class GateServices: ..."}, "is named GateServices"),
    (rules.sizes, {f"{M}/a.py": "x = 1\n" * (rules.FILE_LINES + 1)}, "401 lines, at most 400"),
    (
        rules.sizes,
        {f"{C}/a.py": LONG_FUNCTION + "def short(): ...\n" * 9},
        "long has 71 lines, at most 70",
    ),
    (
        rules.sizes,
        {f"{C}/a.py": NEARLY_LONG * 2 + "async def short(): ...\n" * 17},
        "2 of 19 functions have 30 lines or more",
    ),
    *(
        (rules.purity, {f"{A}/a.py": text}, words)
        for text, words in [
            ("import os", "may not import os"),
            ("import os.path as p", "may not import os.path"),
            ("from pathlib import Path", "may not import pathlib.Path"),
            ("def f():\n    import socket", "a.py:2"),
            ("import time as clock", "may not import time"),
            ("from urllib.request import urlopen", "may not import urllib.request"),
            ("import secrets", "may not import secrets"),
            ("import sqlalchemy.orm", "may not import sqlalchemy.orm"),
            ("def f():\n    from sigstore.verify import Verifier", "may not import sigstore"),
            ("import importlib.resources", "may not import importlib.resources"),
            ("__import__('o' + 's')", "may not"),
            ("open('x')", "may not use open"),
            ("import io\nio.open('x')", "may not use io.open"),
            ("def f():\n    print('x')", "may not use print"),
            ("from datetime import datetime as d\nd.now()", "datetime.datetime.now"),
            ("import datetime\ndef f(now=datetime.date.today): ...", "datetime.date.today"),
            ("import uuid\nf(key=uuid.uuid4)", "uuid.uuid4"),
        ]
    ),
    *(
        (rules.at_import, {f"{R}/a.py": text}, words)
        for text, words in [
            ("import os\nHOME = os.environ['HOME']", "os.environ at module level"),
            ("from os import environ as e\nclass C:\n    x = e.get('X')", "a.py:3"),
            ("import os\nif os.getenv('X'):\n    pass", "os.getenv"),
            ("import os\ndef f(x=os.environ): ...", "os.environ at module level"),
            ("import os\n@f(os.getenv('X'))\ndef g(): ...", "os.getenv"),
            ("import time\nSTART = time.monotonic()", "time.monotonic"),
            ("from datetime import datetime as d\nNOW = d.now()", "datetime.datetime.now"),
            ("from sqlalchemy import create_engine as c\nE = c('x')", "sqlalchemy.create_engine"),
            ("import boto3\nS3 = boto3.client('s3')", "boto3.client"),
            ("from pathlib import Path\nHOME = Path.home()", "pathlib.Path.home"),
            ("f = lambda x=open('y'): x", "open at module level"),
        ]
    ),
]

GOOD = {
    f"{A}/a.py": "from datetime import datetime\nimport io, json, logging, uuid\n"
    "def f(now: datetime):\n    io.BytesIO(); uuid.uuid5(uuid.NAMESPACE_URL, 'x'); now.now\n",
    f"{A}/score.py": "from typing import TYPE_CHECKING\nfrom stemma_attestations import a\n"
    "if TYPE_CHECKING:\n    from stemma_attestations.z import Z\n",
    f"{A}/z.py": "import stemma_attestations.score",
    f"{A}/predicates/mlbom_schema.py": "import importlib.resources",
    f"{R}/catalogue/tables.py": "def f():\n    import stemma_registry.catalogue.schema",
    f"{R}/catalogue/schema.py": "from stemma_registry.catalogue.tables import metadata\n"
    "def up():\n    from stemma_migrations import run",
    f"{R}/a.py": "import os, time\ndef f():\n    return os.environ, time.time(), open('x')\n"
    "g = lambda: time.time()\nfrom stemma_attestations import a\n",
    f"{M}/run.py": "from stemma_registry.catalogue import tables\n"
    "from stemma_registry.catalogue.tables import metadata",
    f"{C}/main.py": "import stemma_registry.a, stemma_attestations.a\nprint('x')\n"
    "class Management: ...\n",
    f"{C}/sizes.py": "x = 1\n" * (rules.FILE_LINES - 71)
    + LONG_FUNCTION.removesuffix("    x = 1\n"),
    f"{C}/short.py": "def short(): ...\n" * 10,
}


def test_a_good_house_has_no_complaints(tmp_path: Path) -> None:
    modules = built(tmp_path, GOOD)
    assert len(modules) == len(GOOD) + len(house.ROOTS) + 2  # and the packages' __init__.py
    assert [complaint for rule in RULES for complaint in rule(modules)] == []


@pytest.mark.parametrize(("rule", "files", "words"), BAD)
def test_a_bad_house_is_refused(
    tmp_path: Path, rule: rules.Rule, files: dict[str, str], words: str
) -> None:
    modules = built(tmp_path, files)
    complaints = rule(modules)
    assert complaints
    assert words in complaints[0]


def test_every_rule_has_a_house_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)
