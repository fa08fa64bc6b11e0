"""A crash inside any library that verification stands on is *not verified*, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from stemma_attestations import keyless, keys
from stemma_attestations.errors import NotVerified, StemmaError, Undecided
from stemma_attestations.request import Request
from stemma_attestations.verify import verify
from tests.attestations.scene import refusal
from tests.attestations.scene import request as scene_request
from tests.calling import caller
from tests.conformance.case import Case
from tests.conformance.generate import HERE
from tests.conformance.judging import judge
from tests.conformance.making.case import BUNDLE
from tests.conformance.making.instance import ROOT
from tests.conformance.test_cases import by_the_gate, question
from tests.world import World

Panic = type("PanicException", (BaseException,), {})  # as pyo3 names a crash of Rust code
ERRORS: list[Callable[[], BaseException]] = [
    lambda: ValueError("two\nlines"),
    lambda: AttributeError("'NoneType' object has no attribute 'x'"),
    lambda: KeyError("key"),
    AssertionError,
    StopIteration,
    lambda: OSError(5, "Input/output error"),
    lambda: RecursionError("maximum recursion depth exceeded"),
    MemoryError,
    lambda: Panic("called `Option::unwrap()` on a `None` value"),
]
# Every entry of a library on the way to a verdict: module, attribute, which cases use it.
KEY, V1, V2 = "key-good", "keyless-v1-good", "keyless-v2-good"
ENTRIES = [
    ("json", "JSONDecoder.decode", (KEY, V1, V2)),
    ("base64", "b64decode", (V1, V2)),
    ("binascii", "a2b_base64", (KEY, V1, V2)),
    ("yaml", "load", (KEY, V1, V2)),
    ("cryptography.hazmat.primitives.serialization", "load_der_public_key", (KEY, V1, V2)),
    ("cryptography.hazmat.primitives.serialization", "load_pem_public_key", (KEY,)),
    ("cryptography.hazmat.primitives.asymmetric.ec", "ECDSA", (KEY, V1, V2)),
    ("cryptography.x509", "load_der_x509_certificate", (V1, V2)),
    ("sigstore.models", "Bundle.from_json", (V1, V2)),
    ("sigstore.models", "TrustedRoot.__init__", (V1, V2)),
    ("sigstore.verify", "Verifier.__init__", (V1, V2)),
    ("sigstore.verify", "Verifier.verify_dsse", (V1, V2)),
    ("sigstore_models.trustroot.v1", "TrustedRoot.from_json", (V1, V2)),
    ("rfc3161_client", "decode_timestamp_response", (V1, V2)),
    ("rfc3161_client", "VerifierBuilder.build", (V1, V2)),
]
PLACES = [(module, name, case) for module, name, cases in ENTRIES for case in cases]


def forget() -> None:
    """A trusted root or a key that was read before would not be read again."""
    for cache in (keyless._load, keys._public_key, keys._parsed):
        cache.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    forget()
    yield
    forget()


class Bomb:
    """Put in the place of a function: raises, and counts how often."""

    def __init__(self, make: Callable[[], BaseException]) -> None:
        self.make, self.called = make, 0

    def __call__(self, *arguments: object, **options: object) -> object:
        self.called += 1
        raise self.make()


def planted(monkeypatch: pytest.MonkeyPatch, module: str, name: str, bomb: Bomb) -> None:
    owner: object = import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    monkeypatch.setattr(owner, last, bomb)


def vouched(request: Request) -> bool:
    """Whether the gate takes the signature; an error of ours says no, in one line."""
    try:
        return by_the_gate(request)
    except StemmaError as error:
        assert "\n" not in str(error)
        return False


@pytest.mark.parametrize(("module", "name", "case"), PLACES)
def test_it_is_not_verified(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, case: str
) -> None:
    folder = HERE / "cases" / case
    asked, request = Case.read(folder), question(folder)
    assert judge(asked).accepted
    assert vouched(request)
    for make in ERRORS:
        bomb = Bomb(make)
        with monkeypatch.context() as patch:
            planted(patch, module, name, bomb)
            forget()
            answer = judge(asked)
            assert (answer.accepted, answer.crashed) == (False, False), answer
            assert "\n" not in answer.reason
            assert bomb.called, "it is no way to a verdict"
            forget()
            before = bomb.called
            assert vouched(request) == (bomb.called == before)
    forget()
    assert judge(asked).accepted


@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("case", [KEY, V2])
def test_the_command_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    case: str,
    make: Callable[[], BaseException],
) -> None:
    folder = HERE / "cases" / case
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    arguments = ["trust", "test", str(folder / BUNDLE), "--trust", str(folder / "trust.yaml")]
    if case == V2:
        root = str(HERE / "roots" / ROOT)
        assert ran(["trust", "root", "add", root], capsys)[0] == 0
    assert ran(arguments, capsys)[0] == 0
    entry = ("sigstore.verify", "Verifier.verify_dsse")
    if case == KEY:
        entry = ("cryptography.hazmat.primitives.asymmetric.ec", "ECDSA")
    planted(monkeypatch, *entry, Bomb(make))
    code, said = ran(arguments, capsys)
    assert code == (14 if isinstance(make(), MemoryError) else 13)
    assert said.startswith("stemma: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_a_panic_that_nobody_expected_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The last resort: a crash where no seam is."""
    folder = HERE / "cases" / KEY
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    planted(monkeypatch, "stemma_registry.trust.belief", "examine", Bomb(lambda: Panic("a crash")))
    arguments = ["trust", "test", str(folder / BUNDLE), "--trust", str(folder / "trust.yaml")]
    assert ran(arguments, capsys) == (
        1,
        "stemma: unexpected PanicException: a crash (this is a bug)\n",
    )


def ran(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what went to stderr."""
    code, _, err = caller(capsys)(*arguments)
    return code, err


@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
def test_a_bill_of_materials_that_crashes_its_validator(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], BaseException]
) -> None:
    assert refusal() is None
    bomb = Bomb(make)
    planted(monkeypatch, "stemma_attestations.predicates.mlbom", "check", bomb)
    kind = Undecided if isinstance(make(), MemoryError) else NotVerified
    if kind is Undecided:
        with pytest.raises(Undecided):
            verify(scene_request())
    else:
        assert refusal() is kind
    assert bomb.called


@pytest.mark.parametrize("case", [KEY, V1])
def test_who_interrupts_is_not_refused(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    asked = Case.read(HERE / "cases" / case)
    planted(monkeypatch, "json", "JSONDecoder.decode", Bomb(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        judge(asked)


def test_what_memory_could_not_hold_is_not_kept_as_unsigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a quarantine that came while memory was short would be believed by nobody, for ever."""
    world = World(tmp_path)
    world.push("data:1")
    world.quarantine("data:1")
    with monkeypatch.context() as patch:
        planted(patch, "cryptography.hazmat.primitives.asymmetric.ec", "ECDSA", Bomb(MemoryError))
        world.rebuild()
        assert world.code("data:1") == 14
    assert world.code("data:1") == 11
