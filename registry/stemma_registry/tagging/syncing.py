"""Bringing the tags of a repository into the ledger. Whoever syncs is a notary.

The syncing key says again, under the tag's NAME:VERSION, what is believed of the artifact already;
moves stages by the gate; and records the tags, as Git has them, with who signed them.
"""

from __future__ import annotations

from stemma_registry.registry import snapshot
from stemma_registry.stages.desk import Desk
from stemma_registry.tagging import recorded
from stemma_registry.tagging.asked import Asked, Synced
from stemma_registry.tagging.planning import Plan, Planner


def sync(desk: Desk, asked: Asked, dry_run: bool = False) -> Synced:
    """Follow the tags that count. Raises LedgerBroken, Unavailable, Overtaken."""
    with snapshot(desk.registry, desk.trust, desk.now) as view:
        known = recorded.read(desk.registry, view, asked.name)
        planner = Planner(view, desk.signer, known, desk.now)
        results, settled = planner.judge(asked.tags.tags)
        gone = known.gone(tag.name for tag in asked.tags.tags)
        done = Synced(Plan(view.n, results, settled, gone))
        if not results:
            return done
        from stemma_registry.tagging import following  # lazily: mostly nothing is new

        said = following.resolve(desk, asked, planner, done.plan)
    if not dry_run:
        following.follow(desk, asked, done, said)
    return done
