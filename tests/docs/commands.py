"""`stemma` for shells that run it a hundred times, without its imports each time.

`python -m tests.docs.commands DOOR` imports everything once and listens at the
Unix socket DOOR. Whoever knocks (see `SHIM`, which is the `stemma` on the
shell's PATH) hands over its arguments, environment, directory and standard
streams, and a forked process runs the real command line on them.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

SECONDS = 10.0  # between two looks at whether anybody is left to answer

SHIM = """#!{python} -IS
import array, json, os, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect({door!r})
request = dict(argv=sys.argv[1:], env=dict(os.environ), cwd=os.getcwd())
streams = array.array("i", [0, 1, 2])
door.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
door.sendall(json.dumps(request).encode() + b"\\n")
sys.exit(int(door.makefile().read() or 137))
"""


def serve(door: str) -> None:
    """Answer at the socket until killed, or left alone in the world."""
    parent = os.getppid()
    _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{door}.closed")
    listener.listen()
    os.rename(f"{door}.closed", door)
    listener.settimeout(SECONDS)
    gc.collect()
    gc.freeze()
    while os.getppid() == parent:
        try:
            caller, _ = listener.accept()
        except TimeoutError:
            continue
        caller.settimeout(None)
        if os.fork() == 0:
            listener.close()
            _become(caller)
        caller.close()


def _become(caller: socket.socket) -> None:
    """Be `stemma` as the caller wants it, and tell it the exit code."""
    from stemma_cli.main import main

    streams = array.array("i")
    _, ancillary, _, _ = caller.recvmsg(1, socket.CMSG_SPACE(3 * streams.itemsize))
    streams.frombytes(ancillary[0][2])
    for target, fd in enumerate(streams):
        os.dup2(fd, target)
        os.close(fd)
    request = json.loads(caller.makefile().readline())
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        main(request["argv"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    caller.sendall(str(code).encode())
    os._exit(0)


def _warm_up() -> None:
    """Import everything, and do once what is imported only on the way."""
    import stemma_attestations
    import stemma_cli.commands
    import stemma_migrations
    import stemma_registry
    from stemma_cli.main import main
    from tests import migrated

    migrated.install()
    for package in (stemma_attestations, stemma_registry, stemma_cli, stemma_migrations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".env"):  # Alembic's own, which it runs by path
                importlib.import_module(module.name)
    with tempfile.TemporaryDirectory(prefix="stemma-") as folder:
        os.environ["STEMMA_HOME"] = f"{folder}/home"
        os.environ.pop("STEMMA_REGISTRY", None)
        Path(folder, "data").mkdir()
        Path(folder, "data", "a").write_text("a")
        push = ("push", f"{folder}/data", "a:1", "--kind", "dataset", "--param", "license=MIT")
        for argv in (["init"], [*push], ["verify", "a:1"], ["audit"]):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                main(argv)


if __name__ == "__main__":
    serve(sys.argv[1])
