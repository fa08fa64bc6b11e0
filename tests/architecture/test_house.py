"""The house keeps its rules; `test_rules_bite.py` shows that each of them can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import house, rules

ROOT = Path(__file__).resolve().parents[2]
RULES = (
    rules.direction,
    rules.cycles,
    rules.names,
    rules.sizes,
    rules.purity,
    rules.at_import,
)
HEAVY = ("sqlalchemy", "alembic", "boto3", "botocore", "requests", "pygit2")


@pytest.fixture(scope="module")
def modules() -> list[house.Module]:
    return house.read(ROOT)


def test_every_source_root_has_its_one_package(modules: list[house.Module]) -> None:
    for folder, package in house.ROOTS.items():
        packages = [path.parent.name for path in (ROOT / folder).glob("*/__init__.py")]
        assert packages == [package]
        assert (ROOT / folder / package / "py.typed").is_file()
    assert {module.name for module in modules} >= set(house.ROOTS.values())


def test_declared_exceptions_are_still_needed(modules: list[house.Module]) -> None:
    by_name = {module.name: module for module in modules}
    for name, imported in rules.PACKAGE_DATA.items():
        assert any(imported in found.names for found in by_name[name].imports)
    for name, library in rules.VERIFIES_WITH.items():
        names = [each for found in by_name[name].imports for each in found.names]
        assert any(each.startswith(f"{library}.") for each in names)
    assert rules.SCHEMA in by_name
    assert rules.TABLES in by_name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: rules.Rule, modules: list[house.Module]) -> None:
    complaints = rule(modules)
    assert not complaints, "\n".join(["", *complaints])


def test_verifying_a_bundle_imports_no_database() -> None:
    code = f"""
import json, sys
import stemma_attestations.verify
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    # The four roots come from the installed package or, without one, from here.
    path = os.pathsep.join(str(ROOT / folder) for folder in house.ROOTS)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
