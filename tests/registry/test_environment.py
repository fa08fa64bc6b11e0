"""The packages of the environment, which are read once until they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_registry import environment


def install(place: Path, name: str, version: str) -> None:
    folder = place / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_what_is_installed_meanwhile_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # type: ignore[no-untyped-call]
    before = environment.packages()
    assert [one.name for one in before] == sorted({one.name for one in before}, key=plain)
    install(tmp_path, "Some_Thing", "1.2")
    after = environment.packages()
    (new,) = set(after) - set(before)
    assert (new.name, new.version, new.purl) == ("Some_Thing", "1.2", "pkg:pypi/some-thing@1.2")
    assert environment.packages() == after


def plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
