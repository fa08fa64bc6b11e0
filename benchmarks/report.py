"""The report: a line of ratios for each thing compared, in Markdown and in JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import Line

COLUMNS = (
    "| | seconds: median (lowest to highest) | ours is so many times its time "
    "| with its fsync | CPU s | of the server | peak MB |"
)
MEMORY = 300_000_000  # bytes: the goal for every command


def machine(work: Path) -> dict[str, str]:
    """What the numbers depend on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    disk = subprocess.run(
        ["stat", "-f", "-c", "%T", str(work)], capture_output=True, text=True, check=True
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "load at the start": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "file system": disk.stdout.strip(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


class Report:
    """Collects lines, prints each as it comes, and writes them all."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.facts = facts
        self.lines: list[Line] = []
        self.remarks: dict[str, list[str]] = {}

    def add(self, line: Line) -> None:
        """Take a line, and print it."""
        self.lines.append(line)
        print("\n".join(section(line)), flush=True)

    def remark(self, title: str, lines: Iterable[str]) -> None:
        """A section of plain lines."""
        self.remarks[title] = list(lines)
        print("\n".join(["", f"### {title}", "", *self.remarks[title], ""]), flush=True)

    def markdown(self) -> str:
        """The whole report."""
        parts = [f"- {name}: {value}" for name, value in self.facts.items()] + [""]
        parts += summary(self.lines)
        for line in self.lines:
            parts += section(line)
        for title, lines in self.remarks.items():
            parts += [f"### {title}", "", *lines, ""]
        return "\n".join(parts)

    def document(self) -> dict[str, Any]:
        """The whole report with every sample."""
        return {
            "facts": self.facts,
            "lines": [{**asdict(line), "verdicts": verdicts(line)} for line in self.lines],
            "remarks": self.remarks,
        }

    def write(self, folder: Path, name: str) -> None:
        """Both forms into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(self.markdown())
        (folder / f"{name}.json").write_text(json.dumps(self.document(), indent=1) + "\n")


def summary(lines: Iterable[Line]) -> list[str]:
    """One row for every goal."""
    rows = ["| work | data | goal | found | |", "|---|---|---|---|---|"]
    for line in lines:
        for goal, found, met in verdicts(line):
            rows.append(f"| {line.work} | {line.data} | {goal} | {found} | {_said(met)} |")
    return [*rows, ""]


def verdicts(line: Line) -> list[tuple[str, str, bool | None]]:
    """Every goal of a line, what was found (the median counts), and whether it was reached.

    None: our start is all there was, which decides nothing.
    """
    found: list[tuple[str, str, bool | None]] = []
    if line.goal is not None:
        floors = [name for name, role in line.roles.items() if role == "floor"]
        nearest = min(floors, key=line.median)
        ratios = line.ratios(nearest)
        text = f"{spread(ratios)} x of {nearest}"
        if any(s.extra for s in line.samples[nearest]):
            text += f"; with its fsync {spread(line.ratios(nearest, durable=True))} x"
        met = statistics.median(ratios) <= line.goal
        found.append((f"within {line.goal:.2f} x", text, met))
        if line.start is not None:
            bare = {name: line.bare(name) for name in floors}
            known = {name: seconds for name, seconds in bare.items() if seconds is not None}
            net = line.ratios(min(known, key=known.__getitem__), net=True)
            decided = None if line.is_start_all else statistics.median(net) <= line.goal
            found.append((f"within {line.goal:.2f} x", without_start(line, net), decided))
    if line.peer_goal is not None:
        for name, role in line.roles.items():
            if role == "peer":
                ratios = [1 / r for r in line.ratios(name, durable=True)]
                text = f"{spread(ratios)} x faster than {name}"
                if any(s.extra for s in line.samples[name]):
                    text += ", at equal durability"
                met = statistics.median(ratios) >= line.peer_goal
                found.append((f"{line.peer_goal:g} x faster", text, met))
    peak = max((s.rss for s in line.samples[line.ours]), default=0)
    if peak:
        found.append(("under 300 MB", f"{peak / 1e6:.0f} MB peak", peak < MEMORY))
    return found


def section(line: Line) -> list[str]:
    """Everything that was measured of one line."""
    shown = [
        "",
        f"### {line.work}: {line.data}",
        "",
        COLUMNS,
        "|---|---|---|---|---|---|---|",
    ]
    for name, samples in line.samples.items():
        ratio = durable = "-"
        if line.roles[name] != "ours":
            ratio = spread(line.ratios(name))
            if line.start is not None and line.bare(name) is not None:
                ratio += f"; {without_start(line, line.ratios(name, net=True))}"
        if any(s.extra is not None for s in samples):
            extra = statistics.median(s.extra or 0.0 for s in samples)
            durable = f"{spread(line.ratios(name, durable=True))} (+ {extra:.2f} s)"
        cpu = statistics.median(s.cpu for s in samples)
        servers = [s.server for s in samples if s.server is not None]
        server = f"{statistics.median(servers):.2f}" if servers else "-"
        rss = max(s.rss for s in samples)
        mark = {
            "ours": "**ours**",
            "floor": "floor",
            "peer": "peer",
            "other": "beside",
            "start": "our start",
        }
        shown.append(
            f"| {mark[line.roles[name]]}: {name} | {_times(samples)} | {ratio} | {durable} "
            f"| {cpu:.2f} | {server} | {f'{rss / 1e6:.0f}' if rss else '-'} |"
        )
    shown.append("")
    shown += [f"- {note}" for note in line.notes]
    return [*shown, ""]


def without_start(line: Line, net: Sequence[float]) -> str:
    """Ratios of both without their starts, where ours leaves something to be measured."""
    if line.is_start_all:
        return "without the start too little to measure"
    return f"{spread(net)} x without the start"


def _times(samples: Sequence[Any]) -> str:
    walls = [s.wall for s in samples]
    digits = 2 if max(walls) >= 1 else 4
    return (
        f"{statistics.median(walls):.{digits}f} "
        f"({min(walls):.{digits}f} to {max(walls):.{digits}f})"
    )


def _said(met: bool | None) -> str:
    if met is None:
        return "too small to say"
    return "reached" if met else "**missed**"
