"""The scenes. Each one does something real and checks that it went as told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pipeline
from pipeline import HELDOUT, Job, Pipeline, fetched, folder_of, models_of, shard
from transcript import DemoFailed, Transcript, git, python, stemma

CLEAN_DATA = "data/digits-clean-train:1"
CLEAN_MODEL = "models/digits-clean:1"
LATE_MODEL = "models/digits-soup-int8:1"
TRAIN_1, TRAIN_2 = "data/digits-train:1", "data/digits-train:2"
SOUP_1, SOUP_2 = "models/digits-soup:1", "models/digits-soup:2"
CHAIN = "abcd"  # shards of the main chain
SIBLING = "ef"  # shards of the clean sibling
VISIBLE_LOSS = 0.02  # accuracy; far less would not be worth the story
SUSPICIOUS = 0.85  # agreement of labels and model; honest shards are well above

QUARANTINED, DIFFERENT = 11, 12  # exit codes of `stemma verify`


def insist(condition: bool, otherwise: str) -> None:
    """Raises DemoFailed with `otherwise`."""
    if not condition:
        raise DemoFailed(otherwise)


def tell(transcript: Transcript, source: Path) -> None:
    """The whole story. `source` is the folder of this file. Raises DemoFailed."""
    jobs = Pipeline(transcript)
    beginning(transcript)
    data_arrives(transcript, jobs, source)
    team_trains(transcript, jobs)
    suspect = something_is_wrong(transcript)
    what_did_it_reach(transcript, jobs, suspect)
    stop_it(transcript, suspect)
    bytes_on_disk(transcript)
    train_again(transcript, jobs, suspect)
    stop_undone(transcript)
    check_the_books(transcript)


def beginning(transcript: Transcript) -> None:
    """A repository with the training code, and an empty registry."""
    transcript.scene("A Git repository and a registry")
    transcript.say(
        """The training code lives in a fresh Git repository. Stemma records the commit
        each job runs from, so jobs run inside it."""
    )
    transcript.quietly(git("init", "--quiet", "--initial-branch", "main"))
    transcript.quietly(git("add", "."))
    transcript.quietly(git("commit", "--quiet", "--message", "Train a digits classifier"))
    transcript.run(git("log", "--oneline", "--stat=70"))
    transcript.say("Stemma starts with a registry, a key to sign with, and whom to trust.")
    transcript.run(stemma("init"))


def data_arrives(transcript: Transcript, jobs: Pipeline, source: Path) -> None:
    """The raw deliveries are made and pushed as they are."""
    transcript.scene("The data arrives")
    transcript.say(
        """Suppliers deliver real handwritten digits, the ones that scikit-learn ships:
        six raw shards, a set of faint images from the field, and a held-out set for
        measuring. One supplier is not honest: in one shard, labels were changed before
        the delivery. The team does not know. It pushes what it got."""
    )
    licence = str(transcript.folder / "DATA-LICENSE.txt")
    deliver = python(str(source / "deliver.py"), "--out", "incoming", "--licence", licence)
    transcript.quietly(deliver)
    letters = CHAIN + SIBLING
    shards = [f"digits-shard-{letter}" for letter in letters]
    jobs.receive([*shards, "digits-field", "digits-heldout"])


def team_trains(transcript: Transcript, jobs: Pipeline) -> None:
    """The main chain and the clean sibling, version 1."""
    transcript.scene("The team trains")
    transcript.say(
        """Every step is a job: it pulls its inputs, runs a script, and pushes the output
        together with what it was made from. First, four shards become one training
        set."""
    )
    jobs.run(pipeline.filtering(TRAIN_1, CHAIN))
    transcript.say("The base model. Here are all the commands of one job.")
    jobs.run_in_full(pipeline.base(models_of("1")[0], TRAIN_1, "1"))
    transcript.say(
        """From it: two fine-tunes on faint images, an 8-bit version of the first, and
        the average of the two (a model soup)."""
    )
    for together in pipeline.after_base("1"):
        jobs.run(*together)
    transcript.say("A sibling model, made the same way from two other shards.")
    jobs.run(pipeline.filtering(CLEAN_DATA, SIBLING))
    jobs.run(pipeline.base(CLEAN_MODEL, CLEAN_DATA, "4"))
    transcript.say("What there is now, and the deploy script's question about one of them:")
    transcript.run(stemma("list", "--kind", "model"))
    transcript.run(stemma("verify", SOUP_1))


def something_is_wrong(transcript: Transcript) -> str:
    """Finds the shard by its labels; returns its letter."""
    transcript.scene("Something is wrong")
    transcript.say(
        """Users complain about some digits. The team compares the models of the main
        chain with the sibling, digit by digit, on images that neither has seen."""
    )
    models = [f"outputs/{folder_of(r)}" for r in (models_of("1")[0], SOUP_1, CLEAN_MODEL)]
    transcript.run(python("evaluate.py", *models, "--heldout", fetched(HELDOUT)))
    transcript.say(
        """The sibling knows digits that the others lost, so the fault is in the data.
        It has seen none of the four shards of the main chain: whose labels does it
        dispute?"""
    )
    checked = check_labels(transcript, CLEAN_MODEL, CHAIN)
    suspects = [found for found in checked if found["agree"] < SUSPICIOUS]
    insist(len(suspects) == 1, f"{len(suspects)} shards look poisoned instead of one")
    name = str(suspects[0]["name"])
    transcript.say(
        f"""{name} stands out, and always with the same digits: that is no carelessness.
        Its labels were changed on purpose."""
    )
    return name[-1]


def check_labels(transcript: Transcript, model: str, letters: str) -> list[dict[str, Any]]:
    """Ask a model about raw shards, as they lie on the team's disk."""
    data = [f"incoming/digits-shard-{letter}" for letter in letters]
    report = "outputs/labels.json"
    arguments = ["--model", f"outputs/{folder_of(model)}", "--report", report]
    transcript.run(python("check_labels.py", *data, *arguments))
    found: list[dict[str, Any]] = json.loads((transcript.folder / report).read_bytes())
    return found


def what_did_it_reach(transcript: Transcript, jobs: Pipeline, suspect: str) -> None:
    """Traces the shard, from a file on disk and from its name."""
    transcript.scene("What did it reach?")
    transcript.say("A file on disk is enough to ask: its bytes are its name.")
    file = f"incoming/digits-shard-{suspect}/records.jsonl"
    transcript.run(stemma("trace", file))
    reached = transcript.quietly(stemma("--json", "trace", file)).stdout
    for reference in [shard(suspect), TRAIN_1, *models_of("1")]:
        insist(jobs.digests[reference] in reached, f"the trace misses {reference}")
    for reference in [CLEAN_DATA, CLEAN_MODEL]:
        insist(jobs.digests[reference] not in reached, f"the trace accuses {reference}")
    transcript.say(
        """Every model of the main chain, and not the sibling. The same question by
        name; each line says on whose word it stands."""
    )
    transcript.run(stemma("trace", shard(suspect), "--format", "table"))
    transcript.say("And why the last model is on it: every step back to the shard.")
    transcript.run(stemma("trace", SOUP_1, "--up", "--to", shard(suspect)))
    transcript.say("What will have to be made again, each thing after what it is made from:")
    transcript.run(stemma("plan", shard(suspect)))


def stop_it(transcript: Transcript, suspect: str) -> None:
    """Quarantines the shard and asks the gate about everything."""
    transcript.scene("Stop it")
    transcript.say("What would a quarantine of the shard stop? The preview changes nothing:")
    reason = ("--reason", "labels changed by the supplier")
    transcript.run(stemma("quarantine", shard(suspect), *reason, "--dry-run"))
    transcript.verdicts([stemma("verify", SOUP_1)])
    transcript.say("Now for real. One command, for the shard only:")
    transcript.run(stemma("quarantine", shard(suspect), *reason))
    transcript.run(stemma("verify", SOUP_1, expect=QUARANTINED))
    transcript.say("Everything made from the shard is refused:")
    refused = [shard(suspect), TRAIN_1, *models_of("1")[:-1]]
    transcript.verdicts([stemma("verify", ref, expect=QUARANTINED) for ref in refused])
    transcript.say("The sibling is served as before:")
    transcript.verdicts([stemma("verify", ref) for ref in (CLEAN_DATA, CLEAN_MODEL)])
    transcript.say(
        """A job that started before the quarantine finishes only now. It pushes an 8-bit
        version of the soup, and that is refused too, without anybody doing anything."""
    )
    late = Job(
        LATE_MODEL,
        "model",
        "quantize",
        [("quantized-from", SOUP_1), ("evaluated-on", HELDOUT)],
        ["quantize.py", f"outputs/{folder_of(SOUP_1)}"],
    )
    transcript.quietly(late.training())
    transcript.run(late.push())
    transcript.verdicts([stemma("verify", LATE_MODEL, expect=QUARANTINED)])


def bytes_on_disk(transcript: Transcript) -> None:
    """Verifies a directory, as it is and with one byte changed."""
    transcript.scene("The bytes that will be loaded")
    transcript.say("A deploy script can ask about a directory: are these the bytes?")
    good, bad = Path("outputs") / folder_of(CLEAN_MODEL), Path("outputs/changed")
    transcript.verdicts([stemma("verify", str(good), "--as", CLEAN_MODEL)])
    transcript.say("A copy in which one bit of the weights differs:")
    shutil.copytree(transcript.folder / good, transcript.folder / bad)
    weights = transcript.folder / bad / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    transcript.run(stemma("verify", str(bad), "--as", CLEAN_MODEL, expect=DIFFERENT))


def train_again(transcript: Transcript, jobs: Pipeline, suspect: str) -> None:
    """The main chain, version 2, without the shard; compares accuracy."""
    letters = CHAIN.replace(suspect, "")
    transcript.scene("Train again, without the shard")
    transcript.say(f"The same code and parameters, from shards {', '.join(letters)} only.")
    jobs.run(pipeline.filtering(TRAIN_2, letters))
    jobs.run(pipeline.base(models_of("2")[0], TRAIN_2, "1"))
    for together in pipeline.after_base("2"):
        jobs.run(*together)
    transcript.say("Version 2 verifies. Version 1 stays refused.")
    transcript.verdicts(
        [
            *(stemma("verify", reference) for reference in [TRAIN_2, *models_of("2")]),
            stemma("verify", SOUP_1, expect=QUARANTINED),
        ]
    )
    transcript.say(
        """What the poison had cost, measured on the held-out images, although version 2
        has fewer images to learn from:"""
    )
    print(f"\n  {'':<23}clear images            faint images")
    print(f"  {'':<23}   v1      v2  points      v1      v2  points")
    for old, new in zip(models_of("1"), models_of("2"), strict=True):
        print(f"  {old.split(':')[0]:<23}{compared(jobs, old, new)}", flush=True)


def compared(jobs: Pipeline, old: str, new: str) -> str:
    """Accuracies before and after. Raises DemoFailed where nothing visible was regained."""
    before, after = jobs.metrics(old), jobs.metrics(new)
    columns = []
    for images in ("clear", "faint"):
        gained = after[images] - before[images]
        columns.append(f"{before[images]:>7.1%}{after[images]:>8.1%}{100 * gained:>+8.1f}")
    regained = after["clear"] - before["clear"]
    insist(regained >= VISIBLE_LOSS, f"{new} is not visibly better than {old}")
    return "  ".join(columns)


def stop_undone(transcript: Transcript) -> None:
    """A precaution that turns out to be unnecessary is released."""
    letter = SIBLING[-1]
    transcript.scene("A stop can be undone")
    transcript.say(
        f"""The dishonest supplier also delivered shard {letter}. As a precaution the team
        stops it at once, and looks afterwards. The sibling was trained on it."""
    )
    reason = "same supplier as the poisoned shard; under review"
    transcript.run(stemma("quarantine", shard(letter), "--reason", reason))
    transcript.verdicts([stemma("verify", CLEAN_MODEL, expect=QUARANTINED)])
    transcript.say(
        f"""The review asks a model that has seen neither shard {letter} nor the poison:
        the new soup."""
    )
    [found] = check_labels(transcript, SOUP_2, letter)
    insist(found["agree"] >= SUSPICIOUS, f"shard {letter} looks poisoned in the review")
    transcript.say(
        """The labels are sound. The team releases this shard: a signed statement again,
        with a reason. Both stay in the ledger."""
    )
    reason = f"labels reviewed: {found['agree']:.1%} agree with an independent model"
    transcript.run(stemma("release", shard(letter), "--reason", reason))
    transcript.say("The sibling is served again. The poisoned chain stays stopped.")
    transcript.verdicts(
        [stemma("verify", CLEAN_MODEL), stemma("verify", SOUP_1, expect=QUARANTINED)]
    )


def check_the_books(transcript: Transcript) -> None:
    """Audits the registry."""
    transcript.scene("Check the books")
    transcript.say(
        """Nothing was deleted. The audit walks the ledger from the first entry, and
        reads and hashes again every file the registry holds."""
    )
    transcript.run(stemma("audit", "--read-data"))
