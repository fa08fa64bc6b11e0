"""The options that say what a verdict holds the artifact to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import durations
from stemma_cli.session import Session, read_file

if TYPE_CHECKING:
    from stemma_registry.foreign.layout import Condition
    from stemma_registry.gate import Terms

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class Conditions:
    """What `--policy`, `--layout` and their kin say."""

    policy: str | None = None
    stage: str | None = None
    max_age: str | None = None
    stale_ok: str | None = None
    layout: Path | None = None
    layout_keys: tuple[Path, ...] = ()
    run_inspections: bool = False
    rehash: bool = False

    @property
    def of_layout(self) -> bool:
        """Whether anything is said of a layout."""
        return bool(self.layout or self.layout_keys or self.run_inspections)

    def terms(self, session: Session) -> Terms:
        """For the gate. Raises NotFound, BadSettings, BadPolicy, Malformed, UsageError."""
        from stemma_registry.gate import Terms

        condition = self._condition()
        limit = durations.given(self.max_age)
        return Terms(
            session.policy(self.policy),
            self.stage,
            condition,
            limit,
            self.stale_ok,
            rehash=self.rehash,
        )

    def _condition(self) -> Condition | None:
        if not self.of_layout:
            return None
        if self.layout is None:
            raise click.UsageError("--layout-key and --run-inspections are about a --layout")
        if not self.layout_keys:
            raise click.UsageError("--layout is believed by a key: say whose with --layout-key PUB")
        from stemma_attestations.json_strict import MAX_BYTES
        from stemma_registry.foreign.layout import Condition
        from stemma_registry.signing import MAX_KEY_BYTES

        pems = tuple(read_file(key, MAX_KEY_BYTES) for key in self.layout_keys)
        return Condition(read_file(self.layout, MAX_BYTES), pems, self.run_inspections)


def conditional(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command is called with `conditions`."""

    @click.option(
        "--layout", type=_PATH, help="An in-toto layout that the attached links must satisfy."
    )
    @click.option(
        "--layout-key",
        "layout_keys",
        multiple=True,
        type=_PATH,
        help="A public key (PEM) that must have signed the layout. Repeat.",
    )
    @click.option(
        "--policy", metavar="FILE|NAME", help="What must be true (else the home's policy)."
    )
    @click.option("--stage", metavar="STAGE", help="Where it would be served: prod.")
    @click.option("--max-age", metavar="TIME", help="How old the status may be: 15m, 1h.")
    @click.option("--stale-ok", metavar="REASON", help="Break glass, where the policy permits it.")
    @click.option("--rehash", is_flag=True, help="Read every file, whatever the policy says.")
    @click.option("--run-inspections", is_flag=True, help="Run the layout's inspections: commands.")
    @functools.wraps(command)
    def call(
        *arguments: Any,
        policy: str | None,
        stage: str | None,
        max_age: str | None,
        stale_ok: str | None,
        layout: Path | None,
        layout_keys: tuple[Path, ...],
        run_inspections: bool,
        rehash: bool,
        **others: Any,
    ) -> Any:
        said = Conditions(
            policy, stage, max_age, stale_ok, layout, layout_keys, run_inspections, rehash
        )
        return command(*arguments, conditions=said, **others)

    return call
