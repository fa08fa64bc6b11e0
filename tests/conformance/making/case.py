"""One case: the folder's files, and the README that says what was done to them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

BUNDLE, TRUST, ARTIFACT, KEY = "bundle.sigstore.json", "trust.yaml", "artifact", "key.pub"
SHARED = "../../roots/"  # trusted roots that many cases share
FAIL = "_fail"
WIDTH = 100


@dataclass(frozen=True)
class Case:
    """A folder. A forged one is its twin but for the files that `differs` names."""

    name: str
    story: str
    files: Mapping[str, bytes]
    asked: Mapping[str, Any]
    check: str = ""
    reason: str = ""
    twin: str = ""
    differs: tuple[str, ...] = field(default=())

    def forged(
        self,
        name: str,
        story: str,
        check: str,
        reason: str,
        files: Mapping[str, bytes] | None = None,
        **asked: Any,
    ) -> Case:
        """The case with one thing bent: it must be refused, by that check and for that reason."""
        changed = dict(files or {})
        assert asked or any(self.files.get(path) != data for path, data in changed.items()), name
        return Case(
            name=name + FAIL,
            story=story,
            files={**self.files, **changed},
            asked={**self.asked, **asked},
            check=check,
            reason=reason,
            twin=self.name,
            differs=(*changed, *(["case.json"] if asked else [])),
        )

    def also_good(self, name: str, story: str, files: Mapping[str, bytes], **asked: Any) -> Case:
        """The case with something changed that changes nothing."""
        both = {**self.files, **files}
        return replace(self, name=name, story=story, files=both, asked={**self.asked, **asked})

    @property
    def is_forged(self) -> bool:
        """Whether it must be refused."""
        return self.name.endswith(FAIL)

    def readme(self) -> str:
        """A few lines for people, in a form that `test_cases` reads."""
        lines = [f"# {self.name}", "", *textwrap.wrap(self.story, WIDTH), ""]
        if not self.is_forged:
            return "\n".join([*lines, "Verdict: pass.", ""])
        differs = ", ".join(f"`{path}`" for path in self.differs)
        return "\n".join(
            [
                *lines,
                f'Verdict: refused, with "{self.reason}".',
                f"Check: `{self.check}`.",
                f"Twin: `{self.twin}`; differs in {differs}.",
                "",
            ]
        )

    def document(self) -> dict[str, Any]:
        """What `case.json` says."""
        verdict = {"expect": "fail" if self.is_forged else "pass"}
        if self.is_forged:
            verdict["reason"] = self.reason
        return {**self.asked, **verdict}

    def write(self, folder: Path) -> None:
        """Write the folder below `folder`."""
        home = folder / self.name
        home.mkdir(parents=True)
        for path, data in self.files.items():
            (home / path).write_bytes(data)
        text = json.dumps(self.document(), indent=2, ensure_ascii=True) + "\n"
        (home / "case.json").write_text(text, encoding="utf-8")
        (home / "README.md").write_text(self.readme(), encoding="utf-8")


def checked(cases: Iterable[Case]) -> list[Case]:
    """The cases, each of which has a name of its own and a twin that passes."""
    listed = list(cases)
    names = [case.name for case in listed]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two cases of one name: {', '.join(sorted(twice))}")
    good = {case.name for case in listed if not case.is_forged}
    alone = [case.name for case in listed if case.is_forged and case.twin not in good]
    if alone:
        raise ValueError(f"no twin that passes: {', '.join(alone)}")
    return listed
