"""run."""

from __future__ import annotations

from pathlib import Path

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--step", "name", required=True, metavar="NAME", help="The step, as the layout has it."
)
@click.option(
    "--material", "materials", multiple=True, metavar="PATH", help="What it uses. Repeat."
)
@click.option("--product", "products", multiple=True, metavar="PATH", help="What it makes. Repeat.")
@click.option("--attach", "ref", metavar="REF", help="Attach the link to this artifact, too.")
@click.option("--sign", metavar="URI", help="The signer, key:FILE (else the key in the home).")
@click.argument("command", metavar="CMD", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def run(
    session: Session,
    name: str,
    materials: tuple[str, ...],
    products: tuple[str, ...],
    ref: str | None,
    sign: str | None,
    command: tuple[str, ...],
) -> None:
    """Run CMD as a step of a supply chain and write its signed in-toto link here.

    Write `--` before CMD. Its exit code is passed on; a step that failed has no link.
    """
    from stemma_registry.foreign import step

    signer = session.key_signer(sign)
    registry = session.open() if ref is not None else None  # before a long step, not after it
    task = step.Task(name, materials, products, command)
    # One JSON document is on stdout, so what the command prints goes elsewhere.
    done = step.run(task, signer, Path.cwd(), stdout=2 if session.json else None)
    entry = None
    if registry is not None and ref is not None and done.path is not None:
        from stemma_registry.foreign.attach import Given, attach

        given = Given([(done.path.name, done.raw)], [signer.public])
        entry = attach(registry, session.trust(), signer, ref, given, session.now).entry
    if session.json:
        output.document(
            {
                "step": name,
                "code": done.code,
                "link": done.path.name if done.path else None,
                "signer": signer.id,
                "entry": entry,
            }
        )
    elif done.path is not None:
        where = f", ledger entry {entry}" if entry is not None else ""
        output.note(f"link: {done.path.name}{where}")
    else:
        output.note(f"stemma: step {name} failed with {done.code}: no link was made")
    click.get_current_context().exit(done.code)
