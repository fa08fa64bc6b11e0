"""The command `stemma`. Commands are imported when they run."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

import click

from stemma_attestations import __version__
from stemma_cli import exits, output
from stemma_cli.session import Session

# Command -> module, and the help that `stemma --help` shows without importing it.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("setup", "Create a registry, a signing key and a trust root."),
    "push": ("publishing", "Publish a directory as NAME:VERSION, with signed provenance."),
    "pull": ("publishing", "Materialise the verified bytes of a reference."),
    "add": ("pointing", "Publish part of a Git work tree; leave Git LFS pointers there."),
    "checkout": ("pointing", "Bring the bytes of Git LFS pointers back, checked."),
    "diff": ("pointing", "Show how commits, the work tree and artifacts differ."),
    "verify": ("verifying", "Decide whether something may be served, and say why."),
    "dossier": ("packing", "Write all evidence for a verdict into one signed file."),
    "exec": ("serving", "Verify, and run a command on a private copy of just that."),
    "lock": ("locking", "Write what may be served, and on whose word, for review."),
    "trace": ("tracing", "Show what came from a reference or file, and on whose word."),
    "deployments": ("deploying", "List what runs where, and on whose word."),
    "similar": ("comparing", "List what shares tensors with a model, declared or not."),
    "tensors": ("comparing", "List the tensors of an artifact with their digests."),
    "index": ("indexing", "Build the record index of datasets, for `trace record:FILE`."),
    "quarantine": ("custody", "Stop an artifact and everything that descends from it."),
    "release": ("custody", "Lift a quarantine."),
    "distrust": ("measures", "Take a signer at no word given in a window of time."),
    "waive": ("measures", "Let one artifact pass a quarantine for a time."),
    "retire": ("measures", "Retire a name, so that it is given to nothing else."),
    "plan": ("remedying", "List what to make again without something bad, in order."),
    "incident": ("remedying", "Report everything about one quarantine."),
    "list": ("showing", "List names and versions."),
    "show": ("showing", "Show one artifact, file or commit."),
    "log": ("showing", "Show what happened, newest first."),
    "bom": ("showing", "Print the CycloneDX ML-BOM of a reference."),
    "attestations": ("showing", "List the signed statements about a reference."),
    "attest": ("attaching", "Sign a statement of your own about an artifact."),
    "approve": ("letting", "Approve exactly these bytes for a stage."),
    "admit": ("letting", "Let in what has no provenance, with a reason and an end."),
    "promote": ("staging", "Put something at a stage, if the gate says yes for that stage."),
    "rollback": ("staging", "Put the last version back that verifies now."),
    "stages": ("staging", "List what is at which stage, since when and by whom."),
    "tags": ("tagging", "Read, write and follow Git tags that name versions and stages."),
    "attach": ("attaching", "Keep what other tools signed beside an artifact."),
    "import": ("importing", "Take in what other tools wrote and nobody signed, as claims."),
    "export": ("exporting", "Write statements about commits as Git notes."),
    "scan": ("scanning", "Look at files by their bytes: what would run, or break a reader."),
    "run": ("stepping", "Run a step of a supply chain, and sign its in-toto link."),
    "sign-oms": ("modelsigning", "Write an OpenSSF model signature of a directory."),
    "verify-oms": ("modelsigning", "Hold a directory against its OpenSSF model signature."),
    "audit": ("care", "Check that the registry is whole."),
    "replicate": ("maintenance", "Copy a registry to another place: a replica, or a backup."),
    "gc": ("collecting", "Delete what nothing refers to."),
    "erase": ("collecting", "Delete the bytes of one file for ever, and say why."),
    "doctor": ("maintenance", "Say what is missing here, and how to mend it."),
    "snapshot": ("snapshotting", "Write segments and a signed snapshot, for fresh machines."),
    "feed": ("feeding", "Publish and read the signed status feed."),
    "ledger": ("ledgering", "The history as a Git repository: export, verify, restore."),
    "rebuild": ("care", "Drop the catalogue and project the ledger again."),
    "db": ("care", "Upgrade or check the catalogue's schema."),
    "key": ("setup", "Make or show signing keys."),
    "policy": ("policing", "Check, explain, test or sync what must be true before serving."),
    "hook": ("hooking", "Refuse pushes of pointers that nothing vouches for."),
    "trust": ("trusting", "Show, extend, restrict or ask the trust root."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only to run that command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"stemma_cli.commands.{COMMANDS[cmd_name][0]}")
        name = cmd_name.replace("-", "_") + ("_" if cmd_name in ("list", "exec", "import") else "")
        command: click.Command = getattr(module, name)
        _finish(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _finish(command: click.Command) -> None:
    """Give a command what all have: `--json` behind it too, and the exit codes in its help."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _finish(child)
    elif not any(param.name == "json_here" for param in command.params):
        command.params.append(
            click.Option(
                ["--json", "json_here"],
                is_flag=True,
                expose_value=False,
                callback=_json_here,
                help="Print one JSON document.",
            )
        )
    command.epilog = exits.epilog()


def _json_here(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).json = True


@click.command(
    cls=LazyGroup,
    name="stemma",
    epilog=exits.epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--registry",
    metavar="LOCATION",
    help="The registry: a path, or s3://BUCKET/PREFIX (else $STEMMA_REGISTRY, else the home's).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.version_option(__version__, prog_name="stemma")
@click.pass_context
def stemma(ctx: click.Context, registry: str | None, as_json: bool) -> None:
    """Provenance registry for machine learning: push, trace, quarantine, verify.

    References are NAME:VERSION, NAME#STAGE, NAME@sha256:HEX, sha256:HEX (a unique
    prefix of 12 digits is enough) and git:COMMIT.
    """
    ctx.obj = Session(registry, as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code of `exits`."""
    argv = sys.argv[1:] if arguments is None else arguments
    try:
        code = stemma.main(args=argv, prog_name="stemma", standalone_mode=False)
        _leave(code if isinstance(code, int) else exits.DONE)
    except click.exceptions.Exit as error:
        _leave(error.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail(argv, 130, "Interrupted", "interrupted")
    except click.ClickException as error:
        _fail(argv, exits.USAGE, "Usage", *_usage(error))
    except BrokenPipeError:
        _drop_output()
        _leave(exits.UNEXPECTED)
    except Exception as error:  # noqa: BLE001 - the last resort is one line too, never a traceback
        _report(argv, error)
    except BaseException as error:
        from stemma_attestations.guarding import is_panic

        if not is_panic(error):
            raise
        _report(argv, error)


def _report(argv: list[str], error: BaseException) -> None:
    from stemma_attestations.errors import StemmaError

    code = exits.code_of(error)
    if isinstance(error, StemmaError):
        _fail(argv, code, type(error).__name__, str(error))
    if isinstance(error, OSError):
        _fail(
            argv, code, "OSError", f"{error.strerror or error}: {error.filename or ''}".strip(": ")
        )
    _fail(argv, code, "Unexpected", f"unexpected {type(error).__name__}: {error} (this is a bug)")


def _usage(error: click.ClickException) -> tuple[str, str]:
    """What is wrong, and what is shown before it; where no command is given that is the help."""
    ctx = getattr(error, "ctx", None)
    if ctx is not None and type(error).__name__ == "NoArgsIsHelpError":  # since Click 8.2
        return "name a command", f"{ctx.get_help()}\n\n"
    return error.format_message(), f"{ctx.get_usage()}\n" if ctx is not None else ""


def _fail(argv: list[str], code: int, kind: str, message: str, before: str = "") -> None:
    first = " ".join(message.split())
    document = {"error": {"code": code, "kind": kind, "message": first}}
    ours = argv[: argv.index("--")] if "--" in argv else argv  # behind it: the command of `run`
    if "--json" not in ours or not _told(document):
        click.echo(before, nl=False, err=True)
        output.note(f"stemma: {first}")
    _leave(code)


def _told(document: Any) -> bool:
    """Print a document; False where stdout takes nothing (a full disk, a closed pipe)."""
    try:
        output.document(document)
    except OSError:
        _drop_output()
        return False
    return True


def _drop_output() -> None:
    """Send what is still buffered nowhere, or Python would complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: int) -> Any:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
        code = code or exits.UNEXPECTED  # a yes that nobody heard is none
    sys.exit(code)


if __name__ == "__main__":
    main()
