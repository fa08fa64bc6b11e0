"""A command that runs on what was verified, and nothing of it longer than it should.

Signals are passed on. Whatever the command leaves running behind it is adopted and ended:
nobody would watch it, and its files go.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.errors import Quarantined, Undecided
from stemma_registry.serving.watching import Watch, elapsed

NO_COMMAND, NOT_RUNNABLE = 127, 126  # as shells have it
PATIENCE = 0.3  # seconds in which what the command leaves behind may end by itself
PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_WAITED_FOR = {*PASSED_ON, signal.SIGCHLD}
_FROM_KERNEL = 0x80  # si_code of what a terminal sends, to the command as well
_PDEATHSIG, _SUBREAPER = 1, 36  # linux/prctl.h
# What only this program needs: the command gets none of it.
SECRETS = ("STEMMA_KEY_PASSPHRASE", "STEMMA_HSM_PIN", "STEMMA_ID_TOKEN", "STEMMA_DATABASE_URL")


@dataclass(frozen=True)
class Job:
    """A command, its environment, what ends it, and how long it may take over that."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    keep: tuple[int, ...] = ()  # descriptors it inherits
    stdout: int | None = None


@dataclass(frozen=True)
class Ended:
    """The exit code as a shell has it; why it was stopped, if it was; what else to say."""

    code: int
    stopped: Quarantined | Undecided | None = None
    note: str | None = None


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what is this program's secret."""
    return {name: value for name, value in environ.items() if name not in SECRETS}


@contextlib.contextmanager
def tidy_when_killed() -> Iterator[None]:
    """Let signals that would end the process end the block first: SystemExit, 128 + signal."""

    def leave(number: int, _frame: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # once is enough; what follows is tidying up
        sys.exit(128 + number)

    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) != signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(job: Job, watch: Callable[[Callable[[], None]], Watch] | None = None) -> Ended:
    """Run a command to its end, or until the watch has a reason.

    `watch` makes one, given what wakes this up. To be called by the main thread, while
    there is no other: it forks.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, ends would not be told
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        _prctl()(_SUBREAPER, 1)
        try:
            process = _start(job, before)
        except FileNotFoundError:
            return Ended(NO_COMMAND, note=f"no command {job.argv[0]:.200}")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            return Ended(NOT_RUNNABLE, note=f"cannot run {job.argv[0]:.200}: {why}")
        made = watch(lambda: os.kill(os.getpid(), signal.SIGCHLD)) if watch else None
        with contextlib.ExitStack() as stack:
            if made is not None:
                made.start()
                stack.callback(made.end)
            return _Running(job, process, made).to_the_end()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(job: Job, mask: set[int | signal.Signals]) -> subprocess.Popen[bytes]:
    parent, ending, prctl = os.getpid(), int(job.signal), _prctl()

    def before_exec() -> None:
        prctl(_PDEATHSIG, ending)
        if os.getppid() != parent:  # it died before it was asked to be told
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return subprocess.Popen(  # noqa: S603 - the user's own command
        list(job.argv),
        env=dict(job.environment),
        pass_fds=job.keep,
        stdout=job.stdout,
        preexec_fn=before_exec,  # noqa: PLW1509 - two calls into the kernel, no locks
    )


class _Running:
    """A started command and everything it started."""

    def __init__(self, job: Job, process: subprocess.Popen[bytes], watch: Watch | None) -> None:
        self.job, self.process, self.watch = job, process, watch
        self.code: int | None = None
        self.stopped: Quarantined | Undecided | None = None
        self.kill_at: float | None = None

    def to_the_end(self) -> Ended:
        while True:
            self._reap()
            if self.code is not None:
                break
            self._decide()
            self._pass_on(self._wait())
        left = self._end_what_is_left()
        note = f"the command left {left} running, which were ended" if left else None
        return Ended(self.code, self.stopped, note)

    def _decide(self) -> None:
        """Stop the command where there is a reason, and kill it where it does not heed that."""
        if self.stopped is None and self.watch is not None:
            self.stopped = self.watch.reason()
            if self.stopped is not None:
                self._send(self.job.signal)
                self._send(signal.SIGCONT)  # one that is suspended would not notice
                self.kill_at = elapsed() + self.job.grace
        if self.kill_at is not None and elapsed() >= self.kill_at:
            self._send(signal.SIGKILL)

    def _wait(self) -> signal.struct_siginfo | None:
        """The next signal, or None when it is time to decide again."""
        if self.kill_at is not None:
            return signal.sigtimedwait(_WAITED_FOR, max(0.05, self.kill_at - elapsed()))
        if self.watch is not None:
            return signal.sigtimedwait(_WAITED_FOR, min(self.watch.left() + 0.01, 3600.0))
        return signal.sigwaitinfo(_WAITED_FOR)

    def _pass_on(self, info: signal.struct_siginfo | None) -> None:
        if info is not None and info.si_signo in PASSED_ON and info.si_code != _FROM_KERNEL:
            self._send(info.si_signo)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.process.pid, number)

    def _reap(self) -> int:
        """Take note of every child that ended; how many are left, or -1 for some."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid == 0:
                return -1
            if pid == self.process.pid:
                code = os.waitstatus_to_exitcode(status)
                self.process.returncode = code
                self.code = code if code >= 0 else 128 - code

    def _end_what_is_left(self) -> int:
        """End whatever outlives the command; how many processes of it there were.

        Only children are sent signals, which cannot be others by now; what they leave
        behind in turn is adopted, and has its turn.
        """
        asked: set[int] = set()
        patient_until = elapsed() + PATIENCE
        kill_at = patient_until + self.job.grace
        while self._reap() != 0:
            if elapsed() < patient_until:
                signal.sigtimedwait({signal.SIGCHLD}, 0.05)
                continue
            late = elapsed() >= kill_at
            for pid in _children():
                if pid not in asked or late:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL if late else self.job.signal)
                        os.kill(pid, signal.SIGCONT)
                asked.add(pid)
            if late and elapsed() >= kill_at + self.job.grace + 5:
                break  # another user's, or stuck in the kernel: it cannot be ended from here
            info = signal.sigtimedwait(_WAITED_FOR, 0.2)
            if info is not None and info.si_signo in PASSED_ON:
                kill_at = min(kill_at, elapsed())
        return len(asked)


def _children() -> list[int]:
    """The processes whose parent this one is."""
    me, found = os.getpid(), []
    try:
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for number in numbers:
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path("/proc", number, "stat").read_bytes()
            state, parent = stat.rpartition(b")")[2].split()[:2]
            if int(parent) == me and state != b"Z":
                found.append(int(number))
    return found


def _prctl() -> Callable[[int, int], object]:
    """prctl(2), found before a fork; nothing where there is none."""
    try:
        found = ctypes.CDLL(None).prctl
    except (AttributeError, OSError):
        return lambda _option, _value: None
    return lambda option, value: found(option, ctypes.c_ulong(value), 0, 0, 0)
