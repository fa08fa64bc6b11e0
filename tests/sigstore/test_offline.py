"""Verifying touches neither the network nor the home directory, hostile or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stemma_attestations import keyless
from tests.sigstore.forge import raw
from tests.sigstore.scene import both, good, signer, statement
from tests.sigstore.stack import LocalSigstore

# An audit hook cannot be taken off again, and sees what C and Rust code asks Python for too.
ALONE = """
import os, sys
from pathlib import Path
from sigstore.verify import Verifier  # what it reads when it is loaded is not the question
from stemma_attestations import keyless
bundle, root = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()
home = os.environ["HOME"]
def watch(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.system", "os.exec"):
        raise RuntimeError(f"touched the network: {event} {arguments}")
    if event == "open" and str(arguments[0]).startswith(home):
        raise RuntimeError(f"read the home directory: {arguments[0]}")
sys.addaudithook(watch)
if sys.argv[3] == "prove":
    import socket
    socket.socket()
verified = keyless.verify(bundle, root)
print(verified.identity.subject, verified.log.index)
"""


def alone(tmp_path: Path, bundle: bytes, root: bytes, mode: str = "verify") -> str:
    """What a process says that may not open a socket; raises CalledProcessError."""
    (tmp_path / "bundle").write_bytes(bundle)
    (tmp_path / "root").write_bytes(root)
    home = tmp_path / "home"
    # Where sigstore's own client would look, and trust what it finds.
    cache = home / ".cache" / "sigstore-python" / "tuf"
    cache.mkdir(parents=True)
    (cache / "trusted_root.json").write_text("{")
    environment = {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "SIGSTORE_ROOT_FILE": "/nowhere",
    }
    command = [sys.executable, "-c", ALONE, tmp_path / "bundle", tmp_path / "root", mode]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout


@both
def test_no_socket_and_no_home(sigstore: LocalSigstore, rekor: int, tmp_path: Path) -> None:
    bundle = signer(sigstore, rekor).sign(statement()).raw
    root = sigstore.trusted_root()
    index = keyless.verify(bundle, root).log.index
    assert alone(tmp_path, bundle, root) == f"alice@example.com {index}\n"


def test_the_watch_itself_bites(sigstore: LocalSigstore, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        alone(tmp_path, b"{}", b"{}", "prove")
    assert "touched the network" in caught.value.stderr


def test_the_services_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed while they were there, verified after they were shut down."""
    stack = LocalSigstore()
    bundles = [signer(stack, rekor).sign(statement(rekor)).raw for rekor in (1, 2)]
    stack.close()
    monkeypatch.setattr("socket.socket", None)
    monkeypatch.setattr("socket.getaddrinfo", None)
    for rekor, bundle in zip((1, 2), bundles, strict=True):
        verified = keyless.verify(bundle, stack.trusted_root())
        assert verified.statement.predicate == {"n": rekor}


def test_a_crash_inside_a_library_is_a_refusal(
    sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.verify import Verifier

    from stemma_attestations.errors import SignatureRefused

    panic = type("PanicException", (BaseException,), {})  # as pyo3 names a crash of Rust code
    data, root = raw(good(sigstore, 2)), sigstore.trusted_root()
    for error in (ValueError("a\nb"), AttributeError(), RecursionError(), panic()):

        def crash(*_: object, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Verifier, "verify_dsse", crash)
            with pytest.raises(SignatureRefused, match=r"not verified: .+"):
                keyless.verify(data, root)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Verifier, "verify_dsse", stop)
        keyless.verify(data, root)
    assert keyless.verify(data, root).times
