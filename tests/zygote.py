"""The real command line in real processes, without paying for its imports each time.

A zygote imports everything once and forks. Each child is a process of its own
that runs `stemma_cli.main.main` with the given arguments, environment and
directory, so that it can be killed, traced and raced like any other: a start
costs a hundredth of a second instead of one.

As a program (`python -m tests.zygote`) it reads requests and writes answers,
one JSON document a line.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120.0
# Opens a gate. Waiting for it is no call that a test looks at.
GATE = signal.SIGUSR1
# The longest that a command of a test may have to wait for another's deletions, which is minutes
# elsewhere; and how long a deletion may be started.
LEASE = {"collect_lease_seconds": 3.0, "collect_start_seconds": 1.5}
# Set in a seat's environment: its commands find what is installed, such as the readers of records.
WHOLE = "STEMMA_TEST_WHOLE"
_SITE: list[str] = []
# prctl(2), from <linux/prctl.h>.
PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, -1


@dataclass(frozen=True)
class Finished:
    """How a command ended. `code` is the exit code, or minus the signal that killed it."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()

    def expect(self, *codes: int) -> Finished:
        """Itself, if it ended with one of these codes and without a traceback."""
        assert self.code in codes, f"{self}: expected {codes}"
        assert "Traceback" not in self.err + self.out, self.err
        return self


@dataclass(frozen=True)
class Seat:
    """Where a user sits: home, registry, working directory, and where output is kept."""

    home: Path
    registry: Path
    cwd: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the command sees."""
        return {
            "STEMMA_HOME": str(self.home),
            "STEMMA_REGISTRY": str(self.registry),
            "HOME": str(self.home),
            "PATH": os.environ.get("PATH", ""),
            "LANG": "C.UTF-8",
        }


class Child:
    """A command that has been started. With a gate it waits there until `go`."""

    def __init__(self, zygote: Zygote, pid: int, argv: Sequence[str], out: Path, err: Path) -> None:
        self.pid = pid
        self._zygote, self._argv, self._out, self._err = zygote, tuple(argv), out, err

    def go(self) -> None:
        """Open the gate."""
        os.kill(self.pid, GATE)

    def wait(self, seconds: float = SECONDS) -> Finished:
        """Wait for the end; kills it and fails if that takes too long."""
        code = self._zygote.wait(self.pid, seconds)
        out, err = self._out.read_bytes(), self._err.read_bytes()
        self._out.unlink()
        self._err.unlink()
        return Finished(self._argv, code, out.decode(), err.decode())


class Zygote:
    """The client of the program below."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._buffer = b""
        self.ask(op="ping")

    def close(self) -> None:
        """End the zygote."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, seat: Seat, *argv: str | Path, **options: Any) -> Finished:
        """Run a command to its end."""
        return self.start(seat, *argv, **options).wait()

    def start(
        self,
        seat: Seat,
        *argv: str | Path,
        gate: bool = False,
        environment: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        limits: Mapping[str, int] | None = None,
        user: int | None = None,
    ) -> Child:
        """Start a command, with limits by the names of `resource` ("NOFILE"), as another user."""
        self._count += 1
        out, err = (self._folder / f"{self._count}.{end}" for end in ("out", "err"))
        out.touch()
        texts = [str(part) for part in argv]
        answer = self.ask(
            op="start",
            argv=texts,
            env={**seat.environment, **(environment or {})},
            cwd=str(seat.cwd),
            out=str(stdout or out),
            err=str(err),
            gate=gate,
            limits=dict(limits or {}),
            user=user,
        )
        return Child(self, answer["pid"], texts, out, err)

    def wait(self, pid: int, seconds: float) -> int:
        """The end of a child: exit code or minus the signal."""
        self._send({"op": "wait", "pid": pid})
        answer = self._receive(seconds)
        if answer is None:
            os.kill(pid, signal.SIGKILL)
            self._receive(10)
            raise AssertionError(f"process {pid} did not end within {seconds:.0f} s")
        code: int = answer["code"]
        return code

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request and its answer."""
        self._send(request)
        answer = self._receive(60)
        assert answer is not None, f"the zygote does not answer {request}"
        return answer

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                return None
            part = os.read(self._process.stdout.fileno(), 65536)
            assert part, "the zygote has ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


@functools.cache
def shared() -> Zygote:
    """The one zygote of this test process, which ends with it."""
    folder = tempfile.TemporaryDirectory(prefix="stemma-zygote-")
    made = Zygote(Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(made.close)
    return made


# --- the program ----------------------------------------------------------------------------


class _Server:
    """Forks children and waits for them."""

    def serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {GATE})  # children inherit it
        for line in sys.stdin.buffer:
            request = json.loads(line)
            answer = getattr(self, request.pop("op"))(**request)
            sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
            sys.stdout.buffer.flush()

    def ping(self) -> dict[str, Any]:
        return {}

    def start(self, **request: Any) -> dict[str, Any]:
        """Fork; answers when the child is about to run, or stands at its gate."""
        ready, at_gate = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            _child(at_gate, **request)
        os.close(at_gate)
        os.read(ready, 1)
        os.close(ready)
        return {"pid": pid}

    def wait(self, pid: int) -> dict[str, Any]:
        return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


def _child(
    at_gate: int,
    gate: bool,
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    out: str,
    err: str,
    limits: dict[str, int],
    user: int | None,
) -> NoReturn:
    """Become `stemma`, wait at the gate, run, and end as the interpreter would."""
    from stemma_cli.main import main
    from stemma_registry.config import LIMITS

    for name, seconds in LEASE.items():
        assert hasattr(LIMITS, name)
        object.__setattr__(LIMITS, name, seconds)
    os.setpgid(0, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # However the tests were started: in the background of a shell these may be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, err, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        fd = os.open(path, flags, 0o644)
        os.dup2(fd, target)
        os.close(fd)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    if os.environ.pop(WHOLE, None):
        sys.path += _SITE
    os.chdir(cwd)
    random.seed()  # or all children would draw the same numbers
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    if gate:  # some systems let only a parent trace a process, unless that says otherwise
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    os.close(at_gate)
    if gate:
        signal.sigwait({GATE})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {GATE})
    sys.argv = ["stemma", *argv]
    # What follows is what the interpreter does with a program: exit code, hooks, traceback.
    try:
        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # noqa: BLE001 - the interpreter shows whatever comes
        sys.excepthook(*sys.exc_info())
        code = 1
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()  # connections that are dropped are closed, as at the interpreter's end
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    os._exit(code)


def _warm_up() -> None:
    """Import everything, and do once what is imported only on the way."""
    import stemma_attestations
    import stemma_cli.commands
    import stemma_cli.main
    import stemma_migrations
    import stemma_registry
    import stemma_registry.settings
    from tests import migrated

    migrated.install()
    for package in (stemma_attestations, stemma_registry, stemma_cli, stemma_migrations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".env"):  # Alembic's own, which it runs by path
                importlib.import_module(module.name)
    for name in ("sign", "verify", "oidc", "dsse", "models"):  # of who signs with an identity
        importlib.import_module(f"sigstore.{name}")
    for name in ("sigstore_models.trustroot.v1", "rfc3161_client", "encodings.idna"):
        importlib.import_module(name)
    for name in ("hstore", "json", "multirange", "range"):  # what its dialect asks the driver for
        importlib.import_module(f"psycopg.types.{name}")
    importlib.import_module("sqlalchemy.dialects.postgresql.psycopg")
    # What is killed and counted at every call is the push, not the index behind its commit.
    stemma_registry.settings.DEFAULT_RECORD_INDEX = "off"
    with tempfile.TemporaryDirectory(prefix="stemma-zygote-") as folder:
        os.environ["STEMMA_HOME"] = f"{folder}/home"
        os.environ.pop("STEMMA_REGISTRY", None)
        Path(folder, "data").mkdir()
        Path(folder, "data", "a").write_text("a")
        for argv in (
            ["init"],
            ["push", f"{folder}/data", "a:1", "--kind", "dataset"],
            ["verify", "a:1"],
            ["quarantine", "a:1", "--reason", "warm"],
            ["pull", "a:1", f"{folder}/out"],
        ):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                stemma_cli.main.main(argv)
    # What a BOM lists of this environment is read anew by every push. A short list will do.
    _SITE.extend(path for path in sys.path if "site-packages" in path)
    sys.path[:] = [path for path in sys.path if "site-packages" not in path]


if __name__ == "__main__":
    _warm_up()
    assert threading.active_count() == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()
    _Server().serve()
