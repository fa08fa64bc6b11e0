"""The commit point behind faults: an append is made once, or not, and who made it knows."""

from __future__ import annotations

import pytest

from stemma_cli import exits
from stemma_registry.errors import AlreadyThere, Temporary, Unanswered, Unavailable
from stemma_registry.ledger.entry import INIT, Event
from stemma_registry.ledger.log import Head, append, entries_after
from tests import fault_proxy as faults
from tests.fault_proxy import ALWAYS, Rule
from tests.s3.conftest import Faulty
from tests.s3.test_faults import KEY, PASSING, WRITING, fails_always, fails_once, hit, one_line

# botocore drops connections that break without closing them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.mark.parametrize("name", ["500", "500 done", "reset before", "lost answer", "no HTTP"])
def test_a_create_without_an_answer_is_sent_once_and_says_so(faulty: Faulty, name: str) -> None:
    fails_always(faulty, PASSING[name](), "PUT")
    with pytest.raises(Unanswered) as caught:
        faulty.store.create(KEY, b"{}")
    assert faulty.proxy.asked("PUT") == 1
    one_line(caught.value)
    assert exits.code_of(caught.value) == exits.UNDECIDED


@pytest.mark.parametrize("name", ["503 SlowDown", "429", "RequestTimeout"])
def test_a_create_that_was_refused_is_no_lost_answer(faulty: Faulty, name: str) -> None:
    fails_always(faulty, PASSING[name](), "PUT")
    with pytest.raises(Temporary) as caught:
        faulty.store.create(KEY, b"{}")
    assert not isinstance(caught.value, Unanswered)
    assert faulty.proxy.asked("PUT") == 1


def test_a_create_that_arrived_twice(faulty: Faulty) -> None:
    fails_once(faulty, faults.twice(), "PUT")
    with pytest.raises(AlreadyThere):
        faulty.store.create(KEY, b"{}")
    assert faulty.clean.read(KEY) == b"{}"


def appended(faulty: Faulty) -> int:
    """How many entries the ledger has; it is whole."""
    return len(list(entries_after(faulty.clean, Head())))


@pytest.mark.parametrize("name", ["lost answer", "500 done", "504", "twice"])
def test_an_append_whose_answer_is_lost_is_known_again_and_not_doubled(
    faulty: Faulty, name: str
) -> None:
    fails_once(faulty, PASSING[name](), "PUT")
    entry = append(faulty.store, Head(), lambda: [Event(INIT)], Head)
    hit(faulty)
    assert entry is not None
    assert appended(faulty) == 1
    assert faulty.clean.read("ledger/000/000/000000.json") == entry.raw


@pytest.mark.parametrize("name", ["503 SlowDown", "429", "conflict"])
def test_an_append_that_was_refused_for_a_moment_is_made(faulty: Faulty, name: str) -> None:
    fails_once(faulty, WRITING[name](), "PUT")
    assert append(faulty.store, Head(), lambda: [Event(INIT)], Head) is not None
    hit(faulty)
    assert appended(faulty) == 1


def test_an_append_that_never_arrived_is_an_error_and_nothing_is_there(faulty: Faulty) -> None:
    fails_always(faulty, faults.reset_before(), "PUT")
    with pytest.raises(Unanswered):
        append(faulty.store, Head(), lambda: [Event(INIT)], Head)
    assert appended(faulty) == 0


def test_a_lost_answer_that_cannot_be_looked_up_is_no_acknowledgement(faulty: Faulty) -> None:
    faulty.proxy.script = [
        Rule(faults.reset_after(), "PUT"),
        Rule(faults.reset_before(), "GET", times=ALWAYS),
    ]
    with pytest.raises(Unavailable):
        append(faulty.store, Head(), lambda: [Event(INIT)], Head)
    assert appended(faulty) == 1, "it is there, and was not claimed to be"
