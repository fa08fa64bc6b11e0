"""What a server, a network or a proxy can do to single requests, and what becomes of it.

Never wrong bytes as success, never a lost acknowledgement; what may pass is
survived, what does not is one line and the right exit code.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable

import botocore.auth
import pytest

from stemma_attestations.digest import Digest
from stemma_cli import exits
from stemma_registry.blobs.contract import Store, get_bytes, put_bytes
from stemma_registry.blobs.retrying import Limits, Retrying
from stemma_registry.errors import (
    BlobMissing,
    Damaged,
    StoreError,
    Temporary,
    Unavailable,
)
from tests import fault_proxy as faults
from tests.fault_proxy import ALWAYS, Fault, Rule
from tests.http_messages import Message
from tests.s3.conftest import Faulty, Front

# botocore drops connections that break without closing them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SMALL = bytes(range(256)) * 40
LARGE = bytes(range(251)) * 80_000  # three parts
KEY = "ledger/000/000/000001.json"

# What may pass: survived if it happens once.
PASSING: dict[str, Callable[[], Fault]] = {
    "500": lambda: faults.answer(500, "InternalError"),
    "500 done": lambda: faults.answer(500, "InternalError", reached=True),
    "502": lambda: faults.answer(502, "BadGateway"),
    "503 SlowDown": lambda: faults.answer(503, "SlowDown"),
    "503": lambda: faults.answer(503, "ServiceUnavailable"),
    "504": lambda: faults.answer(504, "GatewayTimeout", reached=True),
    "429": lambda: faults.answer(429, "TooManyRequests"),
    "RequestTimeout": lambda: faults.answer(400, "RequestTimeout"),
    "reset before": faults.reset_before,
    "lost answer": faults.reset_after,
    "no HTTP": faults.not_http,
    "twice": faults.twice,
    "late": lambda: faults.late(0.2),
}
# What only an answer with a body can suffer.
OF_BODIES: dict[str, Callable[[], Fault]] = {
    "reset in the body": faults.cut,
    "no body": lambda: faults.cut(0.0),
    "truncated 200": lambda: faults.cut(0.9, orderly=True),
    "shorter, and says so": faults.shortened,
    "longer, and says so": faults.lengthened,
}
# What does not pass by waiting.
LASTING: dict[str, tuple[int, str]] = {
    "expired credentials": (400, "ExpiredToken"),
    "clock skew": (403, "RequestTimeTooSkewed"),
    "wrong key": (403, "InvalidAccessKeyId"),
    "wrong signature": (403, "SignatureDoesNotMatch"),
    "denied": (403, "AccessDenied"),
}


def fails_once(faulty: Faulty, fault: Fault, method: str, pattern: str = "", nth: int = 1) -> None:
    faulty.proxy.script = [Rule(fault, method, pattern, nth)]


def fails_always(faulty: Faulty, fault: Fault, method: str | None = None) -> None:
    faulty.proxy.script = [Rule(fault, method, times=ALWAYS)]


def one_line(error: BaseException) -> None:
    """What the user is shown."""
    assert len(str(error).splitlines()) == 1
    assert "\x00" not in str(error)
    assert len(str(error)) < 600


def hit(faulty: Faulty) -> None:
    assert faulty.proxy.hits, "the fault did not happen"


# Reading.


def read_whole(store: Store, digest: Digest) -> bytes:
    return b"".join(store.chunks(digest))


def read_to_file(store: Store, digest: Digest) -> bytes:
    out = io.BytesIO()
    store.fetch(digest, out)
    return out.getvalue()


@pytest.mark.parametrize("name", [*PASSING, *OF_BODIES])
@pytest.mark.parametrize("read", [read_whole, read_to_file])
def test_a_blob_is_read_through_a_passing_fault(
    faulty: Faulty, name: str, read: Callable[[Store, Digest], bytes]
) -> None:
    digest = put_bytes(faulty.clean, SMALL)
    fails_once(faulty, (PASSING | OF_BODIES)[name](), "GET")
    assert read(faulty.store, digest) == SMALL
    hit(faulty)


@pytest.mark.parametrize("name", ["reset in the body", "truncated 200", "503 SlowDown", "no HTTP"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_large_blob_is_read_through_faults_in_any_range(
    faulty: Faulty, name: str, nth: int
) -> None:
    digest = put_bytes(faulty.clean, LARGE)
    fails_once(faulty, (PASSING | OF_BODIES)[name](), "GET", nth=nth)
    assert read_to_file(faulty.store, digest) == LARGE
    hit(faulty)


@pytest.mark.parametrize("name", [*PASSING, *OF_BODIES])
def test_a_fault_that_stays_is_one_line_and_exit_code_14(faulty: Faulty, name: str) -> None:
    if name in ("late", "twice"):
        return  # these are no failures of a reading
    digest = put_bytes(faulty.clean, SMALL)
    fails_always(faulty, (PASSING | OF_BODIES)[name](), "GET")
    with pytest.raises(Temporary) as caught:
        read_whole(faulty.store, digest)
    one_line(caught.value)
    assert exits.code_of(caught.value) == exits.UNDECIDED
    assert faulty.proxy.asked("GET") <= 6 * 5, "tries of the call times tries of a part"


@pytest.mark.parametrize("name", LASTING)
def test_what_does_not_pass_is_asked_once(faulty: Faulty, name: str) -> None:
    digest = put_bytes(faulty.clean, SMALL)
    fails_always(faulty, faults.answer(*LASTING[name]))
    calls: list[Callable[[], object]] = [
        lambda: read_whole(faulty.store, digest),
        lambda: faulty.store.read(KEY),
        lambda: put_bytes(faulty.store, b"another"),
        lambda: faulty.store.create(KEY, b"{}"),
        lambda: list(faulty.store.keys("ledger/")),
    ]
    for call in calls:
        faulty.proxy.requests.clear()
        with pytest.raises(Unavailable) as caught:
            call()
        assert not isinstance(caught.value, Temporary)
        asked = [request.line for request in faulty.proxy.requests]
        assert len(asked) == len(set(asked)) <= 2, asked  # a first listing asks for the bucket, too
        one_line(caught.value)
        assert LASTING[name][1] in str(caught.value)
        assert exits.code_of(caught.value) == exits.UNDECIDED


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_a_day_off(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The real server, and requests signed by a wrong clock."""
    right = botocore.auth.get_current_datetime  # type: ignore[attr-defined]
    wrong = datetime.timedelta(days=days)
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *a, **k: right(*a, **k) + wrong
    )
    with pytest.raises(Unavailable, match="clock") as caught:
        put_bytes(faulty.store, SMALL)
    assert not isinstance(caught.value, Temporary)
    assert faulty.proxy.asked("PUT") == 1
    one_line(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("code", ["PermanentRedirect", "TemporaryRedirect", ""])
def test_no_redirect_to_another_host_is_followed(faulty: Faulty, status: int, code: str) -> None:
    digest = put_bytes(faulty.clean, SMALL)
    with faults.other_host() as (elsewhere, heard):
        fault = faults.answer(
            status, code, Location=f"{elsewhere}/shared/x", x_amz_bucket_region="eu-west-1"
        )
        fails_always(faulty, fault)
        calls: list[Callable[[], object]] = [
            lambda: faulty.store.size(digest),
            lambda: read_whole(faulty.store, digest),
            lambda: put_bytes(faulty.store, b"another"),
            lambda: faulty.store.create(KEY, b"{}"),
        ]
        for call in calls:
            with pytest.raises(Unavailable) as caught:
                call()
            assert exits.code_of(caught.value) == exits.UNDECIDED
            one_line(caught.value)
    assert heard == []
    if status != 303:  # which S3 does not know, and botocore takes for a broken answer
        assert len(faulty.proxy.requests) == len(calls)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_bytes_changed_on_the_way_are_never_handed_out(faulty: Faulty, data: bytes) -> None:
    """A range has no checksum of its own on the wire: the hash of the whole notices."""
    digest = put_bytes(faulty.clean, data)
    fails_always(faulty, faults.corrupted(), "GET")
    for read in (read_whole, read_to_file):
        with pytest.raises(Damaged) as caught:
            read(faulty.store, digest)
        assert exits.code_of(caught.value) == exits.BYTES_DIFFER
        hit(faulty)


def test_the_answer_of_another_request_is_never_handed_out(faulty: Faulty) -> None:
    """Two blobs of one size, and the answer for the first is given for the second."""
    first, second = SMALL, SMALL[::-1]
    digests = [put_bytes(faulty.clean, data) for data in (first, second)]
    assert read_whole(faulty.store, digests[0]) == first
    fails_always(faulty, faults.stale(digests[0].value[2:]), "GET")
    with pytest.raises(Damaged):
        read_whole(faulty.store, digests[1])
    faulty.proxy.script = ()
    assert read_whole(faulty.store, digests[1]) == second


def test_a_range_that_was_not_asked_for_is_not_taken(faulty: Faulty) -> None:
    digest = put_bytes(faulty.clean, LARGE)
    fails_once(faulty, faults.stale("blobs/"), "GET", "blobs/", nth=2)
    assert read_to_file(faulty.store, digest) == LARGE
    hit(faulty)


def test_a_range_of_a_large_blob_is_checked_by_itself(faulty: Faulty) -> None:
    digest = put_bytes(faulty.clean, LARGE)
    expected = LARGE[9_000_000:9_000_100]
    fails_once(faulty, faults.cut(), "GET", "blobs/")
    assert faulty.store.read_range(digest, 9_000_000, 100) == expected
    fails_always(faulty, faults.corrupted())
    with pytest.raises(StoreError):
        faulty.store.read_range(digest, 9_000_000, 100)


@pytest.mark.parametrize("name", ["corrupted", "checksum"])
def test_a_small_object_is_checked_by_its_checksum_and_asked_for_again(
    faulty: Faulty, name: str
) -> None:
    faulty.clean.create(KEY, b'{"a":1}')
    wrong = {
        "corrupted": faults.corrupted(),
        "checksum": faults.header("x-amz-checksum-sha256", "A" * 43 + "="),
    }[name]
    fails_once(faulty, wrong, "GET")
    assert faulty.store.read(KEY) == b'{"a":1}'
    hit(faulty)
    fails_always(faulty, wrong, "GET")
    with pytest.raises(Temporary) as caught:
        faulty.store.read(KEY)
    assert exits.code_of(caught.value) == exits.UNDECIDED
    one_line(caught.value)


@pytest.mark.parametrize("name", ["503 SlowDown", "reset before", "reset in the body", "no HTTP"])
@pytest.mark.parametrize("nth", [1, 2])
def test_listings_survive(faulty: Faulty, name: str, nth: int) -> None:
    digests = sorted(put_bytes(faulty.clean, bytes([n])) for n in range(5))
    keys = [f"ledger/000/00{n}/000001.json" for n in range(3)]
    for key in keys:
        faulty.clean.create(key, b"{}")
    fault = (PASSING | OF_BODIES)[name]()
    fails_once(faulty, fault, "GET", nth=1)
    assert list(faulty.store.blobs()) == digests
    hit(faulty)
    fails_once(faulty, fault, "GET", nth=nth)
    assert list(faulty.store.keys("ledger/")) == keys


def test_a_server_that_hangs_is_left(front: Front, faulty: Faulty) -> None:
    digest = put_bytes(faulty.clean, SMALL)
    hasty = faulty.hasty(front)
    fails_once(faulty, faults.late(4.0), "GET", "blobs/")
    assert read_whole(hasty, digest) == SMALL
    hit(faulty)
    assert faulty.proxy.asked("GET", "blobs/") == 2


def test_a_missing_blob_is_missing_and_not_unavailable(faulty: Faulty) -> None:
    with pytest.raises(BlobMissing):
        read_whole(faulty.store, Digest.of(b"never"))


# Writing.


def garbled() -> Fault:
    """The request's body arrives with one bit changed."""

    def fault(exchange: faults.Exchange) -> None:
        request = exchange.request
        body = bytes([request.body[0] ^ 1]) + request.body[1:]
        exchange.request = Message(request.line, request.headers, body)
        exchange.send(exchange.forward())

    return fault


WRITING = PASSING | {
    "garbled": garbled,
    "BadDigest": lambda: faults.answer(400, "BadDigest"),
    "conflict": lambda: faults.answer(409, "ConditionalRequestConflict"),
}


@pytest.mark.parametrize("name", WRITING)
def test_a_small_blob_is_stored_through_a_passing_fault(faulty: Faulty, name: str) -> None:
    fails_once(faulty, WRITING[name](), "PUT")
    faulty.store.put(io.BytesIO(SMALL), Digest.of(SMALL), len(SMALL))
    hit(faulty)
    assert get_bytes(faulty.clean, Digest.of(SMALL), len(SMALL)) == SMALL


STEPS = {
    "begin": ("POST", "uploads"),
    "part": ("PUT", "partNumber=2"),
    "record": ("PUT", "chunks/"),
    "complete": ("POST", "uploadId="),
}
# In every run: what differs between the steps. The rest in the long run.
ALWAYS_TRIED = {"500 done", "503 SlowDown", "lost answer", "garbled", "conflict"}


@pytest.mark.parametrize(
    ("step", "name"),
    [
        pytest.param(step, name, marks=() if name in ALWAYS_TRIED else pytest.mark.slow)
        for step in STEPS
        for name in WRITING
        if (step, name) != ("begin", "garbled")  # it has no body
    ],
)
def test_a_large_blob_is_stored_through_a_passing_fault(
    faulty: Faulty, step: str, name: str
) -> None:
    method, pattern = STEPS[step]
    fails_once(faulty, WRITING[name](), method, pattern)
    assert faulty.store.receive(io.BytesIO(LARGE), len(LARGE)) == Digest.of(LARGE)
    hit(faulty)
    assert read_to_file(faulty.clean, Digest.of(LARGE)) == LARGE
    assert faulty.clean.read_range(Digest.of(LARGE), 0, 5) == LARGE[:5]


def test_an_upload_that_was_given_up_is_taken_up_where_it_was(faulty: Faulty) -> None:
    store = Retrying(faulty.bare, Limits(tries=2, pause_seconds=0.002))
    faulty.proxy.script = [Rule(faults.reset_before(), "PUT", "partNumber=3", times=ALWAYS)]
    with pytest.raises(Temporary) as caught:
        store.receive(io.BytesIO(LARGE), len(LARGE))
    one_line(caught.value)
    assert faulty.clean.size(Digest.of(LARGE)) is None
    assert faulty.proxy.asked("PUT", r"partNumber=1\b") == 1, "what arrived is not sent again"
    faulty.proxy.calm()
    assert faulty.store.receive(io.BytesIO(LARGE), len(LARGE)) == Digest.of(LARGE)
    assert faulty.proxy.asked("PUT", "partNumber=") == 1, "only the one that was missing"
    assert read_to_file(faulty.clean, Digest.of(LARGE)) == LARGE


@pytest.mark.parametrize("name", ["500", "reset before", "garbled", "503 SlowDown"])
def test_what_could_not_be_stored_is_not_acknowledged(faulty: Faulty, name: str) -> None:
    fails_always(faulty, WRITING[name](), "PUT")
    with pytest.raises(Temporary) as caught:
        put_bytes(faulty.store, SMALL)
    one_line(caught.value)
    assert faulty.clean.size(Digest.of(SMALL)) is None


@pytest.mark.parametrize("name", ["500", "reset before", "lost answer", "503 SlowDown"])
def test_replace_and_delete_survive(faulty: Faulty, name: str) -> None:
    faulty.clean.replace("status/a", b"old")
    fails_once(faulty, PASSING[name](), "PUT")
    faulty.store.replace("status/a", b"new")
    assert faulty.clean.read("status/a") == b"new"
    digest = put_bytes(faulty.clean, SMALL)
    fails_once(faulty, PASSING[name](), "DELETE")
    faulty.store.delete(digest)
    hit(faulty)
    assert faulty.clean.size(digest) is None
