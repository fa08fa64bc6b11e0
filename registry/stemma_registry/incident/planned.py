"""A retrain plan drawn: as plain values, as rows for a terminal, and as blocks of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stemma_registry.config import LIMITS
from stemma_registry.drawing import places
from stemma_registry.incident.blocks import Block, Heading, Items, Paragraph, Table
from stemma_registry.incident.plan import Material, Plan, Recipe, Step, Thing
from stemma_registry.incident.reach import Link

HEADERS = ("#", "MAKE AGAIN", "KIND", "OWNER", "BECAUSE", "WHERE")


def document(plan: Plan) -> dict[str, Any]:
    """One JSON document; the fields are in docs/cli.md."""
    return {
        "entry": plan.entry,
        "bad": [_thing(one) for one in plan.bad],
        "steps": [_step(step) for step in plan.steps],
        "more": plan.more,
        "suspect": [_thing(one) for one in plan.suspect],
        "survives": [_thing(one) for one in plan.survives],
        "survives_more": plan.cut,
        "replaced": [
            {"bad": one.bad, "good": one.good, "problem": one.problem} for one in plan.replaced
        ],
    }


def _thing(one: Thing) -> dict[str, Any]:
    return {
        "name": one.label,
        "digest": str(one.digest),
        "kind": one.kind,
        "because": because(one) or None,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        **_thing(step.thing),
        "after": list(step.after),
        "circle": step.circle,
        "owner": step.owner,
        "owner_believed": step.believed,
        "stages": list(step.stages),
        "deployed": [places.document(one) for one in step.deployed.found],
        "stopped": step.stopped,
        "clean": step.clean,
        "still": step.still,
        "recipe": None if step.recipe is None else _recipe(step.recipe),
    }


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "build": recipe.build,
        "commit": recipe.commit,
        "dirty": recipe.dirty,
        "remote": recipe.remote,
        "parameters": dict(recipe.parameters),
        "materials": [
            {
                "relation": one.relation,
                "name": one.label,
                "digest": str(one.digest),
                "bad": one.bad,
                "step": one.step,
            }
            for one in recipe.materials
        ],
    }


def because(one: Thing) -> str:
    """Why something is on a list."""
    return "" if one.because is None else f"{relation(one.because)} {one.near}"


def relation(link: Link) -> str:
    """The relation, with the file where it is containment."""
    return f"{link.relation} {link.path} of" if link.path else link.relation


def rows(plan: Plan) -> list[list[str]]:
    """The steps for a table with `HEADERS`."""
    return [
        [
            str(step.number) + ("*" if step.circle else ""),
            step.thing.label + mark(step),
            step.thing.kind or "-",
            owner(step),
            because(step.thing),
            where(step),
        ]
        for step in plan.steps
    ]


def mark(step: Step) -> str:
    """What the replacements leave of it."""
    if step.clean is None:
        return ""
    return " (clean)" if step.clean else f" (STILL BAD: {step.still})"


def owner(step: Step) -> str:
    """Who signed its provenance."""
    if step.owner is None:
        return "-"
    return step.owner if step.believed else f"{step.owner} (NOT BELIEVED)"


def where(step: Step) -> str:
    """At which stages it is, and on how many hosts."""
    hosts, found = step.deployed.hosts, list(step.stages)
    if hosts:
        found.append(places.hosts(len(hosts)))
    if len(step.deployed.believed) < len(step.deployed.found):
        found.append("hosts that are not believed")
    return ", ".join(found) or "-"


def headline(plan: Plan) -> str:
    """What is bad, in a line."""
    if not plan.bad:
        return "anything that is known"
    first, others = plan.bad[0], len(plan.bad) - 1
    return first.label + (f" and {others} more that were stopped with it" if others else "")


def notes(plan: Plan) -> list[str]:
    """What is worth knowing about a plan besides its table."""
    found = []
    for one in plan.replaced:
        word = f"does not help: {one.problem}" if one.problem else "replaces it"
        found.append(f"{one.good} for {one.bad}: {word}")
    if plan.more:
        found.append(f"and {plan.more} more steps (--limit)")
    if plan.cut:
        found.append(f"not all that survives is listed: {LIMITS.survivors} at most (a named limit)")
    if any(step.circle for step in plan.steps):
        found.append("* these are said to come from each other: ask their owners what is first")
    return found


def blocks(plan: Plan, level: int = 1) -> list[Block]:
    """The plan as a section of a report."""
    found: list[Block] = [Heading(level, f"What to make again without {headline(plan)}")]
    if not plan.steps:
        found.append(Paragraph("Nothing that is known came from it."))
    else:
        found.append(Table([h.capitalize() for h in HEADERS], rows(plan)))
    found += [Paragraph(note) for note in notes(plan)]
    for step in plan.steps:
        found += [
            Heading(level + 1, f"Step {step.number}: {step.thing.label}"),
            Items(_lines(step)),
        ]
    found += _others(plan, level)
    return found


def _lines(step: Step) -> list[str]:
    recipe, found = step.recipe, [f"digest: {step.thing.digest}"]
    if step.after:
        found.append(f"after steps: {', '.join(map(str, step.after))}")
    if recipe is None:
        return [*found, "how it was made is not known: no provenance of it can be read"]
    found.append(f"build: {recipe.build}")
    if recipe.commit:
        state = ", with changes that were not committed" if recipe.dirty else ""
        place = f" of {recipe.remote}" if recipe.remote else ""
        found.append(f"commit: {recipe.commit}{place}{state}")
    found += [f"parameter {key}: {recipe.parameters[key]}" for key in sorted(recipe.parameters)]
    return found + [f"{one.relation}: {one.label}{_fate(one)}" for one in recipe.materials]


def _fate(one: Material) -> str:
    if one.bad:
        return " (BAD: replace it)"
    return f" (made again in step {one.step})" if one.step else ""


def _others(plan: Plan, level: int) -> list[Block]:
    found: list[Block] = []
    parts: Sequence[tuple[str, Sequence[Thing], str]] = (
        ("What survives", plan.survives, "Nothing else is near."),
        ("On a word that is not believed", plan.suspect, ""),
    )
    for title, things, nothing in parts:
        if not things and not nothing:
            continue
        found.append(Heading(level + 1, title))
        lines = [f"{one.label} ({one.kind or 'no kind'}): {because(one)}" for one in things]
        found.append(Items(lines) if lines else Paragraph(nothing))
    return found
