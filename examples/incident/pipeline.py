"""The training team's jobs: fetch the inputs, run a script, push what came out.

A job touches the registry as any training job would: `stemma pull` for its inputs,
so that the bytes trained on are the bytes recorded, and `stemma push` for its
output, naming those inputs again.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transcript import (
    WIDTH,
    Command,
    DemoFailed,
    Transcript,
    python,
    show_command,
    show_output,
    stemma,
)

HELDOUT = "data/digits-heldout:1"
FIELD = "data/digits-field:1"
MINIMUM_INK = {"minimum-ink": "250"}
SHOWN_DIGITS = 12  # of a digest, in lines that only remind


def folder_of(reference: str) -> str:
    """`models/digits-base:1` is kept in a folder `digits-base-1`."""
    return reference.rsplit("/", 1)[-1].replace(":", "-")


def shard(letter: str) -> str:
    """The reference of a raw shard."""
    return f"data/digits-shard-{letter}:1"


@dataclass(frozen=True)
class Job:
    """One step of training. `inputs` are (relation, reference); `script` starts the command line.

    Parameters are given to the script as options and to Stemma as `--param`.
    """

    output: str
    kind: str
    build: str
    inputs: Sequence[tuple[str, str]]
    script: Sequence[str]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where the output is written."""
        return f"outputs/{folder_of(self.output)}"

    def training(self) -> Command:
        """The script's command line."""
        options = [word for k, v in self.parameters.items() for word in (f"--{k}", v)]
        if any(relation == "evaluated-on" for relation, _ in self.inputs):
            options += ["--heldout", fetched(HELDOUT)]
        return python(*self.script, *options, "--out", self.folder)

    def push(self, *options: str) -> Command:
        """`stemma push`, with everything that went in."""
        words = ["push", self.folder, self.output, "--kind", self.kind]
        words += ["--build-type", self.build]
        words += [word for r, ref in self.inputs for word in ("--input", f"{r}={ref}")]
        words += [word for k, v in self.parameters.items() for word in ("--param", f"{k}={v}")]
        return stemma(*options, *words)


def fetched(reference: str) -> str:
    """Where a job finds an input it has pulled."""
    return f"inputs/{folder_of(reference)}"


class Pipeline:
    """Runs jobs; `digests` holds what was pushed, by reference."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self.digests: dict[str, str] = {}

    def receive(self, names: Sequence[str]) -> None:
        """Push raw deliveries as they arrived; the first one is shown in full."""
        pushes = {f"data/{name}:1": f"incoming/{name}" for name in names}
        words = {ref: ("push", path, ref, "--kind", "dataset") for ref, path in pushes.items()}
        first = next(iter(words))
        self._transcript.run(stemma(*words[first]))
        results = self._transcript.all_quietly([stemma("--json", *w) for w in words.values()])
        print()
        for reference, result in zip(words, results, strict=True):
            outcome = "unchanged" if reference == first else "created"
            self._keep(reference, result.document, outcome)
            print(f"  {reference:<26} {self.digests[reference][: 7 + SHOWN_DIGITS]}", flush=True)

    def pulls(self, *jobs: Job) -> list[Command]:
        """What fetches the inputs that are not there yet, each of them once."""
        references = dict.fromkeys(reference for job in jobs for _, reference in job.inputs)
        missing = [r for r in references if not (self._transcript.folder / fetched(r)).exists()]
        return [stemma("pull", reference, fetched(reference)) for reference in missing]

    def run(self, *jobs: Job) -> None:
        """Fetch, train, push; show the training and one line on what was pushed.

        The jobs do not need each other's outputs: they run side by side.
        """
        self._transcript.all_quietly(self.pulls(*jobs))
        trained = self._transcript.all_quietly([job.training() for job in jobs])
        pushed = self._transcript.all_quietly([job.push("--json") for job in jobs])
        for job, training, push in zip(jobs, trained, pushed, strict=True):
            self._keep(job.output, push.document, "created")
            show_command(training.command)
            show_output(training)
            origins = ", ".join(f"{r} {ref}" for r, ref in job.inputs if r != "evaluated-on")
            print(f"  pushed {job.output}  {self.digests[job.output][: 7 + SHOWN_DIGITS]}")
            indent = "    "
            print(textwrap.fill(origins, WIDTH, initial_indent=indent, subsequent_indent=indent))

    def run_in_full(self, job: Job) -> None:
        """The same with every command shown, and the push repeated, which changes nothing."""
        for command in self.pulls(job):
            self._transcript.run(command)
        self._transcript.run(job.training())
        self._transcript.run(job.push())
        again = self._transcript.quietly(job.push("--json")).document
        self._keep(job.output, again, "unchanged")

    def metrics(self, reference: str) -> dict[str, Any]:
        """What the job that made a model measured on the held-out set."""
        path = self._transcript.folder / "outputs" / folder_of(reference) / "metrics.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _keep(self, reference: str, document: Mapping[str, Any], outcome: str) -> None:
        if document.get("outcome") != outcome:
            told = document.get("outcome")
            raise DemoFailed(f"pushing {reference} said {told!r} instead of {outcome!r}")
        self.digests[reference] = str(document["artifact"])


def filtering(output: str, letters: str) -> Job:
    """Raw shards to a training set."""
    shards = [shard(letter) for letter in letters]
    return Job(
        output,
        "dataset",
        "filter",
        [("filtered-from", reference) for reference in shards],
        ["filter.py", *(fetched(reference) for reference in shards)],
        MINIMUM_INK,
    )


def base(output: str, data: str, seed: str) -> Job:
    """A model from nothing."""
    return Job(
        output,
        "model",
        "train",
        [("trained-on", data), ("evaluated-on", HELDOUT)],
        ["train.py", "--data", fetched(data)],
        {"learning-rate": "0.05", "epochs": "40", "seed": seed},
    )


def tuning(output: str, start: str, rate: str, seed: str) -> Job:
    """A model from another one, for the faint images that the field sends."""
    return Job(
        output,
        "model",
        "fine-tune",
        [("fine-tuned-from", start), ("trained-on", FIELD), ("evaluated-on", HELDOUT)],
        ["train.py", "--start", fetched(start), "--data", fetched(FIELD)],
        {"learning-rate": rate, "epochs": "20", "seed": seed},
    )


def quantizing(output: str, model: str) -> Job:
    """A model with 8-bit weights."""
    inputs = [("quantized-from", model), ("evaluated-on", HELDOUT)]
    return Job(output, "model", "quantize", inputs, ["quantize.py", fetched(model)])


def merging(output: str, models: Sequence[str]) -> Job:
    """The average of fine-tunes of one base."""
    inputs = [*(("merged-from", model) for model in models), ("evaluated-on", HELDOUT)]
    script = ["merge.py", *(fetched(model) for model in models)]
    return Job(output, "model", "merge", inputs, script)


def models_of(version: str) -> list[str]:
    """The main chain's models, in the order they are made."""
    steps = ("base", "tuned-a", "tuned-b", "int8", "soup")
    return [f"models/digits-{step}:{version}" for step in steps]


def after_base(version: str) -> list[list[Job]]:
    """The jobs of the main chain that follow the base model, those side by side together."""
    first, tuned_a, tuned_b, int8, soup = models_of(version)
    return [
        [tuning(tuned_a, first, "0.01", "2"), tuning(tuned_b, first, "0.02", "3")],
        [quantizing(int8, tuned_a), merging(soup, [tuned_a, tuned_b])],
    ]
