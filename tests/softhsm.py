"""SoftHSM for tests: a token in a folder, behind the same PKCS#11 as a real one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import require_program

PIN = "4711"
_PLACES = ("/usr/lib/*/softhsm", "/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm")


@dataclass(frozen=True)
class SoftHSM:
    """A folder of tokens. A process opens the first folder it meets, and no other."""

    folder: Path
    module: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find the tokens."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf"), "PYKCS11LIB": self.module}

    def token(self, label: str) -> None:
        """A new token, whose PIN is PIN."""
        self._util("--init-token", "--free", "--label", label, "--so-pin", "0815", "--pin", PIN)

    def load(self, label: str, pem: Path, key_id: int) -> None:
        """Put a private key (PKCS#8) into a token."""
        self._util(
            *("--import", str(pem), "--token", label, "--label", f"key {key_id}"),
            *("--id", f"{key_id:02x}", "--pin", PIN),
        )

    def _util(self, *arguments: str) -> None:
        done = subprocess.run(
            [require_program("softhsm2-util"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def softhsm(folder: Path) -> Iterator[SoftHSM]:
    """An empty folder of tokens, in force for this process too."""
    program = Path(require_program("softhsm2-util"))
    places = [path for place in _PLACES for path in Path("/").glob(place[1:])]
    found = [path / "libsofthsm2.so" for path in places if (path / "libsofthsm2.so").is_file()]
    assert found, f"{program} without its libsofthsm2.so"
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
        "log.level = ERROR\nslots.removable = false\n"
    )
    hsm = SoftHSM(folder, str(found[0]))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hsm.environment.items():
            patch.setenv(name, value)
        yield hsm
